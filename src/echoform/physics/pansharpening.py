"""Pansharpening: a sharp image without colour and a coarse one with it.

    y = [D x ; sum_c r_c x_c],     D filter and decimation of every channel,  r the spectral response

D and the response are operators of their own, stacked: y holds the coarse channels first, then the sharp image.

Source: Vivone et al. (2014), IEEE Trans. Geosci. Remote Sens. 53(5), section II; deepinv's Pansharpen (r flat by default).
"""

from __future__ import annotations

import torch
from torch import Tensor

from echoform.linalg.inner import expand
from echoform.linalg.spectrum import SpectralDensity
from echoform.physics.downsampling import downsampling
from echoform.physics.identity import ScalarOperator
from echoform.physics.operator import GalerkinOperator, LinearOperator, coarse_shape
from echoform.physics.stacked import StackedOperator


class SpectralResponse(LinearOperator):
    """y = sum_c r_c x_c in every pixel: A^H A is r r^T there, so that all but the coarse grid is closed.

    Coarse version: exactly Galerkin, U_s after the coarse response, on one channel instead of C.

    Args:
        response: r, (B or 1, C), float32 or float64, the precision of the images.
        height: H.
        width: W.
        complex_image: whether images are complex or real.
    """

    response: Tensor

    def __init__(self, response: Tensor, height: int, width: int, *, complex_image: bool = False) -> None:
        if response.ndim != 2 or response.is_complex():
            raise ValueError(
                f"response must be real, (batch, channels), got {tuple(response.shape)} of {response.dtype}"
            )
        super().__init__((response.shape[1], height, width), (1, height, width))
        self.complex_image = complex_image
        self.register_buffer("response", response)

    @property
    def dtype(self) -> torch.dtype:
        """Complex or real, of the response's precision."""
        return self.response.dtype.to_complex() if self.complex_image else self.response.dtype

    def forward(self, x: Tensor) -> Tensor:
        """Return the weighted sum of channels, (..., B, 1, H, W)."""
        return (expand(self.response, 2) * x).sum(-3, keepdim=True)

    def adjoint(self, y: Tensor) -> Tensor:
        """Return r_c y, (..., B, C, H, W)."""
        return expand(self.response, 2) * y

    def galerkin(self, factor: int) -> LinearOperator:
        """Return U_s of the response on the coarse grid: the two commute."""
        if factor == 1:
            return self
        _, height, width = coarse_shape(self.domain_shape, factor)
        one = torch.ones(1, dtype=self.response.dtype, device=self.device)
        fine = ScalarOperator((1, *self.domain_shape[1:]), one, complex_image=self.complex_image)
        coarse = SpectralResponse(self.response, height, width, complex_image=self.complex_image)
        return GalerkinOperator(fine, factor) @ coarse

    def coisometry(self) -> Tensor:
        """Return |r|^2."""
        return self.response.square().sum(1)

    def norm(self) -> Tensor:
        """Return |r|."""
        return self.coisometry().sqrt()

    def spectrum(self) -> SpectralDensity:
        """Return |r|^2 with share 1 / C, and zero."""
        power = self.coisometry()[:, None]
        return SpectralDensity(power, torch.ones_like(power)).padded(1 / self.domain_shape[0])

    def prox_from_backprojection(
        self,
        backprojection: Tensor,
        anchor: Tensor,
        weight: Tensor,
        *,
        tolerance: float = 1e-6,
        max_iterations: int = 50,
    ) -> Tensor:
        """Return a + (A^H y - A^H A a) / (|r|^2 + w): both lie along r."""
        return anchor + (backprojection - self.normal(anchor)) / expand(self.coisometry() + weight, 3)


def pansharpening(
    kernel: Tensor,
    factor: int,
    domain_shape: tuple[int, int, int],
    *,
    response: Tensor | None = None,
    complex_image: bool = False,
) -> StackedOperator:
    """Return the stack of :func:`downsampling` and :class:`SpectralResponse`.

    Args:
        kernel: of the filter, (B or 1, C or 1, h, h').
        factor: f.
        domain_shape: (C, H, W).
        response: r, (B or 1, C); 1 / C for each channel when absent (a flat response).
        complex_image: whether images are complex or real.
    """
    channels, height, width = domain_shape
    if response is None:
        response = torch.full((1, channels), 1 / channels, dtype=kernel.dtype, device=kernel.device)
    coarse = downsampling(kernel, factor, domain_shape, complex_image=complex_image)
    return StackedOperator([coarse, SpectralResponse(response, height, width, complex_image=complex_image)])
