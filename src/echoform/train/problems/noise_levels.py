"""Noise whose levels are stated in the unit of the samples, as photographers do, and what ratio to the signal that makes.

    y = g z + n,     z ~ Poisson(A x / g),  n ~ N(0, sigma^2)          (g = 0: y = A x + n)

Source: Terris et al. (2025), Reconstruct Anything Model, equation 6 and table 5.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from echoform.linalg.inner import squared_norm
from echoform.physics.noise import GaussianNoise, Noise, PoissonGaussianNoise
from echoform.physics.operator import LinearOperator
from echoform.scene.random_source import RandomSource


@dataclass(frozen=True)
class NoiseLevels:
    """Ranges of both levels.

    Attributes:
        sigma: of the read-out noise.
        gain: of the signal of one count; None where nothing is counted.
        counted: share of scenes with counts; the others have g = 0.
        logarithmic: whether it is the logarithm of a level that is uniform.
    """

    sigma: tuple[float, float]
    gain: tuple[float, float] | None = None
    counted: float = 0.5
    logarithmic: bool = False

    def draw(self, source: RandomSource, batch: int) -> Noise:
        """Return levels for ``batch`` scenes."""
        between = source.log_uniform if self.logarithmic else source.uniform
        sigma = between((batch,), *self.sigma)
        if self.gain is None:
            return GaussianNoise(sigma)
        gain = between((batch,), *self.gain)
        return PoissonGaussianNoise(sigma, torch.where(source.chance((batch,), self.counted), gain, 0 * gain))


def noise_level(clean: Tensor, operator: LinearOperator, snr_db: Tensor) -> Tensor:
    """Return sigma, (B,), of white noise ``snr_db`` (B,) below the mean power of the clean samples."""
    count = operator.samples().to(clean.real.dtype)
    return (squared_norm(clean, clean.ndim - 1) / count * 10 ** (-snr_db / 10)).sqrt()


def signal_to_noise_db(clean: Tensor, operator: LinearOperator, noise: Noise) -> Tensor:
    """Return the mean power of the clean samples over the mean variance of their noise, (B,), decibels."""
    count = operator.samples().to(clean.real.dtype)
    power = squared_norm(clean, clean.ndim - 1) / count
    variance = noise.sigma.square()
    if isinstance(noise, PoissonGaussianNoise):
        variance = variance + noise.gain * clean.flatten(1).sum(1) / count
    return 10 * torch.log10(power / variance)
