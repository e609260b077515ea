"""3 x 3 convolutions of many channels by Winograd's minimal filtering: 36 products for 16 pixels where the sum takes 144.

For tiles d of 6 x 6 pixels, four apart, and a kernel g, all products being matrix products over channels,

    y = A^T [ (G g G^T) o (B^T d B) ] A,        B, G, A from the points 0, +-3/4, +-3/2 and infinity,

columns first, then rows. The transformed kernels G g G^T take four times the memory of the kernels. With these points the
rounding error in single precision is about that of the plain sum (1e-6 of the output); with the customary 0, +-1, +-2 it is twice
that.

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
#: numbers of a transformed kernel for each pair of channels
NUMBERS_PER_PAIR = IN * IN


@lru_cache(maxsize=2)
def minimal_filtering(points: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return A (n, n - 2), G (n, 3) and B^T (n, n), float64, of n - 2 outputs of a filter of three taps by n products.

    They are the transpose of multiplying polynomials by their values at the n - 1 points and at infinity.
    """

    def values(size: int) -> np.ndarray:
        powers = np.vander(points, size, increasing=True)
        at_infinity = np.eye(size)[-1:]
        return np.concatenate([powers, at_infinity])

    count = len(points) + 1
    into = np.linalg.inv(values(count)).T
    scale = np.abs(into).max(1, keepdims=True)
    return values(count + 1 - KERNEL), values(KERNEL) * scale, into / scale


@lru_cache(maxsize=8)
def data_matrices(points: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return B^T (n, n) and A^T (n - 2, n)."""
    out, _, into = minimal_filtering(points)
    return tuple(torch.from_numpy(np.ascontiguousarray(m)).to(device, dtype) for m in (into, out.T))  # pyright: ignore[reportReturnType]


def rows_with_margins(x: Tensor, top: int, bottom: int, *, out: int, sides: tuple[int, int]) -> Tensor:
    """Return the rows of a map for whole tiles of ``out`` rows from ``top`` on: one row more on both ends, zeros around the map.

    Args:
        x: (B, C, H, W), channels last.
        top: first row that comes out.
        bottom: row after the last.
        out: rows that come out of a tile.
        sides: columns of zeros to the left and to the right.

    Returns:
        (B, tiles * out + 2, sides[0] + W + sides[1], C); a view where nothing has to be added.
    """
    whole = -(-(bottom - top) // out) * out + 2
    above, below = max(top - 1, 0), min(bottom + 1, x.shape[-2])
    before = above - top + 1
    return functional.pad(
        x[:, :, above:below].permute(0, 2, 3, 1), (0, 0, *sides, before, whole - before - (below - above))
    )


def transformed(weight: Tensor) -> Tensor:
    """Return G g G^T of kernels (O, C, 3, 3) as matrices over channels, (36, C, O), columns of the tile first."""
    g = torch.from_numpy(minimal_filtering(POINTS)[1]).to(weight.device)
    kernels = torch.einsum("ai,bj,ocij->baco", g, g, weight.double())
    return kernels.flatten(0, 1).to(weight.dtype).contiguous()


def convolved_by_tiles(x: Tensor, kernels: Tensor, top: int, bottom: int) -> Tensor:
    """Return the rows from ``top`` to ``bottom`` of the convolution of a whole map, zeros around it, channels last.

    Args:
        x: (B, C, H, W).
        kernels: what :func:`transformed` returned, (36, C, O).
        top: first row.
        bottom: row after the last.
    """
    batch, channels, _, width = x.shape
    down, right = (-(-n // OUT) for n in (bottom - top, width))
    into, out = data_matrices(POINTS, x.dtype, x.device)
    padded = rows_with_margins(x, top, bottom, out=OUT, sides=(1, OUT * right - width + 1))
    columns = padded.flatten(2).unfold(1, IN, OUT).mT.reshape(batch * down, IN, -1)
    halfway = torch.bmm(into.expand(len(columns), IN, IN), columns).unflatten(-1, (-1, channels))
    tiles = halfway.unfold(2, IN, OUT).permute(4, 1, 0, 2, 3)
    values = (into @ tiles.reshape(IN, -1)).view(IN * IN, -1, channels)
    products = torch.bmm(values, kernels).view(IN, -1)
    halfway = (out @ products).view(OUT, IN, -1)
    pixels = torch.bmm(out.expand(OUT, OUT, IN), halfway).view(OUT, OUT, batch, down, right, -1)
    image = pixels.permute(2, 3, 1, 4, 0, 5).reshape(batch, OUT * down, OUT * right, -1)
    return image[:, : bottom - top, :width].permute(0, 3, 1, 2)
