"""The identity (denoising) and the blind sensor A = 0 (no measurement at all)."""

from __future__ import annotations

import torch
from torch import Tensor

from echoform.linalg.inner import expand
from echoform.linalg.spectrum import SpectralDensity
from echoform.physics.operator import LinearOperator


class ScalarOperator(LinearOperator):
    """A = g I with one real gain per sample: g = 1 is denoising, g = 0 a sensor that sees nothing.

    Coarse version: g U_s by the Galerkin default (U_s^H U_s is not a multiple of the identity).

    Args:
        domain_shape: (C, H, W).
        gain: shape (B,) or (1,), real; its precision decides between complex64 and complex128.
    """

    gain: Tensor

    def __init__(self, domain_shape: tuple[int, int, int], gain: Tensor) -> None:
        super().__init__(domain_shape, domain_shape)
        self.register_buffer("gain", gain)

    @property
    def dtype(self) -> torch.dtype:
        """Complex, of the gain's precision."""
        return torch.complex128 if self.gain.dtype == torch.float64 else torch.complex64

    def forward(self, x: Tensor) -> Tensor:
        """Return g x."""
        return expand(self.gain, 3) * x

    def adjoint(self, y: Tensor) -> Tensor:
        """Return g y."""
        return expand(self.gain, 3) * y

    def norm(self) -> Tensor:
        """Return |g|."""
        return self.gain.abs()

    def spectrum(self) -> SpectralDensity:
        """Return the single node g^2."""
        return SpectralDensity(self.gain.square()[:, None], torch.ones_like(self.gain)[:, None])

    def prox_from_backprojection(
        self,
        backprojection: Tensor,
        anchor: Tensor,
        weight: Tensor,
        *,
        tolerance: float = 1e-6,
        max_iterations: int = 50,
    ) -> Tensor:
        """Return (A^H y + w a) / (g^2 + w)."""
        w = expand(weight, 3)
        return (backprojection + w * anchor) / (expand(self.gain.square(), 3) + w)


def identity(domain_shape: tuple[int, int, int]) -> ScalarOperator:
    """Return A = I."""
    return ScalarOperator(domain_shape, torch.ones(1))


def blind(domain_shape: tuple[int, int, int]) -> ScalarOperator:
    """Return A = 0, with which a posterior denoiser becomes a denoiser."""
    return ScalarOperator(domain_shape, torch.zeros(1))
