"""Cropping: lets a sensor of an H x W image be written for a larger grid, as networks that halve the grid need."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from echoform.physics.operator import LinearOperator


class CropOperator(LinearOperator):
    """y = x[..., :H, :W]; the adjoint pads with zeros below and to the right. Coarse version: Galerkin by default.

    Args:
        padded_shape: (C, H', W') of the image.
        shape: (C, H, W) of the crop, no side larger than the padded one.
        dtype: dtype reported to solvers, that of the sensor it is composed with.

    Raises:
        ValueError: the crop does not fit inside the padded image.
    """

    def __init__(
        self, padded_shape: tuple[int, int, int], shape: tuple[int, int, int], *, dtype: torch.dtype = torch.complex64
    ) -> None:
        if padded_shape[0] != shape[0] or padded_shape[1] < shape[1] or padded_shape[2] < shape[2]:
            raise ValueError(f"a {shape} image does not fit inside {padded_shape}")
        super().__init__(padded_shape, shape)
        self._dtype = dtype

    @property
    def dtype(self) -> torch.dtype:
        """The dtype given at construction."""
        return self._dtype

    def forward(self, x: Tensor) -> Tensor:
        """Return the upper left H x W pixels."""
        return x[..., : self.range_shape[1], : self.range_shape[2]]

    def adjoint(self, y: Tensor) -> Tensor:
        """Return y with zeros appended."""
        down = self.domain_shape[1] - self.range_shape[1]
        right = self.domain_shape[2] - self.range_shape[2]
        return functional.pad(y, (0, right, 0, down))

    def coisometry(self) -> Tensor:
        """Return 1: cropping what was padded changes nothing."""
        return torch.ones(1, dtype=self._dtype.to_real())


def padded_to_multiple(operator: LinearOperator, multiple: int, *, least: int = 1) -> LinearOperator:
    """Return the sensor on a grid whose sides are multiples of ``multiple`` and at least ``least``; itself if they are."""
    channels, height, width = operator.domain_shape
    sides = [max(-(-n // multiple) * multiple, least) for n in (height, width)]
    if sides == [height, width]:
        return operator
    padded = (channels, sides[0], sides[1])
    return operator @ CropOperator(padded, operator.domain_shape, dtype=operator.dtype)
