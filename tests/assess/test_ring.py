"""Diameter, width and floor of rings whose figures are known in closed form."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.special import ive

from echoform.assess.ring import measure_ring
from echoform.scene.sky import MICROARCSECOND_RAD, SkyGrid

UAS = MICROARCSECOND_RAD
GRID = SkyGrid((80, 80), 1.5 * UAS)
RADII_RAD = (5 * UAS, 40 * UAS)


def radius(north: float = 0.0, east: float = 0.0) -> torch.Tensor:
    m, l = (axis / UAS for axis in GRID.axes_rad())  # noqa: E741
    return ((m[:, None] - north).square() + (l - east).square()).sqrt()


def blurred_ring(r: torch.Tensor, ring_radius: float, beam_fwhm: float) -> torch.Tensor:
    """A thin ring convolved with a Gaussian: exp(-(r - R)^2 / 2 s^2) I0e(r R / s^2)."""
    s2 = beam_fwhm**2 / (8 * math.log(2))
    return torch.exp(-((r - ring_radius) ** 2) / (2 * s2)) * torch.from_numpy(ive(0, (r * ring_radius / s2).numpy()))


@pytest.mark.parametrize("beam", [6.0, 10.0])
def test_a_blurred_thin_ring_off_centre(beam) -> None:
    """Peak at R - b^2 / (16 log 2 R), width about b, and the centre where it was put."""
    image = blurred_ring(radius(5.0, -3.0), 21.0, beam)
    ring = measure_ring(image, GRID, radii_rad=RADII_RAD)
    expected = 2 * (21 - beam**2 / (16 * math.log(2) * 21))
    assert ring.diameter_rad / UAS == pytest.approx(expected, abs=0.1)
    assert ring.width_rad / UAS == pytest.approx(beam, rel=0.05)
    assert ring.centre_rad == pytest.approx((5 * UAS, -3 * UAS), abs=0.15 * UAS)
    assert ring.scatter_rad < 0.25 * UAS
    assert ring.floor < 0.1
    assert ring.asymmetry < 0.01


def test_the_bright_side_is_counted_from_north_through_east() -> None:
    m, l = GRID.axes_rad()  # noqa: E741
    angle = torch.atan2(l.expand(80, 80), m[:, None].expand(80, 80))
    image = blurred_ring(radius(), 20.0, 8.0) * (1 + 0.4 * torch.cos(angle - math.radians(150)))
    ring = measure_ring(image, GRID, radii_rad=RADII_RAD)
    assert math.degrees(ring.position_angle_rad) == pytest.approx(150, abs=1)
    assert ring.asymmetry == pytest.approx(0.4, abs=0.01)


def test_a_disc_has_a_floor_and_a_blob_has_no_width() -> None:
    blob = torch.exp(-(radius() ** 2) / 800)
    ring = measure_ring(blob, GRID, radii_rad=RADII_RAD)
    assert ring.floor > 0.95
    assert math.isnan(ring.width_rad)
    disc = torch.sigmoid(30 - radius())
    assert measure_ring(disc, GRID, radii_rad=RADII_RAD).floor > 0.95


def test_rays_must_stay_in_the_image() -> None:
    with pytest.raises(ValueError, match="leave the image"):
        measure_ring(blurred_ring(radius(), 21.0, 8.0), GRID, radii_rad=(5 * UAS, 70 * UAS))
