"""The interferometer against its defining sum, its signs by an off-centre point, and the bound on what w leaves out."""

from __future__ import annotations

import math

import pytest
import torch

from echoform.physics.interferometry import W_PHASE_LIMIT_RAD, interferometer
from echoform.scene.sky import MICROARCSECOND_RAD, SkyGrid

GRID = SkyGrid((12, 16), 5 * MICROARCSECOND_RAD)
EARTH = 9.7e9


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(4)


def baselines(count: int = 30) -> torch.Tensor:
    return 1.6e10 * (torch.rand(1, count, 2, generator=generator(), dtype=torch.float64) - 0.5)


def direct(x: torch.Tensor, uv: torch.Tensor) -> torch.Tensor:
    """V(u, v) written out over the pixels' own directions."""
    m, l = GRID.axes_rad()  # noqa: E741
    u, v = uv[0].unbind(-1)
    phase = u[:, None, None] * l + v[:, None, None] * m[:, None]
    return (x * torch.exp(-2j * math.pi * phase)).sum((-2, -1))


def test_sum_adjoint_and_normal() -> None:
    uv, g = baselines(), generator()
    weights = 0.5 + torch.rand(1, 30, generator=g, dtype=torch.float64)
    weights[0, 7] = 0
    operator = interferometer(uv, weights, GRID, largest_w_wavelengths=EARTH, dtype=torch.complex128)
    x = torch.randn(1, 1, *GRID.shape, dtype=torch.complex128, generator=g)
    y = torch.randn(1, 1, 30, dtype=torch.complex128, generator=g)
    expected = weights[0] * direct(x[0, 0], uv)
    assert (operator(x)[0, 0] - expected).norm() < 1e-10 * expected.norm()
    assert operator(x)[0, 0, 7] == 0
    assert torch.vdot(y.flatten(), operator(x).flatten()).sub(
        torch.vdot(operator.adjoint(y).flatten(), x.flatten())
    ).abs() < 1e-10 * float(y.norm() * operator(x).norm())
    assert (operator.normal(x) - operator.adjoint(operator(x))).norm() < 1e-10 * operator.normal(x).norm()


def test_a_point_in_the_north_east_turns_clockwise_and_stands_on_the_upper_left() -> None:
    """3 pixels north and 5 east: V = exp(-2 pi i (5 u + 3 v) p); in the picture above and left of the middle (6, 8)."""
    uv, p = baselines(), GRID.pixel_rad
    operator = interferometer(uv, torch.ones(1, 30), GRID, largest_w_wavelengths=EARTH, dtype=torch.complex128)
    u, v = uv[0].unbind(-1)
    y = torch.exp(-2j * math.pi * p * (5 * u + 3 * v))[None, None]
    picture = operator.adjoint(y)[0, 0].abs()
    assert divmod(int(picture.argmax()), GRID.shape[1]) == (6 + 3, 8 - 5)
    x = torch.zeros(1, 1, *GRID.shape, dtype=torch.complex128)
    x[0, 0, 9, 3] = 1
    assert torch.allclose(operator(x), y, atol=1e-10)


def test_a_short_baseline_measures_the_flux() -> None:
    operator = interferometer(torch.zeros(1, 1, 2), torch.ones(1, 1), GRID, largest_w_wavelengths=EARTH)
    x = torch.rand(1, 1, *GRID.shape, generator=generator()).to(torch.complex64)
    assert torch.allclose(operator(x).flatten(), x.sum(), rtol=1e-5)


def test_what_w_leaves_out_is_within_the_bound() -> None:
    """A field of 2 milliradians at |w| up to the limit: the largest error of a point is that phase at the corner."""
    grid = SkyGrid((16, 16), 2e-3 / 16)
    limit = W_PHASE_LIMIT_RAD / math.pi / grid.corner_rad() ** 2
    m, l = grid.axes_rad()  # noqa: E741
    rho2 = m[:, None] ** 2 + l**2
    full = torch.exp(-2j * math.pi * limit * ((1 - rho2).sqrt() - 1)) / (1 - rho2).sqrt()
    error = float((full - 1).abs().max())
    assert 0.95 * W_PHASE_LIMIT_RAD < error < 1.01 * W_PHASE_LIMIT_RAD
    uv, weights = torch.zeros(1, 1, 2, dtype=torch.float64), torch.ones(1, 1)
    interferometer(uv, weights, grid, largest_w_wavelengths=0.999 * limit)
    with pytest.raises(ValueError, match=r"w \(n - 1\) reaches a phase"):
        interferometer(uv, weights, grid, largest_w_wavelengths=1.001 * limit)


def test_refusals() -> None:
    with pytest.raises(ValueError, match="too coarse"):
        interferometer(baselines() * 2e2, torch.ones(1, 30), GRID, largest_w_wavelengths=EARTH)
    with pytest.raises(ValueError, match="got"):
        interferometer(baselines(), torch.ones(1, 29), GRID, largest_w_wavelengths=EARTH)
    with pytest.raises(ValueError, match="expected 0 to 1 rad"):
        SkyGrid((4, 4), 0.3)
