"""Antenna patterns: amplitude over the angle off boresight, for a stated one-way half-power beamwidth.

The power |g|^2 is one half at half the beamwidth off boresight. The two-way amplitude of a radar that sends and receives with
the same antenna is g^2.

Source: Balanis, Antenna Theory (2016), section 12.5 (the uniform line source).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from echoform.scene.collection import SpotlightCollection
from echoform.scene.grid import Grid

#: where sin(pi t) / (pi t) = 1 / sqrt 2
HALF_POWER_SINC = 0.44294647069


def sinc_pattern(angle_rad: Tensor, beamwidth_rad: Tensor) -> Tensor:
    """Return g = sin(pi t) / (pi t) of a uniformly lit aperture, t = (L / lambda) sin(angle).

    L / lambda is such that the -3 dB width is ``beamwidth_rad``; beyond 90 degrees nothing is seen.

    Args:
        angle_rad: off boresight, radians, any shape.
        beamwidth_rad: one-way full width at half power, below pi, a shape that broadcasts.
    """
    length = HALF_POWER_SINC / torch.sin(beamwidth_rad.double() / 2)
    seen = (angle_rad.abs() <= math.pi / 2).double()
    return seen * torch.sinc(length * torch.sin(angle_rad.double()))


def gaussian_pattern(angle_rad: Tensor, beamwidth_rad: Tensor) -> Tensor:
    """Return g = exp(-(ln 2 / 2) (2 angle / beamwidth)^2), a main beam without side lobes.

    Args:
        angle_rad: off boresight, radians, any shape.
        beamwidth_rad: one-way full width at half power, a shape that broadcasts.
    """
    return torch.exp(-math.log(2) / 2 * (2 * angle_rad.double() / beamwidth_rad.double()).square())


def off_boresight_rad(antenna_m: Tensor, aim_m: Tensor, position_m: Tensor) -> Tensor:
    """Return the angle at the antenna between where it points and each position, radians, float64.

    Args:
        antenna_m: (..., 3), metres.
        aim_m: a point on the boresight, (..., 3), metres.
        position_m: (..., 3), metres; the three shapes broadcast.

    Returns:
        (...), by the arctangent, which keeps small angles exact.
    """
    boresight, sight = torch.broadcast_tensors(
        aim_m.double() - antenna_m.double(), position_m.double() - antenna_m.double()
    )
    across = torch.linalg.cross(boresight, sight).norm(dim=-1)
    return torch.atan2(across, (boresight * sight).sum(-1))


def moving_beam(
    collection: SpotlightCollection,
    grid: Grid,
    pattern: Callable[[Tensor, Tensor], Tensor],
    *,
    beamwidth_rad: Tensor,
    azimuth_error_rad: Tensor,
    receiver_error_rad: Tensor | None = None,
) -> Tensor:
    """Return the two-way amplitude g_p(r) of antennas that point past the scene centre, otherwise at each pulse.

    g = a(theta_t) a(theta_r), a^2(theta) where one antenna does both; theta is the angle at the antenna between the pixel and its
    boresight, the line to the scene centre turned about the vertical by the error.

    Args:
        collection: antenna positions, about the scene centre.
        grid: image grid.
        pattern: a, :func:`sinc_pattern` or :func:`gaussian_pattern`, of angle and beamwidth.
        beamwidth_rad: one-way full width at half power, radians, (B or 1,).
        azimuth_error_rad: of the transmitter's pointing, radians, counterclockwise as seen from above, (B or 1, P).
        receiver_error_rad: of a receiver that stands apart, (B or 1, P); None where it points at the scene centre.

    Returns:
        g, (B or 1, P, H, W), float64: what :func:`echoform.physics.moving_pattern.apply_moving_pattern` takes.

    Raises:
        ValueError: the errors do not hold one angle per pulse, or a receiver's are given where none stands apart.
    """
    pulses = collection.antenna_m.shape[1]
    if receiver_error_rad is not None and collection.receiver_m is None:
        raise ValueError("receiver_error_rad is given, but the collection has no receiver apart from the transmitter")
    ends = [(collection.antenna_m, azimuth_error_rad)]
    if collection.receiver_m is not None:
        none = torch.zeros_like(azimuth_error_rad)
        ends.append((collection.receiver_m, none if receiver_error_rad is None else receiver_error_rad))
    for _, error in ends:
        if error.ndim != 2 or error.shape[1] != pulses:
            raise ValueError(
                f"pointing errors must be (batch, {pulses}), one angle per pulse, got {tuple(error.shape)}"
            )
    places = grid.positions_m().to(collection.antenna_m.device)
    batch = max(len(beamwidth_rad), *(len(part) for end in ends for part in end))
    gains = places.new_ones(batch, pulses, *grid.shape)
    for antenna_m, error_rad in ends:
        aim_m = antenna_m.double() + _turned(-antenna_m.double(), error_rad.double())
        for b, p in ((b, p) for b in range(batch) for p in range(pulses)):
            angle = off_boresight_rad(antenna_m[b % len(antenna_m), p], aim_m[b % len(aim_m), p], places)
            seen = pattern(angle, beamwidth_rad[b % len(beamwidth_rad)])
            gains[b, p] *= seen.square() if len(ends) == 1 else seen
    return gains


def fixed_pointing_error_rad(antenna_m: Tensor) -> Tensor:
    """Return the azimuth error of an antenna fixed to a platform that flies straight: the azimuth of its boresight stays.

    The beam sweeps over the scene as that of a stripmap radar does.

    Args:
        antenna_m: q, (B, P, 3), metres, about the scene centre.

    Returns:
        radians in [-pi, pi), counterclockwise, (B, P), zero at pulse P // 2.
    """
    azimuth = torch.atan2(-antenna_m[..., 1].double(), -antenna_m[..., 0].double())
    middle = azimuth[:, azimuth.shape[1] // 2, None]
    return torch.remainder(middle - azimuth + math.pi, 2 * math.pi) - math.pi


def _turned(direction: Tensor, angle_rad: Tensor) -> Tensor:
    """Return directions (B, P, 3) turned about the vertical by angles (B, P), counterclockwise as seen from above."""
    x, y, z = direction.unbind(-1)
    c, s = angle_rad.cos(), angle_rad.sin()
    return torch.stack([c * x - s * y, s * x + c * y, z.expand_as(c * x)], -1)
