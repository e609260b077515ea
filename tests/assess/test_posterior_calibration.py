"""Metrics of calibration against closed forms: Gaussian posteriors of known mean and variance, binomial floors."""

from __future__ import annotations

import math

import pytest
import torch

from echoform.assess.posterior_calibration import (
    chi_square,
    error_over_variance,
    floor_of_calibration_error,
    rank_histogram,
    reliability,
    single_draw_ratio,
)
from echoform.physics.noise import standard_normal

PIXELS = 40_000


def drawn(count: int, spread: float = 1.0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Mean, variance, truth and samples of complex pixels; ``spread`` scales the samples' deviation."""
    generator = torch.Generator().manual_seed(0)
    mean = 3 * standard_normal(torch.zeros(PIXELS, dtype=torch.complex64), generator)
    variance = torch.rand(PIXELS, generator=generator) + 0.1
    truth = mean + variance.sqrt() * standard_normal(mean, generator)
    samples = mean + spread * variance.sqrt() * standard_normal(mean.expand(count, -1), generator)
    return mean, variance, truth, samples


@pytest.mark.parametrize("count", [4, 20])
def test_exact_samples_have_ratios_of_one_whatever_their_number(count: int):
    mean, variance, truth, samples = drawn(count)
    assert error_over_variance(samples, truth) == pytest.approx(1, abs=0.03)
    assert single_draw_ratio(samples, truth) == pytest.approx(1, abs=0.03)
    assert chi_square(truth, mean, variance) == pytest.approx(1, abs=0.03)
    assert chi_square(samples[0], mean, variance) == pytest.approx(1, abs=0.03)


def test_narrow_samples_are_found_out_by_what_theory_says():
    """Samples of half the deviation: (1 + 1/4S) V over V/4; (V + V/4) / 2 over V/4."""
    _, _, truth, samples = drawn(20, spread=0.5)
    assert error_over_variance(samples, truth) == pytest.approx((1 + 1 / 80) * 4 / (1 + 1 / 20), rel=0.03)
    assert single_draw_ratio(samples, truth) == pytest.approx(2.5, rel=0.03)


def test_ranks_of_exact_samples_are_uniform_and_of_narrow_ones_not():
    _, _, truth, samples = drawn(19)
    histogram = rank_histogram(samples.real, truth.real, bins=10)
    assert float((histogram - 0.1).abs().max()) < 4 * math.sqrt(0.09 / PIXELS)
    _, _, truth, samples = drawn(19, spread=0.5)
    assert float(rank_histogram(samples.real, truth.real, bins=10)[[0, 9]].min()) > 0.2
    with pytest.raises(ValueError, match="multiple of bins"):
        rank_histogram(samples.real, truth.real, bins=7)


def test_reliability_of_known_probabilities():
    generator = torch.Generator().manual_seed(1)
    p = torch.rand(100_000, generator=generator)
    right = reliability(p, torch.rand(100_000, generator=generator) < p)
    assert right.error < 0.01
    assert torch.allclose(right.stated, torch.arange(10).double() / 10 + 0.05, atol=0.01)
    overconfident = reliability(p, torch.rand(100_000, generator=generator) < 0.5 * p)
    assert overconfident.error == pytest.approx(0.25, abs=0.01)  # mean of p / 2
    with pytest.raises(ValueError, match="probabilities"):
        reliability(p + 1, p > 0)


def test_the_floor_is_what_the_binomial_law_says():
    """All p = 1/2, S = 1: every case lands in a bin stated 0 or 1 with half the events: the error is 1/2."""
    generator = torch.Generator().manual_seed(2)
    half = torch.full((50_000,), 0.5)
    assert floor_of_calibration_error(half, 1, generator) == pytest.approx(0.5, abs=0.01)
    many = floor_of_calibration_error(half, 100, generator)
    # |Binomial(100, 1/2) / 100 - 1/2| in two bins: sqrt(2/pi) * 0.05 on average, in ten bins each bin's mean of it
    assert many == pytest.approx(math.sqrt(2 / math.pi) * 0.05, rel=0.1)
