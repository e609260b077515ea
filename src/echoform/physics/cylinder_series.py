"""The exact TM field that a dielectric cylinder scatters between line sources: the truth that approximations are measured by.

With exp(+j w t), k the wavenumber outside, q = k sqrt(eps) inside a cylinder of radius a about the origin, unit line sources at
radius t and receivers at radius r beyond it, an angle phi apart,

    y = (i / 4) sum_n c_n H_n(k r) H_n(k t) exp(i n phi),
    c_n = (k J'_n(k a) J_n(q a) - q J_n(k a) J'_n(q a)) / (k H'_n(k a) J_n(q a) - q H_n(k a) J'_n(q a)),       H_n = H_n^(2).

Source: Harrington, Time-Harmonic Electromagnetic Fields (1961), section 5-9.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.special import h2vp, hankel2, jv, jvp
from torch import Tensor

from echoform.physics.green import wavenumber
from echoform.scene.rig import MultistaticRig


def scattered_by_cylinder(rig: MultistaticRig, *, radius_m: float, permittivity: complex) -> Tensor:
    """Return the field scattered in vacuum by a cylinder about the origin, (1, 1, F, R, T), complex128, for all pairs.

    Args:
        rig: line sources and receivers in the plane z = 0, batch 1.
        radius_m: a, metres.
        permittivity: eps, relative, Im eps <= 0.

    Raises:
        ValueError: more than one rig, or an antenna inside the cylinder.
    """
    if max(len(rig.receiver_m), len(rig.transmitter_m), len(rig.frequency_hz)) != 1:
        raise ValueError("one rig at a time: the batch must be 1")
    receiver, transmitter = (
        torch.complex(p[0, :, 0], p[0, :, 1]).cpu().numpy() for p in (rig.receiver_m, rig.transmitter_m)
    )
    if not min(np.abs(receiver).min(), np.abs(transmitter).min()) > radius_m:
        raise ValueError(f"every antenna must stand outside the cylinder of radius {radius_m:g} m")
    turn = np.angle(receiver[:, None] / transmitter)
    fields = []
    for k in wavenumber(rig.frequency_hz.cpu(), torch.ones(1, dtype=torch.float64))[0].tolist():
        order, coefficient = _coefficients(k, radius_m, permittivity)
        out, back = hankel2(order, k * np.abs(receiver)[:, None]), hankel2(order, k * np.abs(transmitter)[:, None])
        waves = np.exp(1j * order[:, None, None] * turn)
        fields.append(torch.from_numpy(0.25j * np.einsum("n,rn,tn,nrt->rt", coefficient, out, back, waves)))
    return torch.stack(fields)[None, None].to(rig.receiver_m.device)


def _coefficients(k: float, radius_m: float, permittivity: complex) -> tuple[np.ndarray, np.ndarray]:
    """Return n and c_n, as many as the wave needs on the cylinder's edge (to rounding)."""
    a, b = k * radius_m, k * radius_m * np.sqrt(permittivity)
    largest = max(a, abs(b))
    last = math.ceil(largest + 4 * largest ** (1 / 3) + 10)
    n = np.arange(-last, last + 1)
    ratio = np.sqrt(permittivity)
    top = jvp(n, a) * jv(n, b) - ratio * jv(n, a) * jvp(n, b)
    bottom = h2vp(n, a) * jv(n, b) - ratio * hankel2(n, a) * jvp(n, b)
    return n, top / bottom
