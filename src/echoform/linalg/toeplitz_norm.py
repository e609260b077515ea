"""The largest eigenvalue of A^H A where it is Toeplitz, at half the cost of its complex products.

A Hermitian Toeplitz matrix T commutes with v -> conj(v) turned end for end, so that its eigenvectors can be chosen unchanged by
that. In the space of such images (of H W real numbers) T is real and symmetric, and the even rows u hold all of an image. With H
even and centred coordinates, n' = n - (N - 1) / 2, the transform G of v on the torus of 2H x 2W is real, and

    E(q) = sum_n u[n] exp(-i k_q . n')  over the even rows,  q_1 < H;      G(q) = 2 Re E(q),   G(q_1 + H, q_2) = 2 Im E(q)
    (T v)[n] = mean_q (K(q) Re E + i K(q_1 + H, q_2) Im E) exp(+i k_q . n')

which is one complex transform of H x 2W each way.

Source: Cantoni and Butler (1976), Linear Algebra Appl. 13 (the eigenvectors of centrohermitian matrices).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

from echoform.linalg.nufft import toeplitz_apply
from echoform.linalg.spectrum import largest_eigenvalue

#: sensors taken at once: what stays in a processor's cache
TOGETHER = 16
SEED = 20210517


def toeplitz_norm(spectrum: Tensor, *, tolerance: float) -> Tensor:
    """Return the largest eigenvalue of crop IFFT K FFT pad, seldom from below, (R,).

    Args:
        spectrum: K, (R, 2H, 2W), real.
        tolerance: of :func:`echoform.linalg.spectrum.largest_eigenvalue`.
    """
    height, width = (side // 2 for side in spectrum.shape[-2:])
    if height % 2 and width % 2 == 0:
        return toeplitz_norm(spectrum.mT, tolerance=tolerance)
    return torch.cat([_largest(part, tolerance) for part in spectrum.split(TOGETHER)])


def _largest(spectrum: Tensor, tolerance: float) -> Tensor:
    height, width = spectrum.shape[-2] // 2, spectrum.shape[-1] // 2
    generator = torch.Generator().manual_seed(SEED)
    # the fourth power of the eigenvalues of the torus colours the first vector
    colour = (spectrum / spectrum.amax((1, 2), keepdim=True).clamp_min(1e-30)).clamp_min(0).square().square()
    rows = height if height % 2 else height // 2
    parts = torch.randn(rows, width, 2, dtype=spectrum.dtype, generator=generator).to(spectrum.device)
    drawn = torch.view_as_complex(parts).expand(len(spectrum), -1, -1)
    if height % 2:  # both sides are odd: the plain products
        start = toeplitz_apply(colour, drawn)
        return largest_eigenvalue(lambda x: toeplitz_apply(spectrum, x), start, ndim=2, tolerance=tolerance).above
    turn = _turn(height, width, spectrum.dtype.to_complex(), spectrum.device)
    pairs, first = _pairs(spectrum), _folded(_pairs(colour), turn, drawn)

    def among(rows: Tensor) -> Callable[[Tensor], Tensor]:
        some = pairs[rows]
        return lambda u: _folded(some, turn, u)

    everywhere = torch.arange(len(pairs), device=pairs.device)
    return largest_eigenvalue(among(everywhere), first, ndim=2, tolerance=tolerance, among=among).above


def _pairs(spectrum: Tensor) -> Tensor:
    """Return (K(q), K(q_1 + H, q_2)), (R, H, 2W, 2): the factors of the real and of the imaginary part."""
    return torch.stack(spectrum.chunk(2, 1), -1)


@lru_cache(maxsize=16)
def _turn(height: int, width: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return exp(-i k_q . n') of the first even row and the first column, (H, 2W), complex, and its conjugate."""
    row = (height // 2) % 2 - (height - 1) / 2
    q1, q2 = (torch.arange(n, dtype=torch.float64, device=device) for n in (height, 2 * width))
    phase = -math.pi * (q1[:, None] * row / height - q2 * ((width - 1) / 2) / width)
    turn = torch.polar(torch.ones_like(phase), phase).to(dtype)
    return turn, turn.conj().resolve_conj()


def _folded(pairs: Tensor, turn: tuple[Tensor, Tensor], u: Tensor) -> Tensor:
    """Return the even rows of T v, (R, H / 2, W), from those of v."""
    rows, width = u.shape[-2:]
    there, back = turn
    torus = torch.fft.fft2(u, s=there.shape).mul_(there)
    torch.view_as_real(torus).mul_(pairs)
    return torch.fft.ifft2(torus.mul_(back))[..., :rows, :width]
