"""Noise levels found in simulated samples, and the refusals where samples cannot tell."""

from __future__ import annotations

import math

import pytest
import torch

from echoform.measure.measurement import Measurement, simulate
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.kronecker import KroneckerOperator
from echoform.physics.noise import GaussianNoise
from echoform.physics.nonuniform_fourier import NonuniformFourier
from echoform.physics.operator import LinearOperator
from echoform.physics.range_angle_doppler import mimo_radar
from echoform.recon.noise_estimation import (
    Evidence,
    NoiseLevelUnknown,
    estimate_sigma,
    from_empty_bins,
    from_outside_range,
)
from echoform.scene.array import filled_array
from echoform.scene.waveform import FmcwWaveform

DOUBLE = torch.complex128


def randn(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed))


def cartesian(rows: int, columns: int, side: int, dropped: tuple[int, ...] = ()) -> NonuniformFourier:
    """Samples as dense as an image four times as wide would need: most of what they could see is outside the image."""
    k = [torch.linspace(-1.8, 1.8, n, dtype=torch.float64) for n in (rows, columns)]
    points = torch.stack(torch.meshgrid(*k, indexing="ij"))[None].flatten(-2)
    weights = torch.ones(1, rows, columns, dtype=torch.float64)
    weights[:, list(dropped)] = 0
    return NonuniformFourier(
        points, weights.flatten(1), domain_shape=(1, side, side), sample_shape=(rows, columns), dtype=DOUBLE
    )


def scattered_points(count: int, side: int) -> NonuniformFourier:
    points = (
        (torch.rand(1, 2, count, dtype=torch.float64, generator=torch.Generator().manual_seed(4)) - 0.5) * 2 * math.pi
    )
    ones = torch.ones(1, count, dtype=torch.float64)
    return NonuniformFourier(points, ones, domain_shape=(1, side, side), sample_shape=(count,), dtype=DOUBLE)


def fmcw() -> KroneckerOperator:
    """The image covers the nearer third of the unambiguous range."""
    one = torch.ones(1, dtype=torch.float64)
    waveform = FmcwWaveform(77e9 * one, 30e12 * one, 1e-7 * one, 128, 5e-5 * one, 1, (0,))
    ranges = waveform.range_resolution_m()[:, None] * torch.arange(8, 40, dtype=torch.float64)
    angles = torch.linspace(-0.6, 0.6, 16, dtype=torch.float64)[None]
    return mimo_radar(waveform, filled_array(1, 16, 0.00195), ranges_m=ranges, angles_rad=angles, dtype=DOUBLE)


def noisy(operator: LinearOperator, snr_db: list[float], seed: int = 5) -> tuple[Measurement, torch.Tensor]:
    """Speckle with one bright point, at each of the signal-to-noise ratios; the measurement states no noise."""
    x = randn(len(snr_db), *operator.domain_shape, seed=seed)
    x[:, 0, 5, 5] = 10
    clean = operator(x)
    power = clean.abs().square().flatten(1).sum(1) / operator.samples()
    sigma = (power * 10 ** (-torch.tensor(snr_db, dtype=torch.float64) / 10)).sqrt()
    measured = simulate(x, operator, GaussianNoise(sigma), generator=torch.Generator().manual_seed(seed + 1))
    return Measurement(measured.y, operator, GaussianNoise(torch.zeros(1))), sigma


CASES = {
    "oversampled frequencies": (cartesian(40, 96, 16), Evidence.EMPTY_BINS),
    "oversampled pulses, some missing": (cartesian(96, 14, 16, dropped=(3, 4, 50)), Evidence.OUTSIDE_RANGE),
    "scattered points": (scattered_points(1200, 16), Evidence.OUTSIDE_RANGE),
    "FMCW, part of the range": (fmcw(), Evidence.EMPTY_BINS),
}


