"""The exact series of a sphere in the scalar problem: power, reciprocity, the Born limit, and what it refuses.

Its fields are compared with the integral equation on cells in the tests of that.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from contracts import distance
from cylinder import real
from echoform.physics.sphere_series import _coefficients, scattered_by_sphere
from echoform.scene.collection import SPEED_OF_LIGHT_M_S
from echoform.scene.rig import all_pairs, sphere_m


@pytest.mark.parametrize("permittivity", [0.5, 1.5, 9.0])
def test_a_sphere_without_loss_scatters_all_it_takes(permittivity: float) -> None:
    """|1 - 2 c_n| = 1 for every n: j_n - c_n h_n is an incoming wave and as strong an outgoing one."""
    order = np.arange(15)
    assert float(abs(abs(1 - 2 * _coefficients(order, 3.0, permittivity)) - 1).max()) < 1e-12
    lossy = abs(1 - 2 * _coefficients(order, 3.0, permittivity - 0.3j))
    assert float(lossy.max()) <= 1 + 1e-12
    assert float(lossy.min()) < 0.9


def test_a_weak_sphere_far_away_scatters_the_transform_of_a_ball() -> None:
    """y -> k^2 chi g(r) g(t) (4 pi / q^3) (sin q a - q a cos q a), q = 2 k cos(gamma / 2), for r, t large (Born, far field)."""
    radius_m, far, chi, hz = 0.1, 2e4, 1e-4, 1e9
    rig = all_pairs(sphere_m(far, 3)[None], sphere_m(far, 4)[None], real(hz)[None])
    k = 2 * math.pi * hz / SPEED_OF_LIGHT_M_S
    cosine = rig.receiver_m[0] @ rig.transmitter_m[0].mT / far**2
    q = 2 * k * ((1 + cosine) / 2).sqrt()
    ball = 4 * math.pi / q**3 * ((q * radius_m).sin() - q * radius_m * (q * radius_m).cos())
    green = np.exp(-1j * k * far) / (4 * math.pi * far)
    exact = scattered_by_sphere(rig, radius_m=radius_m, permittivity=1 + chi)[0, 0, 0]
    assert distance(exact, k**2 * chi * green**2 * ball.to(exact.dtype)) < 1e-3


def test_a_weak_sphere_nearby_scatters_an_integral_over_it() -> None:
    """Born along one axis by quadrature at one and a half radii, where many orders count."""
    radius_m, chi, hz = 0.02, 1e-5, 1e9
    near = torch.tensor([[[0.0, 0.0, 1.5 * radius_m]]], dtype=torch.float64)
    k = 2 * math.pi * hz / SPEED_OF_LIGHT_M_S
    exact = complex(
        scattered_by_sphere(all_pairs(near, near, real(hz)[None]), radius_m=radius_m, permittivity=1 + chi).flatten()[0]
    )

    def shell(r: float, part) -> float:
        """Of exp(-2 i k R) / R^2 over a sphere of radius r about the origin: 2 pi r / d times its integral over R, dR / R."""
        d = 1.5 * radius_m
        return 2 * math.pi * r / d * quad(lambda s: part(2 * k * s) / s, d - r, d + r)[0]

    value = quad(shell, 0, radius_m, args=(math.cos,))[0] - 1j * quad(shell, 0, radius_m, args=(math.sin,))[0]
    assert abs(exact / (k**2 * chi * value / (4 * math.pi) ** 2) - 1) < 1e-4


def test_swapping_sources_and_receivers_transposes_the_field() -> None:
    one, other, frequency = sphere_m(0.3, 4)[None], sphere_m(0.4, 5)[None], real(1e9, 2e9)[None]
    there = scattered_by_sphere(all_pairs(one, other, frequency), radius_m=0.05, permittivity=3 - 0.2j)
    back = scattered_by_sphere(all_pairs(other, one, frequency), radius_m=0.05, permittivity=3 - 0.2j)
    assert distance(there, back.mT) < 1e-12
    nothing = scattered_by_sphere(all_pairs(one, other, frequency), radius_m=0.05, permittivity=1.0)
    assert float(nothing.abs().max()) < 1e-12 * float(there.abs().max())


def test_misuse_is_refused() -> None:
    near = sphere_m(0.07, 3)[None]
    with pytest.raises(ValueError, match="radii or more"):
        scattered_by_sphere(all_pairs(near, near, real(1e9)[None]), radius_m=0.05, permittivity=2.0)
    two = torch.cat([sphere_m(0.3, 3)[None], sphere_m(0.4, 3)[None]])
    with pytest.raises(ValueError, match="batch must be 1"):
        scattered_by_sphere(all_pairs(two, two, real(1e9)[None]), radius_m=0.05, permittivity=2.0)
