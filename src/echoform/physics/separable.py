"""A real matrix along each side of an image: crops and interpolations between grids, and their products with U_s.

    y = R x C^T,     A^H A x = (R^T R) x (C^T C)

The coarse version is A U_s exactly: R and C take up the two interpolations of :mod:`echoform.linalg.resample`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from echoform.linalg.resample import separable, upsampling_matrix
from echoform.physics.operator import LinearOperator, coarse_shape


class SeparableOperator(LinearOperator):
    """y = R x C^T for every channel, the same for all sensors.

    Args:
        rows: R, shape (H', H), float64.
        columns: C, shape (W', W), float64.
        channels: of the image; all alike.
        dtype: of images and measurements.
    """

    rows: Tensor
    columns: Tensor
    row_gram: Tensor
    column_gram: Tensor

    def __init__(self, rows: Tensor, columns: Tensor, *, channels: int = 1, dtype: torch.dtype) -> None:
        super().__init__((channels, rows.shape[1], columns.shape[1]), (channels, rows.shape[0], columns.shape[0]))
        self._dtype = dtype
        real = dtype.to_real() if dtype.is_complex else dtype
        for name, gram, matrix in (("rows", "row_gram", rows), ("columns", "column_gram", columns)):
            held = matrix.to(real)
            self.register_buffer(name, held[None])
            self.register_buffer(gram, (held.double().mT @ held.double()).to(real)[None])

    @property
    def dtype(self) -> torch.dtype:
        """The dtype given at construction."""
        return self._dtype

    def forward(self, x: Tensor) -> Tensor:
        """Return R x C^T."""
        return separable(x, self.rows[0], self.columns[0])

    def adjoint(self, y: Tensor) -> Tensor:
        """Return R^T y C."""
        return separable(y, self.rows[0].mT, self.columns[0].mT)

    def normal(self, x: Tensor) -> Tensor:
        """Return A^H A x by the two Gram matrices, or by R and C where they have so few rows that it costs less."""
        (_, height, width), (_, rows, columns) = self.domain_shape, self.range_shape
        grams = height * width * (height + width)
        if grams <= 2 * (height * width * columns + rows * columns * height):
            return separable(x, self.row_gram[0], self.column_gram[0])
        return self.adjoint(self.forward(x))

    def galerkin(self, factor: int) -> LinearOperator:
        """Return A U_s exactly, its matrices those products."""
        if factor == 1:
            return self
        _, height, width = self.domain_shape
        channels, _, _ = coarse_shape(self.domain_shape, factor)  # raises when the sides do not divide
        rows, columns = (
            matrix[0].double() @ upsampling_matrix(side, factor, device=matrix.device)
            for matrix, side in ((self.rows, height), (self.columns, width))
        )
        return SeparableOperator(rows, columns, channels=channels, dtype=self.dtype)

    @torch.no_grad()
    def norm(self) -> Tensor:
        """Return |R| |C|."""
        rows, columns = (torch.linalg.matrix_norm(m.double(), ord=2) for m in (self.rows, self.columns))
        return (rows * columns).to(self.rows.dtype)