@pytest.mark.parametrize("name", CASES)
def test_within_ten_percent_from_minus_ten_to_twenty_decibels(name: str) -> None:
    operator, evidence = CASES[name]
    measurement, sigma = noisy(operator, [-10.0, 0.0, 10.0, 20.0])
    found = estimate_sigma(measurement)
    print(f"{name}: estimated over true {(found.sigma / sigma).tolist()}; {found}")
    assert found.evidence is evidence
    assert float((found.sigma / sigma - 1).abs().max()) < 0.1
    assert found.relative_deviation < 0.05


@pytest.mark.parametrize(
    ("way", "operator", "draws"),
    [(from_empty_bins, cartesian(12, 80, 8), 300), (from_outside_range, cartesian(24, 40, 6), 60)],
)
def test_both_ways_agree_with_what_they_say_of_their_scatter(way, operator: LinearOperator, draws: int) -> None:
    """The bounds are three and two and a half standard deviations of a mean and of a scatter over the draws."""
    measurement, sigma = noisy(operator, [10.0] * draws, seed=9)
    found = way(measurement)
    ratio = found.sigma / sigma
    print(f"{way.__name__}: mean {float(ratio.mean()):.4f}, scatter {float(ratio.std()):.4f}, {found}")
    assert float(ratio.mean()) == pytest.approx(1, abs=3 * found.relative_deviation / math.sqrt(draws))
    assert float(ratio.std()) == pytest.approx(found.relative_deviation, rel=2.5 / math.sqrt(2 * draws))


def test_degrees_of_freedom_are_samples_less_pixels() -> None:
    """1200 samples at random see 256 pixels with full rank: 944 are left."""
    found = from_outside_range(noisy(scattered_points(1200, 16), [0.0])[0])
    assert found.degrees_of_freedom == pytest.approx(1200 - 256, rel=0.05)


def test_collections_that_cannot_tell_are_refused() -> None:
    mask = FourierMask((torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(1)) < 0.6).double())
    for operator in (mask, FourierMask(torch.ones(1, 1, 16, 16, dtype=torch.float64)), cartesian(20, 20, 32)):
        with pytest.raises(NoiseLevelUnknown, match="cannot be told"):
            estimate_sigma(noisy(operator, [10.0])[0])


def test_noise_that_is_too_weak_or_absent_is_refused() -> None:
    operator = cartesian(40, 96, 16)
    clean = Measurement(operator(randn(1, 1, 16, 16, seed=3)), operator, GaussianNoise(torch.zeros(1)))
    with pytest.raises(NoiseLevelUnknown, match=r"too weak|rounding"):
        estimate_sigma(clean)


def test_modes_that_hardly_tell_leak_and_are_counted() -> None:
    """Noise-free samples of the scene leave half of what is left at 60 dB, though the image that explains them leaves little."""
    operator, _ = CASES["oversampled pulses, some missing"]
    with pytest.raises(NoiseLevelUnknown, match="too weak"):
        from_outside_range(noisy(operator, [60.0], seed=6)[0])
    measurement, sigma = noisy(operator, [40.0])
    assert float(from_outside_range(measurement).sigma / sigma) == pytest.approx(1, abs=0.06)


def test_echoes_from_outside_the_image_are_not_taken_for_noise() -> None:
    """A strong scatterer 20 pixels beyond the border fills a few of the empty bins."""
    operator = cartesian(40, 96, 16)
    measurement, _ = noisy(operator, [10.0])
    k = operator.points[0].reshape(2, 40, 96)
    beyond = 40 * torch.exp(1j * (k[0] * 3 + k[1] * 28))
    with pytest.raises(NoiseLevelUnknown, match="more than noise"):
        from_empty_bins(Measurement(measurement.y + beyond, operator, measurement.noise))


def test_a_batch_is_a_loop() -> None:
    operator = cartesian(40, 96, 16)
    together, _ = noisy(operator, [0.0, 10.0])
    whole = estimate_sigma(together).sigma
    for b in range(2):
        alone = estimate_sigma(Measurement(together.y[b : b + 1], operator, together.noise)).sigma
        assert float(alone[0]) == pytest.approx(float(whole[b]), rel=1e-9)
