"""Centred, orthonormal Fourier transforms of the last two axes: F = S FFT S^-1, |F x| = |x|."""

from __future__ import annotations

import torch
from torch import Tensor

AXES = (-2, -1)


def fft2c(x: Tensor) -> Tensor:
    """Return the centred orthonormal 2-D transform; zero frequency stands at index n // 2."""
    return torch.fft.fftshift(torch.fft.fft2(torch.fft.ifftshift(x, dim=AXES), norm="ortho"), dim=AXES)


def ifft2c(k: Tensor) -> Tensor:
    """Return the inverse (and adjoint) of :func:`fft2c`."""
    return torch.fft.fftshift(torch.fft.ifft2(torch.fft.ifftshift(k, dim=AXES), norm="ortho"), dim=AXES)


def circulant(spectrum: Tensor, x: Tensor) -> Tensor:
    """Apply the circulant operator whose eigenvalues are ``spectrum``, in FFT order: IFFT(spectrum FFT(x))."""
    return torch.fft.ifft2(spectrum * torch.fft.fft2(x))
