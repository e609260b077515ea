"""Does pretraining on photographs save radio images and steps? "About 10x fewer iterations, 100x less data": what is true here.

    python benchmarks/pretraining.py FOLDER [--pretrain 800] [--steps 400] [--seeds 0]   trains (resuming FOLDER), then judges

One small network with the state head (complex images of 32 x 32, all three modes). Pretraining: photographs (BSDS500, gray, with
a smooth random phase), to be denoised, inpainted and deblurred; neither a radio scene nor a radio sensor. Radio: a pool of 100,
1000 or 10000 scenes, the smaller the first of the larger, a quarter of them Sentinel-1 chips and the others simulated (family
"strata"), through random Fourier masks. The pool is fixed; masks, noise, phase and states are fresh at every step, so that a
small pool limits scenes alone. From scratch and from the pretrained weights at equal steps, batch and rate (Adam, constant rate
after the warm-up, averaged weights judged): a run may be stopped, judged and gone on with at any step.

Judged on scenes never trained on, the same for all: simulated ones of another seed, and TerraSAR-X chips (another satellite and
band). Figures are means of log |D - x|^2 / v in dB over both sets and all modes; differences have 95 % intervals of a paired
bootstrap over scenes (of one run each: the spread between seeds is not in them; give several --seeds to see it).
Writes benchmarks/results/pretraining.json and docs/pretraining.png.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from echoform.measure.atomic import atomic_path
from echoform.nets.ram import RAMConfig, parameters_count
from echoform.physics.convolution import circular_blur
from echoform.physics.operator import LinearOperator
from echoform.report.training_curves import DECIBELS, read_log
from echoform.scene.blur_kernels import gaussian_kernel
from echoform.scene.photographs import read_photographs
from echoform.scene.random_source import RandomSource
from echoform.scene.scene import Scene
from echoform.train.loop import CHECKPOINT, LOG, TaskSource, Verdict, Watch, accelerator, train
from echoform.train.losses import Loss, Network, SquaredErrorRecipe
from echoform.train.problems.complex_images import ComplexDenoising, ComplexInpainting, ComplexLayout
from echoform.train.problems.problem import draw_problem
from echoform.train.problems.scenes import Chips
from echoform.train.problems.strata import Strata, StrataLayout
from echoform.train.problems.stream import ProblemStream, Share, problem_generator
from echoform.train.problems.task import Modes, Task, TaskStream, pose
from echoform.train.recipe import Phase, Recipe, Validation
from echoform.train.schedule import Trapezoid
from echoform.train.training_state import TrainingState
from echoform.train.validation import ONLY, ValidationSet
from record import save

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"
SIDE, BATCH = 32, 8
NETWORK = RAMConfig((8, 16, 32, 64), blocks=1, embedding=32)
POOLS = (100, 1000, 10000)
POOL_SEED, JUDGE_SEED = 31_000, 950_001
#: scenes of each set by which networks are judged, and steps between looks
JUDGED, EVERY = 32, 50
#: a difference below which two networks are called alike, dB
ALIKE_DB = 0.1
STARTS = ("scratch", "pretrained")


@dataclass(frozen=True, kw_only=True)
class PhotographBlur(ComplexDenoising):
    """Complex pictures blurred by Gaussians, on a circle.

    Attributes:
        deviation_px: of the Gaussian, along each of its axes, log-uniform, pixels.
    """

    name: ClassVar[str] = "complex-deblurring"

    deviation_px: tuple[float, float] = (0.5, 4.0)

    def sensors(self, source: RandomSource, batch: int) -> Tensor:
        """Return kernels, (B, 1, 15, 15)."""
        width, turn = source.log_uniform((batch, 2), *self.deviation_px), source.uniform((batch,), 0, torch.pi)
        return gaussian_kernel(width, turn, side=SIDE // 2 - 1)

    def operator(self, layout: ComplexLayout) -> LinearOperator:
        """Return the convolution."""
        return circular_blur(layout.sensors, (1, *self.shape), complex_image=True)


@dataclass(frozen=True, kw_only=True)
class Pool(Strata):
    """Scenes of a fixed set through fresh Fourier masks.

    Attributes:
        images: (N, 1, H, W).
    """

    name: ClassVar[str] = "pool"

    images: Tensor

    def scene(self, source: RandomSource, layout: StrataLayout) -> Scene:
        """Draw from the set, with replacement."""
        return Scene(self.images[source.integers((sum(layout.counts),), 0, len(self.images))])


def photographs() -> list[Share]:
    """Return what the network is pretrained on."""
    pictures = read_photographs(DATA / "natural_bsds500")
    ranges: dict[str, Any] = {"shape": (SIDE, SIDE), "radar": 0.0, "magnitudes": pictures, "measured": 1.0}
    return [Share(kind(**ranges)) for kind in (ComplexDenoising, ComplexInpainting, PhotographBlur)]


def strata(chips: str) -> Strata:
    return Strata(shape=(SIDE, SIDE), chips=Chips.load([DATA / "sar_slc_complex" / f"{chips}.npz"]))


def radio_images(path: Path) -> Tensor:
    """Return the largest pool, from ``path`` where it was made before."""
    if not path.exists():
        family, parts = strata("S1_SM_BBE7_HH"), []
        for k in range(max(POOLS) // 100):
            source = RandomSource(problem_generator(POOL_SEED, k))
            scenes = family.scene(source, family.layout(source, 100)).image
            parts.append(scenes[torch.randperm(100, generator=source.generator)])
        with atomic_path(path) as part:
            torch.save(torch.cat(parts), part)
    return torch.load(path, weights_only=True)


def source_of(shares: Sequence[Share], seed: int) -> TaskSource:
    """Return what draws tasks of some families."""

    def tasks(phase: Phase, start: int) -> Iterator[Task]:
        return iter(TaskStream(ProblemStream(shares, batch=phase.batch, seed=seed, start=start), Modes(), ready=True))

    return tasks


def judged_tasks() -> ValidationSet:
    """Return scenes never trained on, of both sets and in all modes."""
    simulated = replace(strata("TSX_1550_HH"), chips=None)
    sets = {"simulated": simulated, "TerraSAR-X": replace(strata("TSX_1550_HH"), measured=1.0)}
    tasks = []
    for name, family in sets.items():
        problem = draw_problem(problem_generator(JUDGE_SEED, 0), family, JUDGED)
        for mode, shares in ONLY.items():
            only = Modes(**shares, state_range=Modes().state_range)
            tasks.append((mode, replace(pose(problem, only, problem_generator(JUDGE_SEED, 1)), family=name)))
    return ValidationSet(tuple(tasks))


@dataclass(frozen=True)
class Run:
    """One training: its folder holds the checkpoint and the log."""

    folder: Path
    start: str
    steps: int
    seed: int

    def recipe(self) -> Recipe:
        """Return the recipe of this run."""
        return Recipe(
            network=NETWORK,
            phases=(Phase(self.steps, SIDE, BATCH),),
            schedule=Trapezoid(warmup=50),
            average=0.99,
            bfloat16=False,
            seed=self.seed,
            start=self.start,
            validation=Validation(every=EVERY),
        )

    def carried_out(self, source: TaskSource, tasks: ValidationSet) -> Network:
        """Train, resuming, and return the averaged weights."""
        recipe, loss = self.recipe(), SquaredErrorRecipe().build()
        state = TrainingState.start(recipe, torch.device("cpu"))
        if (self.folder / CHECKPOINT).exists():
            state.load(self.folder / CHECKPOINT)

        def validate(network: Network) -> Verdict:
            return tasks.judge(network, loss)

        train(
            state,
            recipe,
            source,
            folder=self.folder,
            until=self.steps,
            processes=accelerator(cpu=True),
            watch=Watch(validate),
        )
        print(f"{self.folder}: {state.step} steps", flush=True)
        return state.average

    def curve(self) -> list[tuple[int, dict[str, float]]]:
        """Return (step, mode to dB, mean over the sets) of every look."""
        found = []
        for line in (x for x in read_log(self.folder / LOG) if x.get("validation")):
            sets = list(line["validation"].values())
            found.append((line["step"], {m: DECIBELS * float(np.mean([s[m] for s in sets])) for m in sets[0]}))
        return found


@torch.no_grad()
def errors_db(network: Network, tasks: ValidationSet, loss: Loss) -> np.ndarray:
    """Return each scene's error over v in dB, (sets and modes, scenes)."""
    return np.array([(DECIBELS * loss(network, task).errors.log()).tolist() for _, task in tasks.tasks])


