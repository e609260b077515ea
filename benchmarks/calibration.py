"""Are posterior samples as spread as they should be? Sparse complex scenes, 25 % of the frequencies measured.

    python benchmarks/calibration.py [--side 32] [--scenes 8] [--samples 99] [--steps 8 16 32] [--samplers 2M "SDE 2M"]
        [--weights NAME]

Scenes are the stratum "points" of first light (isolated points over clutter 15 to 60 dB below them), seen through random Fourier
masks at 20 dB, drawn from a seed never trained on. For each number of evaluations and for each sampler:

    ECE          expected calibration error of P(|x| > level), 10 bins; level and pixels follow from y alone, as calibration
                 asks: 20 dB below the peak of the one-pass image, pixels of it within 12 dB of the level or above; beside it
                 the floor: the same of an ideal sampler that draws S times from those probabilities
    error / var  squared error of the mean over the samples' variance, 1 + 1/S divided out (1 is right), sums over all scenes;
                 beside it the 95 % interval of a bootstrap over scenes, and the least and largest of any scene
    single       squared error of single draws over twice the variance (1 is right)
    ranks        largest departure of the rank histogram of Re x from uniform, ten bins, with 4 sigma of chance beside
    mean, one    NMSE of the samples' mean and of the one-pass image, dB: the mean of S exact samples is 1 + 1/S worse

Beside the network stands the same on a posterior known in closed form (one target in clutter, the denoiser exact): what samplers
themselves leave. Writes benchmarks/results/calibration_<weights>_<side>.json, again after every row; 50
minutes of one core with the defaults.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from echoform.assess.metrics import nmse_db
from echoform.assess.posterior_calibration import (
    error_over_variance,
    floor_of_calibration_error,
    rank_histogram,
    reliability,
    single_draw_ratio,
)
from echoform.measure.measurement import Measurement, simulate
from echoform.nets import weights
from echoform.nets.ram import RAM
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.noise import GaussianNoise, standard_normal
from echoform.recon.diffusion.point_target import PointTargetMixture
from echoform.recon.diffusion.posterior import PosteriorSampler, Trajectory, exceedance, second_order, stochastic
from echoform.recon.diffusion.schedule import geometric_schedule
from echoform.recon.network import NetworkReconstructor
from echoform.train.problems.noise_levels import noise_level
from echoform.train.problems.scenes import SceneKind, draw_scene
from echoform.train.recipe_file import read_recipe, shipped
from echoform.train.training_state import TrainingState
from judged_weights import add_weights, results_of
from record import save

SEED, SHARE, SNR_DB, LEVEL_DB, NEAR_DB = 880_001, 0.25, 20.0, -20.0, -12.0
RESAMPLINGS = 2000
SAMPLERS = {"2M": second_order, "SDE 2M": stochastic}


@dataclass
class Judge:
    """Gathers scenes and says what their samples were worth."""

    samples: list[Tensor]
    truth: list[Tensor]
    one_pass: list[Tensor]

    def row(self, generator: torch.Generator) -> dict[str, float]:
        """Return the figures of one table row: error over variance, chi-square, ECE and ranks."""
        stated, happened = [], []
        for samples, truth, one_pass in zip(self.samples, self.truth, self.one_pass, strict=True):
            level = float(one_pass.abs().amax()) * 10 ** (LEVEL_DB / 20)
            p = exceedance(samples, level)
            seen = one_pass.abs() > level * 10 ** (NEAR_DB / 20)
            stated.append(p[seen])
            happened.append(truth.abs()[seen] > level)
        p, e = torch.cat(stated), torch.cat(happened)
        count = len(self.samples[0])
        samples, truth = torch.stack(self.samples, 1), torch.stack(self.truth)
        bins = (
            10 if (count + 1) % 10 == 0 else next(b for b in range(min(12, count + 1), 0, -1) if (count + 1) % b == 0)
        )
        ranks = rank_histogram(samples.real, truth.real, bins=bins)
        mean = samples.mean(0)
        error = (mean - truth).abs().square().sum((1, 2))
        spread = (samples - mean).abs().square().sum((0, 2, 3)) * (count + 1) / (count * (count - 1))
        again = torch.randint(len(truth), (RESAMPLINGS, len(truth)), generator=generator)
        low, high = (error[again].sum(1) / spread[again].sum(1)).quantile(torch.tensor([0.025, 0.975])).tolist()
        return {
            "ece": reliability(p, e).error,
            "ece_floor": floor_of_calibration_error(p, count, generator),
            "error_over_variance": error_over_variance(samples, truth),
            "error_over_variance_low": low,
            "error_over_variance_high": high,
            "error_over_variance_least": float((error / spread).min()),
            "error_over_variance_largest": float((error / spread).max()),
            "single_draw_ratio": single_draw_ratio(samples, truth),
            "rank_departure": float((ranks - 1 / bins).abs().max()),
            "rank_chance": 4 * ((1 / bins) * (1 - 1 / bins) / truth.numel()) ** 0.5,
            "mean_nmse_db": float(nmse_db(mean[:, None], truth[:, None]).mean()),
            "pixels": float(p.numel()),
        }


def scenes(side: int, count: int, generator: torch.Generator) -> list[tuple[Tensor, Measurement]]:
    """Draw sparse scenes behind a Fourier mask."""
    found = []
    for _ in range(count):
        x = draw_scene(SceneKind.POINTS, generator, 1, (side, side))
        operator = FourierMask((torch.rand((1, 1, side, side), generator=generator) < SHARE).float())
        noise = GaussianNoise(noise_level(operator(x), operator, torch.tensor([SNR_DB])))
        found.append((x, simulate(x, operator, noise, generator=generator)))
    return found


def of_network(
    network: RAM,
    drawn: list[tuple[Tensor, Measurement]],
    trajectory: Trajectory,
    samples: int,
    generator: torch.Generator,
) -> Judge:
    """Draw posterior samples of every scene by the network."""
    sampler = PosteriorSampler(network, samples=samples, trajectory=trajectory, at_once=20)
    judge = Judge([], [], [])
    for x, measurement in drawn:
        estimate = sampler(measurement, generator=generator)
        assert estimate.samples is not None
        judge.samples.append(estimate.samples[:, 0, 0])
        judge.truth.append(x[0, 0])
        judge.one_pass.append(NetworkReconstructor(network)(measurement).mean[0, 0])
    return judge


def of_oracle(run: Callable[..., Tensor], steps: int, count: int, samples: int, generator: torch.Generator) -> Judge:
    """Samples of a closed-form posterior by its exact denoiser: 16 x 16, one target in clutter."""
    prior = PointTargetMixture((16, 16), clutter=0.5, target=10.0, presence=0.8)
    schedule, level, judge = (
        geometric_schedule(steps, largest=30.0, smallest=0.03),
        torch.tensor([1.5]),
        Judge([], [], []),
    )
    for _ in range(count):
        x, _ = prior.sample(1, generator)
        mask = FourierMask((torch.rand(1, 1, 16, 16, generator=generator) < SHARE).float())
        y = simulate(x, mask, GaussianNoise(level), generator=generator).y

        def exact(x_t: Tensor, s: Tensor, mask: FourierMask = mask, y: Tensor = y) -> Tensor:
            every = mask_of(mask, len(x_t)), y.expand(len(x_t), *y.shape[1:])
            return prior.posterior(every[0], every[1], level, x_t, s).mean.to(x_t.dtype)

        start = schedule[0] * standard_normal(x.expand(samples, -1, -1, -1), generator)
        judge.samples.append(run(exact, start.to(x.dtype), schedule, generator)[:, 0])
        judge.truth.append(x[0, 0])
        judge.one_pass.append(prior.posterior(mask, y, level, None, None).mean.to(x.dtype)[0, 0])
    return judge


def mask_of(mask: FourierMask, count: int) -> FourierMask:
    return FourierMask(mask.weights.expand(count, -1, -1, -1))


def main() -> None:
    """Carry out the command in the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--scenes", type=int, default=8)
    parser.add_argument(
        "--samples", type=int, default=99, help="one less than a multiple of ten gives ten bins of ranks"
    )
    parser.add_argument("--steps", type=int, nargs="+", default=[8, 16, 32])
    parser.add_argument("--samplers", nargs="+", choices=SAMPLERS, default=list(SAMPLERS))
    add_weights(parser)
    parser.add_argument("--checkpoint", type=Path, help="a run of the recipe of those weights, in place of them")
    options = parser.parse_args()
    if options.checkpoint is None:
        network = weights.load(options.weights)
    else:
        recipe = read_recipe(shipped()[options.weights.removeprefix("echoform-")])
        state = TrainingState.start(replace(recipe, start=""), torch.device("cpu"))
        state.load(options.checkpoint)
        network = state.average.eval()
        assert isinstance(network, RAM)
    generator = torch.Generator().manual_seed(SEED)
    drawn = scenes(options.side, options.scenes, generator)
    one = torch.cat([nmse_db(NetworkReconstructor(network)(m).mean, x) for x, m in drawn]).mean()
    shown = {"scenes": options.scenes, "samples": options.samples, "one_pass_nmse_db": float(one)}
    shown["weights"] = options.weights if options.checkpoint is None else str(options.checkpoint)
    name_of_results = f"{results_of('calibration', options.weights)}_{options.side}"
    rows: list[dict[str, Any]] = []
    for steps in options.steps:
        for name in options.samplers:
            run = SAMPLERS[name]
            judged = {
                "network": of_network(network, drawn, Trajectory(steps, sampler=run), options.samples, generator),
                "exact": of_oracle(run, steps, 4 * options.scenes, options.samples, generator),
            }
            for denoiser, judge in judged.items():
                rows.append({"denoiser": denoiser, "sampler": name, "steps": steps, **judge.row(generator)})
                print(rows[-1], flush=True)
            save(name_of_results, seed=SEED, results=shown | {"rows": rows})
    Console(width=150).print(table_of(rows))
    print(f"one pass: {float(one):.2f} dB")


def table_of(rows: list[dict[str, Any]]) -> Table:
    """Return the rows as a table."""
    table = Table("denoiser", "sampler", "steps", "ECE", "floor", "error / var", "95 %", "scenes")
    for heading in ("single", "ranks", "chance", "mean, dB"):
        table.add_column(heading)
    for row in rows:
        ratio = [row["error_over_variance" + part] for part in ("", "_low", "_high", "_least", "_largest")]
        table.add_row(
            row["denoiser"],
            row["sampler"],
            str(row["steps"]),
            f"{row['ece']:.3f}",
            f"{row['ece_floor']:.3f}",
            f"{ratio[0]:.2f}",
            f"{ratio[1]:.2f} to {ratio[2]:.2f}",
            f"{ratio[3]:.2f} to {ratio[4]:.2f}",
            *(f"{row[key]:.3f}" for key in ("single_draw_ratio", "rank_departure", "rank_chance")),
            f"{row['mean_nmse_db']:.2f}",
        )
    return table


if __name__ == "__main__":
    main()
