"""Which frequencies of a coarse Born operator share a grid, where each has the one that its own waves need.

    A_s = [A_1 V_1; A_2 V_2; ...],        A_s^H A_s = sum_b V_b^H (A_b^H A_b) V_b

Half the frequency asks for a quarter of the pixels. Frequencies that follow each other share a grid, that of the shortest wave
among them, where another one would cost more than it saves: the bands are those of least multiply-adds, by dynamic programming.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from echoform.linalg.between_grids import coarsest_grid

#: what a band more must save, in multiply-adds of its two passes: some hundred microseconds of calls
BAND_COST = 4e6
#: multiply-adds with a real matrix, in those with a complex one
REAL_COST = 0.5


@dataclass(frozen=True)
class Band:
    """Frequencies that share a grid.

    Attributes:
        frequencies: which.
        cost: multiply-adds of forward and adjoint, interpolations included.
    """

    frequencies: slice
    cost: float


def best_bands(
    phase_rad: Sequence[float], factor: int, *, channels: int, sides: tuple[int, int], cost_per_pixel: float
) -> list[Band]:
    """Return the bands of least cost.

    Args:
        phase_rad: of the waves of each frequency, per fine pixel, radians.
        factor: s.
        channels: slices of the image.
        sides: fine pixels of the image.
        cost_per_pixel: multiply-adds of forward and adjoint of one frequency, per pixel.
    """
    costs = [_cost(phase, factor, sides, cost_per_pixel) for phase in phase_rad]
    best: list[tuple[float, list[Band]]] = [(0.0, [])]
    for last in range(1, len(phase_rad) + 1):
        found: tuple[float, list[Band]] = (inf, [])
        for first in range(last):
            passes, between = max(costs[first:last])
            cost = channels * ((last - first) * passes + between)
            total = best[first][0] + cost + BAND_COST
            if total < found[0]:
                found = total, [*best[first][1], Band(slice(first, last), cost)]
        best.append(found)
    return best[-1][1]


def _cost(phase_rad: float, factor: int, sides: tuple[int, int], cost_per_pixel: float) -> tuple[float, float]:
    """Return the multiply-adds of one frequency's passes and of the interpolations about them, on one slice."""
    step = coarsest_grid(factor, phase_rad, sides)
    (height, width), (rows, columns) = ([int(n / t) for n in sides] for t in (factor, step))
    between = 2 * REAL_COST * (height * width * columns + height * rows * columns)
    return rows * columns * cost_per_pixel, between
