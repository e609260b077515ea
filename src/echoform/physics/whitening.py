"""Whitening: the same measurement in samples whose noise is white and of unit level.

    y' = W y,    A' = W A,    W C W^H = I        |A' x - y'|^2 = (A x - y)^H C^-1 (A x - y)

so that least squares on (y', A') is generalised least squares on (y, A). For a level per sample W = diag(1 / sigma_i), which
goes into the operator's weights; for noise that is correlated along an axis W = L^-1 along it, with C = L L^H.
Samples outside the support carry no noise: C is then that of the samples which are there.

Source: Golub and Van Loan, Matrix Computations, section 6.1 (generalised least squares).
"""

from __future__ import annotations

import torch
from torch import Tensor

from echoform.linalg.inner import expand
from echoform.physics.axis_matrix import AxisMatrix
from echoform.physics.compositions import ScaledOperator
from echoform.physics.masking import apply_gain
from echoform.physics.noise import GaussianNoise, Noise
from echoform.physics.noise_coloured import ColouredGaussianNoise, DiagonalGaussianNoise
from echoform.physics.operator import LinearOperator


def whiten(y: Tensor, operator: LinearOperator, noise: Noise) -> tuple[Tensor, LinearOperator]:
    """Return (W y, W A), whose noise is white with standard deviation 1.

    Args:
        y: samples, (B, *range_shape).
        operator: A.
        noise: Gaussian, white or not, with no level of zero on the operator's support.

    Raises:
        TypeError: the noise is not Gaussian.
        ValueError: a level is zero, or the noise does not fit the samples.
    """
    match noise:
        case GaussianNoise():
            if not bool((noise.sigma > 0).all()):
                raise ValueError(f"noise of level {noise.sigma.tolist()} cannot be whitened: state a positive sigma")
            scale = 1 / noise.sigma.to(operator.device, operator.dtype.to_real())
            return y * expand(scale, y.ndim - 1), ScaledOperator(operator, scale)
        case DiagonalGaussianNoise():
            gain = _inverse_levels(operator, noise.deviation)
            return gain * y, apply_gain(operator, gain.to(operator.dtype))
        case ColouredGaussianNoise():
            whitener = _axis_whitener(operator, noise)
            return whitener(y), whitener @ operator
        case _:
            raise TypeError(f"only Gaussian noise can be whitened, got {type(noise).__name__}")


def _inverse_levels(operator: LinearOperator, deviation: Tensor) -> Tensor:
    """Return 1 / sigma_i on the support and 0 outside it."""
    level = deviation.to(operator.device, operator.dtype.to_real())
    marks = operator.support()
    if marks is None:
        marks = torch.ones((), dtype=level.dtype, device=level.device)
    heard = marks.to(level.dtype) * torch.ones_like(level)
    if bool(((level == 0) & (heard != 0)).any()):
        raise ValueError("a measured sample has noise of level zero: whitening needs every level positive")
    return torch.where(heard != 0, heard / torch.where(level > 0, level, 1), 0)


def _axis_whitener(operator: LinearOperator, noise: ColouredGaussianNoise) -> AxisMatrix:
    shape, axis = operator.range_shape, noise.axis
    count = noise.covariance.shape[-1]
    if axis >= len(shape) or shape[axis] != count:
        raise ValueError(
            f"a covariance of {count} samples along axis {axis} does not fit samples of shape {tuple(shape)}"
        )
    covariance = noise.covariance.to(operator.device, torch.complex128)
    marks = _marks_along(operator, axis)
    if marks is None:
        matrix = torch.linalg.inv(torch.linalg.cholesky(covariance))
    else:
        both = marks[:, :, None] * marks[:, None, :]
        held = torch.linalg.cholesky(both * covariance + torch.diag_embed(1 - marks))
        matrix = both * torch.linalg.inv(held)
    return AxisMatrix(matrix.tril().to(operator.dtype), shape, axis)


def _marks_along(operator: LinearOperator, axis: int) -> Tensor | None:
    """Return which entries along an axis are samples, (B or 1, n), float64, or None when all are.

    Raises:
        ValueError: lines that hold samples hold them at different places, so that each would need a matrix of its own.
    """
    marks = operator.support()
    if marks is None:
        return None
    full = marks.double().expand(marks.shape[0], *operator.range_shape).movedim(axis + 1, -1)
    lines = full.reshape(full.shape[0], -1, full.shape[-1])
    common = lines.amax(1)
    if not bool((lines == lines.amax(2, keepdim=True) * common[:, None]).all()):
        raise ValueError(
            f"samples are missing at different places of different lines along axis {axis}: drop them on all lines, or give "
            "the noise a level per sample"
        )
    return common
