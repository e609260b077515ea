"""Pansharpening: a sharp image without colour and a coarse one with it.

    y = [D x ; sum_c r_c x_c],     D filter and decimation of every channel,  r the spectral response

D and the response are operators of their own, stacked: y holds the coarse channels first, then the sharp image. Where D treats
all channels alike, A^H A = D^H D + r r^T acts on the part of an image along r as D^H D + |r|^2 and across it as D^H D, so that
norm, spectrum and prox are closed.

Source: Vivone et al. (2014), IEEE Trans. Geosci. Remote Sens. 53(5), section II; deepinv's Pansharpen (r flat by default).
"""

from __future__ import annotations

import torch
from torch import Tensor

from echoform.linalg.cg import USUAL, Stopping
from echoform.linalg.inner import expand
from echoform.linalg.spectrum import SpectralDensity, mixture
from echoform.physics.compositions import GalerkinOperator
from echoform.physics.downsampling import Downsampling, downsampling
from echoform.physics.identity import ScalarOperator
from echoform.physics.operator import LinearOperator, coarse_shape
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
        self, backprojection: Tensor, anchor: Tensor, weight: Tensor, stopping: Stopping = USUAL
    ) -> Tensor:
        """Return a + (A^H y - A^H A a) / (|r|^2 + w): both lie along r."""
        return anchor + (backprojection - self.normal(anchor)) / expand(self.coisometry() + weight, 3)


class PanSharpening(StackedOperator):
    """The stack of a :class:`Downsampling` that treats all channels alike and a :class:`SpectralResponse`.

    Args:
        coarse: D.
        sharp: the response r, not zero.

    Raises:
        ValueError: D differs between channels, or r is zero.
    """

    def __init__(self, coarse: Downsampling, sharp: SpectralResponse) -> None:
        if coarse.response.shape[1] != 1:
            raise ValueError(
                "channels have filters of their own: stack the two sensors instead (physics.stacked.stack)"
            )
        if not bool((sharp.coisometry() > 0).all()):
            raise ValueError("the spectral response is zero for at least one sensor; leave out the sharp image")
        super().__init__([coarse, sharp])

    @property
    def coarse(self) -> Downsampling:
        """D; since its filter is alike for all channels it takes images of one channel too."""
        return self.parts[0]  # pyright: ignore[reportReturnType]

    @property
    def sharp(self) -> SpectralResponse:
        """The response."""
        return self.parts[1]  # pyright: ignore[reportReturnType]

    def norm(self) -> Tensor:
        """Return sqrt(|D|^2 + |r|^2)."""
        return (self.coarse.norm().square() + self.sharp.coisometry()).sqrt()

    def spectrum(self) -> SpectralDensity:
        """Return the density of D^H D, moved up by |r|^2 in the share 1 / C of the images along r."""
        across, share = self.coarse.spectrum(), 1 / self.domain_shape[0]
        along = SpectralDensity(across.nodes + self.sharp.coisometry()[:, None], across.weights)
        return mixture([(along, share), (across, 1 - share)])

    def prox(self, y: Tensor, anchor: Tensor, weight: Tensor, stopping: Stopping = USUAL) -> Tensor:
        """Return the prox of D across r, and along r that with weight |r|^2 + w about (|r| y_r + w a) / (|r|^2 + w)."""
        coarse, sharp = self.pieces(y)
        power = self.sharp.coisometry()
        w, length = expand(weight, 3), expand(power.sqrt(), 3)
        start = self._along(anchor)
        blended = (length * sharp + w * start) / (length.square() + w)
        along = self.coarse.prox(self._along(coarse), blended, power + weight)
        across = self.coarse.prox(coarse, anchor, weight)
        return across + self._direction() * (along - self._along(across))

    def prox_from_backprojection(
        self, backprojection: Tensor, anchor: Tensor, weight: Tensor, stopping: Stopping = USUAL
    ) -> Tensor:
        """Return :meth:`prox`: across r A^H y is D^H y_D; along r b / v - D^H (D D^H + v)^-1 D b / v, v = |r|^2 + w."""
        power = self.sharp.coisometry() + weight
        whole = self._along(backprojection) + expand(weight, 3) * self._along(anchor)
        scaled = whole / expand(power, 3)
        along = self.coarse.prox(torch.zeros_like(self.coarse(scaled)), scaled, power)
        coarse = backprojection - self._direction() * self._along(backprojection)
        across = self.coarse.prox_from_backprojection(coarse, anchor, weight)
        return across + self._direction() * (along - self._along(across))

    def _direction(self) -> Tensor:
        """r / |r|, (B or 1, C, 1, 1)."""
        response = self.sharp.response
        return expand(response / response.norm(dim=1, keepdim=True), 2)

    def _along(self, image: Tensor) -> Tensor:
        """The part of every pixel along r, (..., B, 1, H, W)."""
        return (self._direction() * image).sum(-3, keepdim=True)


def pansharpening(
    kernel: Tensor,
    factor: int,
    domain_shape: tuple[int, int, int],
    *,
    response: Tensor | None = None,
    complex_image: bool = False,
) -> StackedOperator:
    """Return :func:`downsampling` and :class:`SpectralResponse`, as :class:`PanSharpening` where all channels are filtered alike.

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
    sharp = SpectralResponse(response, height, width, complex_image=complex_image)
    return PanSharpening(coarse, sharp) if kernel.shape[1] == 1 else StackedOperator([coarse, sharp])
