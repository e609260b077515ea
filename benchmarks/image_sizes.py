"""Does RAM keep up on images larger than those it was trained on? Its error beside the best of l1 and TV, by the image's side.

    python benchmarks/image_sizes.py [--weights NAME | --checkpoint PATH] [--sides 48 128] [--scenes 4] [--families NAME ...]

The rows and the methods are those of benchmarks/quality.py: l1 and TV have the parameter of least true error for every scene, as
no user has it. Printed and saved: mean NMSE, dB, and how far RAM, in one pass and refined, is ahead of the better of l1 and TV,
with a 95 % interval of a paired bootstrap over scenes. Writes results/image_sizes_small.json (or
_tiny) after every row.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from echoform.train.problems.problem import draw_problem
from echoform.train.problems.stream import problem_generator
from first_light import bootstrap
from judged_weights import add_weights, judged, results_of
from quality import cases, interval, scores
from quality_methods import RAM_NAME, REFINED, Method, methods
from record import save

SEED = 991_000
ORACLES, JUDGED = ("l1*", "TV*"), (RAM_NAME, REFINED)
FAMILIES = ("strata: points", "strata: targets", "spotlight", "mri", "tomography", "inpainting")


def row(label: str, side: int, scenes: int, every: dict[str, Method]) -> dict[str, Any]:
    """Return each method's NMSE on scenes of one family and side, and the networks' distances from the better oracle, dB."""
    problem = draw_problem(problem_generator(SEED, side), cases(side)[label], scenes)
    found = {name: scores(run(problem.measurement, problem.truth), problem.truth) for name, run in every.items()}
    errors = {name: torch.tensor(figures["nmse_db"]) for name, figures in found.items()}
    best = torch.stack([errors[name] for name in ORACLES]).amin(0)
    ahead = {name: bootstrap(best - errors[name], torch.Generator().manual_seed(SEED)) for name in JUDGED}
    return {"nmse_db": {name: float(e.mean()) for name, e in errors.items()}, "ahead_db": ahead}


def main() -> None:
    """Carry out the command in the module's text."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_weights(parser)
    parser.add_argument(
        "--checkpoint", type=Path, help="judge these weights instead of the shipped ones; writes nothing"
    )
    parser.add_argument("--sides", type=int, nargs="+", default=[48, 128])
    parser.add_argument("--scenes", type=int, default=4)
    parser.add_argument("--families", nargs="+", default=FAMILIES, choices=tuple(cases()))
    options = parser.parse_args()
    torch.set_num_threads(1)
    network, source = judged(options.checkpoint, options.weights)
    every = {name: run for name, run in methods(network, {}).items() if name in (*ORACLES, *JUDGED)}
    table = Table("family", "side", *every, *(f"{name} ahead [95 %]" for name in JUDGED), title="NMSE, dB")
    results: dict[str, Any] = {}
    for label in options.families:
        for side in options.sides:
            made = results[f"{label}, {side}"] = row(label, side, options.scenes, every)
            errors = (f"{made['nmse_db'][name]:.2f}" for name in every)
            table.add_row(label, str(side), *errors, *(interval(found) for found in made["ahead_db"].values()))
            if options.checkpoint is None:
                save(results_of("image_sizes", options.weights), seed=SEED, results={"weights": source} | results)
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
