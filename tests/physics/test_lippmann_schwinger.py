"""The field inside a contrast: the coupling against quadrature, and its two ways of solution against each other."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.integrate import dblquad, quad
from scipy.special import j0, y0

from contracts import distance, randn
from cylinder import DOUBLE
from echoform.linalg.cg import Stopping
from echoform.physics import lippmann_schwinger
from echoform.physics.green import Radiator
from echoform.physics.lippmann_schwinger import LippmannSchwinger
from echoform.scene.cells import Cells, cells_of, volume_of
from echoform.scene.grid import Grid

K = 60.0
STEP_M = 0.01
LAYER = cells_of(Grid((3, 4), (STEP_M, STEP_M)))
VOLUME = volume_of(Grid((3, 4), (STEP_M, 0.012)), 2, 0.011)


def test_the_coupling_of_lines_is_an_integral_over_discs() -> None:
    """K of a neighbour and of a cell beside itself is k^2 times it, by scipy's quadrature."""
    coupling = LippmannSchwinger(LAYER, radiator=Radiator.LINE, wavenumber_rad_m=K).matrix()
    b = STEP_M / math.sqrt(math.pi)

    def integral(part, away: float) -> float:
        """Return k^2 / 4 times the integral of a Bessel function over a disc at a distance, with the sign of H0(2)."""

        def integrand(turn: float, r: float) -> float:
            return part(K * math.hypot(away + r * math.cos(turn), r * math.sin(turn))) * r

        return -0.25 * K**2 * dblquad(integrand, 0, b, 0, 2 * math.pi)[0]

    for entry, away in ((coupling[0, 1], STEP_M), (coupling[5, 5], 0.0)):
        assert complex(entry) == pytest.approx(integral(y0, away) + 1j * integral(j0, away), rel=1e-7)


def test_the_coupling_of_points_is_an_integral_over_balls() -> None:
    coupling = LippmannSchwinger(VOLUME, radiator=Radiator.POINT, wavenumber_rad_m=K).matrix()
    b = (0.75 * STEP_M * 0.012 * 0.011 / math.pi) ** (1 / 3)

    def integral(part, away: float) -> float:
        """Return k^2 times the integral over a ball at a distance, shell by shell, of part(k s) / (4 pi s)."""

        def shell(r: float) -> float:
            low, high = abs(away - r), away + r
            return 0.5 * r / away * quad(lambda s: part(K * s), low, high)[0]

        def own(r: float) -> float:
            return r * part(K * r)

        return K**2 * quad(shell if away > 0 else own, 0, b)[0]

    for entry, away in (
        (coupling[0, 1], 0.012),
        (coupling[0, 4], STEP_M),
        (coupling[0, 12], 0.011),
        (coupling[7, 7], 0.0),
    ):
        assert complex(entry) == pytest.approx(integral(math.cos, away) - 1j * integral(math.sin, away), rel=1e-9)


@pytest.mark.parametrize(("cells", "radiator"), [(LAYER, Radiator.LINE), (VOLUME, Radiator.POINT)])
def test_ffts_and_the_matrix_say_the_same(cells: Cells, radiator: Radiator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lossy surroundings, a contrast of both signs that is zero somewhere, blocks of two sources."""
    equation = LippmannSchwinger(cells, radiator=radiator, wavenumber_rad_m=K - 3j)
    matrix = equation.matrix()
    assert distance(matrix, matrix.mT) == 0
    x = randn((5, *cells.shape), 1)
    assert distance(equation.coupled(x).flatten(1), x.flatten(1) @ matrix.mT) < 1e-13
    chi = torch.complex(2 * randn(cells.shape, 2).real, -randn(cells.shape, 3).real.abs())
    chi[..., 1, 2] = 0
    direct = equation.total(chi, x.flatten(1), stopping=Stopping(1e-12, 100))
    monkeypatch.setattr(lippmann_schwinger, "MAX_DIRECT", 0)
    monkeypatch.setattr(lippmann_schwinger, "BLOCK_BYTES", 2 * equation.spectrum.nbytes)
    assert distance(equation.total(chi, x.flatten(1), stopping=Stopping(1e-12, 100)), direct) < 1e-10
    with pytest.raises(RuntimeError, match="allow more steps"):
        equation.total(chi, x.flatten(1), stopping=Stopping(1e-12, 2))


def test_misuse_is_refused() -> None:
    grid = Grid((4, 4), (STEP_M, STEP_M))
    with pytest.raises(ValueError, match="one layer in the plane"):
        LippmannSchwinger(VOLUME, radiator=Radiator.LINE, wavenumber_rad_m=K)
    with pytest.raises(ValueError, match="volume_of"):
        LippmannSchwinger(cells_of(grid), radiator=Radiator.POINT, wavenumber_rad_m=K)
    gap = Cells(grid, (0.0, 0.0), STEP_M**2, (0.0, 0.01, 0.03), 0.01)
    with pytest.raises(ValueError, match="as far apart as they are thick"):
        LippmannSchwinger(gap, radiator=Radiator.POINT, wavenumber_rad_m=K)
    with pytest.raises(ValueError, match="must touch"):
        LippmannSchwinger(LAYER.coarser(2), radiator=Radiator.LINE, wavenumber_rad_m=K)
    assert LippmannSchwinger(VOLUME, radiator=Radiator.POINT, wavenumber_rad_m=K).total(
        torch.zeros(VOLUME.shape, dtype=DOUBLE), randn((1, 24), 1), stopping=Stopping()
    ).shape == (1, 24)
