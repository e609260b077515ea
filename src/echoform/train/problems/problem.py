"""A sensing problem: scenes with their truth, the sensors that see them, and the measurement with its noise.

A family draws in three steps, so that each can be timed and replaced: the layout (every number of sensor and pixels, nothing
else), the scenes on those pixels, the operator. The noise follows from the drawn signal-to-noise ratio,

    sigma^2 = |A x|^2 / M / 10^(SNR / 10)         M the number of samples measured

All numbers come from one generator in a fixed order: the same state of it gives the same problem to the last bit.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, Generic, TypeVar

import torch
from torch import Tensor

from echoform.linalg.inner import squared_norm
from echoform.measure.measurement import Measurement, Metadata, simulate
from echoform.physics.noise import GaussianNoise, Noise
from echoform.physics.operator import LinearOperator
from echoform.scene.grid import Grid
from echoform.scene.random_source import RandomSource
from echoform.scene.scene import Scene

#: whatever a family draws before it makes scene and operator
Layout = TypeVar("Layout")


@dataclass(frozen=True, kw_only=True)
class ProblemFamily(ABC, Generic[Layout]):
    """What problems of one kind have in common; the ranges that vary are fields of the concrete families.

    Attributes:
        shape: (H, W), pixels.
        snr_db: range of the mean power of A x over that of the noise, decibels.
    """

    #: for people and files
    name: ClassVar[str]

    shape: tuple[int, int] = (64, 64)
    snr_db: tuple[float, float] = (-10.0, 40.0)

    @abstractmethod
    def layout(self, source: RandomSource, batch: int) -> Layout:
        """Draw what sensors and pixels are, for ``batch`` scenes."""

    @abstractmethod
    def scene(self, source: RandomSource, layout: Layout) -> Scene:
        """Draw the scenes on the layout's pixels."""

    @abstractmethod
    def operator(self, layout: Layout) -> LinearOperator:
        """Build the operator: a sensor per scene, or one for all where building it is what costs."""

    def grid(self, layout: Layout) -> Grid | None:
        """Return the first scene's pixels where these are lengths, for pictures with axes in metres."""
        return None


@dataclass(frozen=True)
class Problem:
    """A batch of problems of one family.

    Attributes:
        family: what it was drawn from.
        scene: images (B, C, H, W) and their truth.
        measurement: y = A x + noise, the operator and the noise.
        snr_db: drawn signal-to-noise ratios, (B,), decibels.
    """

    family: ProblemFamily
    scene: Scene
    measurement: Measurement
    snr_db: Tensor

    @property
    def truth(self) -> Tensor:
        """The images, (B, C, H, W)."""
        return self.scene.image

    @property
    def operator(self) -> LinearOperator:
        """A, in the unit of the sensor; ``normalized()`` gives it unit norm."""
        return self.measurement.operator

    @property
    def noise(self) -> Noise:
        """The noise that y carries."""
        return self.measurement.noise

    def to(self, device: torch.device) -> Problem:
        """Return the problem on ``device`` (the operator itself is moved)."""
        metadata = replace(self.measurement.metadata, truth=self.truth.to(device))
        measurement = replace(self.measurement.to(device), metadata=metadata)
        return replace(self, scene=self.scene.to(device), measurement=measurement, snr_db=self.snr_db.to(device))


def draw_problem(
    generator: torch.Generator, family: ProblemFamily, batch: int, device: torch.device | None = None
) -> Problem:
    """Return ``batch`` problems of a family.

    Args:
        generator: source of all randomness; one of the CPU gives the same problem for every device, up to rounding.
        family: what to draw, with its ranges.
        batch: number of scenes.
        device: of the result; that of the generator when absent.

    Raises:
        ValueError: ``batch`` is not positive, or a sensor of the family's ranges cannot be built for its pixels.
    """
    if batch < 1:
        raise ValueError(f"batch must be at least 1, got {batch}")
    source = RandomSource(generator, device)
    with torch.no_grad():
        layout = family.layout(source, batch)
        scene = family.scene(source, layout)
        scene = replace(scene, masks=dict(scene.masks))
        operator = family.operator(layout)
        snr_db = source.uniform((batch,), *family.snr_db)
        measurement = measured(source, scene, operator, snr_db, _metadata(family, scene, family.grid(layout)))
    return Problem(family, scene, measurement, snr_db)


def measured(
    source: RandomSource, scene: Scene, operator: LinearOperator, snr_db: Tensor, metadata: Metadata
) -> Measurement:
    """Return the measurement of scenes whose white noise is ``snr_db`` (B,) below the mean power of the samples."""
    noise = GaussianNoise(noise_level(operator(scene.image), operator, snr_db))
    return simulate(scene.image, operator, noise, generator=source.generator, metadata=metadata)


def noise_level(clean: Tensor, operator: LinearOperator, snr_db: Tensor) -> Tensor:
    """Return sigma, (B,), of white noise ``snr_db`` (B,) below the mean power of the clean samples."""
    count = operator.samples().to(clean.real.dtype)
    return (squared_norm(clean, clean.ndim - 1) / count * 10 ** (-snr_db / 10)).sqrt()


def _metadata(family: ProblemFamily, scene: Scene, grid: Grid | None) -> Metadata:
    return Metadata(title=f"Simulated: {family.name}", source="echoform simulate", grid=grid, truth=scene.image)
