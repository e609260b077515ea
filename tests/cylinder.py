"""A dielectric cylinder between line sources: the rig, the pixels it covers and the exact fields it scatters."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.special import h2vp, hankel2, jv, jvp

from echoform.scene.grid import Grid
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


def disc(grid: Grid, radius_m: float) -> torch.Tensor:
    """The share of each pixel that a disc at the centre covers."""
    fine = (torch.arange(8, dtype=torch.float64) - 3.5) / 8
    rows, columns = ((a[:, None] + fine * d).flatten() for a, d in zip(grid.axes_m(), grid.spacing_m, strict=True))
    inside = (rows[:, None].square() + columns.square() < radius_m**2).double()
    return inside.reshape(grid.shape[0], 8, grid.shape[1], 8).mean((1, 3))


def exact_cylinder(k: float, radius_m: float, eps: float, rig: MultistaticRig) -> np.ndarray:
    """The TM field scattered by a dielectric cylinder at the centre, lit by unit line sources; Harrington (1961), 5-9."""
    n, inside = np.arange(-15, 16), k * np.sqrt(eps)
    a = k * radius_m, inside * radius_m
    top = k * jvp(n, a[0]) * jv(n, a[1]) - inside * jv(n, a[0]) * jvp(n, a[1])
    bottom = k * h2vp(n, a[0]) * jv(n, a[1]) - inside * hankel2(n, a[0]) * jvp(n, a[1])
    receiver, transmitter = ((p[0, :, 0] + 1j * p[0, :, 1]).numpy() for p in (rig.receiver_m, rig.transmitter_m))
    turn = np.angle(receiver[:, None] / transmitter[None])
    out, back = hankel2(n, k * np.abs(receiver)[:, None]), hankel2(n, k * np.abs(transmitter)[:, None])
    return 0.25j * np.einsum("n,rn,tn,nrt->rt", top / bottom, out, back, np.exp(1j * n[:, None, None] * turn))
