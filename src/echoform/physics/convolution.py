"""Blur: circular convolution by FFT, and the "valid" one, which keeps only pixels whose neighbourhood lies in the image.

    y[i] = sum_k w[k] x[i + c - k]

A true convolution (the kernel is not a correlation template). Circular: c = (h // 2, h' // 2) for a kernel of h x h' pixels,
indices modulo the image, H = FFT(w) its eigenvalues. Valid: c = (h - 1, h' - 1), y has (H - h + 1) x (W - h' + 1) pixels, and
is the lower right corner of the circular result, none of whose pixels has wrapped around.

The coarse version of a circular convolution is exactly Galerkin: inserting zeros repeats the coarse spectrum s x s times, so

    A U_s x = IFFT(H G_s o tile(FFT x)),      G_s the transfer of the Kaiser-sinc filter,

whose normal is circulant on the coarse grid, its eigenvalues the mean of |H G_s|^2 over aliases.
"""

from __future__ import annotations

import torch
from torch import Tensor

from echoform.linalg.cg import USUAL, Stopping
from echoform.linalg.half_spectrum import (
    columns_needed,
    decimated_image,
    folded,
    image_of,
    inserted_spectrum,
    spectrum_of,
)
from echoform.linalg.inner import expand
from echoform.linalg.resample import kaiser_sinc
from echoform.linalg.spectrum import SpectralDensity
from echoform.physics.compositions import ComposedOperator
from echoform.physics.crop import CropOperator
from echoform.physics.operator import LinearOperator, coarse_shape


class GridFilter(LinearOperator):
    """What circular filters with a change of rate share: the response w, its transfer H and the mean of |H|^2 over aliases.

    Args:
        domain_shape: (C, H, W) of the image.
        range_shape: that of the measurement; one of the two is the grid of the response.
        response: w on the fine grid, what a point at row and column 0 becomes: (B or 1, C or 1, H, W), float32 or float64,
            the precision of the images.
        factor: between the fine grid and the other one.
        complex_image: whether images are complex or real.
    """

    response: Tensor
    transfer: Tensor
    eigenvalues: Tensor

    def __init__(
        self,
        domain_shape: tuple[int, int, int],
        range_shape: tuple[int, int, int],
        response: Tensor,
        *,
        factor: int,
        complex_image: bool,
    ) -> None:
        super().__init__(domain_shape, range_shape)
        self.factor = factor
        self.complex_image = complex_image
        transfer = torch.fft.fft2(response.double())
        self.register_buffer("response", response)
        self.register_buffer("transfer", transfer.to(response.dtype.to_complex()))
        power = torch.view_as_real(transfer).square().sum(-1)
        self.register_buffer("eigenvalues", folded(power, factor).to(response.dtype))

    @property
    def dtype(self) -> torch.dtype:
        """Complex or real, of the response's precision."""
        return self.transfer.dtype if self.complex_image else self.response.dtype

    def norm(self) -> Tensor:
        """Return the root of the largest mean of |H|^2 over aliases."""
        return self.eigenvalues.flatten(1).amax(1).sqrt()

    def _needed(self, full: Tensor) -> Tensor:
        return columns_needed(full, complex_image=self.complex_image)

    def _image(self, spectrum: Tensor, width: int) -> Tensor:
        return image_of(spectrum, width, complex_image=self.complex_image)


