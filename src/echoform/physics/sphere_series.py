"""The exact scalar field that a homogeneous sphere scatters between point sources: the truth that approximations are measured by.

The field obeys (laplacian + k^2 eps(r)) u = -delta, u and du/dr continuous (sound in a fluid of constant density). With
exp(+j w t), k the wavenumber outside, q = k sqrt(eps) inside a sphere of radius a about the origin, unit point sources at radius
t and receivers at radius r beyond it, an angle gamma apart, and spherical Bessel functions,

    y = (i k / 4 pi) sum_n (2 n + 1) c_n h_n(k r) h_n(k t) P_n(cos gamma),
    c_n = (k j'_n(k a) j_n(q a) - q j_n(k a) j'_n(q a)) / (k h'_n(k a) j_n(q a) - q h_n(k a) j'_n(q a)),       h_n = h_n^(2).

Source: the incident wave, exp(-i k R) / (4 pi R) = (-i k / 4 pi) sum_n (2 n + 1) j_n(k r_<) h_n(k r_>) P_n(cos gamma), is
Abramowitz and Stegun (1964), 10.1.45 and 10.1.46; c_n follows from the two conditions, as in Anderson (1950), J. Acoust. Soc.
Am. 22(4), with equal densities.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.special import eval_legendre, spherical_jn, spherical_yn
from torch import Tensor

from echoform.physics.green import wavenumber
from echoform.scene.rig import MultistaticRig

#: nearest that an antenna may stand to the centre, in radii: the series' terms fall as its power -2 n at least
NEAREST_RADII = 1.5


def scattered_by_sphere(rig: MultistaticRig, *, radius_m: float, permittivity: complex) -> Tensor:
    """Return the field scattered in vacuum by a sphere about the origin, (1, 1, F, R, T), complex128, for all pairs.

    Args:
        rig: point sources and receivers, batch 1.
        radius_m: a, metres.
        permittivity: eps, relative, Im eps <= 0.

    Raises:
        ValueError: more than one rig, or an antenna nearer than ``NEAREST_RADII`` radii to the centre.
    """
    if max(len(rig.receiver_m), len(rig.transmitter_m), len(rig.frequency_hz)) != 1:
        raise ValueError("one rig at a time: the batch must be 1")
    receiver, transmitter = rig.receiver_m[0].cpu().numpy(), rig.transmitter_m[0].cpu().numpy()
    r, t = np.linalg.norm(receiver, axis=-1), np.linalg.norm(transmitter, axis=-1)
    nearest = min(r.min(), t.min()) / radius_m
    if not nearest >= NEAREST_RADII:
        raise ValueError(
            f"every antenna must stand {NEAREST_RADII:g} radii or more from the centre of the sphere, got {nearest:g}"
        )
    cosine = (receiver / r[:, None]) @ (transmitter / t[:, None]).T
    fields = []
    for k in wavenumber(rig.frequency_hz.cpu(), torch.ones(1, dtype=torch.float64))[0].tolist():
        order = _orders(k * radius_m, permittivity, nearest)
        weight = (2 * order + 1) * _coefficients(order, k * radius_m, permittivity)
        out, back = (_hankel(order, k * d[:, None]) for d in (r, t))
        angular = eval_legendre(order, cosine[..., None])
        fields.append(torch.from_numpy(0.25j * k / math.pi * np.einsum("n,rn,tn,rtn->rt", weight, out, back, angular)))
    return torch.stack(fields)[None, None].to(rig.receiver_m.device)


def _orders(size: float, permittivity: complex, nearest: float) -> np.ndarray:
    """Return the n whose terms are not below rounding: what the wave needs on the sphere's edge, what the near field needs."""
    largest = size * max(1.0, abs(np.sqrt(complex(permittivity))))
    wave, near = largest + 4 * largest ** (1 / 3) + 10, math.log(1e16) / (2 * math.log(nearest))
    return np.arange(math.ceil(max(wave, near)) + 1)


def _coefficients(n: np.ndarray, a: float, permittivity: complex) -> np.ndarray:
    """Return c_n; ``a`` is k a."""
    ratio = np.sqrt(complex(permittivity))
    inside, slope = spherical_jn(n, ratio * a), ratio * spherical_jn(n, ratio * a, derivative=True)
    top = spherical_jn(n, a, derivative=True) * inside - spherical_jn(n, a) * slope
    return top / (_hankel(n, a, derivative=True) * inside - _hankel(n, a) * slope)


def _hankel(n: np.ndarray, z: float | np.ndarray, *, derivative: bool = False) -> np.ndarray:
    """Return h_n^(2)(z) or its derivative, z real."""
    return spherical_jn(n, z, derivative=derivative) - 1j * spherical_yn(n, z, derivative=derivative)
