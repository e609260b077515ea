"""Stripmap SAR on a coarse grid against A U_s: the distance is what was left out, and the cost is that of the coarse band."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from stripmap_truth import airborne
from torch import Tensor

from contracts import distance, randn
from echoform.linalg.resample import kaiser_sinc, transfer
from echoform.physics.compositions import GalerkinOperator
from echoform.physics.range_chirp import CoarseRawStripmap, raw_stripmap
from echoform.physics.stripmap import StripmapOperator
from echoform.physics.stripmap_coarse import (
    BAND_EDGE,
    COARSE_ACCURACY,
    SUM_ACCURACY,
    CoarseStripmap,
    terms_needed,
)
from echoform.physics.stripmap_omega_k import StripmapOmegaK
from echoform.physics.stripmap_range_doppler import StripmapRangeDoppler
from echoform.scene.collection import SPEED_OF_LIGHT_M_S
from echoform.scene.stripmap import StripmapCollection, linear_chirp

DOUBLE = torch.complex128
CELL_M = SPEED_OF_LIGHT_M_S / 4e8
SHAPE, FREQUENCIES, PULSES = (64, 64), 80, 96
FORMS = pytest.mark.parametrize("form", [StripmapOmegaK, StripmapRangeDoppler])
CASES = pytest.mark.parametrize(("centroid_hz", "factor"), [(0.0, 2), (0.0, 4), (0.0, 8), (-2500.0, 2), (1500.0, 4)])


def thinned(centroid_hz: float) -> StripmapCollection:
    """A fifth of the pulses missing at random, and eight in a row."""
    dropped = torch.rand(1, PULSES, generator=torch.Generator().manual_seed(3)) < 0.2
    dropped[:, 40:48] = True
    return airborne(centroid_hz=centroid_hz, pulses=PULSES).without(dropped)


def build(form: type[StripmapOperator], collection: StripmapCollection, **changes) -> StripmapOperator:
    options = {"range_spacing_m": CELL_M, "frequencies": FREQUENCIES, "dtype": DOUBLE} | changes
    return form(collection, SHAPE, **options)


def share_left_out(operator: StripmapOperator, factor: int) -> float:
    """What bins and frequencies with |H_s| < BAND_EDGE hold of A U_s for white noise, in norm, from the geometry alone."""
    k_yc, k_xc = operator.centre_wavenumbers(0)
    along_y = (operator.azimuth_wavenumber(0) - k_yc) * operator.speed_m_s[0] / operator.prf_hz[0]
    along_x = (operator.range_wavenumber(0) - k_xc) * operator.range_spacing_m
    bins, frequencies = transfer(factor, along_y)[:, None], transfer(factor, along_x)
    power = (operator.transfer[0].abs() * bins * frequencies).square()
    outside = (bins.abs() < BAND_EDGE) | (frequencies.abs() < BAND_EDGE)
    return math.sqrt(float(power[outside].sum() / power.sum()))


def spreading_error(operator: StripmapOperator, factor: int) -> float:
    """sum_l |h_l| |l| dx / 2 r at the nearest range: sqrt(r) taken for constant over the taps."""
    taps = kaiser_sinc(factor)
    away = sum(abs(tap) * abs(i - (len(taps) - 1) / 2) for i, tap in enumerate(taps))
    nearest_m = float(operator.centre_range_m[0] + operator.range_offsets_m()[0])
    return away * operator.range_spacing_m / (2 * nearest_m)


def inner_noise(shape: tuple[int, ...], *, band: float = 1.0) -> Tensor:
    """White noise, low-passed to a share of the coarse band, that ends two pixels before the border."""
    x = torch.fft.fft2(randn((1, *shape), 5))
    for axis in (-2, -1):
        frequency = torch.fft.fftfreq(shape[axis], dtype=torch.float64)
        inside = (frequency.abs() <= band / 2).to(x.dtype)
        x = x * (inside[:, None] if axis == -2 else inside)
    inner = torch.zeros_like(x)
    inner[..., 2:-2, 2:-2] = torch.fft.ifft2(x)[..., 2:-2, 2:-2]
    return inner


@FORMS
@CASES
def test_the_distance_is_what_was_left_out(form: type[StripmapOperator], centroid_hz: float, factor: int) -> None:
    """A U_s x - A_s x is the part of the band left out, COARSE_ACCURACY and spreading: nothing else, and not much less.

    Range-Doppler has a sum of its own over range besides, within SUM_ACCURACY.
    """
    operator = build(form, thinned(centroid_hz))
    coarse, galerkin = operator.coarsen(factor), GalerkinOperator(operator, factor)
    assert isinstance(coarse, CoarseStripmap)
    x = inner_noise(coarse.domain_shape)
    found, left_out = distance(coarse(x), galerkin(x)), share_left_out(operator, factor)
    exact = GalerkinOperator(build(StripmapOmegaK, thinned(centroid_hz)), factor)
    other = COARSE_ACCURACY + spreading_error(operator, factor) + distance(galerkin(x), exact(x))
    assert found < 1.25 * left_out + other
    assert found > 0.4 * left_out
    assert left_out < 0.035


@FORMS
@CASES
def test_normal_of_band_limited_images(form: type[StripmapOperator], centroid_hz: float, factor: int) -> None:
    """|N - N'| <= |A| |(A - A') x| + |A - A'| |A' x| with |A - A'| <= (BAND_EDGE + the errors above) |A|; in fact below 2 %.

    Compared where U_s does not fill pixels from both ends of the image.
    """
    operator = build(form, thinned(centroid_hz))
    coarse, galerkin = operator.coarsen(factor), GalerkinOperator(operator, factor)
    x, inner = inner_noise(coarse.domain_shape, band=0.8), (..., slice(2, -2), slice(2, -2))
    heard, expected = galerkin(x), galerkin.normal(x)[inner]
    found = distance(coarse.normal(x)[inner], expected)
    errors = COARSE_ACCURACY + spreading_error(operator, factor)
    size = float(galerkin.norm()) * float(heard.norm() / expected.norm())
    assert found < (distance(coarse(x), heard) + BAND_EDGE + errors) * size
    assert found < 0.02


@FORMS
@pytest.mark.parametrize("factor", [2, 4, 8])
def test_bins_and_frequencies_are_those_of_the_coarse_band(form: type[StripmapOperator], factor: int) -> None:
    """The coarse version keeps 1.3 to 1.5 / s of either axis, and one term of the sum over range."""
    operator = build(form, thinned(0.0))
    coarse = operator.coarsen(factor)
    assert isinstance(coarse, CoarseStripmap)
    _, terms, bins, frequencies = coarse.weights.shape
    assert terms == 1
    for count, whole in ((bins, operator.azimuth_length), (frequencies, FREQUENCIES)):
        assert 1.3 * whole / factor - 2 < count < 1.5 * whole / factor + 2


@pytest.mark.parametrize("length", [117, 128])
def test_azimuth_lengths_that_the_factor_does_not_divide(length: int) -> None:
    operator = build(StripmapOmegaK, thinned(0.0), azimuth_length=length)
    coarse = operator.coarsen(4)
    assert isinstance(coarse, CoarseStripmap)
    x = inner_noise(coarse.domain_shape)
    assert distance(coarse(x), GalerkinOperator(operator, 4)(x)) < 1.25 * share_left_out(operator, 4) + COARSE_ACCURACY


@pytest.mark.parametrize("factor", [2, 4])
def test_raw_echoes(factor: int) -> None:
    """A window that cuts the echoes at both ends; the normal never returns to the samples and still is adjoint(forward)."""
    operator = raw_stripmap(
        StripmapOmegaK,
        thinned(600.0),
        SHAPE,
        pulse=linear_chirp(5e13, 4e-7, 2e8)[None],
        first_sample_s=torch.tensor([2 * (3000 - 20 * CELL_M) / SPEED_OF_LIGHT_M_S], dtype=torch.float64),
        samples=70,
        range_spacing_m=CELL_M,
        dtype=DOUBLE,
    )
    coarse = operator.coarsen(factor)
    assert isinstance(coarse, CoarseRawStripmap)
    x = inner_noise(coarse.domain_shape)
    assert distance(coarse.normal(x), coarse.adjoint(coarse(x))) < 1e-12
    assert distance(coarse(x), GalerkinOperator(operator, factor)(x)) < 0.03
    marks, whole = coarse.support(), operator.support()
    assert marks is not None
    assert whole is not None
    assert torch.equal(marks, whole)


def test_a_whole_period_stays_with_its_fast_normal() -> None:
    collection = airborne(centroid_hz=0.0, pulses=PULSES)
    assert isinstance(build(StripmapOmegaK, collection, azimuth_length=PULSES).coarsen(2), GalerkinOperator)
    assert isinstance(build(StripmapRangeDoppler, collection, azimuth_length=PULSES).coarsen(2), CoarseStripmap)


def test_wavenumbers_that_bend_too_much_stay_on_the_fine_grid() -> None:
    """400 MHz over 60 degrees of beam: the Stolt map bends by some 8 radians over the swath at factor 2, a quarter of it at 4."""
    low = {"carrier_hz": 4e8, "sample_rate_hz": 1e8, "prf_hz": 330.0, "centre_range_m": 1500.0, "antenna_m": 0.0}
    collection = replace(thinned(0.0), **{name: torch.tensor([v], dtype=torch.float64) for name, v in low.items()})
    operator = build(StripmapOmegaK, collection, range_spacing_m=1.5)
    assert isinstance(operator.coarsen(2), GalerkinOperator)
    coarse = operator.coarsen(4)
    assert isinstance(coarse, CoarseStripmap)
    x = inner_noise(coarse.domain_shape)
    bound = 1.25 * share_left_out(operator, 4) + COARSE_ACCURACY + spreading_error(operator, 4)
    assert distance(coarse(x), GalerkinOperator(operator, 4)(x)) < bound


@pytest.mark.parametrize("c", [0.0, 0.05, 0.4, 1.0, 2.5])
def test_terms_of_the_sum_over_range(c: float) -> None:
    """Chebyshev interpolation of exp(i c t) through its Vandermonde matrix: within SUM_ACCURACY."""
    count = terms_needed(c, 20, SUM_ACCURACY)
    t, power = torch.linspace(-1, 1, 201, dtype=torch.float64), torch.arange(count)
    nodes = torch.cos(math.pi * (power + 0.5) / len(power)).double()[:, None]
    at_nodes = torch.polar(torch.ones_like(nodes), c * nodes)
    values = (t[:, None] ** power).to(DOUBLE) @ torch.linalg.solve((nodes**power).to(DOUBLE), at_nodes)
    values = values[:, 0]
    assert float((values - torch.polar(torch.ones_like(t), c * t)).abs().max()) <= SUM_ACCURACY


def test_terms_stop_at_the_most() -> None:
    assert [terms_needed(c, most, SUM_ACCURACY) for c, most in ((2.5, 3), (1e9, 40), (math.inf, 5))] == [4, 41, 6]
