"""What all operators of the form y = d o x share: entry by entry, so that everything about them is a closed form."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from echoform.linalg.inner import expand
from echoform.linalg.spectrum import SpectralDensity
from echoform.physics.operator import LinearOperator

#: |d|^2 is called constant when it varies by less than this many rounding errors
ROUNDING_ERRORS = 16


class DiagonalOperator(LinearOperator):
    """y = d o x for inputs of shape (..., B, *shape); the domain need not be an image. Coarse version: Galerkin by default.

    Args:
        shape: of images and of measurements, without the batch axis.
        complex_image: whether images are complex or real.
    """

    def __init__(self, shape: tuple[int, ...], *, complex_image: bool = True) -> None:
        super().__init__(shape, shape)  # pyright: ignore[reportArgumentType]
        self.complex_image = complex_image

    @property
    @abstractmethod
    def diagonal(self) -> Tensor:
        """d, broadcasting over (B or 1, *shape), real or complex."""

    @property
    def dtype(self) -> torch.dtype:
        """That of the images: complex or real, of the diagonal's precision."""
        return self.diagonal.dtype.to_complex() if self.complex_image else self.diagonal.dtype

    def forward(self, x: Tensor) -> Tensor:
        """Return d o x."""
        return self.diagonal * x

    def adjoint(self, y: Tensor) -> Tensor:
        """Return conj(d) o y."""
        return self.diagonal.conj() * y

    def normal(self, x: Tensor) -> Tensor:
        """Return |d|^2 o x."""
        return self._power() * x

    def support(self) -> Tensor | None:
        """Return the entries where d is not zero."""
        return (self.diagonal != 0).to(self.dtype.to_real())

    def support_after(self, marks: Tensor | None) -> Tensor | None:
        """Return the entries of the support at which d is not zero."""
        own = self.support()
        if own is None or marks is None:
            return marks if own is None else own
        return own * marks.to(own.dtype)

    def isometry(self) -> Tensor | None:
        """Return |d|^2 where it is the same for all entries of a sensor; never for a d being learned, whose gradient it lacks."""
        power = self._power().flatten(1)
        first = power[:, :1]
        tolerance = ROUNDING_ERRORS * torch.finfo(power.dtype).eps
        if power.shape[1] > 1 and (power.requires_grad or bool(((power - first).abs() > tolerance * first).any())):
            return None
        return first[:, 0]

    def coisometry(self) -> Tensor | None:
        """Return what :meth:`isometry` does."""
        return self.isometry()

    def norm(self) -> Tensor:
        """Return max |d|."""
        return self.diagonal.abs().flatten(1).amax(1)

    def spectrum(self) -> SpectralDensity:
        """Return all |d|^2, each with the same weight."""
        values = self._power().flatten(1)
        return SpectralDensity(values, torch.full_like(values, 1 / values.shape[1]))

    def prox_from_backprojection(
        self,
        backprojection: Tensor,
        anchor: Tensor,
        weight: Tensor,
        *,
        tolerance: float = 1e-6,
        max_iterations: int = 50,
    ) -> Tensor:
        """Return (A^H y + w a) / (|d|^2 + w)."""
        w = expand(weight, len(self.domain_shape))
        return (backprojection + w * anchor) / (self._power() + w)

    def _power(self) -> Tensor:
        return self.diagonal.abs().square()
