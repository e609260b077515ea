"""Clutter: the law by which a complex reflectivity scatters about its mean intensity.

    z = sqrt(m tau) u,    u ~ CN(0, 1),  tau >= 0 of mean one,    I = |z|^2,  E I = m

u is developed speckle, tau the texture, what the mean number of scatterers does from cell to cell. Every law has a phase that is
uniform and independent of the amplitude. Densities and moments are those of the intensity; of the amplitude a = |z| they
follow by p(a) = 2 a p(a^2) and E a^r = E I^(r/2). Moments need not exist; those of ln I always do:

    kappa_1 = E ln I,   kappa_2 = var ln I,   kappa_3 = E (ln I - kappa_1)^3,   kappa_n(I / m) = kappa_n(|u|^2) + kappa_n(tau)

Laws with a texture are in :mod:`echoform.scene.clutter_laws`.

Source: Ward (1981), Electronics Letters 17(16) (the product model); Nicolas (2002), Traitement du Signal 19(3) (log-cumulants).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import gammaincinv, ndtr
from torch import Tensor

from echoform.linalg.inner import expand


class Clutter(ABC):
    """A law of clutter whose parameters have shape (B,) or (1,), one for each scene or one for all."""

    def sample(self, mean_intensity: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return z, every pixel by itself: complex, of the shape and precision of ``mean_intensity``.

        Args:
            mean_intensity: m, (B, ...), real, not negative.
            generator: source of the draw.

        Raises:
            ValueError: m is complex, negative or not finite.
        """
        if mean_intensity.is_complex() or not bool((torch.isfinite(mean_intensity) & (mean_intensity >= 0)).all()):
            raise ValueError("mean_intensity must be real, finite and not negative; give |z|^2, not z")
        return mean_intensity.sqrt() * self._unit(mean_intensity, generator)

    def log_prob(self, intensity: Tensor, mean_intensity: Tensor) -> Tensor:
        """Return ln p(I | m) of every pixel; both arguments (B, ...), positive."""
        return self._log_density(intensity / mean_intensity) - mean_intensity.log()

    def cdf(self, intensity: Tensor, mean_intensity: Tensor) -> Tensor:
        """Return P(I' <= I | m) of every pixel."""
        return -torch.expm1(self._log_survival(intensity / mean_intensity))

    @abstractmethod
    def moment(self, order: float) -> Tensor:
        """Return E (I / m)^r, (B or 1,), float64; infinite where it does not exist. r > -1."""

    @abstractmethod
    def log_cumulants(self) -> Tensor:
        """Return kappa_1 to kappa_3 of ln (I / m), (3, B or 1), float64, natural logarithm."""

    @abstractmethod
    def _unit(self, like: Tensor, generator: torch.Generator | None) -> Tensor:
        """z of unit mean intensity, of the shape and precision of ``like``."""

    @abstractmethod
    def _log_density(self, x: Tensor) -> Tensor:
        """ln p(x) of I / m = x."""

    @abstractmethod
    def _log_survival(self, x: Tensor) -> Tensor:
        """ln P(I / m > x)."""


@dataclass(frozen=True)
class Speckle(Clutter):
    """Fully developed speckle: z = sqrt(m) u, so that I is exponential and |z| Rayleigh."""

    def moment(self, order: float) -> Tensor:
        """Return Gamma(1 + r)."""
        return speckle_moment(order)[None]

    def log_cumulants(self) -> Tensor:
        """Return psi(1), psi'(1), psi''(1)."""
        return polygammas(torch.ones(1, dtype=torch.float64))

    def _unit(self, like: Tensor, generator: torch.Generator | None) -> Tensor:
        return compound(torch.ones_like(like), generator)

    def _log_density(self, x: Tensor) -> Tensor:
        return -x

    def _log_survival(self, x: Tensor) -> Tensor:
        return -x


def compound(intensity: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Return sqrt(intensity) u, u ~ CN(0, 1), complex: developed speckle over a texture (..., H, W) that is known."""
    device = intensity.device if generator is None else generator.device
    parts = torch.randn((*intensity.shape, 2), generator=generator, dtype=intensity.dtype, device=device)
    return (0.5 * intensity).sqrt() * torch.view_as_complex(parts).to(intensity.device)


def standard_gamma(shape: Tensor, like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Return independent Gamma(shape, scale 1) numbers, of the shape and precision of ``like``; ``shape`` is (B,) or (1,)."""
    device = like.device if generator is None else generator.device
    full = expand(shape.to(device, like.dtype), like.ndim - 1).expand(like.shape).contiguous()
    # torch.distributions draws by this function too, but takes no generator.
    return torch._standard_gamma(full, generator=generator).to(like.device)  # pyright: ignore[reportPrivateImportUsage]


def gamma_quantiles(shape: np.ndarray, field: np.ndarray) -> np.ndarray:
    """Return the quantiles of Gamma(shape, scale 1) at the probabilities of standard normal numbers; arguments broadcast."""
    return gammaincinv(shape, ndtr(field))


def speckle_moment(order: float) -> Tensor:
    """Return E |u|^(2 r) = Gamma(1 + r), a scalar, float64.

    Raises:
        ValueError: r <= -1, for which no law of clutter has a moment.
    """
    if not order > -1:
        raise ValueError(f"moments of an intensity exist for orders above -1 only, got {order}")
    return torch.lgamma(torch.tensor(1 + order, dtype=torch.float64)).exp()


def polygammas(x: Tensor) -> Tensor:
    """Return psi(x), psi'(x), psi''(x), (3, B), float64: the cumulants of the logarithm of a Gamma(x, scale 1) number."""
    x = x.double()
    return torch.stack([torch.special.polygamma(n, x) for n in range(3)])


def check_parameter(name: str, value: Tensor, low: float, high: float) -> None:
    """Raise ValueError unless a law's parameter has shape (batch,) or (1,) and lies in (low, high]."""
    if value.ndim != 1 or not bool(((value > low) & (value <= high)).all()):
        raise ValueError(
            f"{name} must have shape (batch,) or (1,) and lie above {low:g} and not above {high:g}, got {value}"
        )
