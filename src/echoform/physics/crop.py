"""Cropping: lets a sensor of an H x W image be written for a larger grid, as networks that halve the grid need."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from echoform.physics.operator import LinearOperator


class CropOperator(LinearOperator):
    """y = x[..., r : r + H, c : c + W]; the adjoint pads with zeros all around. Coarse version: Galerkin by default.

    Args:
        padded_shape: (C, H', W') of the image.
        shape: (C, H, W) of the crop, no side larger than the padded one.
        origin: (r, c), row and column of the padded image where the crop begins.
        dtype: dtype reported to solvers, that of the sensor it is composed with.

    Raises:
        ValueError: the crop does not fit inside the padded image.
    """

    def __init__(
        self,
        padded_shape: tuple[int, int, int],
        shape: tuple[int, int, int],
        *,
        origin: tuple[int, int] = (0, 0),
        dtype: torch.dtype = torch.complex64,
    ) -> None:
        spare = [large - small for large, small in zip(padded_shape, shape, strict=True)]
        if spare[0] != 0 or not all(0 <= start <= room for start, room in zip(origin, spare[1:], strict=True)):
            raise ValueError(f"a {shape} image at row and column {origin} does not fit inside {padded_shape}")
        super().__init__(padded_shape, shape)
        self.origin = origin
        self._dtype = dtype

    @property
    def dtype(self) -> torch.dtype:
        """The dtype given at construction."""
        return self._dtype

    def forward(self, x: Tensor) -> Tensor:
        """Return the H x W pixels from the origin on."""
        (row, column), (_, height, width) = self.origin, self.range_shape
        return x[..., row : row + height, column : column + width]

    def adjoint(self, y: Tensor) -> Tensor:
        """Return y with zeros around it."""
        (row, column), (_, height, width) = self.origin, self.domain_shape
        return functional.pad(y, (column, width - column - y.shape[-1], row, height - row - y.shape[-2]))

    def coisometry(self) -> Tensor:
        """Return 1: cropping what was padded changes nothing."""
        return torch.ones(1, dtype=self._dtype.to_real())


def padded_to_multiple(operator: LinearOperator, multiple: int) -> LinearOperator:
    """Return the sensor on a grid whose sides are multiples of ``multiple``, the image upper left; itself if they are."""
    channels, height, width = operator.domain_shape
    sides = [-(-n // multiple) * multiple for n in (height, width)]
    if sides == [height, width]:
        return operator
    padded = (channels, sides[0], sides[1])
    return operator @ CropOperator(padded, operator.domain_shape, dtype=operator.dtype)
