"""Sensors whose samples are weighted, or that measure less: a factor on every entry of an operator's range.

A' = G A,     G = diag(g),  g = 0 where an entry is dropped

The factor goes into the operator's own weights wherever it has some, so that the class and its fast normal stay.
"""

from __future__ import annotations

import copy
from typing import TypeVar

from torch import Tensor

from echoform.physics.axis_matrix import AxisMatrix
from echoform.physics.born import BornScattering
from echoform.physics.channelwise import BlockDiagonalOperator, ChannelwiseOperator
from echoform.physics.compositions import ComposedOperator, GalerkinOperator, ScaledOperator
from echoform.physics.diagonal import DiagonalOperator
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.kronecker import KroneckerOperator
from echoform.physics.nonuniform_fourier import CoarseNonuniformFourier, NonuniformFourier
from echoform.physics.operator import LinearOperator
from echoform.physics.sample_gain import SampleGain, check_broadcast
from echoform.physics.spotlight_exact import ExactSpotlight
from echoform.physics.spotlight_factorised import FactorisedSpotlight
from echoform.physics.stacked import StackedOperator

Spotlight = TypeVar("Spotlight", bound=ExactSpotlight | FactorisedSpotlight)


class SampleMask(DiagonalOperator):
    """y = m o x: each entry multiplied by a real weight, zero where it is dropped (of an image: inpainting).

    Coarse version: exactly Galerkin.

    Args:
        weights: m, shape (B or 1, *shape) for inputs of shape (..., B, *shape), float32 or float64: the precision of the
            images.
        complex_image: whether images are complex or real.
    """

    weights: Tensor

    def __init__(self, weights: Tensor, *, complex_image: bool = True) -> None:
        super().__init__(tuple(weights.shape[1:]), complex_image=complex_image)
        self.register_buffer("weights", weights)

    @property
    def diagonal(self) -> Tensor:
        """m."""
        return self.weights

    def with_diagonal(self, diagonal: Tensor) -> SampleMask:
        """Return the operator with other weights."""
        return SampleMask(diagonal, complex_image=self.complex_image)


def restrict(operator: LinearOperator, kept: Tensor) -> LinearOperator:
    """Return M A, of the same class as A and with its fast normal where the class has weights.

    Args:
        operator: A.
        kept: m, true (or 1) where an entry stays, broadcasting over (B or 1, *range_shape).

    Raises:
        ValueError: ``kept`` does not fit the operator's range.
    """
    check_broadcast("kept", kept, operator.range_shape)
    return _weighted(operator, kept.to(operator.device, operator.dtype.to_real()))


def apply_gain(operator: LinearOperator, gain: Tensor) -> LinearOperator:
    """Return G A; its normal is as fast as that of A where |g| is constant or where the class has weights to take g.

    Args:
        operator: A.
        gain: g, broadcasting over (B or 1, *range_shape), complex where images are and real where they are; gradients reach a
            complex gain that requires them.

    Raises:
        ValueError: the gain is real and images are complex or the reverse, or it does not fit the operator's range.
    """
    if not operator.dtype.is_complex:
        if gain.is_complex():
            raise ValueError("the gain is complex and the operator's images are real: give a real gain")
        check_broadcast("gain", gain, operator.range_shape)
        return _weighted(operator, gain.to(operator.device, operator.dtype))
    factor = SampleGain(gain.to(operator.device, operator.dtype) if gain.is_complex() else gain, operator.range_shape)
    if factor.gain.requires_grad or factor.isometry() is not None:
        return factor @ operator
    return _weighted(operator, factor.gain)


