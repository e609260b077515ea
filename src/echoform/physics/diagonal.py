"""What all operators of the form y = d o x share: entry by entry, so that everything about them is a closed form.

Of images, A U_s is exact and its normal the stencil of :mod:`echoform.linalg.masked_gram`: 49 products a coarse pixel, where the
fine normal takes one a pixel. Behind another sensor B a d that changes little from coarse pixel to pixel goes before U_s,

    B D U_s ~ B_t D_t U_(s/t),        d_t[m] = sum_j U[j, m]^2 d[j] / sum_j U[j, m]^2,

on the coarsest grid t at which the distance |D U_t - U_t D_t| / |D U_t|, for images of white noise and known in closed form, is
at most ``LARGEST_CHANGE``.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from echoform.linalg.between_grids import between_grids
from echoform.linalg.cg import USUAL, Stopping
from echoform.linalg.inner import expand
from echoform.linalg.masked_gram import MaskedGram, fits
from echoform.linalg.resample import separable, upsampling_matrix
from echoform.linalg.spectrum import SpectralDensity
from echoform.physics.compositions import GalerkinOperator
from echoform.physics.operator import LinearOperator, coarse_shape
from echoform.physics.separable import SeparableOperator

#: |d|^2 is called constant when it varies by less than this many rounding errors
ROUNDING_ERRORS = 16
#: largest |D U_s - U_s D_s| / |D U_s| at which a diagonal goes before the interpolation
LARGEST_CHANGE = 5e-2


class DiagonalOperator(LinearOperator):
    """y = d o x for inputs of shape (..., B, *shape); the domain need not be an image. Coarse version: exactly Galerkin.

    Args:
        shape: of images and of measurements, without the batch axis.
        complex_image: whether images are complex or real.
    """

    def __init__(self, shape: tuple[int, ...], *, complex_image: bool = True) -> None:
        super().__init__(shape, shape)  # pyright: ignore[reportArgumentType]
        self.complex_image = complex_image
        self._uniform: bool | None = None

    @property
    @abstractmethod
    def diagonal(self) -> Tensor:
        """d, broadcasting over (B or 1, *shape), real or complex."""

    @property
    def dtype(self) -> torch.dtype:
        """That of the images: complex or real, of the diagonal's precision."""
        return self.diagonal.dtype.to_complex() if self.complex_image else self.diagonal.dtype

    @abstractmethod
    def with_diagonal(self, diagonal: Tensor) -> LinearOperator:
        """Return the operator of the same kind with another d, (B or 1, *shape) of any shape."""

    def forward(self, x: Tensor) -> Tensor:
        """Return d o x."""
        return self.diagonal * x

    def adjoint(self, y: Tensor) -> Tensor:
        """Return conj(d) o y."""
        return self.diagonal.conj() * y

    def normal(self, x: Tensor) -> Tensor:
        """Return |d|^2 o x."""
        return self._power() * x

    def galerkin(self, factor: int) -> LinearOperator:
        """Return A U_s; its normal on the coarse grid where that is not too small, and d is not being learned."""
        if self.diagonal.requires_grad or self.isometry() is not None or not fits(self.domain_shape[-2:], factor):
            return super().galerkin(factor)
        return self if factor == 1 else MaskedGalerkin(self, factor)

    def commuted(self, factor: int) -> tuple[int, LinearOperator] | None:
        """Return t and D_t U_(s/t) on the coarsest grid on which d is smooth; None where it is on none, or being learned."""
        if len(self.domain_shape) != 3 or self.diagonal.requires_grad:
            return None
        found = before_interpolation(self.diagonal.expand(-1, -1, *self.domain_shape[1:]), factor)
        if found is None:
            return None
        step, smooth = found
        coarse = self.with_diagonal(smooth.expand(-1, *coarse_shape(self.domain_shape, step)))
        if step == factor:
            return step, coarse
        return step, coarse @ remaining_interpolation(self, factor, step)

    def support(self) -> Tensor | None:
        """Return the entries where d is not zero."""
        return (self.diagonal != 0).to(self.dtype.to_real())

    def support_after(self, marks: Tensor | None) -> Tensor | None:
        """Return the entries of the support at which d is not zero."""
        own = self.support()
        if own is None or marks is None:
            return marks if own is None else own
        return own * marks.to(own.dtype)

    def frequency_axes(self, *, of_input: bool = False) -> bool:
        """Return what is true of the input: every entry stays where it is."""
        return of_input

    def isometry(self) -> Tensor | None:
        """Return |d|^2 where it is the same for all entries of a sensor; never for a d being learned, whose gradient it lacks.

        A d that is not learned is looked at once: what follows asks the host for nothing, as captured and exported programs need.
        """
        d = self.diagonal.flatten(1)
        if d.requires_grad and d.shape[1] > 1:
            return None
        if self._uniform is None:
            self._uniform = _is_uniform(_squared(d))
        return _squared(d[:, 0]) if self._uniform else None

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
        self, backprojection: Tensor, anchor: Tensor, weight: Tensor, stopping: Stopping = USUAL
    ) -> Tensor:
        """Return (A^H y + w a) / (|d|^2 + w)."""
        w = expand(weight, len(self.domain_shape))
        return (backprojection + w * anchor) / (self._power() + w)

    def _power(self) -> Tensor:
        return _squared(self.diagonal)


