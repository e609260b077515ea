"""A measurement whose noise is white and of unit level, for methods that know one level only."""

from __future__ import annotations

from dataclasses import replace

import torch

from echoform.measure.measurement import Measurement
from echoform.physics.noise import GaussianNoise
from echoform.physics.noise_coloured import ColouredGaussianNoise, DiagonalGaussianNoise
from echoform.physics.whitening import whiten


def whitened(measurement: Measurement) -> Measurement:
    """Return (W y, W A, CN(0, 1)): the same knowledge of the same scene, in other samples.

    Raises:
        TypeError: the noise is not Gaussian.
        ValueError: a level is zero, or the noise does not fit the samples.
    """
    y, operator = whiten(measurement.y, measurement.operator, measurement.noise)
    unit = torch.ones(1, dtype=y.real.dtype, device=y.device)
    return replace(measurement, y=y, operator=operator, noise=GaussianNoise(unit))


def single_level(measurement: Measurement) -> Measurement:
    """Return the measurement itself where one level holds for all samples of a scene, whitened where the noise is not white.

    Raises:
        ValueError: a level is zero, or the noise does not fit the samples.
    """
    uneven = isinstance(measurement.noise, DiagonalGaussianNoise | ColouredGaussianNoise)
    return whitened(measurement) if uneven else measurement
