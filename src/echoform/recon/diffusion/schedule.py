"""Noise levels of a sampling trajectory."""

from __future__ import annotations

import torch
from torch import Tensor


def karras_schedule(steps: int, *, largest: float, smallest: float, rho: float = 7.0) -> Tensor:
    """Return s_0 > s_1 > ... > s_{steps-1}, float64: s_i = (a + i / (steps - 1) (b - a))^rho, a = s_max^(1/rho).

    Args:
        steps: number of levels, one denoiser evaluation each.
        largest: s_0, large enough that x_t tells nothing.
        smallest: the last level, below which the image is left as the denoiser gives it.
        rho: larger values put more levels at low noise.

    Raises:
        ValueError: fewer than two levels, or levels not positive and decreasing.

    Source: Karras et al. (2022), equation 5.
    """
    _checked(steps, largest, smallest)
    a, b = largest ** (1 / rho), smallest ** (1 / rho)
    return (a + torch.linspace(0, 1, steps, dtype=torch.float64) * (b - a)) ** rho


def geometric_schedule(steps: int, *, largest: float, smallest: float) -> Tensor:
    """Return s_0 > s_1 > ... > s_{steps-1} in equal ratios, float64: s_i = s_max (s_min / s_max)^(i / (steps - 1)).

    The spread of an image given its samples differs by decades from mode to mode, measured or not, and from pixel to pixel; no
    range of levels then matters more than another. It is :func:`karras_schedule` for rho without bound.

    Args:
        steps: number of levels, one denoiser evaluation each.
        largest: s_0, large enough that x_t tells nothing.
        smallest: the last level, below which the image is left as the denoiser gives it.

    Raises:
        ValueError: fewer than two levels, or levels not positive and decreasing.
    """
    _checked(steps, largest, smallest)
    return largest * (smallest / largest) ** torch.linspace(0, 1, steps, dtype=torch.float64)


def _checked(steps: int, largest: float, smallest: float) -> None:
    if steps < 2 or not 0 < smallest < largest:
        raise ValueError(f"need steps >= 2 and 0 < smallest < largest, got {steps}, {smallest}, {largest}")
