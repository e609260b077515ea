"""U^T diag(p) U on the coarse grid: what a sensor that weighs pixels one by one does to images a factor s coarser.

    (U^T P U)[m, m'] = sum_j U[j, m] p[j] U[j, m'],     zero unless m and m' are at most 3 pixels apart along either axis,

U the Kaiser-sinc interpolation of :mod:`echoform.linalg.resample`. These are 49 weights for each coarse pixel, 49 / s^2 products
for a fine one, where going up and down again takes a matrix product along every axis.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from echoform.linalg.resample import kaiser_sinc
from echoform.linalg.sparse import compressed_rows

#: furthest coarse neighbour whose filter overlaps a pixel's own
REACH = 3
#: neighbours along an axis, the pixel itself included
WIDTH = 2 * REACH + 1


class MaskedGram(nn.Module):
    """The product with U^T P U, for images (..., B, C, H / s, W / s); gradients reach the image.

    Args:
        power: p, real, shape (B or 1, C or 1, H, W).
        factor: s; both coarse sides must be 7 or more, so that no neighbour counts twice.

    Raises:
        ValueError: a side is no multiple of s or too short.
    """

    stencil: Tensor

    def __init__(self, power: Tensor, factor: int) -> None:
        super().__init__()
        if not fits(power.shape[-2:], factor):
            raise ValueError(
                f"pixels {tuple(power.shape[-2:])} at factor {factor} need sides of a multiple of it, {WIDTH} times or more"
            )
        pairs = _pair_taps(factor).to(power)
        rows, columns = (_windows(side, factor).to(power.device) for side in power.shape[-2:])
        along_y = pairs @ power[..., rows, :]
        both = along_y[..., columns] @ pairs.mT
        weights = both.transpose(-3, -2).flatten(-2)
        order = _order(*weights.shape[2:4], weights.device)
        self.register_buffer("stencil", weights.gather(-1, order.view(*weights.shape[2:]).expand_as(weights)))

    def forward(self, x: Tensor) -> Tensor:
        """Return U^T P U x."""
        sensors, channels, height, width, _ = self.stencil.shape
        batch = (x.shape[-4] // sensors, x.shape[-3] // channels)
        apart = x.reshape(-1, sensors, batch[0], channels, batch[1], height * width).permute(1, 3, 5, 0, 2, 4)
        columns = apart.reshape(sensors * channels * height * width, -1)
        if x.is_complex():
            parts = torch.view_as_real(columns.resolve_conj().contiguous()).flatten(1)
            result = torch.view_as_complex(_Product.apply(parts, self._matrix()).unflatten(1, (-1, 2)))  # pyright: ignore
        else:
            result = _Product.apply(columns.contiguous(), self._matrix())
        together = result.reshape(sensors, channels, height * width, -1, *batch).permute(3, 0, 4, 1, 5, 2)
        return together.reshape(x.shape)

    def _matrix(self) -> Tensor:
        """Return the stencils of all sensors and channels as one block-diagonal sparse matrix."""
        sensors, channels, height, width, _ = self.stencil.shape
        starts, columns = _pattern(sensors * channels, height, width, self.stencil.device)
        side = len(starts) - 1
        return compressed_rows(starts, columns, self.stencil.flatten(), (side, side))


def fits(shape: torch.Size | tuple[int, int], factor: int) -> bool:
    """Whether a grid (H, W) can be coarsened by a factor and leaves a coarse pixel seven different ones about it."""
    return all(side % factor == 0 and side // factor >= WIDTH for side in shape)


class _Product(torch.autograd.Function):
    """A symmetric sparse matrix times real columns, its own gradient."""

    @staticmethod
    def forward(ctx: Any, columns: Tensor, matrix: Tensor) -> Tensor:
        ctx.matrix = matrix
        return matrix @ columns

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, None]:
        return _Product.apply(grads[0].contiguous(), ctx.matrix), None


@lru_cache(maxsize=16)
def _pair_taps(factor: int) -> Tensor:
    """Return h[k] h[k - a s], (7, 4 s), float64: the filter of a pixel times that of its neighbour a = -3 .. 3."""
    taps = torch.from_numpy(kaiser_sinc(factor))
    padded = torch.nn.functional.pad(taps, (REACH * factor, REACH * factor))
    shifted = [padded[(REACH - a) * factor :][: len(taps)] for a in range(-REACH, REACH + 1)]
    return taps * torch.stack(shifted)


@lru_cache(maxsize=64)
def _windows(side: int, factor: int) -> Tensor:
    """Return the fine pixels under the filter of each coarse one, (side / s, 4 s)."""
    first = factor * torch.arange(side // factor)[:, None] - (2 * factor - 1)
    return (first + torch.arange(4 * factor)) % side


def _sorted_neighbours(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return the 49 neighbours of each pixel in ascending order and where in its stencil they come from, (H W, 49)."""
    reach = torch.arange(-REACH, REACH + 1)
    rows = (torch.arange(height)[:, None] + reach) % height
    columns = (torch.arange(width)[:, None] + reach) % width
    neighbours = (rows[:, None, :, None] * width + columns[None, :, None, :]).reshape(height * width, WIDTH**2)
    place, order = neighbours.sort(1)
    return place, order


@lru_cache(maxsize=32)
def _order(height: int, width: int, device: torch.device) -> Tensor:
    """Return the order of each pixel's 49 weights in the sparse matrix."""
    return _sorted_neighbours(height, width)[1].to(device)


@lru_cache(maxsize=32)
def _pattern(blocks: int, height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return row starts and columns of the sparse matrix, int32."""
    place, _ = _sorted_neighbours(height, width)
    offsets = height * width * torch.arange(blocks)[:, None, None]
    starts = WIDTH**2 * torch.arange(blocks * height * width + 1)
    return starts.int().to(device), (offsets + place).flatten().int().to(device)
