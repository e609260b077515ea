"""How long does a training step take, where does the time go, and what would the 36M run cost?

    python benchmarks/throughput.py [--device cpu|cuda] [--recipes tiny small official] [--pixels 18432] [--families 4]

Steps of the shipped recipes, family by family (those drawn most often, or all), after one that is not counted. CPU: processor
seconds of one thread; CUDA: wall seconds, waited for. Batches are cut to --pixels over all scenes (0: the recipe's own batch);
but for the optimiser's, times are taken as proportional to the scenes. Drawing is the mean of twelve batches of four.

In training by squared errors the workers that draw do "norm" and most of "prepare" too; here one process does everything.

Parts:

    draw          scenes, sensor and samples, and the state
    norm          |A| by Lanczos
    prepare       spectrum, coarse sensors, A^H y, proxes at the input, Krylov pair of the measurement, the loss itself
    convolutions  the body without the sensor in its blocks
    sensor        A_s^H A_s in the body's blocks
    consistency   the last prox of the state head
    backward      all of it, physics included
    optimiser     clipping, Adam, averaging

Cost of the paper's run (the recipe "official"), steps x scenes a step x seconds a scene, where a GPU was measured. Without one
it is an ESTIMATE: operations of convolutions and matrix products, forward and backward, counted here (FFTs are not in them), over
the peak of an H100 (bfloat16, dense, 989e12 / s) times a share of it that is assumed, low and high, and the efficiency of
data-parallel training, assumed too. Beside it the time that processors need to draw the problems, measured here. At equal scenes:
R GPUs take R times as many a step, as echoform.train does. Writes benchmarks/results/throughput.json (throughput_cuda.json).
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from statistics import mean
from typing import Any, TypeVar

import torch
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from echoform.nets.ram import RAM, parameters_count
from echoform.train.families import shares
from echoform.train.problems.stream import ProblemStream, Share
from echoform.train.problems.task import Task, TaskStream
from echoform.train.recipe import Recipe
from echoform.train.recipe_file import read_recipe, shipped
from echoform.train.training_state import TrainingState
from record import save

DATA = Path(__file__).parents[2] / "shared" / "data"
SEED = 4242
PARTS = ("draw", "norm", "prepare", "convolutions", "sensor", "consistency", "backward", "optimiser")
#: assumptions of the estimate: peak of one GPU, shares of it reached, efficiency with so many GPUs, cores beside each GPU
PEAK_FLOPS = 989e12
SHARES_OF_PEAK = (0.05, 0.25)
EFFICIENCY = {1: 1.0, 8: 0.9, 64: 0.8}
CORES_PER_GPU = 16
HOUR = 3600.0
#: batches by which drawing is timed, and scenes in each
DRAWN = (12, 4)

Result = TypeVar("Result")


@dataclass
class Clock:
    """Seconds of each part; a part within another is not counted twice."""

    device: torch.device
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    inside: list[str] = field(default_factory=list)
    since: float = 0.0

    def now(self) -> float:
        """Return seconds: of the processor, or of the clock once the GPU has finished."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
            return time.perf_counter()
        return time.process_time()

    def switch(self) -> None:
        """Book what went by since the last switch."""
        at = self.now()
        if self.inside:
            self.seconds[self.inside[-1]] += at - self.since
        self.since = at

    def enter(self, name: str) -> None:
        self.switch()
        self.inside.append(name)

    def leave(self) -> None:
        self.switch()
        self.inside.pop()

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Book what happens within as a part."""
        self.enter(name)
        yield
        self.leave()

    def timed(self, name: str, call: Callable[..., Result]) -> Callable[..., Result]:
        """Return the call, timed as a part."""

        def within(*given: Any, **named: Any) -> Result:
            with self.part(name):
                return call(*given, **named)

        return within

    def watch(self, network: RAM) -> None:
        """Time the body, the sensor in its blocks, and the last prox wherever they are called."""

        def before(_: nn.Module, given: tuple[Any, ...]) -> None:
            """Enter the body, its sensors' normals timed."""
            for level in given[1]:
                level.operator.normal = self.timed("sensor", level.operator.normal)
            self.enter("convolutions")

        network.body.register_forward_pre_hook(before)
        network.body.register_forward_hook(lambda *_: self.leave())
        if network.consistency is not None:
            network.consistency.register_forward_pre_hook(lambda *_: self.enter("consistency"))
            network.consistency.register_forward_hook(lambda *_: self.leave())


