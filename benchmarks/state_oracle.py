"""docs/state.md, point 7: RAM tiny in state mode against a posterior known in closed form.

    python benchmarks/state_oracle.py FOLDER [--until STEP]     trains (resuming from FOLDER), then judges

Scene: one target in clutter on 16 x 16 pixels (echoform.recon.diffusion.point_target), seen through random Fourier masks of
25 to 60 %. Judged at every (s_n, s_t) of a grid by the excess error |D - D*|^2 / |D* - x|^2 over the oracle D* (0.05 is the
goal), and by the probabilities of the target's position from posterior samples beside the Monte Carlo floor.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import partial
from itertools import count
from pathlib import Path

import torch
from rich.progress import Progress
from torch import Tensor

from echoform.linalg.inner import expand
from echoform.measure.measurement import Measurement, simulate
from echoform.nets.ram import RAM, TINY
from echoform.nets.state import DiffusionState
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.identity import blind
from echoform.physics.noise import GaussianNoise, standard_normal
from echoform.recon.diffusion.point_target import PointTargetMixture
from echoform.recon.diffusion.samplers import Denoiser, ancestral, dpm_2m
from echoform.recon.diffusion.schedule import karras_schedule
from echoform.scene.fields import uniform
from echoform.train.loop import Watch, accelerator, train
from echoform.train.problems.stream import problem_generator
from echoform.train.problems.task import Task
from echoform.train.recipe import Phase, Recipe
from echoform.train.training_state import TrainingState
from record import save

SIDE = 16
PRIOR = PointTargetMixture((SIDE, SIDE), clutter=0.3**0.5, target=(0.7 * SIDE**2 / 0.8) ** 0.5, presence=0.8)
RECIPE = Recipe(network=TINY, phases=(Phase(4000, SIDE, 48),), bfloat16=False, seed=3)
SIGMA_RANGE = (0.05, 6.0)
STATE_RANGE = (0.02, 30.0)
GRID_SIGMA = (0.1, 0.3, 1.0, 3.0)
GRID_STATE = (0.05, 0.2, 0.6, 2.0, 6.0, None)


def draw_mask(generator: torch.Generator, batch: int) -> FourierMask:
    share = uniform(generator, (batch, 1, 1, 1), 0.25, 0.6)
    return FourierMask((torch.rand((batch, 1, SIDE, SIDE), generator=generator) < share).float())


def draw_state(x: Tensor, generator: torch.Generator) -> DiffusionState:
    """Return x_t with s_t log-uniform, in the prior's own units."""
    low, high = (float(torch.tensor(s).log()) for s in STATE_RANGE)
    sigma = torch.exp(uniform(generator, (len(x),), low, high))
    return DiffusionState(x + expand(sigma, 3) * standard_normal(x, generator), sigma)


def tasks(phase: Phase, start: int) -> Iterator[Task]:
    """The batches of a run from ``start`` on."""
    for index in count(start):
        yield draw_task(problem_generator(RECIPE.seed, index), phase.batch)


def draw_task(generator: torch.Generator, batch: int) -> Task:
    """One batch of the mixture scene: 15 % without a measurement, 20 % without a state."""
    x, _ = PRIOR.sample(batch, generator)
    mode = float(torch.rand((), generator=generator))
    state = None if mode > 0.8 else draw_state(x, generator)
    if mode < 0.15:
        measurement = Measurement(torch.zeros_like(x), blind((1, SIDE, SIDE)), GaussianNoise(torch.ones(1)))
        return Task("mixture", x, measurement, state, torch.ones(batch))
    low, high = (float(torch.tensor(s).log()) for s in SIGMA_RANGE)
    noise = GaussianNoise(torch.exp(uniform(generator, (batch,), low, high)))
    measurement = simulate(x, draw_mask(generator, batch), noise, generator=generator)
    return Task("mixture", x, measurement, state, torch.ones(batch))


@torch.inference_mode()
def grid_excess(network: RAM, batch: int, generator: torch.Generator) -> list[dict[str, float | None]]:
    """Excess squared error over the oracle at every grid point, and the Wiener estimate's excess beside it."""
    rows: list[dict[str, float | None]] = []
    for sigma in GRID_SIGMA:
        for sigma_t in GRID_STATE:
            x, _ = PRIOR.sample(batch, generator)
            level = torch.full((1,), sigma)
            measurement = simulate(x, draw_mask(generator, batch), GaussianNoise(level), generator=generator)
            state = None
            if sigma_t is not None:
                state = DiffusionState(x + sigma_t * standard_normal(x, generator), torch.full((1,), sigma_t))
            sensing = network.prepare(measurement, scale=torch.ones(batch))
            made = network.denoise_normalized(sensing, state)
            operator = measurement.operator
            assert isinstance(operator, FourierMask)
            exact = PRIOR.posterior(operator, measurement.y, level, state and state.x_t, state and state.sigma_t).mean
            floor = (exact - x).abs().square().mean()
            rows.append(
                {
                    "sigma": sigma,
                    "sigma_t": sigma_t,
                    "oracle_nmse_db": float(10 * torch.log10(floor)),
                    "excess": float((made.image - exact).abs().square().mean() / floor),
                    "wiener_excess": float((made.given.wiener - exact).abs().square().mean() / floor),
                }
            )
    return rows


