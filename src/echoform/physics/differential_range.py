"""Paths from an antenna to the pixels, beyond that to the scene centre: d = |q - r| - |q|, in float64."""

from __future__ import annotations

from torch import Tensor


def differential_range(antenna_m: Tensor, excess_m2: Tensor) -> Tensor:
    """Return d = |q - r| - |q| without cancellation, as e / (|q - r| + |q|) with the excess e = |r|^2 - 2 q . r.

    Args:
        antenna_m: q, shape (..., 3), metres, float64.
        excess_m2: e, shape (..., M), square metres.

    Returns:
        shape (..., M), metres.
    """
    standoff_squared = antenna_m.square().sum(-1, keepdim=True)
    return excess_m2 / ((standoff_squared + excess_m2).sqrt() + standoff_squared.sqrt())


def half_path(antenna_m: Tensor, receiver_m: Tensor | None, position_m: Tensor) -> Tensor:
    """Return half of |q_t - r| + |q_r - r| - (|q_t| + |q_r|), (..., M), for antennas (..., 3) and positions (M, 3)."""
    squared = position_m.square().sum(-1)

    def beyond(place_m: Tensor) -> Tensor:
        return differential_range(place_m, squared - 2 * (place_m @ position_m.T))

    return beyond(antenna_m) if receiver_m is None else (beyond(antenna_m) + beyond(receiver_m)) / 2


def ground_half_path(antenna_m: Tensor, receiver_m: Tensor | None, rows_m: Tensor, columns_m: Tensor) -> Tensor:
    """Return :func:`half_path` to the points of a ground grid y (H,), x (W,) from antennas (P, 3), as (P, H W)."""

    def beyond(place_m: Tensor) -> Tensor:
        along_y = rows_m.square() - 2 * place_m[:, 1:2] * rows_m
        along_x = columns_m.square() - 2 * place_m[:, :1] * columns_m
        return differential_range(place_m, (along_y[:, :, None] + along_x[:, None]).flatten(1))

    return beyond(antenna_m) if receiver_m is None else (beyond(antenna_m) + beyond(receiver_m)) / 2
