"""A sensing problem: scenes with their truth, the sensors that see them, and the measurement with its noise.

A family draws in three steps, so that each can be timed and replaced: the layout (every number of sensor and pixels, nothing
else), the scenes on those pixels, the operator. The noise has levels of its own where the family states them, or else follows
from the drawn signal-to-noise ratio,

    sigma^2 = |A x|^2 / M / 10^(SNR / 10)         M the number of samples measured

All numbers come from one generator in a fixed order: the same state of it gives the same problem to the last bit.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, Generic, TypeVar

import torch
from torch import Tensor

from echoform.measure.measurement import Measurement, Metadata
from echoform.physics.noise import GaussianNoise, Noise
from echoform.physics.operator import LinearOperator
from echoform.scene.grid import Grid
from echoform.scene.random_source import RandomSource
from echoform.scene.scene import Scene
from echoform.train.problems.noise_levels import NoiseLevels, noise_level, signal_to_noise_db

#: whatever a family draws before it makes scene and operator
Layout = TypeVar("Layout")


@dataclass(frozen=True, kw_only=True)
class ProblemFamily(ABC, Generic[Layout]):
    """What problems of one kind have in common; the ranges that vary are fields of the concrete families.

    Attributes:
        shape: (H, W), pixels.
        snr_db: range of the mean power of A x over that of the noise, decibels; has no say where there are ``levels``.
        levels: ranges of the noise's levels in the unit of the samples, or None.
    """

    #: for people and files
    name: ClassVar[str]

    shape: tuple[int, int] = (64, 64)
    snr_db: tuple[float, float] = (-10.0, 40.0)
    levels: NoiseLevels | None = None

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

    def clean_samples(self, layout: Layout, scene: Scene, operator: LinearOperator) -> Tensor:
        """Return the samples before noise, (B, ...): A x, but where a family knows better what the sensor takes."""
        return operator(scene.image)

    def noise(self, source: RandomSource, clean: Tensor, operator: LinearOperator) -> Noise:
        """Draw the noise of clean samples (B, ...)."""
        batch = clean.shape[0]
        if self.levels is not None:
            return self.levels.draw(source, batch)
        return GaussianNoise(noise_level(clean, operator, source.uniform((batch,), *self.snr_db)))

    def disturbed(self, source: RandomSource, y: Tensor, operator: LinearOperator) -> Tensor:
        """Return noisy samples (B, ...) with what no noise model describes, such as interference: none, but where it is drawn."""
        return y


@dataclass(frozen=True)
class Problem:
    """A batch of problems of one family.

    Attributes:
        family: what it was drawn from.
        scene: images (B, C, H, W) and their truth.
        measurement: y = A x + noise, the operator and the noise.
        snr_db: mean power of A x over the mean variance of its noise, (B,), decibels.
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
        clean = family.clean_samples(layout, scene, operator)
        return measured(source, family, scene, operator, family.grid(layout), clean=clean)


def measured(
    source: RandomSource,
    family: ProblemFamily,
    scene: Scene,
    operator: LinearOperator,
    grid: Grid | None = None,
    *,
    clean: Tensor | None = None,
) -> Problem:
    """Return the problem of scenes seen by a sensor, with noise drawn by the family on the sensor's support.

    Args:
        source: of randomness.
        family: what the problem is drawn from.
        scene: its images and truth.
        operator: A.
        grid: pixels in metres, where they are.
        clean: samples before noise, (B, ...); A x when absent.
    """
    samples = operator(scene.image) if clean is None else clean
    noise = family.noise(source, samples, operator)
    y, marks = family.disturbed(source, noise.sample(samples, source.generator), operator), operator.support()
    measurement = Measurement(
        y if marks is None else y * marks, operator, noise, metadata=_metadata(family, scene, grid)
    )
    return Problem(family, scene, measurement, signal_to_noise_db(samples, operator, noise))


def _metadata(family: ProblemFamily, scene: Scene, grid: Grid | None) -> Metadata:
    return Metadata(title=f"Simulated: {family.name}", source="echoform simulate", grid=grid, truth=scene.image)
