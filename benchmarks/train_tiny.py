"""First training of echoform-tiny: `python benchmarks/train_tiny.py FOLDER [--until STEP]`, resumes where FOLDER left off.

Training data: simulated scenes and the chips marked T of shared/data/sar_slc_complex (TSX_1550_HH is for evaluation only).
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

import torch
from rich.progress import Progress, TimeRemainingColumn

from echoform.nets.ram import TINY
from echoform.train.loop import Phase, Recipe, TrainingState, train
from echoform.train.problems.mixture import Mixture, draw_problem
from echoform.train.problems.scenes import Chips

RECIPE = Recipe(network=TINY, phases=(Phase(4400, 32, 32), Phase(900, 64, 12)), seed=1)
CHIPS = Path(__file__).parents[2] / "shared" / "data" / "sar_slc_complex"
TRAINING_FILES = ("S1_SM_BBE7_HH.npz", "S1_IW_openship_cargo.npz")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--until", type=int, default=RECIPE.steps)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    state = TrainingState.start(RECIPE, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    checkpoint = options.folder / "checkpoint.pt"
    if checkpoint.exists():
        state.load(checkpoint)
    chips = Chips.load([CHIPS / name for name in TRAINING_FILES])
    with Progress(*Progress.get_default_columns(), TimeRemainingColumn()) as bar:
        task = bar.add_task("training", total=RECIPE.steps, completed=state.step)
        train(
            state,
            RECIPE,
            partial(draw_problem, Mixture(), chips=chips),
            folder=options.folder,
            until=options.until,
            report=lambda step, loss: bar.update(task, completed=step, description=f"log error {loss:.3f}"),
        )


if __name__ == "__main__":
    main()
