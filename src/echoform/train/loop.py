"""The training loop: fresh problems every step, an exponential average of the weights, exact resume, any number of processes.

A checkpoint holds everything the next step depends on; since problems are drawn from (seed, index) alone, a run cut in two
is bit for bit the uncut run (on one machine with one thread count). With R processes step t takes the problems t R, ...,
t R + R - 1 and the mean of their gradients.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs, KwargsHandler
from torch import Tensor, nn

from echoform.train.losses import Network
from echoform.train.problems.task import Task
from echoform.train.recipe import Phase, Recipe
from echoform.train.training_state import TIMES, Lesson, TrainingState

#: tasks of one phase for this process, from the given number of tasks on
TaskSource = Callable[[Phase, int], Iterator[Task]]
#: what a validation returns, family to mode to mean log error
Verdict = Mapping[str, Mapping[str, float]]
#: steps between lines of the log
LOG_EVERY = 25
CHECKPOINT, LOG = "checkpoint.pt", "log.jsonl"


@dataclass(frozen=True)
class Watch:
    """What looks on while a run goes.

    Attributes:
        validate: judges the averaged weights.
        report: is told (step, line of the log).
        stop: asked after every step whether to save and leave.
    """

    validate: Callable[[Network], Verdict] | None = None
    report: Callable[[int, dict[str, object]], None] | None = None
    stop: Callable[[], bool] | None = None


@dataclass
class _Tally:
    """What is averaged between two lines of the log: kept where it was computed, so that no step waits for a GPU to say it.

    Attributes:
        loss: of each batch.
        error: mean of its errors.
        log_error: mean of their logarithms.
        families: the same by family.
        skipped: steps whose gradient was not finite.
        waited: seconds that this process waited for problems.
        slowest: seconds of its slowest step, and the families of that.
    """

    loss: list[Tensor] = field(default_factory=list)
    error: list[Tensor] = field(default_factory=list)
    log_error: list[Tensor] = field(default_factory=list)
    families: dict[str, list[Tensor]] = field(default_factory=dict)
    skipped: int = 0
    waited: float = 0.0
    slowest: tuple[float, str] = (0.0, "")

    def add(self, family: str, loss: Tensor, errors: Tensor) -> None:
        """Take in the loss and the errors (B,) of one batch."""
        self.loss.append(loss.detach())
        self.error.append(errors.mean())
        self.log_error.append(errors.clamp_min(1e-30).log().mean())
        self.families.setdefault(family, []).append(self.log_error[-1])

    def line(self) -> dict[str, object]:
        """Return the means since the last line."""

        def mean(values: list[Tensor]) -> float:
            return sum(torch.stack(values).tolist()) / len(values) if values else 0.0

        families = {name: round(mean(values), 4) for name, values in sorted(self.families.items())}
        return {
            "loss": mean(self.loss),
            "error": mean(self.error),
            "log_error": mean(self.log_error),
            "families": families,
            "skipped": self.skipped,
            "waited_seconds": round(self.waited, 2),
            "slowest": {"seconds": round(self.slowest[0], 2), "families": self.slowest[1]},
        }


def accelerator(*, cpu: bool = False) -> Accelerator:
    """Return the processes and devices that torchrun or accelerate gave; alone, the GPU or else the CPU.

    Ranks draw different families, whose images have different heads: a step may use some weights on one rank only. Several ranks
    may share a GPU, which the small steps of one do not fill; NCCL takes one rank a GPU, so that they talk through Gloo.
    """
    handlers: list[KwargsHandler] = [DistributedDataParallelKwargs(find_unused_parameters=True)]
    ranks, gpus = int(os.environ.get("LOCAL_WORLD_SIZE", "1")), torch.cuda.device_count()
    if not cpu and 0 < gpus < ranks:
        os.environ["LOCAL_RANK"] = str(int(os.environ["LOCAL_RANK"]) % gpus)  # Accelerate takes it for the GPU's number
        handlers.append(InitProcessGroupKwargs(backend="gloo"))
    # Without a GPU, Accelerate would take each rank for a run of its own unless told that the CPU is meant.
    return Accelerator(cpu=cpu or (ranks > 1 and gpus == 0), kwargs_handlers=handlers)


def train(
    state: TrainingState,
    recipe: Recipe,
    source: TaskSource,
    *,
    folder: Path,
    until: int,
    processes: Accelerator,
    watch: Watch | None = None,
) -> bool:
    """Run the recipe from ``state.step`` to step ``until``, keeping ``folder``/checkpoint.pt and log.jsonl.

    Args:
        state: where to go on from, on the device of ``processes``.
        recipe: what to do.
        source: draws the problems.
        folder: where checkpoint and log are written.
        until: stop before this step (at most ``recipe.steps``).
        processes: from :func:`accelerator`.
        watch: what looks on.

    Returns:
        Whether ``until`` was reached; False when ``watch`` asked to stop.
    """
    watch = watch or Watch()
    writer, until = processes.is_main_process, min(until, recipe.steps)
    folder.mkdir(parents=True, exist_ok=True)
    lesson, optimizer = processes.prepare(state.lesson, state.optimizer)
    log = _Log(folder / LOG, watch) if writer else None
    if log is not None:
        log.cut(state.step)
        if state.step == 0 and watch.validate is not None:
            log.write(0, {"validation": watch.validate(state.average)})
    tally, saved, stopped = _Tally(), time.monotonic(), False
    phase, tasks = recipe.phase(state.step), iter(())
    fresh = True
    while state.step < until and not stopped:
        if fresh or recipe.phase(state.step) != phase:
            phase, fresh = recipe.phase(state.step), False
            tasks = source(phase, recipe.drawn_before(state.step))
        train_step(state, recipe, (lesson, optimizer), tasks, processes, tally=tally)
        if log is not None:
            tally = log.after(state, recipe, tally)
            if time.monotonic() - saved > 60 * recipe.save_minutes:
                state.save(folder / CHECKPOINT)
                saved = time.monotonic()
        stopped = _agreed(watch.stop, processes)
    if writer:
        state.save(folder / CHECKPOINT)
    processes.wait_for_everyone()
    return not stopped


def train_step(
    state: TrainingState,
    recipe: Recipe,
    prepared: tuple[nn.Module, torch.optim.Optimizer],
    tasks: Iterator[Task],
    processes: Accelerator,
    *,
    tally: _Tally,
) -> None:
    """Do one step of the optimiser; a gradient that is not finite is skipped and counted."""
    lesson, optimizer = prepared
    accumulation = recipe.phase(state.step).accumulation
    rates = (recipe.rate, recipe.loss_rate)
    for group, rate in zip(optimizer.param_groups, rates, strict=False):  # a loss that learns nothing has no group
        group["lr"] = rate(state.step) * group[TIMES]
    optimizer.zero_grad(set_to_none=True)
    began, drawn = time.monotonic(), []
    for k in range(accumulation):
        asked = time.monotonic()
        task = next(tasks).to(processes.device)
        tally.waited += time.monotonic() - asked
        drawn.append(task.family)
        with nullcontext() if k == accumulation - 1 else processes.no_sync(lesson):
            loss, errors = lesson(task)
            processes.backward(loss / accumulation)
        tally.add(task.family, loss, errors)
    inner = _inner(lesson, processes)
    norm = nn.utils.clip_grad_norm_(inner.network.parameters(), recipe.clip)
    nn.utils.clip_grad_norm_(inner.loss.parameters(), recipe.clip)
    if bool(torch.isfinite(norm)):  # on a GPU this waits for the step
        optimizer.step()
    else:
        tally.skipped += 1
    tally.slowest = max(tally.slowest, (time.monotonic() - began, ", ".join(drawn)))
    state.step += 1
    state.follow(recipe.average)


def _inner(lesson: nn.Module, processes: Accelerator) -> Lesson:
    inner = processes.unwrap_model(lesson)
    assert isinstance(inner, Lesson)
    return inner


def _agreed(stop: Callable[[], bool] | None, processes: Accelerator) -> bool:
    """Whether any process was asked to stop: all leave at the same step."""
    if stop is None:
        return False
    asked = torch.tensor([float(stop())], device=processes.device)
    total = processes.reduce(asked, "sum") if processes.num_processes > 1 else asked
    assert isinstance(total, Tensor)
    return bool(total > 0)


class _Log:
    """log.jsonl: one line every LOG_EVERY steps, with the validation where it is due."""

    def __init__(self, path: Path, watch: Watch) -> None:
        self.path, self.watch, self.began = path, watch, time.monotonic()

    def cut(self, step: int) -> None:
        """Drop lines after ``step``: steps that were lost with no checkpoint and will be done again."""
        lines = self.path.read_text().splitlines(keepends=True) if self.path.exists() else []
        kept = [line for line in lines if json.loads(line)["step"] <= step] if step else []
        if len(kept) != len(lines):
            self.path.write_text("".join(kept))

    def after(self, state: TrainingState, recipe: Recipe, tally: _Tally) -> _Tally:
        """Write what is due after a step; return the tally to go on with."""
        every, end = recipe.validation.every, state.step == recipe.steps
        judged = self.watch.validate is not None and every > 0 and (state.step % every == 0 or end)
        if state.step % LOG_EVERY and not end and not judged:
            return tally
        line = tally.line() | {"rate": recipe.rate(state.step - 1)}
        if judged and self.watch.validate is not None:
            line["validation"] = self.watch.validate(state.average)
        self.write(state.step, line)
        return _Tally()

    def write(self, step: int, line: dict[str, object]) -> None:
        """Append a line with its step and the seconds since the start, and report it."""
        line = {"step": step, **line, "seconds": round(time.monotonic() - self.began, 1)}
        with self.path.open("a") as log:
            log.write(json.dumps(line) + "\n")
        if self.watch.report is not None:
            self.watch.report(step, line)
