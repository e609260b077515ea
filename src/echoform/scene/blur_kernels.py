"""Blur kernels of the RAM paper: Gaussians, and the paths of a shaken camera, in three degrees of difficulty.

A path is a pair of independent stationary Gaussian processes over one exposure, 0 <= t < 1, of covariance (Matern 5/2)

    c(d) = s^2 (1 + r + r^2 / 3) exp(-r),    r = sqrt(5) |d| / l,

its mean taken off, s and l in half widths of the kernel and in exposures. The kernel is the histogram of the path.

Source: Terris et al. (2025), Reconstruct Anything Model, appendix B.2; Schuler et al. (2016), Learning to deblur, IEEE Trans.
Pattern Anal. Mach. Intell. 38(7), section 4.1.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from echoform.scene.random_source import RandomSource

#: side of the kernels of the paper, pixels
KERNEL_SIDE = 31
#: points of time in a period of 2 pi exposures, of which the first 1 / 2 pi are one exposure
PERIOD_STEPS = 1000


class Difficulty(enum.Enum):
    """How hard a deblurring problem of the paper is."""

    EASY = enum.auto()
    MEDIUM = enum.auto()
    HARD = enum.auto()


@dataclass(frozen=True)
class MotionTask:
    """Motion deblurring of one difficulty.

    Attributes:
        length: l, correlation time of the path, in exposures.
        deviation: s, standard deviation of the path, in half widths of the kernel.
        sigma: standard deviation of the noise.
    """

    length: float
    deviation: float
    sigma: float


@dataclass(frozen=True)
class GaussianTask:
    """Gaussian deblurring of one difficulty.

    Attributes:
        deviation_px: standard deviation of the kernel, pixels.
        sigma: standard deviation of the noise.
    """

    deviation_px: float
    sigma: float


MOTION_TASKS = {
    Difficulty.EASY: MotionTask(0.1, 0.1, 0.01),
    Difficulty.MEDIUM: MotionTask(0.6, 0.5, 0.05),
    Difficulty.HARD: MotionTask(1.2, 1.0, 0.1),
}
GAUSSIAN_TASKS = {
    Difficulty.EASY: GaussianTask(1.0, 0.01),
    Difficulty.MEDIUM: GaussianTask(2.0, 0.05),
    Difficulty.HARD: GaussianTask(4.0, 0.1),
}


def gaussian_kernel(deviation_px: Tensor, angle_rad: Tensor, *, side: int = KERNEL_SIDE) -> Tensor:
    """Return w proportional to exp(-(u^2 / s_c^2 + v^2 / s_r^2) / 2), (B, 1, side, side), summing to one.

    Args:
        deviation_px: (s_r, s_c) along rows and columns before the turn, (B, 2), pixels.
        angle_rad: phi, (B,): u = c cos phi - r sin phi, v = c sin phi + r cos phi, with r and c counted from the middle.
        side: pixels.
    """
    place = torch.arange(side, dtype=torch.float64, device=deviation_px.device) - (side - 1) / 2
    r, c = place[:, None], place[None, :]
    cosine, sine = (f(angle_rad.double())[:, None, None] for f in (torch.cos, torch.sin))
    s_r, s_c = deviation_px.double()[:, :, None, None].unbind(1)
    weights = torch.exp(-((c * cosine - r * sine) / s_c).square() / 2 - ((c * sine + r * cosine) / s_r).square() / 2)
    weights = weights / weights.sum((-2, -1), keepdim=True)
    return weights[:, None].to(deviation_px.dtype)


def motion_kernel(source: RandomSource, length: Tensor, deviation: Tensor, *, side: int = KERNEL_SIDE) -> Tensor:
    """Return histograms of random paths, (B, 1, side, side) float32, summing to one.

    Points outside the kernel are dropped; a path that lies outside altogether is drawn again.

    Args:
        source: of randomness.
        length: l, (B,), positive.
        deviation: s, (B,).
        side: pixels.
    """
    kernel = torch.zeros(len(length), side * side, device=source.place)
    missing = torch.ones(len(length), dtype=torch.bool, device=source.place)
    while bool(missing.any()):
        drawn = _histogram(_paths(source, length.to(source.place), deviation.to(source.place)), side)
        kernel = torch.where(missing[:, None], drawn, kernel)
        missing = kernel.sum(1) == 0
    return (kernel / kernel.sum(1, keepdim=True)).unflatten(1, (1, side, side))


def _paths(source: RandomSource, length: Tensor, deviation: Tensor) -> Tensor:
    """Positions (row, column) in half widths, (B, 2, steps): a periodic process, of which one exposure is kept."""
    steps = torch.arange(PERIOD_STEPS, device=length.device)
    lag = torch.minimum(steps, PERIOD_STEPS - steps) * (2 * math.pi / PERIOD_STEPS)
    r = math.sqrt(5) * lag / length[:, None].double()
    covariance = deviation[:, None].double().square() * (1 + r + r.square() / 3) * torch.exp(-r)
    power = torch.fft.rfft(covariance).real.clamp_min(0)
    white = source.normal((len(length), 2, PERIOD_STEPS)).double()
    path = torch.fft.irfft(torch.fft.rfft(white) * power.sqrt()[:, None], n=PERIOD_STEPS)
    path = path[..., : int(PERIOD_STEPS / (2 * math.pi))]
    return path - path.mean(-1, keepdim=True)


def _histogram(path: Tensor, side: int) -> Tensor:
    """Number of points in each pixel of [-1, 1] x [-1, 1], (B, side^2) float32."""
    cell = torch.floor((path + 1) * (side / 2)).long()
    inside = ((cell >= 0) & (cell < side)).all(1)
    flat = (cell[:, 0] * side + cell[:, 1]) * inside
    counts = torch.zeros(len(path), side * side, device=path.device)
    return counts.scatter_add(1, flat, inside.to(counts.dtype))