def interval(difference: np.ndarray) -> list[float]:
    """Return the mean and the 95 % interval over scenes, which a set's modes share."""
    generator, sets = np.random.default_rng(0), difference.reshape(2, -1, difference.shape[1])
    means = []
    for _ in range(4000):
        again = generator.integers(0, sets.shape[2], (2, 1, sets.shape[2]))
        means.append(np.take_along_axis(sets, np.broadcast_to(again, sets.shape), 2).mean())
    low, high = np.quantile(means, [0.025, 0.975])
    return [float(difference.mean()), float(low), float(high)]


def overall(curve: list[tuple[int, dict[str, float]]]) -> list[tuple[int, float]]:
    return [(step, float(np.mean(list(modes.values())))) for step, modes in curve]


def reached(curve: list[tuple[int, float]], level: float) -> float | None:
    """Return the first step, between looks on a straight line, at which a curve is as low as ``level``, or None."""
    if curve[0][1] <= level:
        return 0.0
    for (s0, e0), (s1, e1) in pairwise(curve):
        if e1 <= level:
            return s0 + (s1 - s0) * (e0 - level) / max(e0 - e1, 1e-12)
    return None


def iterations(scratch: list[tuple[int, float]], pretrained: list[tuple[int, float]]) -> list[dict[str, float | None]]:
    """Return the steps that either needs to reach what training from scratch reaches at quarters of the run."""
    rows: list[dict[str, float | None]] = []
    for quarter in (1, 2, 3, 4):
        level = min(e for step, e in scratch if step <= scratch[-1][0] * quarter / 4)
        needed = reached(scratch, level)
        rows.append({"level_db": level, "scratch": needed, "pretrained": reached(pretrained, level)})
    return rows


