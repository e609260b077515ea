"""Interpolation between grids: waves on the intermediate grid meet it as they meet U_s, and U_t V is nearly U_s."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
import torch

from contracts import distance
from echoform.linalg.between_grids import PLAIN_EDGE, between_grids, coarsest_grid
from echoform.linalg.resample import transfer, upsampling_matrix

CPU = torch.device("cpu")
#: |k| t of waves beyond the Nyquist frequency of a grid at least twice as fine as the image
FOLDED_EDGE = 3.6


@pytest.mark.parametrize(
    ("factor", "step", "phase_rad", "bound"),
    [
        (2, 2, PLAIN_EDGE / 2, 0.005),
        (8, 8, PLAIN_EDGE / 8, 0.005),
        (8, 8, 0.25, 0.003),
        (8, 4, FOLDED_EDGE / 4, 0.012),
        (8, 2, FOLDED_EDGE / 2, 0.012),
        (12, 4, FOLDED_EDGE / 4, 0.012),
        (8, 2, 2.5, 0.02),
        (4, Fraction(16, 7), 1.5, 0.025),
        (8, Fraction(64, 23), 1.6, 0.02),
        (2, Fraction(4, 3), 2.0, 0.003),
        (2, Fraction(32, 21), 1.65, 0.01),
        (2, Fraction(8, 5), 1.65, 0.017),
    ],
)
def test_waves_meet_the_response_of_the_interpolation(
    factor: int, step: int | Fraction, phase_rad: float, bound: float
) -> None:
    """At every place that a coarse pixel has between those of the finer grid."""
    side, wide = 32 * factor, float(step)
    matrix = between_grids(side, factor, step, phase_rad=phase_rad, device=CPU)
    assert matrix.shape == (side / step, 32)
    wavenumber = torch.linspace(-phase_rad, phase_rad, 201, dtype=torch.float64)
    for pixel in range(12, 12 + (Fraction(factor) / step).denominator):
        place = wide * torch.arange(len(matrix), dtype=torch.float64) - factor * pixel
        met = torch.exp(1j * wavenumber[:, None] * place) @ matrix[:, pixel].to(torch.complex128)
        assert float((met - transfer(factor, wavenumber)).abs().max()) < bound


@pytest.mark.parametrize(("factor", "step", "bound"), [(8, 8, 1e-6), (8, 4, 0.025), (4, 2, 0.025), (8, 2, 0.01)])
def test_the_way_through_a_finer_grid_is_the_direct_one(factor: int, step: int, bound: float) -> None:
    side = 16 * factor
    between = between_grids(side, factor, step, through=True, device=CPU)
    assert distance(upsampling_matrix(side, step) @ between, upsampling_matrix(side, factor)) < bound


def test_the_coarsest_grid_that_sees_the_wave() -> None:
    """The image's own where it can; else a finer one of a whole number of pixels, folded or not; none that saves little."""
    square, oblong = (240, 240), (64, 96)
    assert coarsest_grid(8, 0.3, square) == 8
    assert coarsest_grid(2, 1.3, square) == 2
    assert coarsest_grid(8, 0.5, square) == Fraction(240, 43)
    assert coarsest_grid(8, 1.2, oblong) == Fraction(32, 10)
    assert coarsest_grid(2, 1.65, square) == Fraction(240, 147)
    assert coarsest_grid(2, 2.6, square) == 1
    assert coarsest_grid(8, math.inf, square) == 1
    for factor, phase_rad, sides in ((8, 0.5, square), (8, 1.2, oblong), (4, 0.9, (36, 60))):
        step = coarsest_grid(factor, phase_rad, sides)
        assert all((side / step).denominator == 1 for side in sides)
