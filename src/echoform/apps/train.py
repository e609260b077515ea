"""``echoform train``: carry out a recipe, resumable at any step."""

from __future__ import annotations

import json
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import FrameType

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from echoform.apps.errors import Interrupted, UsageError
from echoform.apps.options import Train
from echoform.measure.atomic import atomic_path
from echoform.nets.weights import WeightsError
from echoform.report.training_curves import draw_curves, read_log
from echoform.train.families import FamilySource, shares
from echoform.train.loop import CHECKPOINT, LOG, Verdict, Watch, accelerator, train
from echoform.train.losses import Network
from echoform.train.problems.stream import Share
from echoform.train.recipe import Recipe
from echoform.train.recipe_file import RecipeError, read_recipe, shipped
from echoform.train.training_state import CheckpointError, TrainingState
from echoform.train.validation import ValidationSet

#: share of a run of given length in which the rate falls to zero
COOLED = 1 / 3
#: open files that some dozen workers need
MANY_FILES = 1 << 14
CURVES, CONFIGURATION = "curves.png", "recipe.json"


def train_recipe(options: Train) -> None:
    """Carry out ``echoform train``.

    Raises:
        UsageError: the recipe, its data or the checkpoint cannot be used.
        Interrupted: it was asked to stop; the message says how to go on, or, where nothing was saved, what there is.
    """
    out = options.out or Path("runs") / f"train-{Path(options.recipe).stem}"
    try:
        _train(options, out)
    except KeyboardInterrupt as error:
        raise Interrupted(f"interrupted without saving; {_what_is_kept(out / CHECKPOINT)}") from error


def _train(options: Train, out: Path) -> None:
    try:
        recipe = read_recipe(_recipe_path(options.recipe))
    except RecipeError as error:
        raise UsageError(str(error)) from error
    _check_end(options)
    there = next(path for path in (out, *out.parents) if path.exists())
    if not there.is_dir():
        raise UsageError(f"--out: {there} is a file; choose another folder")
    if (out / CHECKPOINT).exists() and not options.resume:
        raise UsageError(f"{out} holds a checkpoint already; add --resume to go on, or choose another --out")
    _open_many_files()
    processes = accelerator()
    try:
        drawn = shares(recipe.families, options.data)
        state = TrainingState.start(recipe, processes.device)
        if options.resume:
            state.load(out / CHECKPOINT)
    except (CheckpointError, WeightsError, FileNotFoundError, ValueError) as error:
        raise UsageError(str(error)) from error
    if recipe.bfloat16 and not state.lesson.narrow and processes.is_main_process:
        print(
            f"echoform: note: {processes.device} has no bfloat16; convolutions run in single precision", file=sys.stderr
        )
    if options.finish_in is not None:
        recipe = recipe.ending(state.step, options.finish_in)
    if processes.is_main_process:
        _keep(recipe, out)
    source = FamilySource(recipe, drawn, processes.process_index, processes.num_processes)
    with _interruption() as asked, _Observer(recipe, state, out, processes) as seen:
        watch = Watch(seen.validation(drawn) if processes.is_main_process else None, seen.report, asked)
        rest = None
        if options.minutes is not None:
            before = _Deadline(60 * options.minutes, state.step)
            until = replace(watch, stop=lambda: asked() or before.cooling())
            train(state, recipe, source, folder=out, until=recipe.steps, processes=processes, watch=until)
            # all processes go by what the first was asked, so that none waits for another
            rest, left = broadcast_object_list([before.rest() if asked() else None, before.steps_left(state.step)])
            if rest is None:
                recipe = recipe.ending(state.step, left)
                source = replace(source, recipe=recipe)
                seen.ends(recipe)
                if processes.is_main_process:
                    _keep(recipe, out)
        if rest is None:
            train(state, recipe, source, folder=out, until=recipe.steps, processes=processes, watch=watch)
    processes.end_training()
    if state.step < recipe.steps:
        ends = options.finish_in is not None or options.minutes is not None
        rest = rest or (f" --finish-in {recipe.steps - state.step}" if ends else "")
        raise Interrupted(_how_to_go_on(state, recipe, options, out, rest))
    if processes.is_main_process:
        print(f"Done: {recipe.steps} steps, {out / CHECKPOINT}, {out / LOG}")


def _check_end(options: Train) -> None:
    if options.finish_in is not None and options.minutes is not None:
        raise UsageError("give --finish-in or --minutes, not both: each says when the run ends")
    if options.finish_in is not None and options.finish_in < 1:
        raise UsageError(f"--finish-in must be at least 1 step, got {options.finish_in}")
    if options.minutes is not None and not options.minutes > 0:
        raise UsageError(f"--minutes must be positive, got {options.minutes}")


