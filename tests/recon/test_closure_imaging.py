"""Self-calibration recovers known gains; a ring and a disc without a hole are told apart from closure quantities alone."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from echoform.assess.ring import measure_ring
from echoform.measure.closure import closure_phases, log_closure_amplitudes
from echoform.recon.closure_imaging import (
    EntropyPath,
    SkyPrior,
    closure_image,
    model_visibilities,
    self_calibrated_image,
    sky_operator,
)
from echoform.recon.station_gains import calibrated, solve_gains
from vlbi_cases import GRID, UAS, array, generator, noise, observed, sky, station_gains

PRIOR = SkyPrior(flux_jy=0.6, fwhm_rad=40 * UAS)
RADII_RAD = (5 * UAS, 45 * UAS)


def test_gains_of_a_known_sky_are_recovered() -> None:
    """Samples of 20 dB: phases to 0.05 rad rms after the phase common to all is taken off, sizes to 5 %."""
    rows = array(stations=7, times=6, sigma_jy=0.1)
    g = generator(4)
    gains = station_gains(rows, g, log_sd=0.3)
    measured = rows.corrupted(gains)
    measured = replace(measured, values=measured.values + noise(rows, g))
    sd = torch.full((7,), 0.3)
    found = solve_gains(measured, rows.values, gain_sd=sd)
    ratio = found.gains * gains.conj()
    error = (ratio * ratio[:, :1].conj()).angle()
    error = error - error.mean(1, keepdim=True)
    assert float(error.square().mean().sqrt()) < 0.05
    assert float((found.gains.abs() / gains.abs()).log().square().mean().sqrt()) < 0.05
    assert found.freedom == 2 * 6 * 21 - 6 * 6
    assert found.chi_square == pytest.approx(found.freedom, abs=4 * math.sqrt(2 * found.freedom))
    put_right = calibrated(measured, found.gains)
    expected = 2 * ((put_right.values - rows.values).abs() / put_right.sigma_jy).square().sum()
    prior = (found.gains.abs().log() / sd).square().sum()
    assert float(expected + prior) == pytest.approx(found.chi_square, rel=1e-6)


def test_a_station_that_is_silent_keeps_gain_one() -> None:
    rows = array(stations=4, times=2)
    heard = rows.kept((rows.pairs != 3).all(1) | (rows.time_s > 0))
    found = solve_gains(heard, heard.values, gain_sd=torch.full((4,), 0.1))
    assert found.gains[0, 3] == 1
    assert found.freedom == 2 * 9 - 2 - 3
    assert torch.allclose(found.gains, torch.ones_like(found.gains), atol=1e-6)


@pytest.mark.parametrize("hole", [True, False])
def test_a_hole_is_found_where_there_is_one(hole) -> None:
    """Random station phases and 10 % gains, from a start without a hole."""
    truth = sky(hole=hole)
    rows, _ = observed(truth, log_sd=0.1)
    strong = rows.kept(rows.snr() > 3)
    sd = torch.full((6,), 0.1)
    path = EntropyPath(first=300, step=3, iterations=40)
    first = closure_image(strong, GRID, PRIOR, gain_sd=sd, path=path)
    assert first.misfit < 1.05
    image, found = self_calibrated_image(rows, GRID, PRIOR, first, gain_sd=sd, rounds=1)
    assert found.chi_square / found.freedom < 1.2
    model = model_visibilities(sky_operator(strong, GRID), image.image)
    for data in (closure_phases(strong), log_closure_amplitudes(strong)):
        assert float(data.chi_square(model)) / len(data) < 1.5
    ring, true_ring = (measure_ring(x, GRID, radii_rad=RADII_RAD) for x in (image.image, truth))
    assert image.image.min() > 0
    if hole:
        assert ring.floor < 0.5
        assert abs(ring.diameter_rad - true_ring.diameter_rad) < 3 * UAS
    else:
        assert ring.floor > 0.8
