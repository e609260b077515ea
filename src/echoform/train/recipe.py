"""A training run as data: what is trained, on what, for how long.

Recipes are read from TOML (:mod:`echoform.train.recipe_file`) or written in Python; nothing else decides what a run does.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from echoform.nets.pdnet import PDNetConfig
from echoform.nets.ram import RAMConfig
from echoform.nets.unet import UNetConfig
from echoform.nets.unrolled import UnrolledConfig
from echoform.train.losses import AbsoluteErrorRecipe, SquaredErrorRecipe
from echoform.train.problems.task import Modes
from echoform.train.schedule import Cosine, Drop, Schedule, Trapezoid


@dataclass(frozen=True)
class Phase:
    """Consecutive steps at one size of images, or at several in turn.

    Attributes:
        steps: optimiser's steps.
        side: of the images, pixels, a multiple of eight.
        batch: scenes of a problem, for each process.
        accumulation: problems whose gradients make one step.
        larger: further sides, each drawn as often as ``side``, in batches of about as many pixels.

    Raises:
        ValueError: a number is not positive, a side no multiple of eight, or a further side no larger.
    """

    steps: int
    side: int
    batch: int
    accumulation: int = 1
    larger: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if min(self.steps, self.side, self.batch, self.accumulation) < 1 or any(n % 8 for n in self.sides):
            raise ValueError(f"all numbers must be positive and sides multiples of 8, got {self}")
        if any(n <= self.side for n in self.larger):
            raise ValueError(f"larger must hold sides above {self.side}, got {self.larger}")

    @property
    def sides(self) -> tuple[int, ...]:
        """All sides."""
        return (self.side, *self.larger)


@dataclass(frozen=True)
class FamilyChoice:
    """A family of problems in a mixture.

    Attributes:
        name: which family.
        weight: how often, over the sum of all weights.
        ranges: fields of the family that differ from its defaults; pictures are lists of files or folders.
        largest: side above which a phase does not draw it (its first side apart): such problems take long to make; 0: none.
    """

    name: str
    weight: float = 1.0
    ranges: tuple[tuple[str, object], ...] = ()
    largest: int = 0


@dataclass(frozen=True)
class Validation:
    """A fixed set of problems by which a run is judged, never trained on.

    Attributes:
        every: steps between looks; 0 for none.
        scenes: of each family and mode.
        side: of the images, pixels.
        seed: of its problems.
    """

    every: int = 100
    scenes: int = 8
    side: int = 48
    seed: int = 900_001


@dataclass(frozen=True)
class Recipe:
    """Everything that defines a training run.

    Attributes:
        network: size and head of RAM, or the size of a network it is compared with, which reconstructs in one pass alone.
        phases: image sizes and batch sizes over the run.
        families: the mixture of problems.
        schedule: learning rate of Adam.
        modes: how often each mode is drawn, and the range of states.
        loss: what is minimised.
        betas: of Adam.
        average: decay of the exponential average of the weights.
        clip: bound on the gradient's norm.
        bfloat16: run convolutions in bfloat16 where the device has them (physics stays in float32).
        seed: of weights and problems.
        settle: first steps, in which the network stands still while the loss learns which errors to expect of it: for weights
            by name, with which no loss comes. Before it has, easy problems count for next to nothing.
        start: weights to begin with, by name, or a checkpoint (.pt), whose average is taken, and its loss; those of half the
            channels are widened (:mod:`echoform.nets.widening`); what they lack of the heads of further kinds of image is
            drawn. Empty: all are drawn.
        validation: the set by which the run is judged.
        workers: processes that make problems beside the training; 0: the training makes them itself.
        save_minutes: time between checkpoints.

    Raises:
        ValueError: a network without state mode is to be trained in it, or ``settle`` is negative or leaves no step.
    """

    network: RAMConfig | UNetConfig | PDNetConfig | UnrolledConfig
    phases: tuple[Phase, ...]
    families: tuple[FamilyChoice, ...] = ()
    schedule: Cosine | Trapezoid | Drop = field(default_factory=Cosine)
    modes: Modes = field(default_factory=Modes)
    loss: SquaredErrorRecipe | AbsoluteErrorRecipe = field(default_factory=SquaredErrorRecipe)
    betas: tuple[float, float] = (0.9, 0.99)
    average: float = 0.999
    clip: float = 1.0
    bfloat16: bool = True
    seed: int = 0
    settle: int = 0
    start: str = ""
    validation: Validation = field(default_factory=Validation)
    workers: int = 0
    save_minutes: float = 5.0

    def __post_init__(self) -> None:
        if not 0 <= self.settle < self.steps:
            raise ValueError(f"settle must lie from 0 to below the {self.steps} steps of all phases, got {self.settle}")
        if not isinstance(self.network, RAMConfig) and self.modes.one_shot < 1:
            raise ValueError(
                f"a {self.network.kind} network has no state mode: set modes to one_shot = 1, state = 0, blind = 0"
            )

    @property
    def steps(self) -> int:
        """Total number of steps."""
        return sum(p.steps for p in self.phases)

    def phase(self, step: int) -> Phase:
        """Return the phase that ``step`` belongs to."""
        for p in self.phases:
            if step < p.steps:
                return p
            step -= p.steps
        return self.phases[-1]

    def drawn_before(self, step: int) -> int:
        """Return the number of problems that each process has drawn before ``step``."""
        total = 0
        for p in self.phases:
            total += min(step, p.steps) * p.accumulation
            step -= min(step, p.steps)
        return total

    def rate(self, step: int) -> float:
        """Return the network's learning rate at ``step``: zero while the loss settles."""
        schedule: Schedule = self.schedule
        return schedule.rate(step - self.settle, self.steps - self.settle) if step >= self.settle else 0.0

    def loss_rate(self, step: int) -> float:
        """Return the rate at ``step`` of what the loss itself learns: the peak while it settles, then the network's."""
        return self.rate(step) if step >= self.settle else self.schedule.peak

    def ending(self, step: int, cool_down: int) -> Recipe:
        """Return the recipe, cut or its last phase stretched, that cools down from ``step`` on and ends with that.

        What had not settled by then does not settle.
        """
        left, kept = step + cool_down, []
        for p in self.phases:
            if left > 0:
                kept.append(replace(p, steps=min(p.steps, left)))
            left -= p.steps
        if left > 0:
            kept[-1] = replace(kept[-1], steps=kept[-1].steps + left)
        schedule = Trapezoid(self.schedule.peak, self.schedule.warmup, cool_down)
        return replace(self, phases=tuple(kept), schedule=schedule, settle=min(self.settle, step))
