"""The fast ground-penetrating radar against the exact two-way sum, targets in their place, misuse."""

from __future__ import annotations

import math

import pytest
import torch
from test_ground_penetrating import DOUBLE, real, survey

from contracts import distance, randn
from echoform.physics import ground_wave_tables
from echoform.physics.compositions import GalerkinOperator
from echoform.physics.ground_homogeneous import HomogeneousGround
from echoform.physics.ground_penetrating import GroundPenetratingRadar
from echoform.scene.grid import Grid
from echoform.scene.soil import GroundSurvey, Section


@pytest.mark.parametrize(("top_m", "decibels"), [(0.4, -40), (0.8, -48), (1.6, -60)])
def test_is_the_exact_sum_where_the_phase_is_stationary(top_m: float, decibels: float) -> None:
    """Random scenes under the whole line; uneven traces and a complex spectrum are exact. Measured: -43, -50 and -63 dB."""
    taken = survey(0.0)
    uneven = taken.antenna_x_m + 0.01 * torch.sin(37 * taken.antenna_x_m)
    taken = GroundSurvey(uneven, taken.height_m, taken.permittivity, taken.start_hz, taken.step_hz, taken.spectrum)
    section = Section(Grid((12, 21), (0.04, 0.05)), top_m)
    x = randn((1, 1, 12, 21), 3)
    fast = HomogeneousGround(taken, section, widest_rad=math.radians(80), dtype=DOUBLE)
    exact = GroundPenetratingRadar(taken, section, dtype=DOUBLE)
    assert 20 * math.log10(distance(fast(x), exact(x))) < decibels


def test_the_error_is_of_second_order_in_the_depth() -> None:
    """3 m deep: -83 dB, and -52 dB without the second term of the expansion."""
    taken, section = survey(0.0), Section(Grid((6, 9), (0.04, 0.05)), 3.0)
    x = randn((1, 1, 6, 9), 3)
    fast = HomogeneousGround(taken, section, widest_rad=math.radians(65), held=0, dtype=DOUBLE)
    exact = GroundPenetratingRadar(taken, section, dtype=DOUBLE)(x)
    assert 20 * math.log10(distance(fast(x), exact)) < -80
    fast.falls = torch.zeros_like(fast.falls)
    assert 20 * math.log10(distance(fast(x), exact)) > -55


@pytest.mark.parametrize("narrow", [256, 8])
def test_products_of_matrices_are_the_non_uniform_sums(narrow: int, monkeypatch) -> None:
    """Samples, images and A^H A of rows with a gain; two sensors with a scene each, and a stack of scenes.

    With ``narrow`` below the section's width its columns are transformed.
    """
    monkeypatch.setattr(ground_wave_tables, "NARROW", narrow)
    first, second = survey(0.0), survey(0.0)
    taken = GroundSurvey(
        torch.cat([first.antenna_x_m, second.antenna_x_m + 0.013]),
        first.height_m.repeat(2),
        torch.tensor([6.0, 9.0], dtype=torch.float64),
        first.start_hz,
        first.step_hz,
        first.spectrum,
    )
    section = Section(Grid((16, 24), (0.02, 0.03)), 0.6)
    gain = randn((2, 16), 8)
    sums, tables = (HomogeneousGround(taken, section, row_gain=gain, held=held, dtype=DOUBLE) for held in (0, 2**22))
    assert sums.tables is None
    assert tables.tables is not None
    x = randn((3, 2, 1, 16, 24), 3)
    y = sums(x)
    assert distance(tables(x), y) < 1e-10
    assert distance(tables.adjoint(y), sums.adjoint(y)) < 1e-10
    assert distance(tables.normal(x), sums.normal(x)) < 1e-10
    plain = HomogeneousGround(taken, section, dtype=DOUBLE)
    assert distance(plain(x * gain[:, None, :, None]), y) < 1e-10


@pytest.mark.parametrize(("x_m", "depth_m"), [(0.4, 0.5), (-0.3, 0.8)])
def test_an_echo_migrates_to_its_place(x_m: float, depth_m: float) -> None:
    """Samples from straight two-way paths, not from the operator."""
    taken, section = survey(0.0), Section(Grid((24, 33), (0.05, 0.05)), 0.2)
    hz = taken.start_hz + taken.step_hz * torch.arange(taken.spectrum.shape[1], dtype=torch.float64)
    path = torch.hypot(taken.antenna_x_m[0] - x_m, real(depth_m)) * 6.0**0.5
    y = torch.exp(-4j * math.pi * path[:, None] * hz / 299_792_458.0) * taken.spectrum[0]
    image = HomogeneousGround(taken, section, dtype=DOUBLE).adjoint(y[None, None])[0, 0].abs()
    image = image * section.depths_m()[:, None]
    row, column = divmod(int(image.argmax()), 33)
    assert float(section.grid.axes_m()[1][column]) == pytest.approx(x_m, abs=1e-9)
    assert float(section.depths_m()[row]) == pytest.approx(depth_m, abs=1e-9)


def test_misuse_is_refused() -> None:
    """A raised antenna, an angle beyond the horizon and a line too long to be held raise ValueError."""
    section = Section(Grid((4, 4), (0.05, 0.05)), 0.2)
    with pytest.raises(ValueError, match="must lie on the ground"):
        HomogeneousGround(survey(0.1), section)
    with pytest.raises(ValueError, match="widest_rad"):
        HomogeneousGround(survey(0.0), section, widest_rad=1.6)
    with pytest.raises(ValueError, match="row_gain"):
        HomogeneousGround(survey(0.0), section, row_gain=torch.ones(1, 5))
    taken = survey(0.0)
    far = GroundSurvey(
        1e9 * taken.antenna_x_m, taken.height_m, taken.permittivity, taken.start_hz, taken.step_hz, taken.spectrum
    )
    with pytest.raises(ValueError, match="too many"):
        HomogeneousGround(far, section)


