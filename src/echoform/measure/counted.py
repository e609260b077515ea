"""Photon counts for methods that know Gaussian noise only: a level for every sample, taken from the sample itself.

    y_i = g z_i + n_i,  z_i ~ Poisson(lambda_i)        y'_i = y_i + min(y_i, g),  sigma_i^2 = sigma^2 + g (y_i + g)

with y_i in the place of max(y_i, 0). Both additions keep small counts from being believed too much: least squares weighted by
1 / z_i is pulled down by about one count, while E (z + min(z, 1) - lambda) / (z + 1) = 0 at every rate.

An approximation: the density of few counts is not Gaussian, and sigma_i is itself random. Posterior samples drawn with it are not
exact (docs/state.md).

Source: Mighell (1999), Astrophysical Journal 518:380 (the chi-gamma-square statistic).
"""

from __future__ import annotations

from dataclasses import replace

import torch

from echoform.linalg.inner import expand
from echoform.measure.measurement import Measurement
from echoform.physics.noise import PoissonGaussianNoise
from echoform.physics.noise_coloured import DiagonalGaussianNoise


def counts_as_gaussian(measurement: Measurement) -> Measurement:
    """Return the same samples with a Gaussian level each where they are counts; any other measurement as it is.

    Args:
        measurement: y of shape (B, *range_shape), real where its noise is Poisson-Gaussian.

    Raises:
        ValueError: counts that are complex.
    """
    noise, y = measurement.noise, measurement.y
    if not isinstance(noise, PoissonGaussianNoise):
        return measurement
    if y.is_complex():
        raise ValueError("counts are real, got complex samples with PoissonGaussianNoise; use GaussianNoise for them")
    gain, sigma = (expand(level.to(y), y.ndim - 1) for level in (noise.gain, noise.sigma))
    counted = y.clamp_min(0)
    level = (sigma.square() + gain * (counted + gain)).sqrt()
    return replace(measurement, y=y + torch.minimum(counted, gain), noise=DiagonalGaussianNoise(level))
