"""Separable Kaiser-windowed sinc resampling between a grid and the grid ``factor`` times coarser.

Downsampling is a circular convolution with h (x) h followed by decimation; upsampling U is its transpose:

    (D x)[m] = sum_k h[k] x[s m + k - 2 s + 1],    k = 0 .. 4 s - 1,    sum_k h[k] = 1,    U = D^T.

A coarse pixel m therefore stands at fine position s m + 1/2. The network's official weights expect exactly this
filter (RAM paper, section 3, "Multiscale operator conditioning"; Kaiser and Schafer, 1980).
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

#: position of coarse pixel 0 on the fine grid, in fine pixels
COARSE_ORIGIN = 0.5


@lru_cache(maxsize=32)
def kaiser_sinc(factor: int) -> np.ndarray:
    """Return the 4 * factor filter taps h (float64), summing to one.

    The Kaiser parameter follows from the transition width df = 2 (2 - sqrt 2) / factor by Kaiser's rule for the
    attenuation a = 2.285 (L - 1) pi df + 7.95.
    """
    length = 4 * factor
    n = np.arange(length) - (length - 1) / 2
    attenuation = 2.285 * (length - 1) * math.pi * 2 * (2 - math.sqrt(2)) / factor + 7.95
    if attenuation <= 21:
        beta = 0.0
    elif attenuation <= 50:
        beta = 0.5842 * (attenuation - 21) ** 0.4 + 0.07886 * (attenuation - 21)
    else:
        beta = 0.1102 * (attenuation - 8.7)
    taps = np.sinc(n / factor) * np.kaiser(length, beta)
    return taps / taps.sum()


def transfer(factor: int, frequency: Tensor) -> Tensor:
    """Return H(k) = sum_l h[l] exp(i k (l - 2 s + 1 - 1/2)), the real response of U about the coarse pixel.

    Args:
        factor: the resampling factor s.
        frequency: spatial frequency k in radians per fine pixel, any shape.
    """
    taps = kaiser_sinc(factor)
    half = len(taps) // 2
    # cos((j + 1/2) k) from the two before it, with signs + + - - so that each is a sum; j = -1 and j = 0 are the same
    wave = torch.cos(frequency / 2)
    before, twice, sign = -wave, 4 * wave.square() - 2, 1
    response = 2 * float(taps[half]) * wave
    for j in range(1, half):
        before, wave = wave, torch.addcmul(before, twice, wave, value=sign)
        response = torch.add(response, wave, alpha=(-1) ** (j // 2) * 2 * float(taps[half + j]))
        sign = -sign
    return response


@lru_cache(maxsize=128)
def _down_matrix(size: int, factor: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    if size % factor:
        raise ValueError(f"image side {size} is not a multiple of the coarsening factor {factor}; pad the image first")
    taps = kaiser_sinc(factor)
    matrix = np.zeros((size // factor, size))
    for m in range(size // factor):
        for k, tap in enumerate(taps):
            matrix[m, (factor * m + k - 2 * factor + 1) % size] += tap
    return torch.from_numpy(matrix).to(device=device, dtype=dtype)


def upsampling_matrix(size: int, factor: int, *, device: torch.device | None = None) -> Tensor:
    """Return the 1-D matrix of U, shape (size, size / factor), float64: U x is rows @ x @ columns^T.

    Raises:
        ValueError: ``size`` is no multiple of ``factor``.
    """
    device = torch.device("cpu") if device is None else device
    if factor == 1:
        return torch.eye(size, dtype=torch.float64, device=device)
    return _down_matrix(size, factor, torch.float64, device).mT


def separable(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return rows @ x @ columns^T of images (..., H, W) for real matrices; the parts of complex images go apart.

    A product with pairs (real, imaginary) along the last axis would be ten times slower on a CPU.
    """
    if x.is_complex():
        plain = x.resolve_conj()
        return torch.complex(separable(plain.real, rows, columns), separable(plain.imag, rows, columns))
    return rows @ (x @ columns.mT)


def _real_dtype(x: Tensor) -> torch.dtype:
    return x.real.dtype if x.is_complex() else x.dtype


def downsample(x: Tensor, factor: int) -> Tensor:
    """Return D x of shape (..., H / factor, W / factor); raises ValueError when a side is no multiple of ``factor``."""
    if factor == 1:
        return x
    kind = (_real_dtype(x), x.device)
    return separable(x, _down_matrix(x.shape[-2], factor, *kind), _down_matrix(x.shape[-1], factor, *kind))


def upsample(x: Tensor, factor: int) -> Tensor:
    """Return U x = D^T x of shape (..., factor H, factor W)."""
    if factor == 1:
        return x
    kind = (_real_dtype(x), x.device)
    rows = _down_matrix(factor * x.shape[-2], factor, *kind)
    columns = _down_matrix(factor * x.shape[-1], factor, *kind)
    return separable(x, rows.mT, columns.mT)


@lru_cache(maxsize=64)
def _gram_eigenvalues(size: int, factor: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the eigenvalues of the circulant D U of one axis, (size / s,)."""
    down = _down_matrix(size, factor, torch.float64, device)
    return torch.fft.fft(down @ down[0]).real.to(dtype)


def resampling_gram(x: Tensor, factor: int) -> Tensor:
    """Return D U x = U^T U x on the coarse grid, (..., H, W), without going to the fine one: it is circulant."""
    if factor == 1:
        return x
    kind = (_real_dtype(x), x.device)
    rows, columns = (_gram_eigenvalues(factor * side, factor, *kind) for side in x.shape[-2:])
    if x.is_complex():
        return torch.fft.ifft2(rows[:, None] * columns * torch.fft.fft2(x))
    half = columns[: x.shape[-1] // 2 + 1]
    return torch.fft.irfft2(rows[:, None] * half * torch.fft.rfft2(x), s=x.shape[-2:])
