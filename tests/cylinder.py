"""Rings of line sources about the origin, and short names for numbers in double precision."""

from __future__ import annotations

import math

import torch

from echoform.scene.rig import MultistaticRig, all_pairs, ring_m

DOUBLE = torch.complex128


def real(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def angles(count: int, start: float = 0.0) -> torch.Tensor:
    return start + 2 * math.pi * torch.arange(count, dtype=torch.float64) / count


def ring_rig(frequency_hz: torch.Tensor, *, antennas: int = 24, radius_m: float = 1.0) -> MultistaticRig:
    return all_pairs(
        ring_m(radius_m, angles(antennas))[None], ring_m(radius_m, angles(antennas, 0.1))[None], frequency_hz[None]
    )
