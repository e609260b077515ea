"""Scores beside an image: which apply, and in which unit."""

from __future__ import annotations

import pytest
import torch

from echoform.measure.measurement import Measurement, Metadata, simulate
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.noise import GaussianNoise
from echoform.recon.classical.matched_filter import MatchedFilter
from echoform.recon.reconstructor import Estimate
from echoform.report.scores import score
from echoform.scene.grid import Grid


def banded(metadata: Metadata, *, sigma: float = 0.0) -> Measurement:
    """A point seen through a quarter of the band in y and half of it in x."""
    weights = torch.zeros(1, 1, 64, 64)
    weights[:, :, 24:40, 16:48] = 1
    x = torch.zeros(1, 1, 64, 64, dtype=torch.complex64)
    x[0, 0, 30, 33] = 2.0
    return simulate(x, FourierMask(weights), GaussianNoise(torch.tensor([sigma])), metadata=metadata)


def scores_of(measurement: Measurement, estimate: Estimate, held_out: Measurement | None = None) -> dict[str, float]:
    found = score(measurement, estimate, held_out=held_out, target=(30, 33))
    return {s.key: s.value for s in found}


def test_response_of_a_point_in_metres_and_pixels() -> None:
    measurement = banded(Metadata(grid=Grid((64, 64), (0.3, 0.1))))
    image = MatchedFilter()(measurement)
    in_metres = scores_of(measurement, image)
    assert in_metres["width_x_m"] == pytest.approx(0.886 * 2 * 0.1, rel=0.01)
    assert in_metres["width_y_m"] == pytest.approx(0.886 * 4 * 0.3, rel=0.01)
    assert in_metres["pslr_x_db"] == pytest.approx(-13.26, abs=0.15)
    assert in_metres["pslr_y_db"] == pytest.approx(-13.26, abs=0.15)
    in_pixels = scores_of(banded(Metadata()), image)
    assert in_pixels["width_x_px"] == pytest.approx(0.886 * 2, rel=0.01)


def test_only_what_applies_is_scored() -> None:
    measurement = banded(Metadata())
    keys = set(scores_of(measurement, MatchedFilter()(measurement)))
    assert not {"nmse_db", "psnr_db", "log_ssim", "prediction_error_db", "misfit_over_noise"} & keys
    assert {"relative_misfit", "entropy_nats"} <= keys
    truth = torch.zeros(1, 1, 64, 64, dtype=torch.complex64)
    truth[0, 0, 30, 33] = 2.0
    known = banded(Metadata(truth=truth), sigma=0.1)
    scores = scores_of(known, Estimate(0.9 * truth), held_out=known)
    assert scores["nmse_db"] == pytest.approx(-20, abs=1e-4)
    assert scores["psnr_db"] == pytest.approx(20 + 10 * torch.log10(torch.tensor(4096.0)).item(), abs=1e-3)
    assert {"log_ssim", "prediction_error_db", "misfit_over_noise"} <= set(scores)
