"""3 x 3 convolutions by minimal filtering of columns alone: eight 1 x 3 convolutions for six rows where the sum takes eighteen.

For tiles d of eight rows, six apart, and the rows g_0, g_1, g_2 of a kernel,

    y = A^T [ (G g)_i * (B^T d)_i ]_i,        A, G, B as in :mod:`echoform.nets.winograd`, points 0, +-1/2, +-1, +-2 and infinity,

where * is the sum over the three columns of a kernel and over channels: three matrix products, the pixels of all rows in one
line with a column of zeros at both ends of a row, so that a pixel's neighbour is the next row of a matrix. Only whole rows are
combined, so that with few channels, too, what goes in and out of the tiles is little beside the products. The transformed kernels
take 8/3 of the memory of the kernels; the rounding error is that of tiles in both directions (1e-6).

Source: Lavin and Gray (2016), Fast Algorithms for Convolutional Neural Networks, section 4.
"""

from __future__ import annotations

import torch
from torch import Tensor

from echoform.nets.winograd import KERNEL, data_matrices, minimal_filtering, rows_with_margins

POINTS = (0.0, 0.5, -0.5, 1.0, -1.0, 2.0, -2.0)
#: rows of a tile that come out and that go in
OUT, IN = 6, 8
#: numbers of a transformed kernel for each pair of channels
NUMBERS_PER_PAIR = IN * KERNEL


def transformed(weight: Tensor) -> Tensor:
    """Return G g of kernels (O, C, 3, 3) as matrices over channels, one a column of the kernel, (8, 3, C, O)."""
    g = torch.from_numpy(minimal_filtering(POINTS)[1]).to(weight.device)
    return torch.einsum("ai,ocij->ajco", g, weight.double()).to(weight.dtype).contiguous()


def convolved_by_columns(x: Tensor, kernels: Tensor, top: int, bottom: int) -> Tensor:
    """Return the rows from ``top`` to ``bottom`` of the convolution of a whole map, zeros around it, channels last.

    Args:
        x: (B, C, H, W).
        kernels: what :func:`transformed` returned, (8, 3, C, O).
        top: first row.
        bottom: row after the last.
    """
    batch, channels, _, width = x.shape
    into, out = data_matrices(POINTS, x.dtype, x.device)
    rows = rows_with_margins(x, top, bottom, out=OUT, sides=(0, 0)).contiguous().flatten(2)
    down, line = rows.shape[1] // OUT, width + KERNEL - 1
    pixels = batch * down * line
    values = rows.new_empty(IN, pixels + KERNEL - 1, channels)  # the last two count for the last margin only
    tiles = values[:, :pixels].unflatten(1, (batch, down, line))
    tiles[:, :, :, 0].zero_()
    tiles[:, :, :, -1].zero_()
    inner = tiles[:, :, :, 1:-1].flatten(3)
    for b in range(batch):
        for t in range(down):
            torch.mm(into, rows[b, OUT * t : OUT * t + IN], out=inner[:, b, t])
    products = rows.new_empty(IN, pixels, kernels.shape[-1])
    for value, kernel, product in zip(values, kernels, products, strict=True):  # each while it is in cache
        torch.mm(value[:pixels], kernel[0], out=product)
        for j in range(1, KERNEL):
            product.addmm_(value[j : j + pixels], kernel[j])
    products = products.view(IN, batch * down, -1)
    image = rows.new_empty(batch, down, OUT, products.shape[-1])
    for b in range(batch):
        for t in range(down):
            torch.mm(out, products[:, b * down + t], out=image[b, t])
    return image.view(batch, OUT * down, line, -1)[:, : bottom - top, :width].permute(0, 3, 1, 2)
