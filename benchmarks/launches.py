"""What one training pass costs before any arithmetic: its operations, and the time that two tiny images take.

    python benchmarks/launches.py [--recipe small] [--side 16] [--scenes 2] [--data FOLDER]

For every family of a recipe, one pass and the way back through echoform-small: operations that PyTorch dispatches (views, which
launch nothing, left out) and the milliseconds of the median of RUNS, on images so small that what is left is Python and dispatch.
On a GPU each operation is a launch, whatever the batch. Writes results/launches.json.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch.utils._python_dispatch import TorchDispatchMode

from echoform.train.families import shares
from echoform.train.problems.problem import draw_problem
from echoform.train.problems.stream import problem_generator
from echoform.train.problems.task import Modes, Task, pose
from echoform.train.recipe_file import read_recipe, shipped
from echoform.train.training_state import TrainingState
from record import save

SEED, RUNS = 77, 5


class Counted(TorchDispatchMode):
    """Counts what is dispatched while it is on, operations that only look at memory in another way left out."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Carry out an operation and count it unless its result is a view."""
        self.operations += not func.is_view
        return func(*args, **(kwargs or {}))


def cost(state: TrainingState, task: Task) -> dict[str, float]:
    """Return the operations and milliseconds of a pass, forward and back."""

    def step() -> None:
        """Carry out one pass and the way back."""
        loss, _ = state.lesson(task)
        loss.backward()

    step()  # what is made once
    with Counted() as counted:
        step()
    times = []
    for _ in range(RUNS):
        began = time.perf_counter()
        step()
        times.append(time.perf_counter() - began)
    return {"operations": counted.operations, "ms": 1e3 * statistics.median(times)}


def main() -> None:
    """Carry out the command in the module's text."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", default="small")
    parser.add_argument("--side", type=int, default=16)
    parser.add_argument("--scenes", type=int, default=2)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    options = parser.parse_args()
    torch.set_num_threads(1)
    recipe = replace(read_recipe(shipped()[options.recipe]), bfloat16=False)
    state = TrainingState.start(recipe, torch.device("cpu"))
    table = Table("family", "mode", "operations", "ms", title="one pass and back")
    results: dict[str, Any] = {"side": options.side, "scenes": options.scenes, "families": {}}
    for share in shares(recipe.families, options.data):
        family = replace(share.family, shape=(options.side, options.side))
        for mode, modes in (("one shot", Modes(1.0, 0.0, 0.0)), ("state", Modes(0.0, 1.0, 0.0))):
            generator = problem_generator(SEED, 0)
            task = pose(draw_problem(generator, family, options.scenes), modes, generator).ready()
            found = results["families"][f"{share.family.name}, {mode}"] = cost(state, task)
            table.add_row(share.family.name, mode, f"{found['operations']:.0f}", f"{found['ms']:.0f}")
    Console().print(table)
    save("launches", seed=SEED, results=results)


if __name__ == "__main__":
    main()