def figure(curves: dict[str, list[tuple[int, dict[str, float]]]], path: Path) -> None:
    """Draw validation over steps, a panel for each mode."""
    from matplotlib.figure import Figure

    modes = list(ONLY)
    drawn = Figure(figsize=(12, 4), layout="constrained")
    for panel, mode in zip(drawn.subplots(1, len(modes)), modes, strict=True):
        for name, curve in curves.items():
            start, pool = name.split(" ")
            colour, style = f"C{[str(p) for p in POOLS].index(pool)}", "-" if start == "pretrained" else "--"
            panel.plot([s for s, _ in curve], [m[mode] for _, m in curve], style, color=colour, label=name)
        panel.set(title={"one shot": "one pass (y, A)", "state": "state (y, A, x_t)", "blind": "denoising (x_t)"}[mode])
        panel.set(xlabel="steps on radio images")
        highest = max(m[mode] for curve in curves.values() for s, m in curve if s >= EVERY)
        lowest = min(m[mode] for curve in curves.values() for _, m in curve)
        panel.set_ylim(lowest - 0.3, highest + 0.3)
        panel.grid(alpha=0.3)
    drawn.axes[0].set_ylabel("validation, error over v, dB")
    drawn.axes[-1].legend(fontsize=8, title="start, radio images", loc="center left", bbox_to_anchor=(1.0, 0.5))
    with atomic_path(path) as part:
        drawn.savefig(part, format="png", dpi=100)


