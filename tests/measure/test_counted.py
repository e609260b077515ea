"""Counts as Gaussian samples: moments against those of the Poisson law, and no pull towards small counts."""

from __future__ import annotations

import math

import pytest
import torch

from echoform.measure.counted import counts_as_gaussian
from echoform.measure.measurement import Measurement, simulate
from echoform.measure.whitened import whitened
from echoform.physics.masking import SampleMask
from echoform.physics.noise import GaussianNoise, PoissonGaussianNoise
from echoform.physics.noise_coloured import DiagonalGaussianNoise

SIDE = 200


def counted(rate: float, gain: float, sigma: float) -> Measurement:
    """SIDE^2 samples of one rate, seen as they are."""
    operator = SampleMask(torch.ones(1, 1, SIDE, SIDE), complex_image=False)
    noise = PoissonGaussianNoise(torch.tensor([sigma]), torch.tensor([gain]))
    scene = torch.full((1, 1, SIDE, SIDE), rate * gain)
    return simulate(scene, operator, noise, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("rate", [1.0, 5.0, 50.0])
def test_levels_are_those_of_counts_and_one_more(rate: float) -> None:
    gain, sigma = 0.02, 0.002
    noise = counts_as_gaussian(counted(rate, gain, sigma)).noise
    assert isinstance(noise, DiagonalGaussianNoise)
    # y below zero counts as none: at a rate of 1 that adds E max(-n, 0) where nothing was counted
    clipped = gain * math.exp(-rate) * sigma / math.sqrt(2 * math.pi)
    expected = sigma**2 + gain**2 * (rate + 1) + clipped
    deviation = gain * math.sqrt(gain**2 * rate + sigma**2) / SIDE
    assert float(noise.deviation.double().square().mean()) == pytest.approx(expected, abs=5 * deviation)


@pytest.mark.parametrize("rate", [0.5, 3.0, 10.0])
def test_weighted_sum_of_counts_is_not_pulled_down(rate: float) -> None:
    raw = counted(rate, 1.0, 0.0)
    given = counts_as_gaussian(raw)
    assert isinstance(given.noise, DiagonalGaussianNoise)
    weight = given.noise.deviation.double().square().reciprocal()
    pulls = weight * (given.y.double() - rate)
    assert abs(float(pulls.mean())) < 5 * float(pulls.std()) / SIDE
    plain = weight * (raw.y.double() - rate)
    assert float(plain.mean()) == pytest.approx(math.exp(-rate) - (1 - math.exp(-rate)) / rate, abs=0.02)


def test_one_value_is_found_from_many_counts() -> None:
    """Least squares for one value seen by every sample."""
    given = whitened(counts_as_gaussian(counted(4.0, 1.0, 0.0)))
    seen = given.operator.forward(torch.ones(1, 1, SIDE, SIDE))
    fit = float((seen * given.y).double().sum() / seen.double().square().sum())
    assert fit == pytest.approx(4.0, abs=5 * 2 / SIDE)


def test_other_noise_stays() -> None:
    operator = SampleMask(torch.ones(1, 1, 4, 4), complex_image=False)
    measurement = Measurement(torch.ones(1, 1, 4, 4), operator, GaussianNoise(torch.tensor([0.1])))
    assert counts_as_gaussian(measurement) is measurement
    counts = PoissonGaussianNoise(torch.zeros(1), torch.ones(1))
    with pytest.raises(ValueError, match="complex"):
        counts_as_gaussian(Measurement(torch.ones(1, 1, 4, 4) + 0j, SampleMask(torch.ones(1, 1, 4, 4)), counts))
