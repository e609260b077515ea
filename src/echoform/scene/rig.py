"""A multistatic rig: where the transmitters and receivers stand, the frequencies, and which pairs are heard."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class MultistaticRig:
    """Antennas about a scene centre at the origin.

    Attributes:
        transmitter_m: positions (x, y, z), shape (B or 1, T, 3), metres, float64.
        receiver_m: positions (x, y, z), shape (B or 1, R, 3), metres, float64.
        frequency_hz: f, shape (B or 1, F), hertz, float64.
        heard: 0/1, shape (B or 1, F or 1, R, T); 0 marks a pair that was not measured.

    Raises:
        ValueError: an array has the wrong number of axes, a value that is not finite, or ``heard`` one other than 0 and 1.
    """

    transmitter_m: Tensor
    receiver_m: Tensor
    frequency_hz: Tensor
    heard: Tensor

    def __post_init__(self) -> None:
        for name, value in (("transmitter_m", self.transmitter_m), ("receiver_m", self.receiver_m)):
            if value.ndim != 3 or value.shape[-1] != 3:
                raise ValueError(f"{name} must be (batch, antennas, 3), got {tuple(value.shape)}")
        if self.frequency_hz.ndim != 2:
            raise ValueError(f"frequency_hz must be (batch, frequencies), got {tuple(self.frequency_hz.shape)}")
        pairs = (self.receiver_m.shape[1], self.transmitter_m.shape[1])
        shape, frequencies = tuple(self.heard.shape), self.frequency_hz.shape[1]
        if len(shape) != 4 or shape[1] not in (1, frequencies) or shape[2:] != pairs:
            raise ValueError(f"heard must be (batch, 1 or {frequencies}, {pairs[0]}, {pairs[1]}), got {shape}")
        for name in ("transmitter_m", "receiver_m", "frequency_hz"):
            if not bool(torch.isfinite(getattr(self, name).detach()).all()):
                raise ValueError(f"{name} holds a value that is not finite")
        if not bool((self.frequency_hz > 0).all()):
            raise ValueError("frequency_hz must be positive")
        if not bool(((self.heard == 0) | (self.heard == 1)).all()):
            raise ValueError("heard must hold nothing but 0 and 1")


def all_pairs(transmitter_m: Tensor, receiver_m: Tensor, frequency_hz: Tensor) -> MultistaticRig:
    """Return the rig in which every receiver hears every transmitter; arguments as in :class:`MultistaticRig`."""
    heard = torch.ones(1, 1, receiver_m.shape[1], transmitter_m.shape[1], dtype=torch.float64)
    return MultistaticRig(transmitter_m, receiver_m, frequency_hz, heard.to(receiver_m.device))


def ring_m(radius_m: float, angle_rad: Tensor) -> Tensor:
    """Return positions on a circle in the plane z = 0, radius_m (cos a, sin a, 0), shape (K, 3), metres, float64."""
    angle = angle_rad.double()
    return radius_m * torch.stack([angle.cos(), angle.sin(), torch.zeros_like(angle)], -1)


def sphere_m(radius_m: float, count: int) -> Tensor:
    """Return positions spread evenly over a sphere, shape (K, 3), metres, float64.

    Position i stands at height z_i = r (1 - (2 i + 1) / K) and turned by i times the golden angle, pi (3 - sqrt(5)).

    Source: Gonzalez (2010), Math. Geosci. 42 (the Fibonacci lattice).
    """
    i = torch.arange(count, dtype=torch.float64)
    height, turn = 1 - (2 * i + 1) / count, math.pi * (3 - math.sqrt(5)) * i
    ring = (1 - height.square()).sqrt()
    return radius_m * torch.stack([ring * turn.cos(), ring * turn.sin(), height], -1)
