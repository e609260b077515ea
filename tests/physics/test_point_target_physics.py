"""Resolution and side lobes of a point where the support in k is a rectangle: -3 dB width 0.886 cells, PSLR -13.26 dB.

A cell is 2 pi over the extent of the support: c / 2B in range, lambda / (2 dtheta) across it, lambda / D in sine of angle,
lambda / 2T in velocity. Samples are written out here, with the scatterer between pixels wherever the sensor allows, and
imaged as a user would: matched filter, then the library's own point-target analysis. FMCW in far field and the spotlight
operators alone on finely sampled cuts: tests/physics/test_array_radar.py and test_spotlight.py, with the signs of range,
angle and velocity.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from echoform.assess.point_target import CutResponse, PointTargetResponse, cut_response, point_target_response
from echoform.measure.measurement import Measurement
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.near_range_array import near_range_array
from echoform.physics.noise import GaussianNoise
from echoform.physics.nonuniform_fourier import NonuniformFourier
from echoform.physics.operator import LinearOperator
from echoform.physics.range_angle_doppler import mimo_radar
from echoform.physics.spotlight_exact import ExactSpotlight
from echoform.physics.spotlight_factorised import FactorisedSpotlight
from echoform.physics.spotlight_plane_wave import plane_wave_spotlight
from echoform.recon.classical.matched_filter import MatchedFilter
from echoform.scene.array import MimoArray, filled_array, polar_positions_m
from echoform.scene.collection import SPEED_OF_LIGHT_M_S, SpotlightCollection
from echoform.scene.grid import Grid
from echoform.scene.waveform import FmcwWaveform, OfdmWaveform, RangingWaveform

C = SPEED_OF_LIGHT_M_S
DOUBLE = torch.complex128
WIDTH, PSLR_DB = 0.886, -13.26
FINE = 32


def check(cut: CutResponse, cell_px: float) -> None:
    assert cut.width_px / cell_px == pytest.approx(WIDTH, rel=0.02)
    assert cut.pslr_db == pytest.approx(PSLR_DB, abs=0.3)


def focused(operator: LinearOperator, y: torch.Tensor) -> PointTargetResponse:
    return point_target_response(MatchedFilter()(Measurement(y, operator, GaussianNoise(torch.zeros(1)))).mean[0, 0])


def test_fourier_mask() -> None:
    """75 x 91 of 128 x 128 frequencies; the point at (62.7, 68.4)."""
    marks = torch.zeros(1, 1, 128, 128, dtype=torch.float64)
    marks[..., 28:103, 20:111] = 1
    k = 2 * torch.pi * (torch.arange(128, dtype=torch.float64) - 64) / 128
    y = marks * torch.exp(-1j * (k[:, None] * -1.3 + k * 4.4))
    found = focused(FourierMask(marks), y)
    check(found.rows, 128 / 75)
    check(found.columns, 128 / 91)
    assert (found.rows.position_px, found.columns.position_px) == pytest.approx((62.7, 68.4), abs=0.01)


def test_cartesian_samples_off_the_grid() -> None:
    """A rectangle of k that fits no DFT grid, 4.0 x 5.2 radians per pixel counted from edge to edge of its cells."""
    rows, columns = (
        extent * ((torch.arange(n, dtype=torch.float64) + 0.5) / n - 0.5) for extent, n in ((4.0, 90), (5.2, 100))
    )
    points = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))
    operator = NonuniformFourier(
        points.flatten(-2)[None],
        torch.ones(1, 9000, dtype=torch.float64),
        domain_shape=(1, 64, 64),
        sample_shape=(90, 100),
        dtype=DOUBLE,
    )
    found = focused(operator, torch.exp(1j * (2.3 * points[0] - 3.6 * points[1]))[None, None])
    check(found.rows, 2 * math.pi / 4.0)
    check(found.columns, 2 * math.pi / 5.2)
    assert (found.rows.position_px, found.columns.position_px) == pytest.approx((34.3, 28.4), abs=0.01)


def check_spotlight(build, collection: SpotlightCollection, cells: tuple[float, float], *, along_x: bool) -> None:
    """Focus the echoes of a point off the grid, their paths written out, on pixels of 0.4 and 0.6 of the cells (range, cross)."""
    range_m, cross_m = cells
    spacing = (0.6 * cross_m, 0.4 * range_m) if along_x else (0.4 * range_m, 0.6 * cross_m)
    place = torch.tensor([1.3 * spacing[1], -2.4 * spacing[0], 0.0], dtype=torch.float64)
    antennas = collection.antenna_m, collection.antenna_m if collection.receiver_m is None else collection.receiver_m
    path = sum((q[0] - place).norm(dim=-1) - q[0].norm(dim=-1) for q in antennas)
    assert isinstance(path, torch.Tensor)
    y = torch.exp(-2j * torch.pi / C * path[:, None] * collection.frequency_hz[0])[None, None]
    found = focused(build(collection, Grid((64, 64), spacing), dtype=DOUBLE), y)
    along, across = (found.columns, found.rows) if along_x else (found.rows, found.columns)
    check(along, 1 / 0.4)
    check(across, 1 / 0.6)
    assert (found.rows.position_px, found.columns.position_px) == pytest.approx((32 - 2.4, 32 + 1.3), abs=0.02)


@pytest.mark.parametrize("build", [plane_wave_spotlight, ExactSpotlight], ids=["plane_wave", "exact"])
@pytest.mark.parametrize("seen_from", ["x", "-y"])
def test_spotlight(build, seen_from: str) -> None:
    """150 MHz and 0.7 degrees at X band, 50 km: cells c / 2B and lambda / (2 dtheta), pixels of 0.4 and 0.6 cells."""
    bandwidth, aperture, count, wavelength = 150e6, math.radians(0.7), 64, C / 9.6e9
    step = (torch.arange(count, dtype=torch.float64) + 0.5) / count - 0.5
    angle = aperture * step + (0 if seen_from == "x" else -math.pi / 2)
    antenna = 50e3 * torch.stack([angle.cos(), angle.sin(), 0 * angle], -1)
    frequency = 9.6e9 + bandwidth * step
    collection = SpotlightCollection(antenna[None], frequency[None], torch.ones(1, count, count, dtype=torch.float64))
    cells = C / (2 * bandwidth), wavelength / (2 * aperture)
    check_spotlight(build, collection, cells, along_x=seen_from == "x")


@pytest.mark.parametrize(
    "build", [plane_wave_spotlight, ExactSpotlight, FactorisedSpotlight], ids=["plane_wave", "exact", "factorised"]
)
@pytest.mark.parametrize("seen_from", ["x", "-y"])
@pytest.mark.parametrize("bistatic_deg", [60, 120])
def test_bistatic_spotlight(build, seen_from: str, bistatic_deg: float) -> None:
    """The pair turns about the scene at a constant angle beta, so K = (4 pi f / c) cos(beta / 2) along the turning bisector and
    both cells grow by 1 / cos(beta / 2): c / (2B cos(beta / 2)) and lambda / (2 dtheta cos(beta / 2)), by 1.15 and 2 here."""
    bandwidth, aperture, count, wavelength = 150e6, math.radians(0.7), 64, C / 9.6e9
    shrink = math.cos(math.radians(bistatic_deg) / 2)
    step = (torch.arange(count, dtype=torch.float64) + 0.5) / count - 0.5
    bisector = aperture * step + (0 if seen_from == "x" else -math.pi / 2)
    transmitter, receiver = (
        distance_m * torch.stack([angle.cos(), angle.sin(), 0 * angle], -1)
        for distance_m, angle in (
            (90e3, bisector + math.radians(bistatic_deg) / 2),
            (50e3, bisector - math.radians(bistatic_deg) / 2),
        )
    )
    frequency, kept = 9.6e9 + bandwidth * step, torch.ones(1, count, count, dtype=torch.float64)
    collection = SpotlightCollection(transmitter[None], frequency[None], kept, receiver[None])
    cells = C / (2 * bandwidth * shrink), wavelength / (2 * aperture * shrink)
    check_spotlight(build, collection, cells, along_x=seen_from == "x")


def one(value: float) -> torch.Tensor:
    return torch.tensor([value], dtype=torch.float64)


def symbols(count: int, subcarriers: int) -> OfdmWaveform:
    return OfdmWaveform(one(77e9), one(3e6), subcarriers, one(40e-6), count, (0,))


def chirps(count: int, samples: int) -> FmcwWaveform:
    return FmcwWaveform(one(77e9), one(30e12), one(1e-7), samples, one(40e-6), count, (0,))


def fine_axis() -> torch.Tensor:
    return torch.arange(-12 * FINE, 12 * FINE + 1, dtype=torch.float64)[None] / FINE


def line_of(operator: LinearOperator, y: torch.Tensor) -> CutResponse:
    """The cut along the one long axis of the image."""
    cut = MatchedFilter()(Measurement(y, operator, GaussianNoise(torch.zeros(1)))).mean.abs().flatten()
    assert abs(int(cut.argmax()) - len(cut) // 2) <= 1
    return cut_response(cut, near=len(cut) // 2, oversampling=FINE)


@pytest.mark.parametrize("axis", ["velocity", "angle", "range"])
def test_ofdm(axis: str) -> None:
    """64 symbols, 64 elements, 64 subcarriers; echoes of a moving point at 25 m written out from rx / tx."""
    waveform, array = symbols(64, 64), filled_array(1, 64, 0.00195)
    wavelength = C / 77e9
    cells = {
        "velocity": wavelength / (2 * 64 * 40e-6),
        "angle": wavelength / (64 * 0.00195),
        "range": C / (2 * 64 * 3e6),
    }
    axes = {"velocities_m_s": one(-4.0)[None], "angles_rad": one(0.2)[None], "ranges_m": one(25.0)[None]}
    fine = fine_axis() * cells[axis]
    match axis:
        case "velocity":
            axes["velocities_m_s"] = -4.0 + fine
        case "angle":
            axes["angles_rad"] = torch.asin(math.sin(0.2) + fine)
        case _:
            axes["ranges_m"] = 25.0 + fine
    operator = mimo_radar(
        waveform,
        array,
        ranges_m=axes["ranges_m"],
        angles_rad=axes["angles_rad"],
        velocities_m_s=axes["velocities_m_s"],
        dtype=DOUBLE,
    )
    m, q, n = (torch.arange(64, dtype=torch.float64) - c for c in (31.5, 31.5, 32))
    turns = (
        (-2 * -4.0 * 40e-6 / wavelength * m)[:, None, None]
        + (0.00195 * math.sin(0.2) / wavelength * q)[:, None]
        - 2 * 25.0 / C * 3e6 * n
    )
    check(line_of(operator, torch.exp(2j * torch.pi * turns)[None]), 1.0)


@pytest.mark.parametrize("make", [chirps, symbols], ids=["fmcw", "ofdm"])
@pytest.mark.parametrize("axis", ["angle", "range"])
def test_near_range_array(make, axis: str) -> None:
    """A point on boresight of a 62 mm line at half its far-field distance 2 D^2 / lambda, so spheres and not planes; in range
    at 25 m, ahead of which the side lobes have room."""
    waveform: RangingWaveform = make(1, 64)
    count, spacing, wavelength = 32, 0.00195, C / 77e9
    array = filled_array(1, count, spacing)
    if axis == "angle":
        at = (count * spacing) ** 2 / wavelength
        ranges, angles = one(at)[None], torch.asin(fine_axis() * wavelength / (count * spacing))
    else:
        at = 25.0
        ranges, angles = at + fine_axis() * C / (2 * 64 * 3e6), one(0.0)[None]
    place = polar_positions_m(array, ranges_m=ranges, angles_rad=angles)
    operator = near_range_array(waveform, array, positions_m=place, dtype=DOUBLE)
    check(line_of(operator, echo(waveform, array, at)), 1.0)


def echo(waveform: RangingWaveform, array: MimoArray, range_m: float) -> torch.Tensor:
    """exp(+-i 2 pi f L / c) of a point straight ahead of the array's centre."""
    point = array.centre_m()[0].numpy() + np.array([0, range_m, 0])
    path = np.linalg.norm(array.transmitter_m[0].numpy() - point, axis=1)[:, None]
    path = (path + np.linalg.norm(array.receiver_m[0].numpy() - point, axis=1)).ravel()
    frequency = 77e9 + 3e6 * (np.arange(64) - 32)
    sign = 1 if isinstance(waveform, FmcwWaveform) else -1
    return torch.from_numpy(np.exp(sign * 2j * np.pi / C * path[:, None] * frequency))[None, None]
