"""Where an antenna was at each pulse: straight and circular tracks, and the motion errors of real platforms.

    straight   q_p = q_0 + (p - (P - 1) / 2) s t          s the spacing, t the unit vector along the track
    circular   q_p = (rho cos a_p, rho sin a_p, z),        a_p evenly over the aperture about its middle

A motion error is a smooth Gaussian wander (a few slow swings within the aperture, power falling as the square of frequency) and
a vibration. Its part along the line of sight, dR = e . (q - r) / |q - r|, is what defocuses: a phase of 4 pi dR / lambda.

Source: Carrara, Goodman and Majewski, Spotlight Synthetic Aperture Radar (1995), section 5.4 (motion errors).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from echoform.scene.collection import SpotlightCollection
from echoform.scene.random_source import RandomSource

#: slowest swings of a wander within the aperture
SWINGS = 6


def straight_track(centre_m: Tensor, pulses: int, *, spacing_m: Tensor, direction_rad: Tensor) -> Tensor:
    """Return a level straight track, (B, P, 3), metres, float64.

    Args:
        centre_m: the middle of the track, (B, 3), metres.
        pulses: P.
        spacing_m: s, from pulse to pulse, (B,), metres.
        direction_rad: from +x towards +y, (B,), radians.
    """
    step = torch.arange(pulses, dtype=torch.float64, device=centre_m.device) - (pulses - 1) / 2
    angle = direction_rad.double()
    along = torch.stack([torch.cos(angle), torch.sin(angle), torch.zeros_like(angle)], -1)
    return centre_m.double()[:, None] + (spacing_m.double()[:, None] * step)[..., None] * along[:, None]


def circular_track(
    pulses: int, *, radius_m: Tensor, height_m: Tensor, middle_rad: Tensor, aperture_rad: Tensor
) -> Tensor:
    """Return an arc about the z axis, (B, P, 3), metres, float64.

    Args:
        pulses: P; they stand at the middles of P equal parts of the aperture.
        radius_m: rho, on the ground, (B,), metres.
        height_m: z, (B,), metres.
        middle_rad: azimuth of the middle of the aperture, from +x towards +y, (B,), radians.
        aperture_rad: width of the aperture; 2 pi is a whole circle, (B,), radians.
    """
    share = (torch.arange(pulses, dtype=torch.float64, device=radius_m.device) + 0.5) / pulses - 0.5
    angle = middle_rad.double()[:, None] + aperture_rad.double()[:, None] * share
    radius, height = radius_m.double()[:, None], height_m.double()[:, None]
    return torch.stack([radius * torch.cos(angle), radius * torch.sin(angle), height.expand_as(angle)], -1)


def wander_m(source: RandomSource, pulses: int, std_m: Tensor) -> Tensor:
    """Return a smooth random displacement in all three directions, (B, P, 3), metres, float64.

    A sum of sines of 1 / 2, 2 / 2, ... 6 / 2 cycles within the aperture whose amplitudes fall as 1 / frequency; its standard
    deviation over draws, at every pulse, is ``std_m``.

    Args:
        source: of randomness.
        pulses: P.
        std_m: (B,), metres.
    """
    batch = len(std_m)
    cycles = torch.arange(1, SWINGS + 1, device=source.place).double() / 2
    time = torch.arange(pulses, device=source.place).double() / pulses
    angle = 2 * math.pi * cycles[:, None] * time
    weight = 1 / cycles
    weight = weight / weight.square().sum().sqrt()
    drawn = source.normal((2, batch, 3, SWINGS)).double() * weight
    motion = drawn[0] @ torch.cos(angle) + drawn[1] @ torch.sin(angle)
    return (std_m.double()[:, None, None] * motion).mT


def vibration_m(source: RandomSource, pulses: int, amplitude_m: Tensor, cycles: Tensor) -> Tensor:
    """Return a sinusoidal displacement along a random direction, (B, P, 3), metres, float64.

    Args:
        source: of randomness.
        pulses: P.
        amplitude_m: (B,), metres.
        cycles: within the aperture, (B,).
    """
    batch = len(amplitude_m)
    direction = torch.nn.functional.normalize(source.normal((batch, 3)).double(), dim=-1)
    time = torch.arange(pulses, device=source.place).double() / pulses
    turn = 2 * math.pi * (cycles.double()[:, None] * time + source.uniform((batch, 1)).double())
    return (amplitude_m.double()[:, None] * torch.sin(turn))[..., None] * direction[:, None]


def sight_error_m(antenna_m: Tensor, error_m: Tensor, point_m: Tensor) -> Tensor:
    """Return dR, the part of a displacement away from a point, (B, P), metres; for ``phase_errors.range_offset_phase``.

    Args:
        antenna_m: q, (B or 1, P, 3), metres.
        error_m: e, (B or 1, P, 3), metres.
        point_m: r, (B or 1, 3), metres.
    """
    sight = antenna_m.double() - point_m.double()[:, None]
    return (error_m.double() * sight).sum(-1) / sight.norm(dim=-1)


def collection_along(track_m: Tensor, frequency_hz: Tensor) -> SpotlightCollection:
    """Return the spotlight collection of one antenna on a track, every sample kept.

    Args:
        track_m: (B or 1, P, 3), metres.
        frequency_hz: (B or 1, F), hertz.
    """
    kept = torch.ones(1, track_m.shape[1], frequency_hz.shape[1], dtype=torch.float64, device=track_m.device)
    return SpotlightCollection(track_m, frequency_hz, kept)