@pytest.mark.parametrize("rows", [64, 256])
def test_single_precision_combines_rows_to_rounding(rows: int) -> None:
    """Rows of the whole image, of its top and of its bottom alone, against tables of all rows in double precision."""
    section = Section(Grid((rows, 24), (0.01, 0.01)), 0.4)
    fast, whole = (
        HomogeneousGround(survey(0.0), section, held=2**26, dtype=dtype) for dtype in (torch.complex64, DOUBLE)
    )
    assert fast.tables is not None
    assert fast.tables.rows is not None
    assert fast.tables.rows.shape[1] < rows
    image = randn((1, 1, rows, 24), 3)
    for x in (
        image,
        torch.zeros_like(image).index_copy(-2, torch.tensor([0]), image[..., :1, :]),
        image * section.depths_m()[:, None] ** 3,
    ):
        assert distance(fast(x.to(torch.complex64)), whole(x)) < 2e-6
    y = whole(image)
    assert distance(fast.adjoint(y.to(torch.complex64)), whole.adjoint(y)) < 2e-6


@pytest.mark.parametrize(("factor", "bound"), [(2, 0.004), (4, 0.1)])
@pytest.mark.parametrize("phase", [False, True])
@pytest.mark.parametrize("narrow", [256, 8])
def test_a_coarse_version_has_fewer_waves_and_rows(
    factor: int, bound: float, phase: bool, narrow: int, monkeypatch
) -> None:
    """Rows at the top and at the bottom included; two coarse columns at either end apart, a third of the image at factor 4.

    With a reference phase as without: of the sums over coarse pixels, where there are some, the error is larger.
    """
    monkeypatch.setattr(ground_wave_tables, "NARROW", narrow)
    section = Section(Grid((128, 24), (0.01, 0.01)), 0.4)
    turn = torch.polar(torch.ones(1, 128, dtype=torch.float64), 60 * section.depths_m()[None]) if phase else None
    fine, sums = (
        HomogeneousGround(survey(0.0), section, row_gain=turn, held=held, dtype=DOUBLE) for held in (2**23, 0)
    )
    coarse, exact = fine.coarsen(factor), fine.galerkin(factor)
    assert isinstance(coarse, HomogeneousGround)
    assert coarse.tables is not None
    assert coarse.tables.rows is not None
    assert coarse.tables.depths.shape[1] < 0.5 * fine.modes
    assert coarse.tables.rows.shape[1] < (1.0 if phase else 0.8) * 128 / factor
    x = randn((1, *coarse.domain_shape), 5)
    x[..., :2] = x[..., -2:] = 0
    y = exact(x)
    found = coarse(x)
    assert distance(found, y) < bound
    assert distance(coarse.normal(x), coarse.adjoint(found)) < 1e-12
    assert isinstance(sums.coarsen(factor), GalerkinOperator) == phase
    assert distance(sums.coarsen(factor)(x), y) > bound or phase


def test_a_coarse_version_of_a_long_line_sums_traces_by_a_toeplitz_matrix() -> None:
    """Uneven traces, more than waves: A^H A never goes to them, and is the product of forward and adjoint."""
    taken = survey(0.0)
    line = torch.linspace(-1.0, 1.0, 300, dtype=torch.float64)[None] ** 3
    taken = GroundSurvey(line, taken.height_m, taken.permittivity, taken.start_hz, taken.step_hz, taken.spectrum)
    fine = HomogeneousGround(taken, Section(Grid((32, 24), (0.02, 0.04)), 0.4), dtype=DOUBLE)
    for operator in (fine, fine.coarsen(2)):
        assert isinstance(operator, HomogeneousGround)
        assert operator.tables is not None
        assert operator.tables.between is not None
        x = randn((2, 1, *operator.domain_shape), 5)
        assert distance(operator.normal(x), operator.adjoint(operator(x))) < 1e-9


def test_two_soils_under_one_line_have_coarse_versions_each() -> None:
    """Sensors that share traces but not soil."""
    taken = survey(0.0)
    soils = torch.tensor([6.0, 9.0], dtype=torch.float64)
    both = GroundSurvey(taken.antenna_x_m, taken.height_m, soils, taken.start_hz, taken.step_hz, taken.spectrum)
    section = Section(Grid((32, 24), (0.01, 0.02)), 0.4)
    coarse = HomogeneousGround(both, section, dtype=DOUBLE).coarsen(2)
    x = randn((2, 1, 16, 12), 5)
    for k in range(2):
        one = GroundSurvey(
            taken.antenna_x_m, taken.height_m, soils[k : k + 1], taken.start_hz, taken.step_hz, taken.spectrum
        )
        alone = HomogeneousGround(one, section, dtype=DOUBLE).coarsen(2)
        assert distance(coarse(x)[k : k + 1], alone(x[k : k + 1])) < 1e-2


def test_a_silent_antenna_hears_nothing_on_a_coarse_grid() -> None:
    """A sensor whose waves are all zero gives zeros, not NaN, though there is no leading row to combine."""
    taken = survey(0.0)
    silent = GroundSurvey(
        taken.antenna_x_m,
        taken.height_m,
        taken.permittivity,
        taken.start_hz,
        taken.step_hz,
        torch.zeros_like(taken.spectrum),
    )
    coarse = HomogeneousGround(silent, Section(Grid((16, 24), (0.01, 0.01)), 0.6), dtype=DOUBLE).coarsen(2)
    assert isinstance(coarse, HomogeneousGround)
    assert torch.equal(coarse(randn((1, 1, 8, 12), 5)), torch.zeros(1, *coarse.range_shape, dtype=DOUBLE))