def _weighted(operator: LinearOperator, gain: Tensor) -> LinearOperator:
    """Return G A for a real or complex gain that broadcasts over (B or 1, *range_shape)."""
    match operator:
        case FourierMask():
            return FourierMask(operator.weights * gain, factor=operator.factor)
        case NonuniformFourier() if _alike(gain, 1):
            whole = gain[:, 0].expand(-1, *operator.range_shape[1:])
            return NonuniformFourier(
                operator.points,
                operator.weights * whole.flatten(1),
                domain_shape=operator.domain_shape,
                sample_shape=operator.range_shape[1:],
                dtype=operator.dtype,
            )
        case CoarseNonuniformFourier() if _alike(gain, 1):
            base = _weighted(operator.base, gain)
            assert isinstance(base, NonuniformFourier)
            return CoarseNonuniformFourier(base, operator.factor)
        case KroneckerOperator() if sum(n > 1 for n in gain.shape[1:]) <= 1:
            return _weighted_kronecker(operator, gain)
        case ExactSpotlight() | FactorisedSpotlight() if not gain.is_complex() and bool(
            ((gain == 0) | (gain == 1)).all()
        ):
            return _restricted_spotlight(operator, gain[:, 0])
        case BornScattering() if operator.factor == 1:
            return operator.weighted(gain[:, 0])
        case ScaledOperator():
            return ScaledOperator(_weighted(operator.base, gain), operator.scale)
        case GalerkinOperator():
            return GalerkinOperator(_weighted(operator.base, gain), operator.factor)
        case ComposedOperator() if _commutes(operator.outer, gain):
            return ComposedOperator(operator.outer, _weighted(operator.inner, gain))
        case ComposedOperator():
            return ComposedOperator(_weighted(operator.outer, gain), operator.inner)
        case ChannelwiseOperator() if _alike(gain, 1):
            return ChannelwiseOperator(_weighted(operator.base, gain[:, :1]), operator.channels)
        case ChannelwiseOperator():
            return _weighted(BlockDiagonalOperator([operator.base] * operator.channels), gain)
        case BlockDiagonalOperator():
            pieces = gain.expand(-1, operator.range_shape[0], *gain.shape[2:]).split(operator.lengths, 1)
            return BlockDiagonalOperator([_weighted(p, g) for p, g in zip(operator.operators, pieces, strict=True)])
        case StackedOperator():
            return _weighted_stack(operator, gain)
        case _ if gain.is_complex():
            return SampleGain(gain, operator.range_shape) @ operator
        case _:
            return (
                SampleMask(gain.expand(-1, *operator.range_shape), complex_image=operator.dtype.is_complex) @ operator
            )


def _alike(gain: Tensor, axis: int) -> bool:
    """Whether the gain is the same all along an axis."""
    return gain.shape[axis] == 1 or bool((gain == gain.narrow(axis, 0, 1)).all())


def _commutes(outer: LinearOperator, gain: Tensor) -> bool:
    """Whether G A = A G, of one shape on either side."""
    return isinstance(outer, DiagonalOperator) or (isinstance(outer, AxisMatrix) and gain.shape[outer.axis + 1] == 1)


def _weighted_kronecker(operator: KroneckerOperator, gain: Tensor) -> KroneckerOperator:
    """Put a gain along one axis of the samples into that axis's factor."""
    row = operator.row
    if gain.shape[2] > 1:
        return KroneckerOperator(operator.channel, row * gain[:, 0, None, :, 0, None], operator.column)
    if gain.shape[3] > 1:
        return KroneckerOperator(operator.channel, row, operator.column * gain[:, 0, 0, :, None])
    return KroneckerOperator(operator.channel * gain[:, :, 0, 0, None], row, operator.column)


def _restricted_spotlight(operator: Spotlight, marks: Tensor) -> Spotlight:
    """Return the operator with a smaller mask, sharing all else (k_c, over all samples, stays as it is)."""
    twin = copy.copy(operator)
    twin._buffers = dict(operator._buffers)
    twin.kept = operator.kept * marks.to(operator.kept.dtype)
    return twin


def _weighted_stack(operator: StackedOperator, gain: Tensor) -> StackedOperator:
    pieces = operator.pieces(gain.expand(-1, *operator.range_shape))
    return StackedOperator([_weighted(p, g) for p, g in zip(operator.operators, pieces, strict=True)], operator.axis)