def total_variation(a: Tensor, b: Tensor) -> float:
    """Mean over problems of half the l1 distance between two tables of probabilities (B, K)."""
    return float(0.5 * (a - b).abs().sum(1).mean())


@torch.inference_mode()
def sampled_probabilities(
    denoiser: Denoiser, shape: torch.Size, draws: int, steps: int, generator: torch.Generator, *, stochastic: bool
) -> Tensor:
    """Probabilities of the components (B, n + 1) from posterior samples, each sample asked which component it is."""
    schedule = karras_schedule(steps, largest=30.0, smallest=0.03)
    everywhere = FourierMask(torch.ones(1, 1, SIDE, SIDE))
    total = torch.zeros(shape[0], PRIOR.pixels + 1, dtype=torch.float64)
    for _ in range(draws):
        start = schedule[0] * standard_normal(torch.zeros(shape, dtype=torch.complex64), generator)
        run = partial(ancestral, generator=generator) if stochastic else dpm_2m
        sample = run(denoiser, start.to(torch.complex64), schedule)
        total += PRIOR.posterior(everywhere, everywhere(sample), torch.full((1,), 0.05), None, None).probabilities
    return total / draws


def judge_sampling(network: RAM, problems: int, draws: int, generator: torch.Generator) -> list[dict[str, object]]:
    """Error of the position's probabilities at 30 % samples, s_n = 1.5, with the floor of exact multinomial draws."""
    x, _ = PRIOR.sample(problems, generator)
    level = torch.full((1,), 1.5)
    mask = FourierMask((torch.rand((problems, 1, SIDE, SIDE), generator=generator) < 0.3).float())
    measurement = simulate(x, mask, GaussianNoise(level), generator=generator)
    exact = PRIOR.posterior(mask, measurement.y, level, None, None).probabilities
    counts = torch.distributions.Multinomial(draws, exact).sample() / draws
    sensing = network.prepare(measurement, scale=torch.ones(problems))

    def learned(x_t: Tensor, sigma: Tensor) -> Tensor:
        return network.denoise(sensing, DiffusionState(x_t, sigma))

    def oracle(x_t: Tensor, sigma: Tensor) -> Tensor:
        return PRIOR.posterior(mask, measurement.y, level, x_t, sigma).mean.to(x_t.dtype)

    rows: list[dict[str, object]] = [{"sampler": "exact draws (floor)", "tv": total_variation(counts, exact)}]
    for name, denoiser in (("oracle", oracle), ("network", learned)):
        for steps, stochastic in ((8, False), (16, False), (32, False), (16, True)):
            found = sampled_probabilities(denoiser, x.shape, draws, steps, generator, stochastic=stochastic)
            kind = "ancestral" if stochastic else "2M"
            rows.append({"sampler": f"{name}, {kind}, {steps}", "tv": total_variation(found, exact)})
            print(rows[-1], flush=True)
    return rows


def main() -> None:
    """Carry out the command in the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--until", type=int, default=RECIPE.steps)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    state = TrainingState.start(RECIPE, torch.device("cpu"))
    if (options.folder / "checkpoint.pt").exists():
        state.load(options.folder / "checkpoint.pt")
    with Progress() as bar:
        shown = bar.add_task("training", total=options.until, completed=state.step)
        watch = Watch(report=lambda step, _: bar.update(shown, completed=step))
        processes = accelerator(cpu=True)
        train(state, RECIPE, tasks, folder=options.folder, until=options.until, processes=processes, watch=watch)
    generator = torch.Generator().manual_seed(11)
    torch.manual_seed(11)
    network = state.average.eval()
    grid = grid_excess(network, 2000, generator)
    for row in grid:
        print(row)
    sampling = judge_sampling(network, 24, 100, generator)
    print(save("state_oracle", seed=11, results={"steps": state.step, "grid": grid, "sampling": sampling}))


if __name__ == "__main__":
    main()
