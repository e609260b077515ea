"""3 x 3 convolutions by minimal filtering of columns alone: eight 1 x 3 convolutions for six rows where the sum takes eighteen.

For tiles d of eight rows, six apart, and the rows g_0, g_1, g_2 of a kernel,

    y = A^T [ (G g)_i * (B^T d)_i ]_i,        A, G, B as in :mod:`echoform.nets.winograd`, points 0, +-1/2, +-1, +-2 and infinity,

where * is the sum over the three columns of a kernel and over channels, left to the library. Only whole rows are combined, so
that with few channels, too, what goes in and out of the tiles is little beside the products. The transformed kernels take 8/3 of
the memory of the kernels; the rounding error is that of tiles in both directions (1e-6).

Source: Lavin and Gray (2016), Fast Algorithms for Convolutional Neural Networks, section 4.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from echoform.nets.winograd import KERNEL, data_matrices, minimal_filtering, rows_with_margins

POINTS = (0.0, 0.5, -0.5, 1.0, -1.0, 2.0, -2.0)
#: rows of a tile that come out and that go in
OUT, IN = 6, 8
#: numbers of a transformed kernel for each pair of channels
NUMBERS_PER_PAIR = IN * KERNEL


def transformed(weight: Tensor) -> Tensor:
    """Return G g of kernels (O, C, 3, 3), (8 * O, C, 1, 3)."""
    g = torch.from_numpy(minimal_filtering(POINTS)[1]).to(weight.device)
    kernels = torch.einsum("ai,ocij->aocj", g, weight.double()).to(weight.dtype)
    return kernels.flatten(0, 1)[:, :, None].contiguous(memory_format=torch.channels_last)


def convolved_by_columns(x: Tensor, kernels: Tensor, top: int, bottom: int) -> Tensor:
    """Return the rows from ``top`` to ``bottom`` of the convolution of a whole map, zeros around it, channels last.

    Args:
        x: (B, C, H, W).
        kernels: what :func:`transformed` returned, (8 * O, C, 1, 3).
        top: first row.
        bottom: row after the last.
    """
    batch, channels, _, width = x.shape
    into, out = data_matrices(POINTS, x.dtype, x.device)
    rows = rows_with_margins(x, top, bottom, out=OUT, sides=(0, 0)).contiguous().flatten(2)
    down = rows.shape[1] // OUT
    values = rows.new_empty(IN, batch, down, width * channels)
    for b in range(batch):
        for t in range(down):
            torch.mm(into, rows[b, OUT * t : OUT * t + IN], out=values[:, b, t])
    maps = values.view(IN, batch * down, 1, width, channels).permute(0, 1, 4, 2, 3)
    pieces = zip(maps, kernels.chunk(IN), strict=True)
    products = torch.stack([functional.conv2d(v, k, padding=(0, 1)).permute(0, 2, 3, 1) for v, k in pieces])
    image = rows.new_empty(batch, down, OUT, products[0, 0].numel())
    for b in range(batch):
        for t in range(down):
            torch.mm(out, products[:, b * down + t].flatten(1), out=image[b, t])
    return image.view(batch, OUT * down, width, -1)[:, : bottom - top].permute(0, 3, 1, 2)
