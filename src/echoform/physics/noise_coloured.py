"""Gaussian noise that is not white: a level of its own for every sample, or correlated along one axis.

    diagonal    n_i ~ CN(0, sigma_i^2)              coloured    n ~ CN(0, C) along an axis, lines independent

with N in the place of CN, and C real, for real samples. :mod:`echoform.physics.whitening` turns either into unit white noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from echoform.physics.noise import Noise, standard_normal


@dataclass(frozen=True)
class DiagonalGaussianNoise(Noise):
    """Independent noise with a level per sample: y = A x + sigma_i n_i, n_i ~ CN(0, 1) or N(0, 1).

    Attributes:
        deviation: sigma_i, broadcasting over (B or 1, *range_shape), in the unit of y.
        sigma: the rms of the levels, (B or 1,): what the noise is like to a method that knows one level only.

    Raises:
        ValueError: a level is negative or not finite.
    """

    deviation: Tensor
    sigma: Tensor = field(init=False)

    def __post_init__(self) -> None:
        if self.deviation.ndim < 2 or not bool((torch.isfinite(self.deviation) & (self.deviation >= 0)).all()):
            raise ValueError(
                "deviation must be finite, non-negative and of shape (batch, *range_shape) or broadcast over it, "
                f"got {tuple(self.deviation.shape)} from {float(self.deviation.min()):g}"
            )
        object.__setattr__(self, "sigma", self.deviation.square().flatten(1).mean(1).sqrt())

    def sample(self, clean: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return clean + sigma_i n_i."""
        return clean + self.deviation.to(clean.real.dtype) * standard_normal(clean, generator)

    def log_prob(self, y: Tensor, clean: Tensor) -> Tensor:
        """Return the log density of CN(clean_i, sigma_i^2) or N(clean_i, sigma_i^2) for every entry."""
        level = self.deviation.to(clean.real.dtype)
        return unit_log_prob((y - clean) / level) - (2 if clean.is_complex() else 1) * level.log()

    def variance(self, range_shape: tuple[int, ...]) -> Tensor:
        """Return sigma_i^2, (B or 1, *range_shape)."""
        return self.deviation.square().expand(-1, *range_shape)

    def to(self, device: torch.device) -> DiagonalGaussianNoise:
        """Return the model with its levels on ``device``."""
        return DiagonalGaussianNoise(self.deviation.to(device))


@dataclass(frozen=True)
class ColouredGaussianNoise(Noise):
    """Noise correlated along one axis of the samples: every line along it is CN(0, C) or N(0, C), independent of the others.

    Attributes:
        covariance: C = E n n^H, (B or 1, n, n), Hermitian and positive definite, complex (for complex samples) or real.
        axis: of range_shape, counted from 0.
        sigma: square root of the mean variance, (B or 1,).

    Raises:
        ValueError: the covariance is not square, not Hermitian or not positive definite, or the axis is negative.
    """

    covariance: Tensor
    axis: int
    sigma: Tensor = field(init=False)

    def __post_init__(self) -> None:
        c = self.covariance
        if c.ndim != 3 or c.shape[1] != c.shape[2] or self.axis < 0:
            raise ValueError(f"covariance must be (batch, n, n) and axis from 0, got {tuple(c.shape)} and {self.axis}")
        scale = c.abs().amax()
        if not bool(((c - c.mH).abs() <= 1e-5 * scale).all()):
            raise ValueError("covariance must be Hermitian and finite: C[i, j] = conj(C[j, i])")
        if bool((torch.linalg.cholesky_ex(c).info != 0).any()):
            raise ValueError("covariance must be positive definite; add a small multiple of the identity")
        object.__setattr__(self, "sigma", c.diagonal(dim1=1, dim2=2).real.mean(1).sqrt())

    def sample(self, clean: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return clean + L n along the axis, with C = L L^H."""
        return clean + self._along(self._factor(clean), standard_normal(clean, generator))

    def log_prob(self, y: Tensor, clean: Tensor) -> Tensor:
        """Return log p(y_i | y_1 .. y_{i-1}, clean) of every entry, whose sum along the axis is the density of the line."""
        factor = self._factor(clean)
        whitened = self._along(torch.linalg.inv(factor), y - clean)
        logs = self._laid(factor.diagonal(dim1=1, dim2=2).real.log(), clean.ndim - 1)
        return unit_log_prob(whitened) - (2 if clean.is_complex() else 1) * logs

    def variance(self, range_shape: tuple[int, ...]) -> Tensor:
        """Return C_ii laid along the axis, (B or 1, *range_shape)."""
        levels = self._laid(self.covariance.diagonal(dim1=1, dim2=2).real, len(range_shape))
        return levels.expand(-1, *range_shape)

    def to(self, device: torch.device) -> ColouredGaussianNoise:
        """Return the model with its covariance on ``device``."""
        return ColouredGaussianNoise(self.covariance.to(device), self.axis)

    def _factor(self, clean: Tensor) -> Tensor:
        """L of C = L L^H, in the dtype of the samples."""
        if self.covariance.is_complex() and not clean.is_complex():
            raise ValueError("real samples need a real covariance; give its real part if that is what it means")
        return torch.linalg.cholesky(self.covariance).to(clean.dtype)

    def _laid(self, values: Tensor, ndim: int) -> Tensor:
        """(B, n) -> (B, 1, .., n, .., 1) with n at the axis."""
        return values.reshape(len(values), *[1] * self.axis, -1, *[1] * (ndim - self.axis - 1))

    def _along(self, matrix: Tensor, value: Tensor) -> Tensor:
        lines = value.movedim(self.axis + 1, -1)
        result = lines.reshape(lines.shape[0], -1, lines.shape[-1]) @ matrix.mT
        return result.reshape(lines.shape).movedim(-1, self.axis + 1)


def unit_log_prob(error: Tensor) -> Tensor:
    """Return the log density of CN(0, 1), -|z|^2 - log pi, or of N(0, 1), -z^2 / 2 - log(2 pi) / 2, entry by entry."""
    if error.is_complex():
        return -error.abs().square() - math.log(math.pi)
    return -error.square() / 2 - math.log(2 * math.pi) / 2


def toeplitz_covariance(autocovariance: Tensor) -> Tensor:
    """Return C[i, j] = r[i - j] with r[-k] = conj(r[k]): noise whose statistics are the same all along the axis.

    Args:
        autocovariance: r[0], r[1], ..., r[n - 1], (B, n), real or complex.

    Returns:
        (B, n, n).
    """
    n = torch.arange(autocovariance.shape[1], device=autocovariance.device)
    lag = n[:, None] - n[None, :]
    values = autocovariance[:, lag.abs()]
    return torch.where(lag >= 0, values, values.conj()) if values.is_complex() else values


def spectral_covariance(density: Tensor, count: int) -> Tensor:
    """Return the covariance of ``count`` samples of stationary complex noise of a known power spectrum.

        r[k] = (1 / K) sum_j S_j exp(2 pi i j k / K)

    Args:
        density: S at the frequencies j / K cycles per sample (FFT order), (B, K), K >= 2 count - 1, so that r does not repeat
            within the line; white noise of variance s^2 has S = s^2.
        count: n.

    Raises:
        ValueError: the spectrum is not positive or has too few frequencies.
    """
    if density.ndim != 2 or density.shape[1] < 2 * count - 1 or not bool((density > 0).all()):
        raise ValueError(
            f"density must be positive and (batch, K) with K >= {2 * count - 1}, got {tuple(density.shape)}"
        )
    return toeplitz_covariance(torch.fft.ifft(density.double(), dim=1)[:, :count])
