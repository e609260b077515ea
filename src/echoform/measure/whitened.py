"""A measurement whose noise is white, for methods that know one level only."""

from __future__ import annotations

from dataclasses import replace

import torch

from echoform.linalg.inner import expand
from echoform.measure.measurement import Measurement
from echoform.physics.noise import GaussianNoise, Noise
from echoform.physics.noise_coloured import ColouredGaussianNoise, DiagonalGaussianNoise
from echoform.physics.whitening import whiten


def whitened(measurement: Measurement) -> Measurement:
    """Return (s W y, s W A, CN(0, s^2)), W C W^H = I: the same knowledge of the same scene, in other samples.

    s is the rms of the samples' levels, so that A keeps its size: the inverse of a level in volts is far from one.

    Raises:
        TypeError: the noise is not Gaussian.
        ValueError: a level is zero, or the noise does not fit the samples.
    """
    level = measurement.noise.sigma
    y, operator = whiten(measurement.y, measurement.operator, _relative(measurement.noise))
    return replace(measurement, y=y, operator=operator, noise=GaussianNoise(level.to(y.device, y.real.dtype)))


def _relative(noise: Noise) -> Noise:
    """Return the model over its rms level; as it is where that is zero, or the noise not Gaussian: both are refused later."""
    level = torch.where(noise.sigma > 0, noise.sigma, torch.ones_like(noise.sigma))
    match noise:
        case GaussianNoise():
            return GaussianNoise(noise.sigma / level)
        case DiagonalGaussianNoise():
            return DiagonalGaussianNoise(noise.deviation / expand(level, noise.deviation.ndim - 1))
        case ColouredGaussianNoise():
            return ColouredGaussianNoise(noise.covariance / expand(level.square(), 2), noise.axis)
        case _:
            return noise


def single_level(measurement: Measurement) -> Measurement:
    """Return the measurement itself where one level holds for all samples of a scene, whitened where the noise is not white.

    Raises:
        ValueError: a level is zero, or the noise does not fit the samples.
    """
    uneven = isinstance(measurement.noise, DiagonalGaussianNoise | ColouredGaussianNoise)
    return whitened(measurement) if uneven else measurement