def step(state: TrainingState, recipe: Recipe, tasks: Iterator[Task], clock: Clock) -> None:
    """Do one step as :func:`echoform.train.loop.train_step` does, timed."""
    with clock.part("draw"):
        task = next(tasks).to(clock.device)
    task.measurement.operator.norm = clock.timed("norm", task.measurement.operator.norm)
    state.optimizer.zero_grad(set_to_none=True)
    with clock.part("prepare"):
        loss, _ = state.lesson(task)
    with clock.part("backward"):
        loss.backward()
    with clock.part("optimiser"):
        nn.utils.clip_grad_norm_(state.network.parameters(), recipe.clip)
        state.optimizer.step()
        state.follow(recipe.average)


def most_drawn(recipe: Recipe, count: int) -> list[Share]:
    """Return the families that are drawn most often, at the recipe's last image size; all where ``count`` is 0."""
    side = recipe.phases[-1].side
    found = sorted(shares(recipe.families, DATA), key=lambda share: -share.weight)[: count or None]
    return [replace(share, family=replace(share.family, shape=(side, side))) for share in found]


def drawing(share: Share, recipe: Recipe, clock: Clock) -> float:
    """Return seconds that drawing a scene takes: the mean of several batches, since kinds of picture differ in cost."""
    tasks = TaskStream(ProblemStream([share], batch=DRAWN[1], seed=SEED), recipe.modes, ready=False)
    before = clock.now()
    for index in range(DRAWN[0]):
        tasks.task(index)
    return (clock.now() - before) / (DRAWN[0] * DRAWN[1])


def operations(state: TrainingState, task: Task) -> float:
    """Return the operations of convolutions and matrix products of a scene, forward and backward."""
    with FlopCounterMode(display=False) as counter:
        loss, _ = state.lesson(task)
        loss.backward()
    return counter.get_total_flops() / len(task.truth)


