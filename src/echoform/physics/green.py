"""Green functions of the scalar Helmholtz equation in a homogeneous background, time convention exp(+j w t).

    (laplacian + k^2) g = -delta:     g(R) = exp(-i k R) / (4 pi R)  (3-D),     g(R) = -(i/4) H0^(2)(k R)  (2-D)

k = 2 pi f sqrt(eps_b) / c. With exp(+j w t) a lossy background has Im eps_b <= 0, hence Im k <= 0, and g decays outwards.
Both functions give gradients to distance and wavenumber.

Over a disc or a ball of radius b and measure m about a source, with z = k b (Bessel functions; their mean value property),

    integral of g = m c g(R)  beyond it,    c = 2 J1(z) / z  (2-D),    c = 3 j1(z) / z  (3-D),
    k^2 times the integral of g at its centre = -(i/2) (pi z H1^(2)(z) - 2 i)  (2-D),    (1 + i z) exp(-i z) - 1  (3-D).

Source: Harrington, Time-Harmonic Electromagnetic Fields (1961), sections 2-9 and 5-6; Richmond (1965), IEEE Trans. Antennas
Propag. 13(3) (the disc; the ball's integral is that of r exp(-i k r)).
"""

from __future__ import annotations

import cmath
import math
from enum import Enum
from typing import Any

import numpy as np
import torch
from scipy.special import hankel2, j0, j1, jv, spherical_jn, y0, y1
from torch import Tensor

from echoform.scene.collection import SPEED_OF_LIGHT_M_S


class _Hankel(torch.autograd.Function):
    """H0^(2)(z) with d/dz = -H1^(2)(z), by scipy in float64 on the CPU; once differentiable."""

    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        ctx.save_for_backward(z)
        return _by_scipy(z, 0)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (z,) = ctx.saved_tensors
        if torch.is_grad_enabled():
            raise RuntimeError("second derivatives of the Hankel function are not available: drop create_graph")
        to_z = -_by_scipy(z, 1).conj() * grads[0]
        return to_z if z.is_complex() else to_z.real


def _by_scipy(z: Tensor, order: int) -> Tensor:
    values = z.detach().resolve_conj().cpu().numpy()
    if np.iscomplexobj(values):
        result = hankel2(order, values)
    else:  # the same function for a real argument, ten times quicker
        first, second = (j0, y0) if order == 0 else (j1, y1)
        result = first(values) - 1j * second(values)
    return torch.from_numpy(np.asarray(result)).to(z.device)


def hankel2_zero(z: Tensor) -> Tensor:
    """Return H0^(2)(z), complex128, of real (float64) or complex (complex128) z, any shape."""
    return _Hankel.apply(z)  # pyright: ignore[reportReturnType]


def green_2d(distance_m: Tensor, wavenumber_rad_m: Tensor) -> Tensor:
    """Return the field of a line source, -(i/4) H0^(2)(k R), dimensionless.

    Args:
        distance_m: R > 0, metres, float64.
        wavenumber_rad_m: k, radians per metre, float64 or complex128, broadcast against R.
    """
    return -0.25j * hankel2_zero(wavenumber_rad_m * distance_m)


def green_3d(distance_m: Tensor, wavenumber_rad_m: Tensor) -> Tensor:
    """Return the field of a point source, exp(-i k R) / (4 pi R), in 1 / m.

    Args:
        distance_m: R > 0, metres, float64.
        wavenumber_rad_m: k, radians per metre, float64 or complex128, broadcast against R.
    """
    return torch.exp(-1j * wavenumber_rad_m * distance_m) / (4 * torch.pi * distance_m)


class Radiator(Enum):
    """What an antenna and a cell radiate like: infinite lines along z (2-D, TM) or points (3-D, scalar)."""

    LINE = "line"
    POINT = "point"

    def green(self, distance_m: Tensor, wavenumber_rad_m: Tensor) -> Tensor:
        """Return :func:`green_2d` for lines and :func:`green_3d` for points."""
        return (green_2d if self is Radiator.LINE else green_3d)(distance_m, wavenumber_rad_m)

    def radius_m(self, measure: float) -> float:
        """Return b of the disc of an area (m^2) or of the ball of a volume (m^3), metres."""
        return math.sqrt(measure / math.pi) if self is Radiator.LINE else math.cbrt(0.75 * measure / math.pi)

    def mean(self, turn: complex) -> complex:
        """Return c: g integrated over the disc or ball, seen from beyond it, over its measure times g; ``turn`` is k b."""
        if self is Radiator.LINE:
            return complex(2 * jv(1, turn) / turn)
        return complex(3 * spherical_jn(1, turn) / turn)

    def own(self, turn: complex) -> complex:
        """Return k^2 times the integral of g over the disc or ball at its own centre; ``turn`` is k b."""
        if self is Radiator.LINE:
            return complex(-0.5j * (math.pi * turn * hankel2(1, turn) - 2j))
        return (1 + 1j * turn) * cmath.exp(-1j * turn) - 1


def wavenumber(frequency_hz: Tensor, permittivity: Tensor) -> Tensor:
    """Return k_b = 2 pi f sqrt(eps_b) / c, radians per metre, (B, F); real when eps_b is.

    Args:
        frequency_hz: f, shape (B or 1, F), hertz, float64.
        permittivity: eps_b, relative, shape (B or 1,), complex128 with Im eps_b <= 0, or float64.
    """
    vacuum = 2 * torch.pi * frequency_hz / SPEED_OF_LIGHT_M_S
    real = not permittivity.is_complex() or bool((permittivity.imag == 0).all())
    root = permittivity.real.sqrt() if real else permittivity.sqrt()
    return vacuum * root[:, None]
