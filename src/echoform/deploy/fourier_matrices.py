"""Discrete Fourier transforms as products with small real matrices: what every inference engine does well.

For N = R M values x[M r + n] of an axis, with w_N = exp(-2 pi i / N), one step of Cooley and Tukey's splitting gives

    X[R k + q] = sum_n w_N^(n q) w_M^(n k) sum_r w_R^(r q) x[M r + n],

a product with one complex R x R matrix and one with R complex M x M matrices: 8 N (R + M) real operations where the sum as it
stands takes 8 N^2. Complex numbers are real and imaginary parts along an axis of their own. Engines' own transforms want both
parts side by side in memory, which a pass over the image must arrange before and undo after each.

Source: Cooley and Tukey (1965), Mathematics of Computation 19(90).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import isqrt

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

#: factor per transformed axis of N values, as a power of N, by the name of the normalisation: forward transform, inverse
NORMALISATION = {"backward": (0.0, -1.0), "ortho": (-0.5, -0.5), "forward": (-1.0, 0.0)}


@dataclass(frozen=True)
class Transform:
    """Which transform of one axis.

    Attributes:
        size: N.
        inverse: whether the exponent's sign is plus.
        norm: one of the names in :data:`NORMALISATION`.
    """

    size: int
    inverse: bool
    norm: str

    @property
    def radix(self) -> int:
        """R, the largest divisor of N up to its root."""
        return next(r for r in range(isqrt(self.size), 0, -1) if self.size % r == 0)


def _in_parts(matrix: np.ndarray) -> np.ndarray:
    """Return complex matrices (..., O, I) as real ones (..., 2 O, 2 I) that act on real parts followed by imaginary ones."""
    real, imag = np.real(matrix), np.imag(matrix)
    return np.block([[real, -imag], [imag, real]])


@lru_cache(maxsize=64)
def matrices(transform: Transform) -> tuple[np.ndarray, np.ndarray]:
    """Return the real matrices of both steps, float64: (2 R, 2 R), its rows ordered (q, part), and (R, 2 M, 2 M)."""
    size, radix = transform.size, transform.radix
    rest = size // radix
    turn = (2j if transform.inverse else -2j) * np.pi / size
    q, n = np.arange(radix), np.arange(rest)
    first = _in_parts(np.exp(turn * rest * np.outer(q, q)))
    first = first.reshape(2, radix, -1).swapaxes(0, 1).reshape(2 * radix, -1)
    twiddled = turn * (np.outer(q, n)[:, None, :] + radix * np.outer(n, n))
    second = _in_parts(np.exp(twiddled)) * float(size) ** NORMALISATION[transform.norm][transform.inverse]
    return first, second


def transformed(parts: Tensor, steps: tuple[Tensor, Tensor]) -> Tensor:
    """Return the transform along the last axis but one, the two last axes exchanged.

    Args:
        parts: real and imaginary parts, (..., 2, N, W).
        steps: what :func:`matrices` returned, in the precision of ``parts``.

    Returns:
        (..., 2, W, N).
    """
    first, second = steps
    *batch, _, size, width = (int(n) for n in parts.shape)  # a tracer's shapes are tensors
    radix, rest = len(second), size // len(second)
    if radix > 1:
        parts = first @ parts.reshape(*batch, 2 * radix, rest * width)
    found = second @ parts.reshape(*batch, radix, 2 * rest, width)
    found = found.reshape(*batch, radix, 2, rest, width)
    axes = len(batch)
    return found.permute(*range(axes), axes + 1, axes + 3, axes + 2, axes).reshape(*batch, 2, width, size)


def resized(parts: Tensor, axis: int, length: int | None) -> Tensor:
    """Return ``parts`` cut off, or followed by zeros, at so many values along one of the two last axes.

    As everywhere in torch.fft, None and -1 leave it as it is.
    """
    have = int(parts.shape[axis])
    wanted = have if length is None or length == -1 else length
    if wanted <= have:
        return parts if wanted == have else parts.narrow(axis, 0, wanted)
    return functional.pad(parts, (0, wanted - have) if axis == -1 else (0, 0, 0, wanted - have))


def whole_spectrum(half: Tensor, axis: int, length: int) -> Tensor:
    """Return all ``length`` values of a real signal's spectrum along an axis from its first half, (..., 2, H, W)."""
    mirrored = half.narrow(axis, 1, (length - 1) // 2).flip(axis)
    conjugate = torch.stack([mirrored.select(-3, 0), -mirrored.select(-3, 1)], -3)
    return torch.cat([half, conjugate], axis)


def fourier_transform(
    parts: Tensor,
    axes: tuple[int, ...],
    transforms: dict[Transform, tuple[Tensor, Tensor]],
    *,
    inverse: bool,
    norm: str,
) -> Tensor:
    """Return the transform along some of the two last axes.

    Args:
        parts: real and imaginary parts, (..., 2, H, W).
        axes: -2, -1 or both.
        transforms: matrices as tensors, kept from one call to the next; those that lack are added.
        inverse: whether it is the inverse transform.
        norm: one of the names in :data:`NORMALISATION`.
    """
    for axis in axes:
        transform = Transform(int(parts.shape[axis]), inverse, norm)
        if transform not in transforms:
            first, second = (torch.tensor(m, dtype=parts.dtype, device=parts.device) for m in matrices(transform))
            transforms[transform] = first, second
        turned = transformed(parts if axis == -2 else parts.transpose(-2, -1), transforms[transform])
        parts = turned.transpose(-2, -1) if axis == -2 else turned
    return parts
