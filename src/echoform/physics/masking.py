"""Sensors that measure less: some entries of an operator's range are dropped.

A' = M A,     M = diag(m),  m = 0 where an entry is dropped
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from echoform.linalg.inner import expand
from echoform.linalg.spectrum import SpectralDensity
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.nonuniform_fourier import NonuniformFourier
from echoform.physics.operator import (
    ComposedOperator,
    GalerkinOperator,
    LinearOperator,
    ScaledOperator,
    StackedOperator,
)
from echoform.physics.spotlight_exact import ExactSpotlight


class SampleMask(LinearOperator):
    """y = m o x: each entry multiplied by a real weight, zero where it is dropped (of an image: inpainting).

    Coarse version: Galerkin by default.

    Args:
        weights: m, shape (B or 1, *shape) for inputs of shape (..., B, *shape), float32 or float64; the precision decides
            between complex64 and complex128.
    """

    weights: Tensor

    def __init__(self, weights: Tensor) -> None:
        shape = tuple(weights.shape[1:])
        super().__init__(shape, shape)  # pyright: ignore[reportArgumentType]
        self.register_buffer("weights", weights)

    @property
    def dtype(self) -> torch.dtype:
        """Complex, of the weights' precision."""
        return self.weights.dtype.to_complex()

    def support(self) -> Tensor:
        """Return the entries kept, (B or 1, *shape)."""
        return (self.weights != 0).to(self.weights.dtype)

    def forward(self, x: Tensor) -> Tensor:
        """Return m o x."""
        return self.weights * x

    def adjoint(self, y: Tensor) -> Tensor:
        """Return m o y."""
        return self.weights * y

    def normal(self, x: Tensor) -> Tensor:
        """Return m^2 o x."""
        return self.weights.square() * x

    def norm(self) -> Tensor:
        """Return max |m|."""
        return self.weights.abs().flatten(1).amax(1)

    def spectrum(self) -> SpectralDensity:
        """Return all m^2, each with weight 1 / n."""
        values = self.weights.square().flatten(1)
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
        """Return (A^H y + w a) / (m^2 + w)."""
        w = expand(weight, self.weights.ndim - 1)
        return (backprojection + w * anchor) / (self.weights.square() + w)


def restrict(operator: LinearOperator, kept: Tensor) -> LinearOperator:
    """Return M A, of the same class as A and with its fast normal where the class has weights.

    Args:
        operator: A.
        kept: m, true (or 1) where an entry stays, broadcasting over (B or 1, *range_shape).

    Raises:
        ValueError: ``kept`` does not fit the operator's range.
    """
    shape = tuple(operator.range_shape)
    if kept.ndim != len(shape) + 1 or any(k not in (1, n) for k, n in zip(kept.shape[1:], shape, strict=True)):
        raise ValueError(f"kept must broadcast over (batch, {shape}), got shape {tuple(kept.shape)}")
    marks = kept.to(operator.device).expand(-1, *shape)
    match operator:
        case FourierMask():
            return FourierMask(operator.weights * marks.to(operator.weights.dtype), factor=operator.factor)
        case NonuniformFourier() if _alike(marks):
            return NonuniformFourier(
                operator.points,
                operator.weights * marks[:, 0].flatten(1),
                domain_shape=operator.domain_shape,
                sample_shape=operator.range_shape[1:],
                dtype=operator.dtype,
            )
        case ExactSpotlight():
            return _restricted_spotlight(operator, marks[:, 0])
        case ScaledOperator():
            return ScaledOperator(restrict(operator.base, kept), operator.scale)
        case GalerkinOperator():
            return GalerkinOperator(restrict(operator.base, kept), operator.factor)
        case ComposedOperator():
            return ComposedOperator(restrict(operator.outer, kept), operator.inner)
        case StackedOperator():
            return _restricted_stack(operator, marks)
        case _:
            # The mask takes over what A itself leaves out: a product knows only its outer factor's support.
            held = operator.support()
            return SampleMask((marks if held is None else marks * held).to(operator.dtype.to_real())) @ operator


def _alike(marks: Tensor) -> bool:
    """Whether all channels keep the same entries."""
    return bool((marks == marks[:, :1]).all())


def _restricted_spotlight(operator: ExactSpotlight, marks: Tensor) -> ExactSpotlight:
    """Return the operator with a smaller mask, sharing every other buffer (k_c, over all samples, stays as it is)."""
    twin = copy.copy(operator)
    twin._buffers = dict(operator._buffers)
    twin.kept = operator.kept * marks.to(operator.kept.dtype)
    return twin


def _restricted_stack(operator: StackedOperator, marks: Tensor) -> StackedOperator:
    pieces = marks.split(operator.lengths, -1)
    parts = [p for p in operator.parts if isinstance(p, LinearOperator)]
    return StackedOperator([restrict(p, m.unflatten(-1, p.range_shape)) for p, m in zip(parts, pieces, strict=True)])
