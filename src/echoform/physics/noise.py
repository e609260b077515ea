"""Noise models: how measured samples scatter about A x.

Complex noise CN(0, s^2) has total variance s^2, s / sqrt 2 per real component; real noise N(0, s^2) has variance s^2.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from echoform.linalg.inner import expand


def standard_normal(like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Return CN(0, 1) for a complex ``like`` and N(0, 1) for a real one, of its shape, dtype and device."""
    device = like.device if generator is None else generator.device
    if like.is_complex():
        parts = torch.randn((*like.shape, 2), generator=generator, dtype=like.real.dtype, device=device)
        return torch.view_as_complex(parts.mul_(math.sqrt(0.5))).to(like.device)
    return torch.randn(like.shape, generator=generator, dtype=like.dtype, device=device).to(like.device)


class Noise(ABC):
    """A noise model: draws y given the clean samples and scores y given them."""

    sigma: Tensor

    @abstractmethod
    def sample(self, clean: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return y drawn given the clean samples, (B, *range_shape)."""

    @abstractmethod
    def log_prob(self, y: Tensor, clean: Tensor) -> Tensor:
        """Return log p(y | clean) of every entry, real, the shape of y (densities per sample, natural logarithm)."""

    @abstractmethod
    def to(self, device: torch.device) -> Noise:
        """Return the model with its parameters on ``device``."""


def _check_level(name: str, value: Tensor) -> None:
    if not bool((torch.isfinite(value) & (value >= 0)).all()) or value.ndim != 1:
        raise ValueError(f"{name} must be finite, non-negative and of shape (batch,) or (1,), got {value}")


def _log_normal(y: Tensor, clean: Tensor, variance: Tensor) -> Tensor:
    """Return the log density of CN or N(clean, variance) at y; of zero variance, the log probability of a point mass."""
    error, scatters = (y - clean).abs().square(), variance > 0
    safe = torch.where(scatters, variance, torch.ones_like(variance))
    if clean.is_complex():
        density = -error / safe - torch.log(torch.pi * safe)
    else:
        density = -error / (2 * safe) - 0.5 * torch.log(2 * torch.pi * safe)
    certain = torch.where(error == 0, 0.0, -math.inf).to(density)
    return torch.where(scatters, density, certain)


@dataclass(frozen=True)
class GaussianNoise(Noise):
    """White Gaussian noise: y = A x + n, n ~ CN(0, sigma^2) for complex samples, N(0, sigma^2) for real ones.

    Attributes:
        sigma: standard deviation, shape (B,) or (1,), in the unit of y.

    Raises:
        ValueError: sigma is negative, not finite or not one-dimensional.
    """

    sigma: Tensor

    def __post_init__(self) -> None:
        _check_level("sigma", self.sigma)

    def sample(self, clean: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return clean + sigma n."""
        level, drawn = expand(self.sigma.to(clean.real.dtype), clean.ndim - 1), standard_normal(clean, generator)
        if not clean.is_complex():
            return torch.addcmul(clean, level, drawn)
        parts = torch.addcmul(torch.view_as_real(clean.resolve_conj()), level[..., None], torch.view_as_real(drawn))
        return torch.view_as_complex(parts)

    def log_prob(self, y: Tensor, clean: Tensor) -> Tensor:
        """Return -|y - clean|^2 / s^2 - log(pi s^2) (complex) or -(y - clean)^2 / 2 s^2 - log(2 pi s^2) / 2 (real).

        Where s = 0 nothing scatters: the log probability, 0 where y = clean and -inf elsewhere.
        """
        return _log_normal(y, clean, expand(self.sigma.to(clean.real.dtype).square(), clean.ndim - 1))

    def to(self, device: torch.device) -> GaussianNoise:
        """Return the model with sigma on ``device``."""
        return GaussianNoise(self.sigma.to(device))


@dataclass(frozen=True)
class PoissonGaussianNoise(Noise):
    """Photon counts with read-out noise: y = g z + n, z ~ Poisson(A x / g), n ~ N(0, sigma^2), for real non-negative A x.

    Attributes:
        sigma: read-out standard deviation, shape (B,) or (1,).
        gain: g, the signal of one count, shape (B,) or (1,); zero makes the model purely Gaussian.

    Raises:
        ValueError: a level is negative or not finite, or clean samples are complex or negative.

    Source: RAM paper (Terris et al., 2025), equation 6.
    """

    sigma: Tensor
    gain: Tensor

    def __post_init__(self) -> None:
        _check_level("sigma", self.sigma)
        _check_level("gain", self.gain)

    def _levels(self, clean: Tensor) -> tuple[Tensor, Tensor]:
        if clean.is_complex() or bool((clean < 0).any()):
            raise ValueError("Poisson counts need real, non-negative clean samples; use GaussianNoise for complex ones")
        gain = expand(self.gain.to(clean.dtype), clean.ndim - 1).expand_as(clean)
        return gain, expand(self.sigma.to(clean.dtype), clean.ndim - 1)

    def sample(self, clean: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return g Poisson(clean / g) + sigma n."""
        gain, sigma = self._levels(clean)
        counted = gain > 0
        rate = torch.where(counted, clean / torch.where(counted, gain, torch.ones_like(gain)), torch.zeros_like(clean))
        place = clean.device if generator is None else generator.device
        counts = gain * torch.poisson(rate.to(place), generator=generator).to(clean.device)
        return torch.where(counted, counts, clean) + sigma * standard_normal(clean, generator)

    def log_prob(self, y: Tensor, clean: Tensor) -> Tensor:
        """Return the log density by the Gaussian of equal mean and variance g clean + sigma^2 (exact only for g = 0).

        Where the variance is zero nothing scatters: the log probability, 0 where y = clean and -inf elsewhere.
        """
        gain, sigma = self._levels(clean)
        return _log_normal(y, clean, gain * clean + sigma.square())

    def to(self, device: torch.device) -> PoissonGaussianNoise:
        """Return the model with its levels on ``device``."""
        return PoissonGaussianNoise(self.sigma.to(device), self.gain.to(device))
