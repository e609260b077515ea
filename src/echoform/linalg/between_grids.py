"""Interpolation from a grid s times coarser to one t times coarser, 1 < t <= s, that a wave cannot tell from U_s.

A wave exp(i k r) meets U_s with the response H_s(k) of :mod:`echoform.linalg.resample`. On a grid only t times coarser, fine
enough for the wave, V does the same:

    sum_J exp(i k (R_J - r_m)) V[J, m] = H_s(k)          and, where U_t follows,      = H_s(k) / H_t(k),

R_J = t J and r_m = s m the places of the pixels of both grids; t need not be whole, nor a divisor of s. The taps about r_m are
found by least squares: where the wave stays below 2.7 rad a pixel of the finer grid, over waves up to there; else over all, and
waves above its Nyquist frequency may fold down to where H_s has fallen to 2 %. The response is met within 2 % (2.5 % near the
fold) of its largest value, and U_t V is U_s within 2.5 % of its norm. V ends as U_s does, wrapped around the image.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache

import torch
from torch import Tensor

from echoform.linalg.resample import transfer

#: |k| t up to which waves are met as they are, radians
PLAIN_EDGE = 2.7
#: |k| s from which H_s is 2 % at most: waves may fold down to there, radians
STOP_EDGE = 4.9
#: steps below this save too little for a grid of their own
LEAST_STEP = Fraction(5, 4)
#: taps on either side, beyond the 2 s / t that U_s has
SPARE = 4


def coarsest_grid(factor: int, phase_rad: float, sides: tuple[int, int]) -> Fraction:
    """Return the largest t at which waves of up to ``phase_rad`` per fine pixel are met; 1 where none saves much.

    Args:
        factor: s.
        phase_rad: radians.
        sides: fine pixels of the image, multiples of s; both are a whole number of steps t.
    """
    if phase_rad * factor <= PLAIN_EDGE:
        return Fraction(factor)
    common = math.gcd(*sides)
    longest = max(PLAIN_EDGE / phase_rad, 2 * math.pi / (phase_rad + STOP_EDGE / factor))
    steps = (Fraction(common, pixels) for pixels in range(common // factor + 1, common))
    return next((step for step in steps if LEAST_STEP <= step <= longest), Fraction(1))


def between_grids(
    side: int,
    factor: int,
    step: int | Fraction,
    *,
    phase_rad: float = math.inf,
    through: bool = False,
    device: torch.device,
) -> Tensor:
    """Return V of one axis, shape (side / t, side / s), float64.

    Args:
        side: fine pixels along the axis, a multiple of s and of t.
        factor: s.
        step: t, above 1 and up to s.
        phase_rad: per fine pixel, of the shortest wave; any wave when absent.
        through: whether U_t follows, t whole, so that its own response is divided out.
        device: of the result.
    """
    ratio, pixels = Fraction(factor) / step, int(side / Fraction(step))
    edge = PLAIN_EDGE if step == factor or phase_rad * step <= PLAIN_EDGE else math.pi
    matrix = torch.zeros(pixels, side // factor, dtype=torch.float64)
    for residue in range(ratio.denominator):  # columns that stand alike to the pixels of the finer grid
        columns = torch.arange(residue, side // factor, ratio.denominator)
        first, taps = _taps(factor, Fraction(step), residue * ratio % 1, edge, through)
        offset = first + torch.arange(len(taps))[:, None]
        rows = (columns * ratio.numerator // ratio.denominator + offset) % pixels
        matrix.index_put_((rows, columns.expand_as(rows)), taps[:, None].expand(rows.shape), accumulate=True)
    return matrix.to(device)


@lru_cache(maxsize=512)
def _taps(factor: int, step: Fraction, place: Fraction, edge: float, through: bool) -> tuple[int, Tensor]:
    """Return l_0 and c of the response sum_l c_l exp(i k t (l_0 + l - place)), fitted for k t up to ``edge``.

    ``place`` is r_m / t less a whole number.
    """
    angle = torch.linspace(0, edge, 256, dtype=torch.float64)
    target = transfer(factor, angle / float(step))
    if through:
        target = target / transfer(int(step), angle / float(step))
    half = Fraction(2 * factor) / step + SPARE
    first, last = math.ceil(place - half), math.floor(place + half)
    phase = angle[:, None] * (torch.arange(first, last + 1, dtype=torch.float64) - float(place))
    waves = torch.cat([torch.cos(phase), torch.sin(phase)])
    met = torch.cat([target, torch.zeros_like(target)])
    return first, torch.linalg.solve(waves.mT @ waves, waves.mT @ met)