def measured(recipe: Recipe, pixels: int, families: int, device: torch.device) -> dict[str, Any]:
    """Return seconds a scene, part by part, for every family and for the mixture; of the optimiser, seconds a step."""
    phase = recipe.phases[-1]
    batch = min(max(1, pixels // phase.side**2), phase.batch) if pixels else phase.batch
    state = TrainingState.start(recipe, device)
    assert isinstance(state.network, RAM)
    clock = Clock(device)
    clock.watch(state.network)
    drawn = most_drawn(recipe, families)
    found: dict[str, dict[str, float]] = {}
    flops: list[float] = []
    for share in drawn:
        tasks = iter(TaskStream(ProblemStream([share], batch=batch, seed=SEED), recipe.modes, ready=False))
        if not found:
            step(state, recipe, tasks, clock)
        clock.seconds.clear()
        step(state, recipe, tasks, clock)
        clock.seconds["draw"] = batch * drawing(share, recipe, clock)
        found[share.family.name] = {p: clock.seconds[p] / (1 if p == "optimiser" else batch) for p in PARTS}
        flops += [operations(state, task.to(device)) for task in islice(tasks, 1)] if len(flops) < 2 else []
        print(share.family.name, {p: round(1e3 * s) for p, s in found[share.family.name].items()}, flush=True)
    weights = {share.family.name: share.weight / sum(s.weight for s in drawn) for share in drawn}
    mixture = {part: sum(weights[name] * parts[part] for name, parts in found.items()) for part in PARTS}
    scenes = phase.batch * phase.accumulation
    parts = {part: seconds * (1 if part == "optimiser" else scenes) for part, seconds in mixture.items()}
    return {
        "parameters": parameters_count(state.network),
        "side": phase.side,
        "scenes_timed": batch,
        "scenes_a_step": scenes,
        "steps": recipe.steps,
        "seconds_a_scene_by_family": found,
        "seconds_a_step_by_part": parts,
        "seconds_a_step": sum(parts.values()),
        "flops_a_scene": mean(flops),
    }


def cost(found: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """Return hours and GPU hours of the whole run on 1, 8 and 64 GPUs: measured on a GPU, or estimated."""
    scenes, parts = found["steps"] * found["scenes_a_step"], found["seconds_a_step_by_part"]
    work = scenes * found["flops_a_scene"]
    if device.type == "cuda":
        seconds = [found["steps"] * (found["seconds_a_step"] - parts["draw"])]
    else:
        seconds = [work / (PEAK_FLOPS * share) for share in SHARES_OF_PEAK[::-1]]
    drawing = found["steps"] * parts["draw"]
    rows = {}
    for gpus, efficiency in EFFICIENCY.items():
        hours = [s / HOUR / gpus / efficiency for s in seconds]
        rows[str(gpus)] = {
            "hours": hours,
            "gpu_hours": [h * gpus for h in hours],
            "hours_of_drawing": drawing / HOUR / (gpus * CORES_PER_GPU),
        }
    return {
        "kind": "measured step time"
        if device.type == "cuda"
        else "ESTIMATE: operations over an assumed share of the peak",
        "scenes": scenes,
        "flops": work,
        "hours_on_this_device": found["steps"] * found["seconds_a_step"] / HOUR,
        "assumed": {
            "peak_flops": PEAK_FLOPS,
            "shares_of_peak": SHARES_OF_PEAK,
            "efficiency": {str(gpus): e for gpus, e in EFFICIENCY.items()},
            "cores_per_gpu": CORES_PER_GPU,
        },
        "gpus": rows,
    }


def show(found: dict[str, dict[str, Any]]) -> None:
    """Print steps and shares of their time."""
    table = Table("recipe", "weights", "side", "scenes a step", "s a step", "GFLOP a scene", *PARTS)
    for name, row in found.items():
        parts, total = row["seconds_a_step_by_part"], row["seconds_a_step"]
        table.add_row(
            name,
            f"{row['parameters'] / 1e6:.1f}M",
            str(row["side"]),
            str(row["scenes_a_step"]),
            f"{total:.2f}",
            f"{row['flops_a_scene'] / 1e9:.1f}",
            *(f"{100 * parts[part] / total:.0f}%" for part in PARTS),
        )
    Console(width=190).print(table)


def show_cost(found: dict[str, Any]) -> None:
    """Print what the whole run would take."""
    print(f"{found['kind']}; {found['scenes']:.3g} scenes, {found['flops']:.3g} operations")
    print(
        f"on the device of this table: {found['hours_on_this_device']:.3g} hours; the slower of GPUs and drawing decides"
    )
    table = Table("GPUs", "hours", "GPU hours", f"hours of drawing, {CORES_PER_GPU} cores each")
    for gpus, row in found["gpus"].items():
        spans = ["-".join(f"{v:.2g}" for v in row[key]) for key in ("hours", "gpu_hours")]
        table.add_row(gpus, *spans, f"{row['hours_of_drawing']:.2g}")
    Console(width=120).print(table)


def main() -> None:
    """Carry out the command in the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--recipes", nargs="+", default=["tiny", "small", "official"])
    parser.add_argument("--pixels", type=int, default=8 * 48 * 48, help="of a batch; 0 for the recipe's own batch")
    parser.add_argument("--families", type=int, default=4, help="those drawn most often; 0 for all")
    given = parser.parse_args()
    device = torch.device(given.device)
    if device.type == "cpu":
        torch.set_num_threads(1)
    recipes = {name: read_recipe(shipped()[name]) for name in given.recipes}
    found = {name: measured(recipe, given.pixels, given.families, device) for name, recipe in recipes.items()}
    show(found)
    results: dict[str, Any] = {"device": given.device, "recipes": found}
    if "official" in found:
        results["cost_of_official"] = cost(found["official"], device)
        show_cost(results["cost_of_official"])
    print(save("throughput" if device.type == "cpu" else f"throughput_{device.type}", seed=SEED, results=results))


if __name__ == "__main__":
    main()