class MaskedGalerkin(GalerkinOperator):
    """D U_s with the stencil U^H |D|^2 U on the coarse grid for its normal."""

    def __init__(self, base: DiagonalOperator, factor: int) -> None:
        super().__init__(base, factor)
        power = base.diagonal.abs().square()
        self.gram = MaskedGram(power.expand(*power.shape[:2], *base.domain_shape[1:]), factor)

    def normal(self, x: Tensor) -> Tensor:
        """Return U^H |d|^2 U x."""
        self.sensor_indices(x.shape[-4])  # raises unless there is one sensor, or one per image
        return self.gram(x)


def _squared(d: Tensor) -> Tensor:
    return d.abs().square() if d.is_complex() else d.square()


def _is_uniform(power: Tensor) -> bool:
    """Whether |d|^2, (B, n), is the same for all entries of each sensor."""
    first = power[:, :1]
    tolerance = ROUNDING_ERRORS * torch.finfo(power.dtype).eps
    return not bool(((power - first).abs() > tolerance * first).any())


def before_interpolation(diagonal: Tensor, factor: int) -> tuple[int, Tensor] | None:
    """Return the coarsest grid t on which d, (B, C, H, W), is smooth, a divisor of s, and d_t there; None where it is on none."""
    coarse_shape((1, diagonal.shape[-2], diagonal.shape[-1]), factor)
    for step in (t for t in range(factor, 1, -1) if factor % t == 0):
        smooth = _smoothed(diagonal, step)
        if smooth is not None:
            return step, smooth
    return None


def remaining_interpolation(fine: LinearOperator, factor: int, step: int) -> SeparableOperator:
    """Return U_(s/t), from a grid s times coarser than an operator's images to one t times coarser."""
    channels, height, width = fine.domain_shape
    rows, columns = (between_grids(n, factor, step, through=True, device=fine.device) for n in (height, width))
    return SeparableOperator(rows, columns, channels=channels, dtype=fine.dtype)


@torch.no_grad()
def _smoothed(diagonal: Tensor, factor: int) -> Tensor | None:
    """Return d_s, (B, C, H / s, W / s), or None where |D U - U D_s|^2 = |D U|^2 - |U D_s|^2 is too large for some sensor."""
    rows, columns = (upsampling_matrix(n, factor, device=diagonal.device).square() for n in diagonal.shape[-2:])
    norms = rows.sum(0)[0] * columns.sum(0)[0]
    wide = diagonal.to(torch.complex128 if diagonal.is_complex() else torch.float64)
    smooth = separable(wide, rows.mT, columns.mT) / norms
    whole = (wide.abs().square() * rows.sum(1)[:, None] * columns.sum(1)).flatten(1).sum(1)
    kept = norms * smooth.abs().square().flatten(1).sum(1)
    changed = whole - kept > LARGEST_CHANGE**2 * whole
    return None if bool(changed.any()) else smooth.to(diagonal.dtype)
