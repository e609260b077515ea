"""First training of echoform-tiny.

    python benchmarks/train_tiny.py FOLDER                     trains all stages, resuming where FOLDER left off
    python benchmarks/train_tiny.py FOLDER --export            writes weights, card, the log and docs/training.png

Each stage after the first starts from the weights before it, with a warm restart of the rate and problems of its own.

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

STAGES = (
    Recipe(network=TINY, phases=(Phase(4400, 32, 32), Phase(900, 64, 12)), seed=1),
    Recipe(network=TINY, phases=(Phase(900, 48, 16),), learning_rate=4e-4, seed=2),
    Recipe(network=TINY, phases=(Phase(1100, 48, 16),), learning_rate=6e-4, seed=3),
)
CHIPS = Path(__file__).parents[2] / "shared" / "data" / "sar_slc_complex"
TRAINING_FILES = ("S1_SM_BBE7_HH.npz", "S1_IW_openship_cargo.npz")


def resume(folder: Path, stage: int) -> TrainingState:
    """Return the training state of a stage: its own checkpoint, or the weights the stage before ended with."""
    state = TrainingState.start(STAGES[stage], torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    for earlier in range(stage, -1, -1):
        checkpoint = folder / f"stage{earlier + 1}" / "checkpoint.pt"
        if checkpoint.exists():
            state.load(checkpoint)
            if earlier < stage:
                state.step = 0
            break
    return state


def export(folder: Path) -> None:
    """Write the averaged weights into the package with their card, the log under results/ and its picture under docs/."""
    logs = [
        [json.loads(line) for line in (folder / f"stage{i + 1}" / "log.jsonl").read_text().splitlines()]
        for i in range(len(STAGES))
    ]
    phases = [p for stage in STAGES for p in stage.phases]
    scenes = sum(p.steps * p.batch for p in phases)
    minutes = sum(log[-1]["seconds"] for log in logs) / 60
    card = Card(
        name="echoform-tiny",
        network=STAGES[-1].network,
        data=(
            "simulated scenes: points, extended targets, smooth objects, speckled regions, clutter (echoform.scene)",
            "sar_slc_complex/S1_SM_BBE7_HH.npz (Sentinel-1 stripmap, C band)",
            "sar_slc_complex/S1_IW_openship_cargo.npz (Sentinel-1 ships)",
        ),
        recipe=f"benchmarks/train_tiny.py, {sum(s.steps for s in STAGES)} steps, {scenes} scenes: "
        + ", then ".join(f"{p.steps} of {p.batch} at {p.side} x {p.side}" for p in phases)
        + f"; squared error in both modes, Adam, average {STAGES[-1].average}; one CPU core, {minutes:.0f} minutes",
        commit=commit(),
        metrics=("benchmarks/results/first_light.json", "benchmarks/results/gotcha.json"),
        licence="BSD-3-Clause",
    )
    print(store(resume(folder, len(STAGES) - 1).average, card, weights_folder()))
    print(save("train_tiny", seed=STAGES[0].seed, results={"scenes": scenes, "logs": logs}))
    draw_curve(logs)


def draw_curve(logs: list[list[dict[str, float]]]) -> None:
    """Draw the error over the Wiener variance against the step, stages end to end."""
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axes = figure.subplots()
    before = 0
    for stage, log in zip(STAGES, logs, strict=True):
        steps = [before + line["step"] for line in log]
        axes.plot(steps, [10 / math.log(10) * line["log_error"] for line in log], "C0")
        axes.plot(steps, [10 * math.log10(line["error"]) for line in log], "C1")
        for phase in stage.phases:
            axes.axvline(before, color="0.8", linewidth=1, zorder=0)
            axes.text(before, axes.get_ylim()[1], f" {phase.side} x {phase.side}", va="top", fontsize=8)
            before += phase.steps
    axes.set_xlabel("step")
    axes.set_ylabel("squared error over Wiener variance, dB")
    axes.legend(["mean of dB", "dB of mean"], loc="lower left")
    figure.savefig(Path(__file__).parents[1] / "docs" / "training.png", dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--export", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.export:
        export(options.folder)
        return
    source = partial(draw_problem, Mixture(), chips=Chips.load([CHIPS / name for name in TRAINING_FILES]))
    for index, recipe in enumerate(STAGES):
        state = resume(options.folder, index)
        with Progress(*Progress.get_default_columns(), TimeRemainingColumn()) as bar:
            task = bar.add_task(f"stage {index + 1}", total=recipe.steps, completed=state.step)
            train(
                state,
                recipe,
                source,
                folder=options.folder / f"stage{index + 1}",
                until=recipe.steps,
                report=lambda step, error, bar=bar, task=task: bar.update(
                    task, completed=step, description=f"log error {error:.3f}"
                ),
            )


if __name__ == "__main__":
    main()
