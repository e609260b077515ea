"""Residual maps: noise alone stands at 0 dB, what an image lacks stands out where it is."""

from __future__ import annotations

import torch

from echoform.measure.measurement import simulate
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.noise import GaussianNoise, PoissonGaussianNoise
from echoform.report.residual import residual_maps


def operator(seed: int) -> FourierMask:
    generator = torch.Generator().manual_seed(seed)
    return 3.0 * FourierMask((torch.rand(1, 1, 64, 64, generator=generator) < 0.5).double())  # pyright: ignore


def test_truth_leaves_noise_at_zero_decibels() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 1, 64, 64, dtype=torch.complex128, generator=generator)
    sensor = operator(1)
    measurement = simulate(x, sensor, GaussianNoise(torch.tensor([0.7])), generator=generator)
    (found,) = residual_maps(measurement, [x])
    assert found.against_noise
    power = float((10 ** (found.level_db / 10)).mean())
    # About 2048 samples, each |n|^2 exponential: a relative deviation of 1 / sqrt(2048) = 0.022.
    assert abs(power - 1) < 5 * 0.022


def test_what_is_missing_stands_out_where_it_is() -> None:
    generator = torch.Generator().manual_seed(2)
    x = torch.zeros(1, 1, 64, 64, dtype=torch.complex128)
    x[0, 0, 20, 40] = 5.0
    x[0, 0, 50, 9] = 4.0
    measurement = simulate(x, operator(3), GaussianNoise(torch.tensor([0.05])), generator=generator)
    lacking = x.clone()
    lacking[0, 0, 50, 9] = 0
    full, partial = residual_maps(measurement, [x, lacking])
    assert divmod(int(partial.level_db.argmax()), 64) == (50, 9)
    assert float(partial.level_db.amax()) > float(full.level_db.amax()) + 20


def test_without_noise_the_reference_is_the_peak_of_the_backprojection() -> None:
    x = torch.zeros(1, 1, 64, 64, dtype=torch.complex128)
    x[0, 0, 20, 40] = 5.0
    measurement = simulate(x, operator(4), GaussianNoise(torch.zeros(1)))
    (found,) = residual_maps(measurement, [torch.zeros_like(x)])
    assert not found.against_noise
    assert abs(float(found.level_db.amax())) < 1e-9


def test_counts_are_noise_too() -> None:
    generator = torch.Generator().manual_seed(5)
    sensor = FourierMask(torch.ones(1, 1, 64, 64))
    y = torch.rand(1, 1, 64, 64, generator=generator)
    from echoform.measure.measurement import Measurement

    noise = PoissonGaussianNoise(torch.zeros(1), torch.tensor([0.1]))
    (found,) = residual_maps(Measurement(y, sensor, noise), [torch.zeros(1, 1, 64, 64)])
    # |A^H y| has the power of y, the noise gain * mean(y): their ratio is the mean level.
    expected = float(y.square().mean() / (0.1 * y.mean()))
    assert abs(float((10 ** (found.level_db / 10)).mean()) / expected - 1) < 1e-4
