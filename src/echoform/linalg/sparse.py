"""A real sparse matrix and its transpose, kept side by side so that both products run row by row on every core.

Twelve bytes an entry in double precision and eight in single, twice. Complex vectors are two real ones.
"""

from __future__ import annotations

import warnings

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor, nn


def compressed_rows(starts: Tensor, columns: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    """Return a sparse matrix of the given shape; PyTorch's notes that such tensors are new and go unchecked are kept quiet."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse (CSR tensor support|invariant checks)")
        return torch.sparse_csr_tensor(starts, columns, values, size=shape, check_invariants=False)


class SparseMatrix(nn.Module):
    """M, (rows, columns), applied to a batch of vectors.

    Args:
        matrix: M, fewer than 2^31 entries.
        dtype: float32 or float64.
    """

    def __init__(self, matrix: csr_array, dtype: torch.dtype) -> None:
        super().__init__()
        rows, columns = matrix.shape  # pyright: ignore[reportGeneralTypeIssues]
        self.shape = (rows, columns)
        for name, part in (("matrix", matrix), ("transpose", csr_array(matrix.T))):
            self.register_buffer(f"{name}_starts", torch.from_numpy(part.indptr.astype(np.int32)))
            self.register_buffer(f"{name}_columns", torch.from_numpy(part.indices.astype(np.int32)))
            self.register_buffer(f"{name}_values", torch.from_numpy(part.data).to(dtype))

    def to_scipy(self) -> csr_array:
        """Return M in double precision."""
        values, columns, starts = (getattr(self, f"matrix_{n}").cpu().numpy() for n in ("values", "columns", "starts"))
        return csr_array((values.astype(np.float64), columns, starts), shape=self.shape)

    def forward(self, vectors: Tensor) -> Tensor:
        """Return M v for vectors (..., columns)."""
        return _apply(vectors, self._half("matrix"), self._half("transpose"))

    def adjoint(self, vectors: Tensor) -> Tensor:
        """Return M^T v for vectors (..., rows)."""
        return _apply(vectors, self._half("transpose"), self._half("matrix"))

    def _half(self, name: str) -> Tensor:
        rows, columns = self.shape
        shape = (rows, columns) if name == "matrix" else (columns, rows)
        starts, columns, values = (getattr(self, f"{name}_{part}") for part in ("starts", "columns", "values"))
        return compressed_rows(starts, columns, values, shape)


def _apply(vectors: Tensor, matrix: Tensor, transpose: Tensor) -> Tensor:
    """Return the product with each vector along the last axis, complex ones as two real ones."""
    if vectors.is_complex():
        parts = torch.stack([vectors.real, vectors.imag])
        return torch.complex(*_apply(parts, matrix, transpose).unbind(0))
    flat = vectors.reshape(-1, vectors.shape[-1])
    result: Tensor = _Product.apply(flat, matrix, transpose)  # pyright: ignore[reportAssignmentType]
    return result.reshape(*vectors.shape[:-1], matrix.shape[0])


class _Product(torch.autograd.Function):
    """(k, columns) -> (k, rows), whose gradient is the product with the transpose."""

    @staticmethod
    def forward(ctx, vectors: Tensor, matrix: Tensor, transpose: Tensor) -> Tensor:  # pyright: ignore
        """Return vectors M^T."""
        ctx.halves = (matrix, transpose)
        if len(vectors) == 1:
            return (matrix @ vectors[0])[None]
        return (matrix @ vectors.mT.contiguous()).mT.contiguous()

    @staticmethod
    def backward(ctx, gradient: Tensor):  # pyright: ignore
        """Return the gradient's product with M."""
        matrix, transpose = ctx.halves
        return _Product.apply(gradient, transpose, matrix), None, None
