"""Interpolation from a grid s times coarser to one t times coarser, t a divisor of s, that a wave cannot tell from U_s.

A wave exp(i k r) meets U_s with the response H_s(k) of :mod:`echoform.linalg.resample`. On a grid only t times coarser, fine
enough for the wave, V does the same:

    sum_J exp(i k (R_J - r_m)) V[J, m] = H_s(k)          and, where U_t follows,      = H_s(k) / H_t(k),

R_J and r_m the places of the pixels of both grids. The filter is symmetric about r_m = R_(s/t) m, its taps found by least
squares: for t = s, where the grids are one, over waves of up to 2.7 rad a pixel, for t < s over all. The response is met within
1 % of its largest value, and U_t V is U_s within 2.5 % of its norm. V ends as U_s does, wrapped around the image.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from echoform.linalg.resample import transfer

#: largest |k| s that can be met on the coarse grid itself, and largest |k| t on a finer one, radians
SAME_GRID_EDGE, FINER_GRID_EDGE = 2.7, 3.6
#: taps on either side, beyond the 2 s / t that U_s has
SPARE = 2


def coarsest_grid(factor: int, phase_rad: float) -> int:
    """Return the largest divisor t of s on whose grid waves of up to ``phase_rad`` per fine pixel are met; 1 without any."""
    for step in range(factor, 1, -1):
        edge = SAME_GRID_EDGE if step == factor else FINER_GRID_EDGE
        if factor % step == 0 and phase_rad * step <= edge:
            return step
    return 1


def between_grids(side: int, factor: int, step: int, *, through: bool = False, device: torch.device) -> Tensor:
    """Return V of one axis, shape (side / t, side / s), float64.

    Args:
        side: fine pixels along the axis, a multiple of s.
        factor: s.
        step: t, a divisor of s above 1.
        through: whether U_t follows, so that its own response is divided out.
        device: of the result.
    """
    taps = _taps(factor, step, through)
    ratio, half = factor // step, len(taps) - 1
    offset = torch.arange(-half, half + 1)
    columns = torch.arange(side // factor)
    rows = (ratio * columns + offset[:, None]) % (side // step)
    matrix = torch.zeros(side // step, side // factor, dtype=torch.float64)
    matrix.index_put_((rows, columns.expand_as(rows)), taps[offset.abs()][:, None].expand(rows.shape), accumulate=True)
    return matrix.to(device)


@lru_cache(maxsize=64)
def _taps(factor: int, step: int, through: bool) -> Tensor:
    """Return c_0, c_1, .. of the response c_0 + 2 sum_l c_l cos(l k t)."""
    angle = torch.linspace(0, SAME_GRID_EDGE if step == factor else math.pi, 256, dtype=torch.float64)
    target = transfer(factor, angle / step)
    if through:
        target = target / transfer(step, angle / step)
    order = torch.arange(2 * factor // step + SPARE + 1, dtype=torch.float64)
    waves = torch.cos(angle[:, None] * order) * torch.where(order > 0, 2.0, 1.0)
    return torch.linalg.solve(waves.mT @ waves, waves.mT @ target)