def compared(made: dict[str, np.ndarray]) -> dict[str, dict[str, list[float]]]:
    """Return differences in dB with their intervals: what pretraining gains, and few images against many (negative is better)."""
    gained = {str(pool): interval(made[f"pretrained {pool}"] - made[f"scratch {pool}"]) for pool in POOLS}
    few = {}
    for start in STARTS:
        for pool in POOLS[:-1]:
            few[f"{start} {pool} over scratch {POOLS[-1]}"] = interval(
                made[f"{start} {pool}"] - made[f"scratch {POOLS[-1]}"]
            )
    few[f"pretrained {POOLS[0]} over pretrained {POOLS[-1]}"] = interval(
        made[f"pretrained {POOLS[0]}"] - made[f"pretrained {POOLS[-1]}"]
    )
    return {"pretrained_minus_scratch_db": gained, "few_minus_many_db": few}


def show(results: dict[str, Any]) -> None:
    """Print what was found of one seed."""
    table = Table(
        "radio images", "scratch", "pretrained", "pretrained - scratch, dB", "steps to scratch's level at 1/4 .. 4/4"
    )
    for pool in POOLS:
        gain = results["compared"]["pretrained_minus_scratch_db"][str(pool)]
        steps = [
            f"{r['scratch']:.0f} / " + ("never" if r["pretrained"] is None else f"{r['pretrained']:.0f}")
            for r in results["iterations"][str(pool)]
        ]
        final = [f"{results['final_db'][f'{start} {pool}']:.2f}" for start in STARTS]
        table.add_row(str(pool), *final, "{:+.2f} [{:+.2f}, {:+.2f}]".format(*gain), "   ".join(steps))
    Console(width=150).print(table)
    for name, found in results["compared"]["few_minus_many_db"].items():
        print(f"{name}: " + "{:+.2f} [{:+.2f}, {:+.2f}] dB".format(*found))


def one_seed(folder: Path, seed: int, options: argparse.Namespace, tasks: ValidationSet) -> dict[str, Any]:
    """Carry out all runs of a seed and return what they say."""
    loss = SquaredErrorRecipe().build()
    first = Run(folder / f"{seed}-photographs", "", options.pretrain, seed)
    before = first.carried_out(source_of(photographs(), 100 + seed), tasks)
    images = radio_images(folder / "pool.pt")
    made, curves = {"pretrained 0": errors_db(before, tasks, loss)}, {}
    for pool in POOLS:
        for start in STARTS:
            name, weights = f"{start} {pool}", str(first.folder / CHECKPOINT) if start == "pretrained" else ""
            run = Run(folder / f"{seed}-{start}-{pool}", weights, options.steps, seed)
            source = source_of([Share(Pool(shape=(SIDE, SIDE), images=images[:pool]))], 200 + seed)
            made[name] = errors_db(run.carried_out(source, tasks), tasks, loss)
            curves[name] = run.curve()
    if seed == options.seeds[0]:
        figure(curves, ROOT / "docs" / "pretraining.png")
    lines = {name: overall(curve) for name, curve in curves.items()}
    results = {
        "final_db": {name: float(errors.mean()) for name, errors in made.items()},
        "compared": compared(made),
        "iterations": {str(p): iterations(lines[f"scratch {p}"], lines[f"pretrained {p}"]) for p in POOLS},
        "curves_db": curves,
        "pretraining_curve_db": first.curve(),
    }
    show(results)
    return results


def main() -> None:
    """Carry out the command in the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pretrain", type=int, default=800, help="steps on photographs")
    parser.add_argument("--steps", type=int, default=400, help="steps on radio images")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    tasks = judged_tasks()
    found = {str(seed): one_seed(options.folder, seed, options, tasks) for seed in options.seeds}
    results = {
        "pretraining_steps": options.pretrain,
        "steps": options.steps,
        "batch": BATCH,
        "parameters": parameters_count(NETWORK.build()),
        "judged_scenes_a_set": JUDGED,
        "seeds": found,
    }
    print(save("pretraining", seed=JUDGE_SEED, results=results))


if __name__ == "__main__":
    main()
