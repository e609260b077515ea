"""The exact series of a dielectric cylinder: conservation of power, reciprocity, and what it refuses.

Its fields are compared with the moment method, the full-wave simulator and Born in the tests of those.
"""

from __future__ import annotations

import pytest
import torch

from contracts import distance
from cylinder import angles, real, ring_rig
from echoform.physics.cylinder_series import _coefficients, scattered_by_cylinder
from echoform.scene.rig import all_pairs, ring_m


@pytest.mark.parametrize("permittivity", [0.5, 1.5, 9.0])
def test_a_cylinder_without_loss_scatters_all_it_takes(permittivity: float) -> None:
    """|1 - 2 c_n| = 1 for every n: J_n - c_n H_n is an incoming wave and as strong an outgoing one."""
    _, coefficient = _coefficients(60.0, 0.05, permittivity)
    assert float(abs(abs(1 - 2 * coefficient) - 1).max()) < 1e-12
    _, lossy = _coefficients(60.0, 0.05, permittivity - 0.3j)
    assert float(abs(1 - 2 * lossy).max()) <= 1 + 1e-12
    assert float(abs(1 - 2 * lossy).min()) < 0.9


def test_swapping_sources_and_receivers_transposes_the_field() -> None:
    one, other = ring_m(0.3, angles(4)), ring_m(0.4, angles(5, 0.2))
    frequency = real(1e9, 2e9)[None]
    there = scattered_by_cylinder(all_pairs(one[None], other[None], frequency), radius_m=0.05, permittivity=3 - 0.2j)
    back = scattered_by_cylinder(all_pairs(other[None], one[None], frequency), radius_m=0.05, permittivity=3 - 0.2j)
    assert distance(there, back.mT) < 1e-12
    nothing = scattered_by_cylinder(all_pairs(one[None], other[None], frequency), radius_m=0.05, permittivity=1.0)
    assert float(nothing.abs().max()) < 1e-12 * float(there.abs().max())


def test_misuse_is_refused() -> None:
    with pytest.raises(ValueError, match="outside the cylinder"):
        scattered_by_cylinder(ring_rig(real(1e9), antennas=3, radius_m=0.04), radius_m=0.05, permittivity=2.0)
    two = torch.stack([ring_m(0.3, angles(3)), ring_m(0.4, angles(3))])
    with pytest.raises(ValueError, match="batch must be 1"):
        scattered_by_cylinder(all_pairs(two, two, real(1e9)[None]), radius_m=0.05, permittivity=2.0)
