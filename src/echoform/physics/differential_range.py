"""Paths from an antenna to the pixels, beyond that to the scene centre: d = |q - r| - |q|, in float64."""

from __future__ import annotations

from torch import Tensor


def differential_range(antenna_m: Tensor, position_m: Tensor, squared_m2: Tensor) -> Tensor:
    """Return d = |q - r| - |q| without cancellation, as (|r|^2 - 2 q . r) / (|q - r| + |q|).

    Args:
        antenna_m: q, shape (..., 3), metres, float64.
        position_m: r, shape (M, 3), metres, float64.
        squared_m2: |r|^2, shape (M,), square metres.

    Returns:
        shape (..., M), metres.
    """
    standoff_squared = antenna_m.square().sum(-1, keepdim=True)
    excess = squared_m2 - 2 * (antenna_m @ position_m.T)
    return excess / ((standoff_squared + excess).sqrt() + standoff_squared.sqrt())


def half_path(antenna_m: Tensor, receiver_m: Tensor | None, position_m: Tensor, squared_m2: Tensor) -> Tensor:
    """Return half of |q_t - r| + |q_r - r| - (|q_t| + |q_r|); see :func:`differential_range` for the arguments."""
    there = differential_range(antenna_m, position_m, squared_m2)
    return there if receiver_m is None else (there + differential_range(receiver_m, position_m, squared_m2)) / 2
