"""First training of echoform-tiny.

    python benchmarks/train_tiny.py FOLDER [--until STEP]    trains, resuming where FOLDER left off
    python benchmarks/train_tiny.py FOLDER --export          writes weights, card, the log and docs/training.png

Training data: simulated scenes and the chips marked T of shared/data/sar_slc_complex (TSX_1550_HH is for evaluation only).
"""

from __future__ import annotations

import argparse
import json
import math
from functools import partial
from pathlib import Path

import torch
from matplotlib.figure import Figure
from rich.progress import Progress, TimeRemainingColumn

from echoform.nets.ram import TINY
from echoform.nets.weights import Card, store
from echoform.nets.weights import folder as weights_folder
from echoform.train.loop import Phase, Recipe, TrainingState, train
from echoform.train.problems.mixture import Mixture, draw_problem
from echoform.train.problems.scenes import Chips
from record import commit, save

RECIPE = Recipe(network=TINY, phases=(Phase(4400, 32, 32), Phase(900, 64, 12)), seed=1)
CHIPS = Path(__file__).parents[2] / "shared" / "data" / "sar_slc_complex"
TRAINING_FILES = ("S1_SM_BBE7_HH.npz", "S1_IW_openship_cargo.npz")


def export(state: TrainingState, folder: Path) -> None:
    """Write the averaged weights into the package with their card, the log under results/ and its picture under docs/."""
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    seen = sum(
        p.batch * min(p.steps, max(0, state.step - before)) for p, before in zip(RECIPE.phases, starts(), strict=True)
    )
    card = Card(
        name="echoform-tiny",
        network=RECIPE.network,
        data=(
            "simulated scenes: points, extended targets, smooth objects, speckled regions, clutter (echoform.scene)",
            "sar_slc_complex/S1_SM_BBE7_HH.npz (Sentinel-1 stripmap, C band)",
            "sar_slc_complex/S1_IW_openship_cargo.npz (Sentinel-1 ships)",
        ),
        recipe=f"benchmarks/train_tiny.py, {state.step} steps, {seen} scenes: "
        + ", then ".join(f"{p.steps} of {p.batch} at {p.side} x {p.side}" for p in RECIPE.phases)
        + f"; squared error in both modes, Adam {RECIPE.learning_rate:g} cosine, average {RECIPE.average}; one CPU core",
        commit=commit(),
        metrics=("benchmarks/results/first_light.json", "benchmarks/results/gotcha.json"),
        licence="BSD-3-Clause",
    )
    print(store(state.average, card, weights_folder()))
    print(save("train_tiny", seed=RECIPE.seed, results={"steps": state.step, "scenes": seen, "log": log}))
    draw_curve(log)


def starts() -> list[int]:
    """First step of every phase."""
    return [sum(p.steps for p in RECIPE.phases[:i]) for i in range(len(RECIPE.phases))]


def draw_curve(log: list[dict[str, float]]) -> None:
    """Draw the error over the Wiener variance against the step."""
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axes = figure.subplots()
    steps = [line["step"] for line in log]
    axes.plot(steps, [10 / math.log(10) * line["log_error"] for line in log], label="mean of dB")
    axes.plot(steps, [10 * math.log10(line["error"]) for line in log], label="dB of mean")
    for start in starts()[1:]:
        axes.axvline(start, color="0.7", linewidth=1)
    axes.set_xlabel("step (grey: the image side changes)")
    axes.set_ylabel("squared error over Wiener variance, dB")
    axes.legend()
    figure.savefig(Path(__file__).parents[1] / "docs" / "training.png", dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--until", type=int, default=RECIPE.steps)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--export", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    state = TrainingState.start(RECIPE, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    checkpoint = options.folder / "checkpoint.pt"
    if checkpoint.exists():
        state.load(checkpoint)
    if options.export:
        export(state, options.folder)
        return
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