class CircularConvolution(GridFilter):
    """y = w * (x with zeros inserted), indices modulo the image: diagonal in Fourier space.

    Args:
        response: w on the grid of y, what a point at row and column 0 becomes: (B or 1, C or 1, H, W), float32 or float64,
            the precision of the images.
        channels: C.
        factor: s, by how much the image grid is coarser than that of y; 1 for a sensor as built by a user.
        complex_image: whether images are complex or real.

    Raises:
        ValueError: the response does not fit the channels, or a side is no multiple of ``factor``.
    """

    def __init__(self, response: Tensor, channels: int, *, factor: int = 1, complex_image: bool = False) -> None:
        height, width = checked_sides(response, channels, factor)
        domain, measured = (channels, height // factor, width // factor), (channels, height, width)
        super().__init__(domain, measured, response, factor=factor, complex_image=complex_image)

    def forward(self, x: Tensor) -> Tensor:
        """Return the blurred image, (..., B, C, H, W)."""
        return self._image(self._needed(self.transfer) * inserted_spectrum(x, self.factor), self.range_shape[-1])

    def adjoint(self, y: Tensor) -> Tensor:
        """Return the correlation of y with the kernel, at every ``factor``-th pixel."""
        spectrum = self._needed(self.transfer).conj() * spectrum_of(y)
        return decimated_image(spectrum, y.shape[-1], self.factor, complex_image=self.complex_image)

    def normal(self, x: Tensor) -> Tensor:
        """Return A^H A x, circulant on the grid of x."""
        return self._image(self._needed(self.eigenvalues) * spectrum_of(x), x.shape[-1])

    def galerkin(self, factor: int) -> CircularConvolution:
        """Return A U_s exactly, at the cost of the coarse grid for its normal and prox."""
        if factor == 1:
            return self
        coarse_shape(self.domain_shape, factor)  # raises when the sides do not divide
        filtering = upsampling_transfer(self.domain_shape[1:], factor, self.device).repeat(self.factor, self.factor)
        combined = torch.fft.ifft2(torch.fft.fft2(self.response.double()) * filtering).real
        return CircularConvolution(
            combined.to(self.response.dtype),
            self.domain_shape[0],
            factor=self.factor * factor,
            complex_image=self.complex_image,
        )

    def spectrum(self) -> SpectralDensity:
        """Return all eigenvalues, each with the same weight."""
        values = self.eigenvalues.flatten(1)
        return SpectralDensity(values, torch.full_like(values, 1 / values.shape[1]))

    def prox(self, y: Tensor, anchor: Tensor, weight: Tensor, stopping: Stopping = USUAL) -> Tensor:
        """Return IFFT((conj(H) FFT y + w FFT a) / (|H|^2 + w)): A^H y never leaves the spectrum, so none of its rounding
        is divided by a small w.
        """
        if self.factor > 1:
            return super().prox(y, anchor, weight)
        return self._blended(self._needed(self.transfer).conj() * spectrum_of(y), anchor, weight)

    def prox_from_backprojection(
        self, backprojection: Tensor, anchor: Tensor, weight: Tensor, stopping: Stopping = USUAL
    ) -> Tensor:
        """Return IFFT((FFT(A^H y) + w FFT a) / (|H|^2 + w)); the anchor's own spectrum where H is zero."""
        return self._blended(spectrum_of(backprojection), anchor, weight)

    def _blended(self, known: Tensor, anchor: Tensor, weight: Tensor) -> Tensor:
        w, power, start = expand(weight, 3), self._needed(self.eigenvalues), spectrum_of(anchor)
        return self._image(torch.where(power > 0, (known + w * start) / (power + w), start), anchor.shape[-1])


def circular_blur(
    kernel: Tensor, domain_shape: tuple[int, int, int], *, complex_image: bool = False
) -> CircularConvolution:
    """Return the circular convolution with a kernel whose centre is its pixel (h // 2, h' // 2), as deepinv's BlurFFT.

    Args:
        kernel: w, (B or 1, C or 1, h, h'), real; one larger than the image wraps around.
        domain_shape: (C, H, W).
        complex_image: whether images are complex or real.
    """
    centre = (kernel.shape[-2] // 2, kernel.shape[-1] // 2)
    response = circular_response(kernel, domain_shape[1:], centre)
    return CircularConvolution(response, domain_shape[0], complex_image=complex_image)


def valid_blur(kernel: Tensor, domain_shape: tuple[int, int, int], *, complex_image: bool = False) -> ComposedOperator:
    """Return the convolution without padding, (C, H - h + 1, W - h' + 1), as deepinv's Blur: four FFTs for its normal.

    Args:
        kernel: w, (B or 1, C or 1, h, h'), real.
        domain_shape: (C, H, W).
        complex_image: whether images are complex or real.

    Raises:
        ValueError: the kernel is larger than the image.
    """
    (channels, height, width), (rows, columns) = domain_shape, kernel.shape[-2:]
    if rows > height or columns > width:
        raise ValueError(f"a kernel of {rows} x {columns} pixels leaves nothing of an image of {height} x {width}")
    whole = CircularConvolution(
        circular_response(kernel, (height, width), (0, 0)), channels, complex_image=complex_image
    )
    kept = (channels, height - rows + 1, width - columns + 1)
    return CropOperator(domain_shape, kept, origin=(rows - 1, columns - 1), dtype=whole.dtype) @ whole


def circular_response(kernel: Tensor, shape: tuple[int, int], centre: tuple[int, int]) -> Tensor:
    """Return the kernel on the image grid, its pixel ``centre`` at row and column 0, wrapped around, (B, C, H, W).

    Raises:
        ValueError: the kernel has not four axes.
    """
    if kernel.ndim != 4:
        raise ValueError(f"a kernel must have axes (batch, channel, row, column), got shape {tuple(kernel.shape)}")
    response = kernel
    for axis, size, origin in zip((-2, -1), shape, centre, strict=True):
        place = (torch.arange(response.shape[axis], device=kernel.device) - origin) % size
        empty = response.new_zeros(*response.shape[: axis % 4], size, *response.shape[axis % 4 + 1 :])
        response = empty.index_add(axis, place, response)
    return response


def upsampling_transfer(shape: tuple[int, int], factor: int, device: torch.device) -> Tensor:
    """Return G_s, the transfer of U_s after zeros are inserted, (H, W) in FFT order on the fine grid, complex128."""
    taps = torch.from_numpy(kaiser_sinc(factor)).to(device)
    parts = []
    for size in shape:
        place = (torch.arange(len(taps), device=device) - 2 * factor + 1) % size
        parts.append(torch.fft.fft(taps.new_zeros(size).index_add(0, place, taps)))
    return parts[0][:, None] * parts[1]


def checked_sides(response: Tensor, channels: int, factor: int) -> tuple[int, int]:
    """Return (H, W) of a response; raises ValueError unless it fits the channels and ``factor`` divides both."""
    if response.ndim != 4 or response.is_complex() or response.shape[1] not in (1, channels):
        raise ValueError(
            f"response must be real, (batch, 1 or {channels}, row, column), got {tuple(response.shape)} of {response.dtype}"
        )
    height, width = response.shape[-2:]
    if height % factor or width % factor:
        raise ValueError(f"a grid of {height} x {width} cannot be divided by {factor}: pad it first")
    return height, width
