"""Learning rates over a run: functions of the step and of the number of steps, so that a resumed run goes on exactly."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Schedule(ABC):
    """A learning rate that rises linearly over ``warmup`` steps to ``peak``.

    Attributes:
        peak: highest rate.
        warmup: steps; one for none.
    """

    #: what recipes call it
    kind: ClassVar[str]

    peak: float = 1e-3
    warmup: int = 200

    def __post_init__(self) -> None:
        if self.peak <= 0 or self.warmup < 1:
            raise ValueError(f"peak must be positive and warmup at least 1, got {self.peak}, {self.warmup}")

    def rate(self, step: int, steps: int) -> float:
        """Return the rate of ``step``, counted from 0, in a run of ``steps``."""
        return self.peak * min(1.0, (step + 1) / self.warmup) * self.share(step, steps)

    @abstractmethod
    def share(self, step: int, steps: int) -> float:
        """Return the rate after the warm-up, over the peak."""


@dataclass(frozen=True)
class Cosine(Schedule):
    """Half a cosine from the peak to one hundredth of it: for runs whose length is known."""

    kind: ClassVar[str] = "cosine"

    def share(self, step: int, steps: int) -> float:
        """Return 0.01 + 0.99 (1 + cos(pi step / steps)) / 2."""
        return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / steps))


@dataclass(frozen=True)
class Trapezoid(Schedule):
    """The peak, and a straight line to zero over the last ``cool_down`` steps; at 0 steps a run may be stopped anywhere.

    The average of the weights takes the place of most of the cool-down.

    Source: Hägele et al. (2024), Scaling laws and compute-optimal training beyond fixed training durations.
    """

    kind: ClassVar[str] = "trapezoid"

    cool_down: int = 0

    def share(self, step: int, steps: int) -> float:
        """Return min(1, (steps - step) / cool_down)."""
        return min(1.0, (steps - step) / self.cool_down) if self.cool_down else 1.0


@dataclass(frozen=True)
class Drop(Schedule):
    """The peak, and a tenth of it after the share ``at`` of the run, as RAM was trained."""

    kind: ClassVar[str] = "drop"

    at: float = 0.9

    def share(self, step: int, steps: int) -> float:
        """Return 1, then 0.1."""
        return 1.0 if step < self.at * steps else 0.1
