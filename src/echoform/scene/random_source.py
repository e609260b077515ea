"""Random numbers for scenes: one generator, and the device that its numbers are delivered to.

A generator of the CPU gives the same scene for every device, up to rounding; one of the device itself spares the transfer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from echoform.scene.fields import uniform, white


@dataclass(frozen=True)
class RandomSource:
    """Where a scene's random numbers come from and where its tensors lie.

    Attributes:
        generator: source of every draw.
        device: of every tensor drawn; None for the generator's own.
    """

    generator: torch.Generator
    device: torch.device | None = None

    @property
    def place(self) -> torch.device:
        """The device of the tensors drawn."""
        return self.generator.device if self.device is None else self.device

    def uniform(self, shape: tuple[int, ...], low: float = 0.0, high: float = 1.0) -> Tensor:
        """Return independent uniform numbers in [low, high)."""
        return uniform(self.generator, shape, low, high).to(self.place)

    def log_uniform(self, shape: tuple[int, ...], low: float, high: float) -> Tensor:
        """Return independent numbers whose logarithm is uniform between those of ``low`` and ``high``."""
        return torch.exp(self.uniform(shape, math.log(low), math.log(high)))

    def decibels(self, shape: tuple[int, ...], low_db: float, high_db: float) -> Tensor:
        """Return amplitudes 10^(d / 20) with d uniform in [low_db, high_db)."""
        return 10 ** (self.uniform(shape, low_db, high_db) / 20)

    def normal(self, shape: tuple[int, ...]) -> Tensor:
        """Return independent N(0, 1) numbers."""
        return torch.randn(shape, generator=self.generator, device=self.generator.device).to(self.place)

    def white(self, shape: tuple[int, ...]) -> Tensor:
        """Return independent CN(0, 1) numbers, complex64."""
        return white(self.generator, shape).to(self.place)

    def phase(self, shape: tuple[int, ...]) -> Tensor:
        """Return exp(i phi) with independent phi uniform on the circle, complex64."""
        phi = self.uniform(shape, 0.0, 2 * math.pi)
        return torch.polar(torch.ones_like(phi), phi)

    def exponential(self, shape: tuple[int, ...]) -> Tensor:
        """Return independent exponential numbers of mean one: the intensity of speckle."""
        return -torch.log1p(-self.uniform(shape))

    def integers(self, shape: tuple[int, ...], low: int, high: int) -> Tensor:
        """Return independent integers in [low, high), int64."""
        return torch.randint(low, high, shape, generator=self.generator, device=self.generator.device).to(self.place)

    def chance(self, shape: tuple[int, ...], probability: float) -> Tensor:
        """Return independent booleans, true with the probability given."""
        return self.uniform(shape) < probability

    def present(self, batch: int, most: int, least: int = 1) -> Tensor:
        """Return (batch, most) booleans whose first n entries are true, n uniform in least to most."""
        count = self.integers((batch, 1), least, most + 1)
        return torch.arange(most, device=self.place)[None] < count
