"""Antenna patterns: amplitude over the angle off boresight, for a stated one-way half-power beamwidth.

The power |g|^2 is one half at half the beamwidth off boresight. The two-way amplitude of a radar that sends and receives with
the same antenna is g^2.

Source: Balanis, Antenna Theory (2016), section 12.5 (the uniform line source).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

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
