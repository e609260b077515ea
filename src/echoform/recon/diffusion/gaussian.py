"""Denoisers in closed form: one Gaussian, and a mixture of them, with any covariance, seen through any operator.

    x ~ N(m, C):             E[x | x_t] = m + C (C + s^2 I)^-1 (x_t - m),                        x_t = x + s e
    x ~ sum_k w_k N_k:       E[x | x_t] = sum_k p_k E_k[x | x_t],   p_k ~ w_k N(x_t; m_k, C_k + s^2 I)

Given y = A x + n a Gaussian stays Gaussian, C' = (C^-1 + A^H A / s_n^2)^-1 and m' = m + C' A^H (y - A m) / s_n^2, and a mixture a
mixture, its weights times the evidence N(y; A m_k, A C_k A^H + s_n^2 I). So the posterior denoiser of either is a denoiser of its
own kind. Everything is dense and in double precision: for tests and for small scenes. Complex Gaussians are circular.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from echoform.physics.noise import standard_normal
from echoform.physics.operator import LinearOperator


@dataclass(frozen=True)
class Gaussian:
    """A Gaussian over images of one shape; called with (x_t, s) it is its own denoiser.

    Attributes:
        shape: (C, H, W), n pixels in all.
        mean: m, (n,), float64 or complex128.
        values: eigenvalues of C, (n,), not negative.
        vectors: its eigenvectors, (n, n).
    """

    shape: tuple[int, int, int]
    mean: Tensor
    values: Tensor
    vectors: Tensor

    @staticmethod
    def of(shape: tuple[int, int, int], mean: Tensor, covariance: Tensor) -> Gaussian:
        """Return N(m, C) for a mean (n,) and a covariance (n, n)."""
        values, vectors = torch.linalg.eigh(covariance)
        return Gaussian(shape, mean, values.clamp_min(0), vectors)

    @property
    def covariance(self) -> Tensor:
        """C, (n, n)."""
        return (self.vectors * self.values) @ self.vectors.mH

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Return independent draws, (count, C, H, W)."""
        white = standard_normal(self.mean.expand(count, -1), generator)
        return (self.mean + (white * self.values.sqrt()) @ self.vectors.mT).reshape(count, *self.shape)

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Return E[x | x_t] for x_t (B, C, H, W) and s (1,) or (B,)."""
        away = (x.flatten(1).to(self.mean) - self.mean) @ self.vectors.conj()
        shrunk = away * (self.values / (self.values + sigma.double().square()[:, None]))
        return (self.mean + shrunk @ self.vectors.mT).reshape(x.shape).to(x.dtype)

    def log_density(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Return log N(x_t; m, C + s^2 I) up to a constant of the shape, (B,)."""
        away = (x.flatten(1).to(self.mean) - self.mean) @ self.vectors.conj()
        spread = self.values + sigma.double().square()[:, None]
        logs = -away.abs().square() / spread - torch.log(spread)
        return logs.sum(1) * (1.0 if self.mean.is_complex() else 0.5)

    def given(self, operator: LinearOperator, y: Tensor, sigma: float) -> tuple[Gaussian, float]:
        """Return the posterior given one measurement y (1, ...) with noise s_n, and the log evidence up to a constant of A."""
        matrix = dense(operator, self.shape).to(self.mean)
        residual = y.flatten().to(self.mean) - matrix @ self.mean
        total = matrix @ self.covariance @ matrix.mH
        total = total + sigma**2 * torch.eye(len(total), dtype=total.dtype)
        gain = torch.linalg.solve(total, matrix @ self.covariance).mH
        spread = self.covariance - gain @ matrix @ self.covariance
        mean = self.mean + gain @ residual
        fit = (residual.conj() @ torch.linalg.solve(total, residual)).real
        logs = float(-fit - torch.linalg.slogdet(total)[1]) * (1.0 if self.mean.is_complex() else 0.5)
        return Gaussian.of(self.shape, mean, (spread + spread.mH) / 2), logs


@dataclass(frozen=True)
class GaussianMixture:
    """A mixture of Gaussians over images; called with (x_t, s) it is its own denoiser.

    Attributes:
        weights: w, (K,), summing to one.
        parts: the K Gaussians.
    """

    weights: Tensor
    parts: Sequence[Gaussian]

    def probabilities(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Return p(k | x_t), (B, K)."""
        logs = torch.stack([part.log_density(x, sigma) for part in self.parts], 1)
        return torch.softmax(logs + self.weights.double().log(), 1)

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Return E[x | x_t] for x_t (B, C, H, W) and s (1,) or (B,)."""
        p = self.probabilities(x, sigma)
        means = torch.stack([part(x.to(part.mean), sigma) for part in self.parts], 1)
        return (p[:, :, None, None, None] * means).sum(1).to(x.dtype)

    def given(self, operator: LinearOperator, y: Tensor, sigma: float) -> GaussianMixture:
        """Return the posterior given one measurement y (1, ...) with noise s_n."""
        made = [part.given(operator, y, sigma) for part in self.parts]
        logs = self.weights.double().log() + torch.tensor([evidence for _, evidence in made], dtype=torch.float64)
        return GaussianMixture(torch.softmax(logs, 0), tuple(part for part, _ in made))


def dense(operator: LinearOperator, shape: tuple[int, int, int]) -> Tensor:
    """Return A as a matrix, (m, n), column by column."""
    pixels = torch.Size(shape).numel()
    columns = operator(torch.eye(pixels, dtype=operator.dtype).reshape(pixels, *shape))
    return columns.reshape(pixels, -1).mT
