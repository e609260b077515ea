"""Convolutional layers strip by strip, so that what lies between two convolutions stays in the processor's cache.

A map of features (B, C, H, W) is worked on some rows at a time: every convolution of a strip reads the one row above and below it
that it needs from the whole map, so the result is that of the whole map to the last digit, and temporary maps are as small as a
strip. Only the whole maps before and after are held, which bounds memory for large images: a sensor, between two layers, still
sees whole images.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

#: pixels of a strip: on a CPU its features fill a cache; on a GPU, where launches cost more than memory, they bound memory only
CPU_STRIP, GPU_STRIP = 3 * 2**11, 2**20
#: rows of a strip are a multiple of this where there are as many: whole tiles of four and of six rows
TILE_ROWS = 12


def in_one_piece() -> bool:
    """Return whether layers must run on whole maps as they are written: to keep gradients, or to be compiled or traced."""
    tracing: bool = torch.jit.is_tracing()  # pyright: ignore[reportPrivateImportUsage]
    return torch.is_grad_enabled() or torch.compiler.is_compiling() or tracing


def in_strips(rows: Callable[[int, int], Tensor], like: Tensor, *, into: Tensor | None = None) -> Tensor:
    """Return ``rows(0, H)``, put together from strips unless it must be had in one piece.

    Args:
        rows: (top, bottom) to the rows from ``top`` to ``bottom`` of the result, (B, C, bottom - top, W).
        like: a tensor (B, *, H, W) with the batch, height and width of the result.
        into: a map that strips may replace row by row, where ``rows`` reads no others of it than it returns.
    """
    batch, _, height, width = like.shape
    strip = CPU_STRIP if like.device.type == "cpu" else GPU_STRIP
    step = max(1, strip // (batch * width))
    step -= step % TILE_ROWS if step > TILE_ROWS else 0
    if in_one_piece() or step >= height:
        return rows(0, height)
    first = rows(0, step)
    shape = (batch, first.shape[1], height, width)
    if into is None:
        whole = torch.empty(shape, dtype=first.dtype, device=first.device, memory_format=torch.channels_last)
    else:
        whole = into
    whole[:, :, :step] = first
    for top in range(step, height, step):
        bottom = min(top + step, height)
        whole[:, :, top:bottom] = rows(top, bottom)
    return whole


def convolved(x: Tensor, weight: Tensor, top: int, bottom: int) -> Tensor:
    """Return the rows from ``top`` to ``bottom`` of the 3 x 3 convolution of a whole map x, zeros around it."""
    height = x.shape[-2]
    if (top, bottom) == (0, height):
        return functional.conv2d(x, weight, padding=1)
    inner = x[:, :, max(top - 1, 0) : min(bottom + 1, height)]
    if top > 0 and bottom < height:
        return functional.conv2d(inner, weight, padding=(0, 1))
    begin = min(top, 1)
    return functional.conv2d(inner, weight, padding=1)[:, :, begin : begin + bottom - top]
