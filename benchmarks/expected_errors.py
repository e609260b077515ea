"""How long does the loss take to learn which errors to expect, and how unequal are problems until it has?

    python benchmarks/expected_errors.py [--recipe small] [--batches 300] [--data FOLDER]

Errors of the recipe's first weights over problems of its families (8 scenes of 64 x 64, or 2 of 128 x 128), all modes; a fifth
of the batches is kept for judging. Predictors of these errors (echoform.train.losses.ExpectedError) are then drawn anew and
trained as they are beside a network (batches of 256 errors, the recipe's rate) for so many steps. Printed of the scenes kept,
after each: the loss of the predictor, and quantiles of error over expected error u, which is what a scene counts in the
network's loss: its median would be near one for every family if u were right. Writes results/expected_errors.json; 5 minutes of
one core.
"""

from __future__ import annotations

import argparse
import statistics
from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from echoform.train.families import FamilySource, shares
from echoform.train.losses import HOPELESS, LARGEST, ExpectedError, balanced, denoised
from echoform.train.recipe import Phase
from echoform.train.recipe_file import read_recipe, shipped
from echoform.train.training_state import LOSS_TIMES, TrainingState
from record import save

SEED, SCENES, PHASE = 771, 256, Phase(steps=10**6, side=64, batch=8, larger=(128,))
STEPS = (0, 100, 300, 1000)
QUANTILES = (0.5, 0.9, 0.99, 0.999)


@dataclass(frozen=True)
class Errors:
    """Errors of some scenes over v (N,), which of them count (N,), what they are predicted from (N, F), and their families."""

    error: Tensor
    counted: Tensor
    features: Tensor
    families: tuple[str, ...]

    @staticmethod
    def of(parts: list[Errors]) -> Errors:
        """Return several together."""
        joined = (torch.cat([getattr(part, name) for part in parts]) for name in ("error", "counted", "features"))
        return Errors(*joined, tuple(name for part in parts for name in part.families))


@torch.no_grad()
def collected(state: TrainingState, source: FamilySource, batches: int) -> list[Errors]:
    """Return the errors of the weights, batch by batch."""
    found = []
    for task in islice(source(PHASE, 0), batches):
        made = denoised(state.network, task)
        features = ExpectedError.features(made.given)
        found.append(Errors(made.relative, made.first < HOPELESS, features, (task.family,) * len(features)))
    return found


def learnt(errors: Errors, steps: int, rate: float) -> ExpectedError:
    """Return a predictor drawn anew and trained for so many steps."""
    torch.manual_seed(SEED)
    predictor = ExpectedError()
    optimizer = torch.optim.Adam(predictor.parameters(), lr=rate)
    for _ in range(steps):
        some = torch.randint(len(errors.error), (SCENES,))
        loss = balanced(errors.error[some], predictor.predicted(errors.features[some]), errors.counted[some])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(predictor.parameters(), 1.0)
        optimizer.step()
    return predictor


@torch.no_grad()
def judged(predictor: ExpectedError, errors: Errors) -> dict[str, Any]:
    """Return the predictor's loss on scenes that it has not seen, and how much they count."""
    log_u = predictor.predicted(errors.features)[errors.counted]
    ratio = errors.error[errors.counted] * torch.exp(-log_u)
    families: dict[str, list[float]] = defaultdict(list)
    counted = [name for name, kept in zip(errors.families, errors.counted.tolist(), strict=True) if kept]
    for name, value in zip(counted, ratio.tolist(), strict=True):
        families[name].append(value)
    medians = {name: statistics.median(values) for name, values in families.items()}
    return {
        "loss": float((ratio.clamp_max(LARGEST) + log_u).mean()),
        "quantiles": ratio.quantile(torch.tensor(QUANTILES)).tolist(),
        "above_largest": float((ratio > LARGEST).float().mean()),
        "least_family": min(medians.items(), key=lambda item: item[1]),
        "largest_family": max(medians.items(), key=lambda item: item[1]),
    }


def main() -> None:
    """Carry out the command in the module's text."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", default="small")
    parser.add_argument("--batches", type=int, default=300)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    options = parser.parse_args()
    recipe = replace(read_recipe(shipped()[options.recipe]), bfloat16=False, workers=0, seed=SEED)
    state = TrainingState.start(recipe, torch.device("cpu"))
    found = collected(state, FamilySource(recipe, shares(recipe.families, options.data)), options.batches)
    fitted, kept = Errors.of([e for k, e in enumerate(found) if k % 5]), Errors.of(found[::5])
    title = f"{len(kept.error)} scenes kept, {len(fitted.error)} learnt from: error over expected error"
    table = Table("steps", "loss", *(f"{q:g}" for q in QUANTILES), "least family", "largest family", title=title)
    results: dict[str, Any] = {"weights": recipe.start, "scenes": [len(fitted.error), len(kept.error)], "steps": {}}
    for steps in STEPS:
        row = results["steps"][steps] = judged(learnt(fitted, steps, LOSS_TIMES * recipe.schedule.peak), kept)
        ends = (f"{name} {value:.2f}" for name, value in (row["least_family"], row["largest_family"]))
        table.add_row(str(steps), f"{row['loss']:.2f}", *(f"{value:.2f}" for value in row["quantiles"]), *ends)
    Console(width=150).print(table)
    print(save("expected_errors", seed=SEED, results=results))


if __name__ == "__main__":
    main()
