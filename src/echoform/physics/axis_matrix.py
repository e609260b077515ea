"""A small matrix along one axis: mixing of channels, whitening of noise that is correlated along pulses or frequencies.

y[..., m, ...] = sum_n  M[m, n]  x[..., n, ...]
"""

from __future__ import annotations

import torch
from torch import Tensor

from echoform.linalg.cg import USUAL, Stopping
from echoform.linalg.inner import expand
from echoform.linalg.spectrum import SpectralDensity
from echoform.physics.diagonal import ROUNDING_ERRORS
from echoform.physics.operator import LinearOperator, coarse_shape


class AxisMatrix(LinearOperator):
    """y = M x along one axis of the input, all others alike.

    Coarse version: Galerkin by default. M along the channels of an image commutes with U_s.

    A^H A is the Gram matrix M^H M along the axis, so that norm, spectrum and prox are those of one small matrix.

    Args:
        matrix: M, shape (B or 1, m, n), complex64 or complex128.
        shape: of the input, without the batch axis; its length along ``axis`` is n.
        axis: counted from 0, the batch axis left out.

    Raises:
        ValueError: the matrix is real or does not fit the axis.
    """

    matrix: Tensor
    gram: Tensor

    def __init__(self, matrix: Tensor, shape: tuple[int, ...], axis: int) -> None:
        if matrix.ndim != 3 or not matrix.is_complex() or not 0 <= axis < len(shape) or matrix.shape[2] != shape[axis]:
            raise ValueError(
                f"axis {axis} of {tuple(shape)} needs a complex matrix (batch, m, its length), "
                f"got {tuple(matrix.shape)} of {matrix.dtype}"
            )
        result = (*shape[:axis], matrix.shape[1], *shape[axis + 1 :])
        super().__init__(shape, result)  # pyright: ignore[reportArgumentType]
        self.axis = axis
        self.register_buffer("matrix", matrix.resolve_conj())
        wide = self.matrix.to(torch.complex128)
        self.register_buffer("gram", (wide.mH @ wide).to(matrix.dtype))

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the matrix."""
        return self.matrix.dtype

    def forward(self, x: Tensor) -> Tensor:
        """Return M x along the axis."""
        return self._along(self.matrix, x)

    def adjoint(self, y: Tensor) -> Tensor:
        """Return M^H y along the axis."""
        return self._along(self.matrix.mH, y)

    def normal(self, x: Tensor) -> Tensor:
        """Return M^H M x along the axis, by the Gram matrix unless M has so few rows that M and M^H cost less."""
        rows, columns = self.matrix.shape[1:]
        return self._along(self.gram, x) if columns <= 2 * rows else self.adjoint(self.forward(x))

    def commuted(self, factor: int) -> tuple[int, LinearOperator] | None:
        """Return s and M on the coarse grid where M mixes the channels of an image."""
        if self.axis != 0 or len(self.domain_shape) != 3:
            return None
        return factor, AxisMatrix(self.matrix, coarse_shape(self.domain_shape, factor), 0)

    def support_after(self, marks: Tensor | None) -> Tensor | None:
        """Return the entries that some entry of the support reaches through M."""
        if marks is None:
            return None
        full = marks.expand(marks.shape[0], *self.domain_shape)
        reach = self._along((self.matrix != 0).to(marks.dtype), full)
        return (reach > 0).to(marks.dtype)

    def frequency_axes(self, *, of_input: bool = False) -> bool:
        """Return what is true of the input where M mixes channels, or filters along the axis, as a whitener: M is triangular."""
        if self.axis < len(self.domain_shape) - 2:
            return of_input
        _, rows, columns = self.matrix.shape
        return of_input and rows == columns and torch.equal(self.matrix, self.matrix.tril())

    def isometry(self) -> Tensor | None:
        """Return c where M^H M = c I for every sensor; never for an M being learned."""
        return None if self.matrix.requires_grad else _multiple_of_identity(self.gram)

    def coisometry(self) -> Tensor | None:
        """Return c where M M^H = c I for every sensor; never for an M being learned."""
        wide = self.matrix.to(torch.complex128)
        return None if self.matrix.requires_grad else _multiple_of_identity((wide @ wide.mH).to(self.dtype))

    @torch.no_grad()
    def norm(self) -> Tensor:
        """Return |M|_2."""
        return torch.linalg.matrix_norm(self.matrix.to(torch.complex128), ord=2).to(self.dtype.to_real())

    @torch.no_grad()
    def spectrum(self) -> SpectralDensity:
        """Return the eigenvalues of M^H M, each with weight 1 / n."""
        values = torch.linalg.eigvalsh(self.gram.to(torch.complex128)).clamp_min(0).to(self.dtype.to_real())
        return SpectralDensity(values, torch.full_like(values, 1 / values.shape[1]))

    def prox_from_backprojection(
        self, backprojection: Tensor, anchor: Tensor, weight: Tensor, stopping: Stopping = USUAL
    ) -> Tensor:
        """Return (M^H M + w I)^-1 (A^H y + w a) along the axis."""
        identity = torch.eye(self.gram.shape[-1], dtype=self.dtype, device=self.device)
        inverse = torch.linalg.inv(self.gram + expand(weight, 2) * identity)
        return self._along(inverse, backprojection + expand(weight, len(self.domain_shape)) * anchor)

    def _along(self, matrix: Tensor, x: Tensor) -> Tensor:
        ndim, before = len(self.domain_shape), self.domain_shape[: self.axis]
        lead, after = x.shape[:-ndim], x.shape[x.ndim - ndim + self.axis + 1 :]
        if not after:  # one product of matrices instead of many with a vector
            result = x.reshape(*lead, -1, x.shape[-1]) @ matrix.mT
            return result.unflatten(-2, before) if before else result[..., 0, :]
        # entries stay where they are: nothing is turned
        result = matrix[:, None] @ x.reshape(*lead, -1, x.shape[self.axis - ndim], after.numel())
        return result.reshape(*result.shape[:-3], *before, matrix.shape[1], *after)


def _multiple_of_identity(gram: Tensor) -> Tensor | None:
    """Return c, (batch,), where the matrices are c I to rounding, else None."""
    scale = gram.diagonal(dim1=-2, dim2=-1).real.mean(-1)
    identity = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    error = (gram - expand(scale, 2) * identity).abs().flatten(1).amax(1)
    tolerance = ROUNDING_ERRORS * torch.finfo(scale.dtype).eps
    return scale if bool((error <= tolerance * scale).all()) else None
