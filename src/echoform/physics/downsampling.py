"""Super-resolution sensors: an anti-aliasing filter, then every f-th pixel.

    y[i] = sum_k w[k] x[f i + c - k],      c = (h // 2, h' // 2),  indices modulo the image

In Fourier space A folds H o X over f x f aliases, so A A^H is circulant on the grid of y with eigenvalues mean |H|^2, and

    prox = a + A^H (A A^H + w)^-1 (y - A a),

closed and free of any division by w alone. The coarse version is exactly Galerkin: with G_s the transfer of U_s, A U_s is
H G_s folded s times (s <= f: decimation by f / s on the coarse grid; s = f: a circular convolution on the grid of y) or folded
f times (s > f: that convolution of an image with s / f - 1 zeros inserted).

Bicubic and bilinear filters have |A| = 1 / f, as the official weights of RAM expect.

Source: Zhao et al. (2016), Fast single image super-resolution using a new analytical solution for l2-l2 problems, IEEE Trans.
Image Process. 25(8), theorem 1 (there in the form of a division by w).
"""

from __future__ import annotations

import torch
from torch import Tensor

from echoform.linalg.cg import USUAL, Stopping
from echoform.linalg.half_spectrum import decimated_image, folded, inserted_spectrum, spectrum_of
from echoform.linalg.inner import expand
from echoform.linalg.spectrum import SpectralDensity
from echoform.physics.compositions import GalerkinOperator
from echoform.physics.convolution import (
    CircularConvolution,
    GridFilter,
    checked_sides,
    circular_response,
    upsampling_transfer,
)
from echoform.physics.operator import LinearOperator, coarse_shape

#: of the cubic through four points with continuous slope (Keys)
CUBIC_PARAMETER = -0.5


class Downsampling(GridFilter):
    """Circular filter and decimation by f.

    Args:
        response: w on the image grid, what a point at row and column 0 becomes: (B or 1, C or 1, H, W), float32 or float64.
        factor: f.
        channels: C.
        complex_image: whether images are complex or real.

    Raises:
        ValueError: the response does not fit the channels, or a side is no multiple of f.
    """

    def __init__(self, response: Tensor, factor: int, channels: int, *, complex_image: bool = False) -> None:
        height, width = checked_sides(response, channels, factor)
        domain, measured = (channels, height, width), (channels, height // factor, width // factor)
        super().__init__(domain, measured, response, factor=factor, complex_image=complex_image)

    def forward(self, x: Tensor) -> Tensor:
        """Return the small image, (..., B, C, H / f, W / f)."""
        spectrum = self._needed(self.transfer) * spectrum_of(x)
        return decimated_image(spectrum, x.shape[-1], self.factor, complex_image=self.complex_image)

    def adjoint(self, y: Tensor) -> Tensor:
        """Return the correlation of the kernel with y between zeros."""
        spectrum = self._needed(self.transfer).conj() * inserted_spectrum(y, self.factor)
        return self._image(spectrum, self.domain_shape[-1])

    def galerkin(self, factor: int) -> LinearOperator:
        """Return A U_s exactly, on the coarse grid unless neither of s and f divides the other."""
        if factor == 1:
            return self
        channels, height, width = coarse_shape(self.domain_shape, factor)
        if self.factor % factor and factor % self.factor:
            return GalerkinOperator(self, factor)
        fine = torch.fft.fft2(self.response.double()) * upsampling_transfer(
            (factor * height, factor * width), factor, self.device
        )
        shared = min(factor, self.factor)
        response = torch.fft.ifft2(folded(fine, shared)).real.to(self.response.dtype)
        if factor < self.factor:
            return Downsampling(response, self.factor // factor, channels, complex_image=self.complex_image)
        return CircularConvolution(response, channels, factor=factor // self.factor, complex_image=self.complex_image)

    def spectrum(self) -> SpectralDensity:
        """Return the eigenvalues of A A^H with share 1 / f^2, and zero."""
        values = self.eigenvalues.flatten(1)
        density = SpectralDensity(values, torch.full_like(values, 1 / values.shape[1]))
        return density if self.factor == 1 else density.padded(1 / self.factor**2)

    def prox(self, y: Tensor, anchor: Tensor, weight: Tensor, stopping: Stopping = USUAL) -> Tensor:
        """Return a + A^H (A A^H + w)^-1 (y - A a), exact."""
        power = self._needed(self.eigenvalues)
        misfit = spectrum_of(y - self.forward(anchor)) / (power + expand(weight, 3))
        step = self.adjoint(self._image(misfit, y.shape[-1]))
        return anchor + step

    def prox_from_backprojection(
        self, backprojection: Tensor, anchor: Tensor, weight: Tensor, stopping: Stopping = USUAL
    ) -> Tensor:
        """Return :meth:`prox` with y = (A A^H)^-1 A (A^H y), what of y reaches A^H y."""
        power = self._needed(self.eigenvalues)
        seen = spectrum_of(self.forward(backprojection))
        known = torch.where(power > 0, seen / torch.where(power > 0, power, torch.ones_like(power)), 0 * seen)
        y = self._image(known, self.range_shape[-1])
        return self.prox(y, anchor, weight)


def downsampling(
    kernel: Tensor, factor: int, domain_shape: tuple[int, int, int], *, complex_image: bool = False
) -> Downsampling:
    """Return filter and decimation, of the geometry of deepinv's Downsampling with circular padding.

    Args:
        kernel: w, (B or 1, C or 1, h, h'), real, its centre at pixel (h // 2, h' // 2).
        factor: f.
        domain_shape: (C, H, W).
        complex_image: whether images are complex or real.
    """
    centre = (kernel.shape[-2] // 2, kernel.shape[-1] // 2)
    response = circular_response(kernel, domain_shape[1:], centre)
    return Downsampling(response, factor, domain_shape[0], complex_image=complex_image)


def bicubic_downsampling(
    domain_shape: tuple[int, int, int], factor: int, *, dtype: torch.dtype = torch.float32
) -> Downsampling:
    """Return :func:`downsampling` with the bicubic kernel, for real images of ``dtype``."""
    return downsampling(bicubic_kernel(factor, dtype=dtype), factor, domain_shape)


def bilinear_downsampling(
    domain_shape: tuple[int, int, int], factor: int, *, dtype: torch.dtype = torch.float32
) -> Downsampling:
    """Return :func:`downsampling` with the bilinear kernel, for real images of ``dtype``."""
    return downsampling(bilinear_kernel(factor, dtype=dtype), factor, domain_shape)


def bilinear_kernel(factor: int, *, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return the triangle of half width f, (1, 1, 2 f, 2 f), summing to one."""
    x = (torch.arange(2 * factor, dtype=torch.float64) + 0.5 - factor).abs() / factor
    return _separable(1 - x).to(dtype)


def bicubic_kernel(factor: int, *, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return the cubic convolution kernel of half width 2 f, (1, 1, 4 f, 4 f), summing to one.

    Source: Keys (1981), IEEE Trans. Acoust. Speech Signal Process. 29(6), equation 15 (a = -1/2).
    """
    a = CUBIC_PARAMETER
    x = (torch.arange(4 * factor, dtype=torch.float64) + 0.5 - 2 * factor).abs() / factor
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * (x**3 - 5 * x**2 + 8 * x - 4)
    return _separable(torch.where(x <= 1, near, far)).to(dtype)


def _separable(taps: Tensor) -> Tensor:
    taps = taps / taps.sum()
    return (taps[:, None] * taps)[None, None]
