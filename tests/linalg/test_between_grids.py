"""Interpolation between grids: waves on the intermediate grid meet it as they meet U_s, and U_t V is nearly U_s."""

from __future__ import annotations

import math

import pytest
import torch

from contracts import distance
from echoform.linalg.between_grids import FINER_GRID_EDGE, SAME_GRID_EDGE, between_grids, coarsest_grid
from echoform.linalg.resample import transfer, upsampling_matrix

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("factor", "step", "edge", "bound"),
    [
        (2, 2, SAME_GRID_EDGE, 0.01),
        (8, 8, SAME_GRID_EDGE, 0.01),
        (8, 8, 2.0, 5e-3),
        (8, 4, FINER_GRID_EDGE, 0.012),
        (8, 2, FINER_GRID_EDGE, 0.012),
        (12, 4, FINER_GRID_EDGE, 0.012),
    ],
)
def test_waves_meet_the_response_of_the_interpolation(factor: int, step: int, edge: float, bound: float) -> None:
    side, pixel = 32 * factor, 16
    matrix = between_grids(side, factor, step, device=CPU)
    assert matrix.shape == (side // step, 32)
    wavenumber = torch.linspace(-edge / step, edge / step, 201, dtype=torch.float64)
    place = step * torch.arange(side // step, dtype=torch.float64) - factor * pixel
    met = torch.exp(1j * wavenumber[:, None] * place) @ matrix[:, pixel].to(torch.complex128)
    assert float((met - transfer(factor, wavenumber)).abs().max()) < bound


@pytest.mark.parametrize(("factor", "step", "bound"), [(8, 8, 1e-6), (8, 4, 0.025), (4, 2, 0.025), (8, 2, 0.01)])
def test_the_way_through_a_finer_grid_is_the_direct_one(factor: int, step: int, bound: float) -> None:
    side = 16 * factor
    between = between_grids(side, factor, step, through=True, device=CPU)
    assert distance(upsampling_matrix(side, step) @ between, upsampling_matrix(side, factor)) < bound


def test_the_coarsest_grid_that_sees_the_wave() -> None:
    assert coarsest_grid(8, 0.3) == 8
    assert coarsest_grid(8, 0.5) == 4
    assert coarsest_grid(8, 1.2) == 2
    assert coarsest_grid(2, 1.3) == 2
    assert coarsest_grid(6, 1.1) == 3
    assert coarsest_grid(8, math.pi) == 1
