"""The radar equation and its targets against figures from the literature; two targets in simulated spotlight data."""

from __future__ import annotations

import math

import pytest
import torch

from echoform.assess.radar_budget import (
    PointReference,
    Spreading,
    check_rcs_budget,
    cross_section_m2,
    dihedral_m2,
    flat_plate_m2,
    measured_cross_section_m2,
    peak_power,
    received_power_w,
    sphere_m2,
    square_trihedral_m2,
    triangular_trihedral_m2,
)
from echoform.measure.measurement import Measurement
from echoform.physics.noise import GaussianNoise
from echoform.physics.spotlight_exact import ExactSpotlight
from echoform.recon.classical.matched_filter import MatchedFilter
from echoform.scene.collection import SPEED_OF_LIGHT_M_S, SpotlightCollection
from echoform.scene.grid import Grid

RANGE_M = 60.0
TRIHEDRAL_M2, SPHERE_M2 = triangular_trihedral_m2(0.3, 0.03), sphere_m2(3.0)


def test_closed_forms() -> None:
    """10 GHz: figures of the tables, in dBsm."""
    for value, dbsm in (
        (triangular_trihedral_m2(0.3, 0.03), 15.76),  # 4 pi 0.0081 / 0.0027
        (square_trihedral_m2(0.3, 0.03), 15.76 + 10 * math.log10(9)),
        (flat_plate_m2(0.09, 0.03), 20.53),
        (dihedral_m2(0.3, 0.3, 0.03), 20.53 + 10 * math.log10(2)),  # twice the plate's area seen at 45 degrees: 2 x
        (sphere_m2(0.5642), 0.0),
    ):
        assert 10 * math.log10(value) == pytest.approx(dbsm, abs=0.01)
    assert triangular_trihedral_m2(0.6, 0.03) / triangular_trihedral_m2(0.3, 0.03) == pytest.approx(16)
    # A dihedral's projected aperture is sqrt(2) a b: that of a plate of this area.
    assert dihedral_m2(0.2, 0.5, 0.03) == pytest.approx(flat_plate_m2(math.sqrt(2) * 0.2 * 0.5, 0.03))


def test_radar_equation_in_decibels() -> None:
    """1 kW, 30 dB, 3 cm, 1 m2, 10 km: 30 dBW + 60 - 30.458 - 32.976 - 160 dB."""
    power = received_power_w(transmitted_w=1e3, gain=1e3, wavelength_m=0.03, cross_section_m2=1.0, range_m=1e4)
    assert 10 * math.log10(power) == pytest.approx(30 + 60 - 30.4576 - 32.9763 - 160, abs=1e-3)
    found = cross_section_m2(received_w=2.5 * power, transmitted_w=1e3, gain=1e3, wavelength_m=0.03, range_m=1e4)
    assert found == pytest.approx(2.5)


def test_peak_between_pixels() -> None:
    side = 32
    k = torch.arange(-8, 9, dtype=torch.float64)
    line = torch.exp(2j * torch.pi * (torch.arange(side)[:, None] - 12.4) * k / side).mean(1)
    image = 3 * line[:, None] * line[None]
    assert peak_power(image, (12, 13)) == pytest.approx(9, rel=1e-3)
    assert float(image.abs().square().max()) < 8
    with pytest.raises(ValueError, match="does not lie"):
        peak_power(image, (32, 0))


def simulated(
    grid: Grid, pixels: list[tuple[int, int]], cross_sections: list[float]
) -> tuple[torch.Tensor, list[float]]:
    """Matched-filter image of points whose echoes obey the radar equation pulse by pulse, and their ranges at mid-aperture.

    The echoes are written out here: amplitude sqrt(sigma) / R_p^2, phase -4 pi f R_p / c against the scene centre.
    """
    angle = torch.linspace(-0.02, 0.02, 41, dtype=torch.float64)
    antenna = RANGE_M * torch.stack([angle.cos(), angle.sin(), 0 * angle + 0.5], -1)
    frequency = torch.linspace(9.5e9, 10.1e9, 48, dtype=torch.float64)
    collection = SpotlightCollection(antenna[None], frequency[None], torch.ones(1, 41, 48, dtype=torch.float64))
    operator = ExactSpotlight(collection, grid, dtype=torch.complex128)
    y = torch.zeros(1, 1, 41, 48, dtype=torch.complex128)
    ranges = []
    for (row, column), sigma in zip(pixels, cross_sections, strict=True):
        place = grid.positions_m()[row, column]
        reach = (antenna - place).norm(dim=-1)
        turns = 2 * frequency / SPEED_OF_LIGHT_M_S * (reach - antenna.norm(dim=-1))[:, None]
        y += math.sqrt(sigma) / reach[:, None].square() * torch.exp(-2j * torch.pi * turns)
        ranges.append(float(reach[20]))
    image = MatchedFilter()(Measurement(y, operator, GaussianNoise(torch.zeros(1)))).mean
    return image[0, 0], ranges


@pytest.mark.parametrize(("scale", "passes"), [(1.0, True), (2.0, False), (0.5, False)])
def test_two_targets_in_simulated_spotlight_data(scale: float, passes: bool) -> None:
    """A trihedral 8 m nearer than a sphere of 28 m2; one whose echo is 3 dB off is found out."""
    grid = Grid((48, 96), (0.3, 0.2))
    pixels = [(24 + 5, 48 + 20), (24 - 6, 48 - 20)]
    image, ranges = simulated(grid, pixels, [TRIHEDRAL_M2, scale * SPHERE_M2])
    trihedral = PointReference(pixels[0], TRIHEDRAL_M2, ranges[0])
    sphere = PointReference(pixels[1], SPHERE_M2, ranges[1])
    found = check_rcs_budget(image, sphere, trihedral, spreading=Spreading.TWO_WAY)
    print(found)
    assert found.passes is passes
    assert found.error_db == pytest.approx(10 * math.log10(scale), abs=0.3)
    assert ("OUTSIDE" in str(found)) is not passes
    assert measured_cross_section_m2(image, sphere, trihedral, spreading=Spreading.TWO_WAY) == pytest.approx(
        found.measured_m2
    )


def test_forgotten_spreading_is_found_out() -> None:
    grid = Grid((48, 96), (0.3, 0.2))
    pixels = [(24, 48 + 20), (24, 48 - 20)]
    image, ranges = simulated(grid, pixels, [TRIHEDRAL_M2, SPHERE_M2])
    near, far = (PointReference(p, s, r) for p, s, r in zip(pixels, (TRIHEDRAL_M2, SPHERE_M2), ranges, strict=True))
    found = check_rcs_budget(image, far, near, spreading=Spreading.COMPENSATED)
    assert found.error_db == pytest.approx(-40 * math.log10(ranges[1] / ranges[0]), abs=0.3)
    assert not found.passes


def test_what_makes_no_sense_is_refused() -> None:
    image = torch.zeros(8, 8, dtype=torch.complex64)
    with pytest.raises(ValueError, match="positive"):
        PointReference((1, 1), -1.0, 100.0)
    target = PointReference((1, 1), 1.0, 100.0)
    with pytest.raises(ValueError, match="no energy"):
        check_rcs_budget(image, target, target, spreading=Spreading.COMPENSATED)
