"""Shapes on the ground: boxes and ellipses in any direction, what they cover, and what they shade or overlay.

A shape has its own axes: u along the heading (forward), v to the left of it; heading is from +x towards +y.
"""

from __future__ import annotations

import torch
from torch import Tensor

from echoform.scene.frame import Frame


def to_body(frame: Frame, position_m: Tensor, heading_rad: Tensor) -> tuple[Tensor, Tensor]:
    """Return (u, v) of every pixel in the axes of every shape, each (B, N, H, W), metres.

    Args:
        frame: pixels.
        position_m: (x, y) of the shapes, (B, N, 2), metres.
        heading_rad: (B, N), radians.
    """
    y, x = frame.axes_m()
    dx = x[:, None] - position_m[..., 0, None, None]
    dy = y[:, None] - position_m[..., 1, None, None]
    c, s = (f(heading_rad)[..., None, None] for f in (torch.cos, torch.sin))
    return dx * c + dy * s, dy * c - dx * s


def to_ground(position_m: Tensor, heading_rad: Tensor, body_m: Tensor) -> Tensor:
    """Return (x, y) of points (u, v) of shapes, (B, N, Q, 2), metres.

    Args:
        position_m: of the shapes, (B, N, 2), metres.
        heading_rad: (B, N), radians.
        body_m: (u, v), (B, N, Q, 2), metres.
    """
    c, s = (f(heading_rad)[..., None] for f in (torch.cos, torch.sin))
    u, v = body_m.unbind(-1)
    return position_m[:, :, None] + torch.stack([u * c - v * s, u * s + v * c], -1)


def body_direction(direction: Tensor, heading_rad: Tensor) -> Tensor:
    """Return a direction (x, y) on the ground, (B, 2), in the axes of each shape, (B, N, 2)."""
    c, s = torch.cos(heading_rad), torch.sin(heading_rad)
    x, y = direction[:, None].unbind(-1)
    return torch.stack([x * c + y * s, y * c - x * s], -1)


def box(u: Tensor, v: Tensor, length_m: Tensor, width_m: Tensor) -> Tensor:
    """Return which pixels lie in boxes, (B, N, H, W) bool.

    Args:
        u: from :func:`to_body`, metres.
        v: likewise.
        length_m: (B, N), metres.
        width_m: (B, N), metres.
    """
    return (u.abs() <= length_m[..., None, None] / 2) & (v.abs() <= width_m[..., None, None] / 2)


def ellipse(u: Tensor, v: Tensor, length_m: Tensor, width_m: Tensor) -> Tensor:
    """Return which pixels lie in ellipses of these axes, (B, N, H, W) bool; arguments as in :func:`box`."""
    return (2 * u / length_m[..., None, None]).square() + (2 * v / width_m[..., None, None]).square() <= 1


def swept_box(
    u: Tensor, v: Tensor, length_m: Tensor, width_m: Tensor, *, direction: Tensor, distance_m: Tensor
) -> Tensor:
    """Return which pixels a box covers while it moves ``distance_m`` along ``direction``, (B, N, H, W) bool.

    A pixel p is covered when p - t d lies in the box for some t in [0, distance]: the interval of t is that of |u| cut with
    that of |v|. Towards the radar it is layover, away from it shadow.

    Args:
        u: from :func:`to_body`, metres.
        v: likewise.
        length_m: (B, N), metres.
        width_m: (B, N), metres.
        direction: unit vector in the axes of the box, (B, N, 2), from :func:`body_direction`.
        distance_m: (B, N), metres.
    """
    first, last = torch.zeros_like(distance_m)[..., None, None], distance_m[..., None, None]
    for at, half, step in ((u, length_m / 2, direction[..., 0]), (v, width_m / 2, direction[..., 1])):
        speed = torch.where(step.abs() < 1e-6, 1e-6, step)[..., None, None]
        middle, reach = at / speed, half[..., None, None] / speed.abs()
        first, last = torch.maximum(first, middle - reach), torch.minimum(last, middle + reach)
    return first <= last


def perimeter(along: Tensor, length_m: Tensor, width_m: Tensor) -> tuple[Tensor, Tensor]:
    """Return points (u, v) on the edge of boxes and the outward unit normals there, each (..., 2).

    Args:
        along: distance along the perimeter as a share of it, in [0, 1), starting at the front right corner, counter-clockwise.
        length_m: broadcasting with ``along``, metres.
        width_m: likewise.
    """
    length_m, width_m, along = torch.broadcast_tensors(length_m, width_m, along)
    way = along * 2 * (length_m + width_m)
    front, left, back = way < width_m, way < width_m + length_m, way < 2 * width_m + length_m
    u = torch.where(
        front, length_m / 2, torch.where(left, length_m / 2 - (way - width_m), torch.where(back, -length_m / 2, 0.0))
    )
    right = ~(front | left | back)
    u = torch.where(right, way - 2 * width_m - length_m - length_m / 2, u)
    v = torch.where(front, way - width_m / 2, torch.where(left, width_m / 2, width_m / 2 - (way - width_m - length_m)))
    v = torch.where(right, -width_m / 2, v)
    one, zero = torch.ones_like(way), torch.zeros_like(way)
    normal_u = torch.where(front, one, torch.where(left, zero, torch.where(back, -one, zero)))
    normal_v = torch.where(front, zero, torch.where(left, one, torch.where(back, zero, -one)))
    return torch.stack([u, v], -1), torch.stack([normal_u, normal_v], -1)
