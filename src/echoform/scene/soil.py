"""Soil under an antenna that moves along a line, and the refracted path from antenna to point.

The path of least travel time from an antenna at height h to a point at depth d and horizontal distance x meets the surface
at the distance u where Snell's law holds,

    s(u) = u / sqrt(u^2 + h^2) - n (x - u) / sqrt((x - u)^2 + d^2) = 0,        n = sqrt(eps_r).

s rises with u from s(0) <= 0 to s(x) >= 0, so Newton's step, halved into the bracket where it would leave it, always
converges. By Fermat's principle the travel time's error is of second order in that of u.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from echoform.linalg.resample import COARSE_ORIGIN
from echoform.scene.grid import Grid

#: Newton's steps; bisection alone would reach the last bit with this many
MAX_STEPS = 60
#: the steps end when none moves the entry point by more than this share of the distance
SHARE = 1e-12


@dataclass(frozen=True)
class GroundSurvey:
    """One antenna that sends and hears, moved along a line over flat, homogeneous soil.

    Attributes:
        antenna_x_m: where the traces were taken, shape (B or 1, A), metres, float64.
        height_m: h above the surface, shape (B or 1,), metres, zero or more.
        permittivity: eps_r of the soil, real, shape (B or 1,), at least 1.
        start_hz: lowest frequency, shape (B or 1,), hertz.
        step_hz: frequency step, shape (B or 1,), hertz.
        spectrum: S(f), the transmitted spectrum, shape (B or 1, F), complex128.

    Raises:
        ValueError: a shape or a value is not as stated.
    """

    antenna_x_m: Tensor
    height_m: Tensor
    permittivity: Tensor
    start_hz: Tensor
    step_hz: Tensor
    spectrum: Tensor

    def __post_init__(self) -> None:
        for name, ndim in (("antenna_x_m", 2), ("spectrum", 2), ("height_m", 1), ("permittivity", 1)):
            if getattr(self, name).ndim != ndim:
                raise ValueError(f"{name} must have {ndim} axes, got shape {tuple(getattr(self, name).shape)}")
        for name, least in (("height_m", 0.0), ("permittivity", 1.0), ("start_hz", 0.0), ("step_hz", 0.0)):
            value = getattr(self, name)
            if value.ndim != 1 or not bool((torch.isfinite(value) & (value >= least)).all()):
                raise ValueError(f"{name} must be (batch,), finite and at least {least:g}, got {value.tolist()}")
        if not bool(torch.isfinite(self.antenna_x_m).all() & torch.isfinite(self.spectrum.abs()).all()):
            raise ValueError("antenna_x_m and spectrum must be finite")


@dataclass(frozen=True)
class Section:
    """The vertical section below the line: columns along it, rows upwards as in every picture.

    Attributes:
        grid: pixel grid; x along the line, y upwards.
        top_m: depth of the uppermost row, metres, positive.

    Raises:
        ValueError: the uppermost row is not below the surface.
    """

    grid: Grid
    top_m: float

    def __post_init__(self) -> None:
        if not self.top_m > 0:
            raise ValueError(f"the section must lie below the surface: top_m must be positive, got {self.top_m:g}")

    def depths_m(self, factor: int = 1) -> Tensor:
        """Return the depth of each row, metres, falling: the last row is the uppermost.

        Args:
            factor: s; above one, of the s H finer rows that these stand for, as :meth:`coarser` has it.
        """
        height, spacing_m = factor * self.grid.shape[0], self.grid.spacing_m[0] / factor
        top_m = self.top_m - (factor - 1 - COARSE_ORIGIN) * spacing_m if factor > 1 else self.top_m
        return top_m + (height - 1 - torch.arange(height, dtype=torch.float64)) * spacing_m

    def coarser(self, factor: int) -> Section:
        """Return the section on pixels ``factor`` times larger: the last coarse row stands at fine row H - s + 1 / 2."""
        return Section(self.grid.coarser(factor), self.top_m + (factor - 1 - COARSE_ORIGIN) * self.grid.spacing_m[0])


def refracted_path_m(distance_m: Tensor, height_m: Tensor, depth_m: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """Return the lengths of the fastest path in air and in soil, metres.

    Args:
        distance_m: x, horizontal, zero or more, metres, float64; all arguments broadcast.
        height_m: h of the antenna, zero or more, metres.
        depth_m: d of the point, positive, metres.
        index: n, at least 1.
    """
    x, h, d, n = torch.broadcast_tensors(distance_m, height_m, depth_m, index)
    grounded = h == 0
    if bool(grounded.all()):  # straight lines in the soil
        return torch.zeros_like(x), torch.hypot(x, d)
    height = torch.where(grounded, torch.ones_like(h), h)  # a stand-in: the path is then a straight line in the soil
    low, high = torch.zeros_like(x), x.clone()
    u = x * height / (height + d)
    for _ in range(MAX_STEPS):
        air, soil = torch.hypot(u, height), torch.hypot(x - u, d)
        excess = u / air - n * (x - u) / soil
        low, high = torch.where(excess < 0, u, low), torch.where(excess < 0, high, u)
        slope = (height / air).square() / air + n * (d / soil).square() / soil
        step = u - excess / slope
        step = torch.where((step > low) & (step < high), step, (low + high) / 2)
        settled = bool(((step - u).abs() <= SHARE * x).all())
        u = step
        if settled:
            break
    u = torch.where(grounded, torch.zeros_like(u), u)
    return torch.hypot(u, h), torch.hypot(x - u, d)