@dataclass
class _Deadline:
    """A run that ends at a given time: its last third cools down, over as many steps as it is expected to hold.

    Attributes:
        seconds: the whole run.
        first: step that it began with.
    """

    seconds: float
    first: int
    began: float = field(default_factory=time.monotonic)

    def cooling(self) -> bool:
        """Whether the last third has begun."""
        return time.monotonic() - self.began > self.seconds * (1 - COOLED)

    def steps_left(self, step: int) -> int:
        """Return the steps that the rest of the time holds at the speed up to here."""
        taken = time.monotonic() - self.began
        return max(1, int((step - self.first) * (self.seconds - taken) / taken))

    def rest(self) -> str:
        """Return the option that gives another run the time that is left."""
        return f" --minutes {max(0.1, (self.seconds - (time.monotonic() - self.began)) / 60):.1f}"


def _open_many_files() -> None:
    """Allow this process more open files: a batch that a worker hands over takes one for every tensor."""
    if sys.platform == "win32":  # there handles are not limited so, and there is no such module
        return
    import resource

    least, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if least != resource.RLIM_INFINITY:
        wanted = MANY_FILES if most == resource.RLIM_INFINITY else min(MANY_FILES, most)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(least, wanted), most))


def _recipe_path(given: str) -> Path:
    """A file, or the name of a recipe that comes with echoform."""
    ours = shipped()
    if given in ours:
        return ours[given]
    if not Path(given).is_file():
        raise UsageError(f"there is no recipe {given}; give a TOML file, or one of {', '.join(ours)}")
    return Path(given)


def _keep(recipe: Recipe, out: Path) -> None:
    """Write the resolved recipe beside the run."""
    out.mkdir(parents=True, exist_ok=True)
    kinds = {"network": recipe.network.kind, "schedule": recipe.schedule.kind, "loss": recipe.loss.kind}
    content = asdict(recipe)
    content |= {key: {"kind": kind, **content[key]} for key, kind in kinds.items()}
    with atomic_path(out / CONFIGURATION) as part:
        part.write_text(json.dumps(content, indent=1), encoding="utf-8")


def _what_is_kept(checkpoint: Path) -> str:
    """Which step there is a checkpoint of, when nothing was saved at the end."""
    if not checkpoint.exists():
        return "there is no checkpoint yet"
    content = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
    return f"{checkpoint} is that of step {content['step']}; go on from it with --resume"


def _how_to_go_on(state: TrainingState, recipe: Recipe, options: Train, out: Path, rest: str) -> str:
    data = f" --data {shlex.quote(str(options.data))}" if options.data != Path() else ""
    command = f"echoform train {shlex.quote(options.recipe)} --out {shlex.quote(str(out))}{data} --resume{rest}"
    return f"stopped at step {state.step} of {recipe.steps}, saved in {out}; go on with: {command}"


@contextmanager
def _interruption() -> Iterator[_Asked]:
    """Turn the first Ctrl-C or termination into a request to save and leave; the second interrupts at once."""
    asked = _Asked()
    before = {number: signal.signal(number, asked.ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass
class _Asked:
    """Whether a signal has come."""

    yes: bool = False

    def ask(self, number: int, frame: FrameType | None) -> None:
        """Note the first signal; raise KeyboardInterrupt at the second."""
        if self.yes:
            raise KeyboardInterrupt
        self.yes = True
        print("echoform: saving after this step; once more to leave without", file=sys.stderr)

    def __call__(self) -> bool:
        return self.yes


class _Observer:
    """Progress bar with a time estimate, curves, and lines for logs where there is no terminal."""

    def __init__(self, recipe: Recipe, state: TrainingState, out: Path, processes: Accelerator) -> None:
        console = Console(stderr=True)
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not (processes.is_main_process and console.is_terminal),
        )
        self.task = self.bar.add_task("training", total=recipe.steps, completed=state.step)
        self.recipe, self.state, self.out, self.device = recipe, state, out, processes.device

    def __enter__(self) -> _Observer:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def ends(self, recipe: Recipe) -> None:
        """Take up when the run ends, now that it is known."""
        self.recipe = recipe
        self.bar.update(self.task, total=recipe.steps)

    def validation(self, drawn: Sequence[Share]) -> Callable[[Network], Verdict] | None:
        """Return the judge of the averaged weights, or None where the recipe wants none."""
        if self.recipe.validation.every == 0:
            return None
        chosen = ValidationSet.draw(
            drawn, self.recipe.modes, self.recipe.validation, self.device, ready=self.recipe.loss.ready
        )

        def judge(network: Network) -> Verdict:
            return chosen.judge(network, self.state.lesson.loss)

        return judge

    def report(self, step: int, line: dict[str, object]) -> None:
        """Show a line of the log; draw the curves where it holds a validation."""
        error = line.get("log_error")
        text = f"log error {error:.3f}" if isinstance(error, float) else "training"
        self.bar.update(self.task, completed=step, description=text)
        if self.bar.disable:
            print(f"step {step} of {self.recipe.steps}: {text}, {line['seconds']} s", flush=True)
        if "validation" in line:
            draw_curves(read_log(self.out / LOG), self.out / CURVES)
