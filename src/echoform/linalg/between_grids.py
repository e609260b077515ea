"""Interpolation from a grid s times coarser to one t times coarser, t a divisor of s, that a wave cannot tell from U_s.

A wave exp(i k r) meets U_s with the response H_s(k) of :mod:`echoform.linalg.resample`. On a grid only t times coarser, fine
enough for the wave, V does the same:

    sum_J exp(i k (R_J - r_m)) V[J, m] = H_s(k)          and, where U_t follows,      = H_s(k) / H_t(k),

R_J and r_m the places of the pixels of both grids. The filter is symmetric about r_m = R_(s/t) m, its taps found by least squares
over |k| t up to an edge. For t = s the grids are one, and waves of up to 2.7 rad a pixel are met
within 0.3 % of the largest response; for t < s those of up to pi within 1 %, and U_t V is U_s within 2.5 % of its norm.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from echoform.linalg.resample import transfer

#: largest |k| s that can be met on the coarse grid itself, and largest |k| t on a finer one, radians
SAME_GRID_EDGE, FINER_GRID_EDGE = 2.7, 3.6
#: taps on either side, beyond the 2 s / t that U_s has: more where the response is still high at the edge
SPARE, SPARE_ON_SAME_GRID = 2, 4
#: weight of the taps' own size in the fit
RIDGE = 1e-4


def coarsest_grid(factor: int, phase_rad: float) -> int:
    """Return the largest divisor t of s on whose grid waves of up to ``phase_rad`` per fine pixel are met; 1 without any."""
    for step in range(factor, 1, -1):
        edge = SAME_GRID_EDGE if step == factor else FINER_GRID_EDGE
        if factor % step == 0 and phase_rad * step <= edge:
            return step
    return 1


def between_grids(
    side: int, factor: int, step: int, *, phase_rad: float = math.inf, through: bool = False, device: torch.device
) -> Tensor:
    """Return V of one axis, shape (side / t, side / s), float64.

    Args:
        side: fine pixels along the axis, a multiple of s.
        factor: s.
        step: t, a divisor of s above 1.
        phase_rad: largest |k| there is, radians per fine pixel; the filter fits up to it.
        through: whether U_t follows, so that its own response is divided out.
        device: of the result.
    """
    taps = _taps(factor, step, min(phase_rad * step, math.pi), through)
    ratio, half = factor // step, len(taps) - 1
    offset = torch.arange(-half, half + 1)
    columns = torch.arange(side // factor)
    rows = (ratio * columns + offset[:, None]) % (side // step)
    matrix = torch.zeros(side // step, side // factor, dtype=torch.float64)
    matrix.index_put_((rows, columns.expand_as(rows)), taps[offset.abs()][:, None].expand(rows.shape), accumulate=True)
    return matrix.to(device)


@lru_cache(maxsize=64)
def _taps(factor: int, step: int, edge: float, through: bool) -> Tensor:
    """Return c_0, c_1, .. of the response c_0 + 2 sum_l c_l cos(l k t), fitted over 0 <= k t <= edge."""
    angle = torch.linspace(0, edge, 256, dtype=torch.float64)
    target = transfer(factor, angle / step)
    if through:
        target = target / transfer(step, angle / step)
    half = 2 * factor // step + (SPARE_ON_SAME_GRID if factor == step else SPARE)
    order = torch.arange(half + 1, dtype=torch.float64)
    waves = torch.cos(angle[:, None] * order) * torch.where(order > 0, 2.0, 1.0)
    system = waves.mT @ waves / len(angle) + RIDGE**2 * torch.eye(half + 1, dtype=torch.float64)
    return torch.linalg.solve(system, waves.mT @ target / len(angle))
