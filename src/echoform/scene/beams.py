"""X-ray beams through a section: parallel rays, or a fan from a source, turned about an axis.

Detector d at angle phi sees the ray of points (column, row), in pixels from the axis,

    p(v) = l_d(v) (cos phi, -sin phi) + v (sin phi, cos phi),      v along the ray

    parallel:  l_d = t_d                        fan:  l_d = t_d (v + R) / (R + D)

with t_d = (d - (N - 1) / 2) spacing the detector's position, R the distance of the source (at v = -R) and D that of the detector
from the axis. The axis stands at pixel (H // 2, W // 2) plus an offset. The pixel is the unit of length.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Beam(ABC):
    """What all beams have.

    Attributes:
        angles_rad: phi, (B or 1, A), radians, float64.
        detectors: N.
        spacing_px: distance of neighbouring detectors, pixels.
        axis_offset_px: (row, column) of the axis from pixel (H // 2, W // 2).

    Raises:
        ValueError: angles have not two axes, or a number is not finite or not positive where it must be.
    """

    angles_rad: Tensor
    detectors: int
    spacing_px: float = 1.0
    axis_offset_px: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        if self.angles_rad.ndim != 2 or not self.angles_rad.numel() or self.angles_rad.dtype != torch.float64:
            got = f"{tuple(self.angles_rad.shape)} of {self.angles_rad.dtype}"
            raise ValueError(f"angles_rad must be (batch, angles) float64, got {got}")
        numbers = [self.spacing_px, *self.axis_offset_px]
        if self.detectors < 1 or self.spacing_px <= 0 or not all(math.isfinite(n) for n in numbers):
            raise ValueError(
                f"a beam needs detectors at a positive spacing, got {self.detectors} at {self.spacing_px} pixels, "
                f"axis offset {self.axis_offset_px}"
            )
        if not bool(torch.isfinite(self.angles_rad).all()):
            raise ValueError("angles_rad holds a value that is not finite")

    def positions_px(self) -> Tensor:
        """Return t_d, (N,), float64."""
        return (torch.arange(self.detectors, dtype=torch.float64) - (self.detectors - 1) / 2) * self.spacing_px

    @abstractmethod
    def lateral_px(self, along_px: Tensor) -> Tensor:
        """Return l_d(v), (N, K), at the points v (K,) along the ray."""

    @abstractmethod
    def path_per_step(self) -> Tensor:
        """Return |dp / dv| of each ray, (N,): how much longer the ray is than its v."""


@dataclass(frozen=True, kw_only=True)
class ParallelBeam(Beam):
    """Parallel rays."""

    def lateral_px(self, along_px: Tensor) -> Tensor:
        """Return t_d everywhere."""
        return self.positions_px()[:, None].expand(-1, len(along_px))

    def path_per_step(self) -> Tensor:
        """Return 1."""
        return torch.ones(self.detectors, dtype=torch.float64)


@dataclass(frozen=True, kw_only=True)
class FanBeam(Beam):
    """Rays from a point to a flat detector.

    Attributes:
        source_px: R, pixels.
        detector_px: D, pixels.

    Raises:
        ValueError: R is not positive, or the detector is not beyond the source.
    """

    source_px: float
    detector_px: float

    def __post_init__(self) -> None:
        super().__post_init__()
        span = self.source_px + self.detector_px
        if not (self.source_px > 0 and span > 0 and math.isfinite(span)):
            raise ValueError(
                f"a fan needs a source before a detector, got R = {self.source_px}, D = {self.detector_px} pixels"
            )

    def lateral_px(self, along_px: Tensor) -> Tensor:
        """Return t_d (v + R) / (R + D)."""
        return self.positions_px()[:, None] * ((along_px + self.source_px) / (self.source_px + self.detector_px))

    def path_per_step(self) -> Tensor:
        """Return the secant of the ray's angle in the fan."""
        return torch.sqrt(1 + (self.positions_px() / (self.source_px + self.detector_px)).square())


def uniform_angles_rad(count: int, span_rad: float = math.pi) -> Tensor:
    """Return ``count`` angles from 0 in equal steps, the span left out, (1, count) float64."""
    return (torch.arange(count, dtype=torch.float64) * (span_rad / count))[None]


def diagonal_px(shape: tuple[int, int]) -> int:
    """Return the image's diagonal rounded up: detectors, and steps along a ray, that cover it."""
    return math.ceil(math.hypot(*shape))
