"""3 x 3 convolutions of many channels by Winograd's minimal filtering: 36 products for 16 pixels where the sum takes 144.

For tiles d of 6 x 6 pixels, four apart, and a kernel g, all products being matrix products over channels,

    y = A^T [ (G g G^T) o (B^T d B) ] A,        B, G, A from the points 0, +-3/4, +-3/2 and infinity.

The transformed kernels G g G^T take four times the memory of the kernels. With these points the rounding error in single
precision is about that of the plain sum (1e-6 of the output); with the customary 0, +-1, +-2 it is twice that.

Source: Lavin and Gray (2016), Fast Algorithms for Convolutional Neural Networks; Barabasz et al. (2020), ACM Transactions on
Mathematical Software 46(4), on the choice of points.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

POINTS = (0.0, 0.75, -0.75, 1.5, -1.5)
#: pixels of a tile's side that come out and that go in
OUT, IN, KERNEL = 4, 6, 3


@lru_cache(maxsize=1)
def _matrices() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return A (6, 4), G (6, 3) and B^T (6, 6), float64: the transpose of multiplying polynomials by their values at POINTS."""

    def values(size: int) -> np.ndarray:
        powers = np.vander(POINTS, size, increasing=True)
        at_infinity = np.eye(size)[-1:]
        return np.concatenate([powers, at_infinity])

    into = np.linalg.inv(values(IN)).T
    scale = np.abs(into).max(1, keepdims=True)
    return values(OUT), values(KERNEL) * scale, into / scale


@lru_cache(maxsize=8)
def _on_tiles(dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return B^T (x) B^T, (36, 36), and A^T (x) A^T, (16, 36), acting on whole tiles."""
    out, _, into = _matrices()
    return tuple(torch.from_numpy(np.kron(m, m)).to(device, dtype) for m in (into, out.T))  # pyright: ignore[reportReturnType]


def transformed(weight: Tensor) -> Tensor:
    """Return G g G^T of kernels (O, C, 3, 3) as matrices over channels, (36, C, O)."""
    g = torch.from_numpy(_matrices()[1]).to(weight.device)
    kernels = torch.einsum("ai,bj,ocij->abco", g, g, weight.double())
    return kernels.flatten(0, 1).to(weight.dtype).contiguous()


def convolved_by_tiles(x: Tensor, kernels: Tensor, top: int, bottom: int) -> Tensor:
    """Return the rows from ``top`` to ``bottom`` of the convolution of a whole map, zeros around it, channels last.

    Args:
        x: (B, C, H, W).
        kernels: what :func:`transformed` returned, (36, C, O).
        top: first row.
        bottom: row after the last.
    """
    batch, channels, height, width = x.shape
    down, right = (-(-n // OUT) for n in (bottom - top, width))
    above, below = max(top - 1, 0), min(bottom + 1, height)
    rows = x[:, :, above:below].permute(0, 2, 3, 1)
    margins = (above - top + 1, OUT * down - bottom + top + bottom + 1 - below)
    padded = functional.pad(rows, (0, 0, 1, OUT * right - width + 1, *margins))
    tiles = padded.unfold(1, IN, OUT).unfold(2, IN, OUT).permute(4, 5, 0, 1, 2, 3)
    into, out = _on_tiles(x.dtype, x.device)
    values = (into @ tiles.reshape(IN * IN, -1)).view(IN * IN, -1, channels)
    products = torch.bmm(values, kernels)
    pixels = (out @ products.flatten(1)).view(OUT, OUT, batch, down, right, -1)
    image = pixels.permute(2, 3, 0, 4, 1, 5).reshape(batch, OUT * down, OUT * right, -1)
    return image[:, : bottom - top, :width].permute(0, 3, 1, 2)
