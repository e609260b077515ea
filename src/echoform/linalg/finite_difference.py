"""Forward differences of images and their adjoint, the border replicated (the difference beyond it is zero)."""

from __future__ import annotations

import torch
from torch import Tensor

#: bound on |D|^2
DIFFERENCE_NORM_SQUARED = 8.0


def differences(x: Tensor) -> Tensor:
    """Return D x = (x[j + 1, k] - x[j, k], x[j, k + 1] - x[j, k]) of images (..., H, W), stacked first: (2, ..., H, W)."""
    d = x.new_zeros(2, *x.shape)
    d[0, ..., :-1, :] = x[..., 1:, :] - x[..., :-1, :]
    d[1, ..., :-1] = x[..., 1:] - x[..., :-1]
    return d


def differences_adjoint(d: Tensor) -> Tensor:
    """Return D^T d, (..., H, W), of a field (2, ..., H, W); minus the divergence."""
    down, right = d[0, ..., :-1, :], d[1, ..., :-1]
    x = torch.zeros_like(d[0])
    x[..., 1:, :] += down
    x[..., :-1, :] -= down
    x[..., 1:] += right
    x[..., :-1] -= right
    return x


def field_magnitude(d: Tensor) -> Tensor:
    """Return sqrt(|d_0|^2 + |d_1|^2) of a field (2, ..., H, W), real, (..., H, W)."""
    power = d.real.square() + d.imag.square() if d.is_complex() else d.square()
    return (power[0] + power[1]).sqrt()
