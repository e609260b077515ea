"""Two sets of weights on the same problems, which neither was trained on: is the second better, and where?

    python benchmarks/compare_weights.py [FIRST SECOND] [--scenes 6] [--data ../shared/data]

Every family of the recipe of SECOND at 48 x 48, and the strata of first light (64 x 64, 25 and 50 % of the frequencies, 20 dB).
In one pass, and as a posterior denoiser at s_t = 0.2 of the image's RMS; NMSE in decibels, mean over scenes, and the paired
difference SECOND - FIRST with its standard error (below zero the second is better). Writes
benchmarks/results/compare_weights.json.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from echoform.assess.metrics import nmse_db
from echoform.measure.measurement import Measurement, simulate
from echoform.nets import weights
from echoform.nets.ram import RAM
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.noise import GaussianNoise
from echoform.train.families import shares
from echoform.train.problems.noise_levels import noise_level
from echoform.train.problems.problem import draw_problem
from echoform.train.problems.stream import problem_generator
from echoform.train.problems.task import draw_state
from echoform.train.recipe_file import read_recipe, shipped
from first_light import strata
from record import save

SEED, SIDE, SNR_DB, LEVEL = 78, 48, 20.0, 0.2


def problems(recipe_name: str, data: Path, scenes: int) -> Iterator[tuple[str, Measurement, Tensor]]:
    """Yield name, measurement and truth of every stratum and family."""
    generator = torch.Generator().manual_seed(SEED)
    for name, x in strata(scenes, generator).items():
        for share in (0.25, 0.5):
            mask = FourierMask((torch.rand((len(x), 1, *x.shape[-2:]), generator=generator) < share).float())
            noise = GaussianNoise(noise_level(mask(x), mask, torch.full((len(x),), SNR_DB)))
            yield f"{name}, {share:.0%}", simulate(x, mask, noise, generator=generator), x
    for share in shares(read_recipe(shipped()[recipe_name]).families, data):
        problem = draw_problem(problem_generator(SEED, 0), replace(share.family, shape=(SIDE, SIDE)), scenes)
        yield share.family.name, problem.measurement, problem.truth


@torch.no_grad()
def errors_db(network: RAM, measurement: Measurement, truth: Tensor) -> dict[str, Tensor]:
    """Return the NMSE of each scene in both modes, the state the same for every network."""
    state = draw_state(truth, (LEVEL, LEVEL * (1 + 1e-6)), torch.Generator().manual_seed(SEED))
    sensing = network.prepare(measurement)
    modes = {"one pass": None, "state": state}
    return {mode: nmse_db(network.denoise(sensing, given), truth) for mode, given in modes.items()}


def main() -> None:
    """Carry out the command in the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=["echoform-tiny", "echoform-small"])
    parser.add_argument("--scenes", type=int, default=6)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    options = parser.parse_args()
    first, second = options.names
    networks = [weights.load(name) for name in (first, second)]
    table = Table("problem", *(f"{mode}: {x}" for mode in ("one pass", "state") for x in (first, second, "difference")))
    rows: dict[str, dict[str, dict[str, float]]] = {}
    for name, measurement, truth in problems(second.removeprefix("echoform-"), options.data, options.scenes):
        each = [errors_db(network, measurement, truth) for network in networks]
        rows[name], cells = {}, []
        for mode in each[0]:
            a, b = each[0][mode], each[1][mode]
            change, chance = float((b - a).mean()), float((b - a).std() / len(a) ** 0.5)
            rows[name][mode] = {"first": float(a.mean()), "second": float(b.mean()), "change": change, "chance": chance}
            cells += [f"{float(a.mean()):.2f}", f"{float(b.mean()):.2f}", f"{change:+.2f} ± {chance:.2f}"]
        table.add_row(name, *cells)
    Console(width=150).print(table)
    results = {"first": first, "second": second, "scenes": options.scenes, "rows": rows}
    print(save("compare_weights", seed=SEED, results=results))


if __name__ == "__main__":
    main()
