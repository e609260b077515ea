"""Cropping: lets a sensor of an H x W image be written for a larger grid, as networks that halve the grid need."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from echoform.linalg.resample import separable, upsampling_matrix
from echoform.physics.compositions import GalerkinOperator
from echoform.physics.operator import LinearOperator


class CropOperator(LinearOperator):
    """y = x[..., r : r + H, c : c + W]; the adjoint pads with zeros all around.

    Coarse version: exactly Galerkin, its normal U^H C^H C U a matrix along each side of the coarse grid.

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

    def galerkin(self, factor: int) -> LinearOperator:
        """Return A U_s with its normal on the coarse grid."""
        return self if factor == 1 else CroppedGalerkin(self, factor)

    def coisometry(self) -> Tensor:
        """Return 1: cropping what was padded changes nothing."""
        return torch.ones(1, dtype=self._dtype.to_real())


class CroppedGalerkin(GalerkinOperator):
    """C U_s, whose normal is (P^T P) x (Q^T Q), P and Q the rows of the two interpolations that the crop keeps."""

    def __init__(self, base: CropOperator, factor: int) -> None:
        super().__init__(base, factor)
        self.crop = base.origin, base.range_shape[1:]

    def normal(self, x: Tensor) -> Tensor:
        """Return U^H C^H C U x."""
        real = x.real.dtype if x.is_complex() else x.dtype
        rows, columns = (
            _kept_gram(self.factor * side, self.factor, start, count, real, x.device)
            for side, start, count in zip(self.domain_shape[1:], *self.crop, strict=True)
        )
        return separable(x, rows, columns)


@lru_cache(maxsize=64)
def _kept_gram(side: int, factor: int, start: int, count: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return P^T P of one axis, P the interpolation's rows from ``start`` on."""
    kept = upsampling_matrix(side, factor, device=device)[start : start + count]
    return (kept.mT @ kept).to(dtype)


def padded_to_multiple(operator: LinearOperator, multiple: int) -> LinearOperator:
    """Return the sensor on a grid whose sides are multiples of ``multiple``, the image upper left; itself if they are."""
    channels, height, width = operator.domain_shape
    sides = [-(-n // multiple) * multiple for n in (height, width)]
    if sides == [height, width]:
        return operator
    padded = (channels, sides[0], sides[1])
    return operator @ CropOperator(padded, operator.domain_shape, dtype=operator.dtype)
