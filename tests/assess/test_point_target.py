"""Point-target response against the closed forms of sinc, Taylor and Hamming, and against perseo-quality."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from echoform.assess.point_target import EXTENT_WIDTHS, point_target_response


def line(length: int, position: float, bins: int, *, carrier: float = 0.0, taper: np.ndarray | None = None):
    """A band of ``bins`` equal (or tapered) Fourier coefficients about a carrier, peak at a fractional position."""
    k = np.arange(bins) - (bins - 1) / 2
    weights = np.ones(bins) if taper is None else taper
    offset = np.arange(length) - position
    series = (weights * np.exp(2j * np.pi * np.outer(offset, k) / length)).sum(1) / weights.sum()
    return series * np.exp(1j * carrier * offset)


def target(shape, position, bins, carrier=(0.0, 0.0)) -> torch.Tensor:
    rows, columns = (line(n, p, b, carrier=c) for n, p, b, c in zip(shape, position, bins, carrier, strict=True))
    return torch.from_numpy(np.outer(rows, columns))


def sinc_islr_db() -> float:
    def power(r: float) -> float:
        return float(np.sinc(r) ** 2)

    main = quad(power, 0, 1)[0]
    side = quad(power, 1, EXTENT_WIDTHS * 0.8859, limit=200)[0]
    return 10 * math.log10(side / main)


@pytest.mark.parametrize("carrier", [(0.0, 0.0), (3.0, -2.0), (1.3, 0.4)])
def test_unweighted_sinc_at_a_fractional_position_whatever_the_carrier(carrier):
    image = target((256, 301), (130.37, 148.81), (129, 181), carrier)
    response = point_target_response(3 * image)
    for cut, position, band in (
        (response.rows, 130.37, 129 / 256),
        (response.columns, 148.81, 181 / 301),
    ):
        assert cut.pslr_db == pytest.approx(-13.26, abs=0.02)
        assert cut.width_px * band == pytest.approx(0.886, abs=0.001)
        assert cut.islr_db == pytest.approx(sinc_islr_db(), abs=0.03)
        assert cut.position_px == pytest.approx(position, abs=0.002)


def test_spectrum_that_fills_the_band():
    response = point_target_response(target((255, 255), (130.37, 120.5), (255, 255)))
    assert response.rows.pslr_db == pytest.approx(-13.26, abs=0.02)
    assert response.columns.width_px == pytest.approx(0.886, abs=0.001)


@pytest.mark.parametrize(
    ("name", "level_db", "tolerance_db", "width"),
    [("taylor", -35.0, 0.5, 1.19), ("hamming", -42.7, 0.5, 1.30)],
)
def test_weighted_bands(name, level_db, tolerance_db, width):
    windows = pytest.importorskip("scipy.signal.windows")
    taper = windows.taylor(161, nbar=4, sll=35, norm=False) if name == "taylor" else windows.hamming(161)
    cut = torch.from_numpy(line(256, 128.3, 161, taper=taper))
    response = point_target_response(torch.outer(cut, cut)).rows
    assert response.pslr_db == pytest.approx(level_db, abs=tolerance_db)
    assert response.width_px * 161 / 256 == pytest.approx(width, abs=0.02)


def test_against_perseo_on_the_same_image():
    irf = pytest.importorskip("perseo_quality.point_targets_analysis.core.irf")
    processing = pytest.importorskip("perseo_quality.core.signal_processing")
    image = target((128, 128), (64.3, 63.6), (77, 91))
    ours = point_target_response(image)
    fine = processing.interp2_modulated_data(image.numpy(), 16, 16, True, True)
    row, column = processing.locate_max_2d(np.abs(fine) ** 2)
    widths = [processing.evaluate_irf_resolution(cut) for cut in (fine[:, column], fine[row, :])]
    pslr = irf.compute_pslr_2d(fine, tuple(widths), mask=irf.MaskingMethod.PEAK)
    islr = irf.compute_islr_2d(fine, tuple(widths), mask=irf.MaskingMethod.PEAK)
    for index, cut in enumerate((ours.rows, ours.columns)):
        assert cut.width_px == pytest.approx(widths[index] / 16, rel=0.005)
        assert cut.pslr_db == pytest.approx(pslr[index], abs=0.05)
        assert cut.islr_db == pytest.approx(islr[index], abs=0.1)


def test_a_weaker_target_can_be_asked_for():
    image = target((128, 128), (40.2, 50.0), (65, 65)) + 0.2 * target((128, 128), (90.4, 100.7), (65, 65))
    response = point_target_response(image, pixel=(90, 101))
    assert response.rows.position_px == pytest.approx(90.4, abs=0.1)
    assert response.columns.position_px == pytest.approx(100.7, abs=0.1)
    strongest = point_target_response(image)
    assert strongest.rows.position_px == pytest.approx(40.2, abs=0.05)


def test_a_filled_null_of_the_other_axis_does_not_matter():
    """Cuts go through the interpolated peak: half a pixel off centre in both axes changes nothing."""
    centred = point_target_response(target((128, 128), (64.0, 64.0), (101, 101)))
    shifted = point_target_response(target((128, 128), (64.5, 64.5), (101, 101)))
    assert shifted.rows.pslr_db == pytest.approx(centred.rows.pslr_db, abs=0.01)
    assert shifted.rows.width_px == pytest.approx(centred.rows.width_px, rel=1e-3)


def test_images_without_a_target_give_nan():
    empty = point_target_response(torch.zeros(32, 32, dtype=torch.complex64)).rows
    assert math.isnan(empty.pslr_db)
    assert math.isnan(empty.width_px)
    flat = point_target_response(torch.ones(32, 32, dtype=torch.complex64)).columns
    assert math.isnan(flat.width_px)


@pytest.mark.parametrize(
    ("shape", "options"), [((1, 8, 8), {}), ((8, 8), {"pixel": (8, 0)}), ((8, 8), {"oversampling": 8})]
)
def test_bad_input_is_refused(shape, options):
    with pytest.raises(ValueError, match=r"expected|outside|at least"):
        point_target_response(torch.ones(shape, dtype=torch.complex64), **options)
