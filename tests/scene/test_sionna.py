"""Ray-traced echoes (sionna-rt) beside the radar equation, mirror images and the radar operator."""

from __future__ import annotations

import math

import pytest
import torch

from echoform.assess.radar_budget import received_power_w
from echoform.physics.range_angle_doppler import mimo_radar
from echoform.scene.array import MimoArray, filled_array
from echoform.scene.collection import SPEED_OF_LIGHT_M_S
from echoform.scene.ray_traced_room import (
    RayTracingUnavailableError,
    TracedPaths,
    Wall,
    WallMaterial,
    ray_tracer,
    trace,
)
from echoform.scene.waveform import FmcwWaveform

CARRIER_HZ = 60e9
WAVELENGTH_M = SPEED_OF_LIGHT_M_S / CARRIER_HZ
MIRROR_M = 2.0
MIRROR = Wall(tuple((MIRROR_M, y, z) for y, z in ((-1, -2), (8, -2), (8, 2), (-1, 2))), WallMaterial.METAL)


@pytest.fixture(scope="module", autouse=True)
def _tracer() -> None:
    try:
        ray_tracer()
    except RayTracingUnavailableError as error:
        pytest.skip(str(error))


def echoes(
    place: tuple[float, float, float], sigma_m2: float, array: MimoArray, walls: tuple[Wall, ...] = ()
) -> TracedPaths:
    return trace(torch.tensor([place]), torch.tensor([sigma_m2]), array, walls, carrier_hz=CARRIER_HZ)


def amplitude(sigma_m2: float, out_m: float, back_m: float) -> float:
    power = received_power_w(
        transmitted_w=1, gain=1, wavelength_m=WAVELENGTH_M, cross_section_m2=sigma_m2, range_m=math.sqrt(out_m * back_m)
    )
    return math.sqrt(power)


@pytest.mark.parametrize(("place", "sigma_m2"), [((0.3, 2.0, 0.1), 0.01), ((-4, 11, 0.5), 3.0), ((5, 30, -1), 40.0)])
def test_a_point_keeps_the_radar_equation(place: tuple[float, float, float], sigma_m2: float) -> None:
    """Amplitude and range; 1 % is asked, measured 5e-7 and 6e-8."""
    paths, range_m = echoes(place, sigma_m2, filled_array(1, 1, 0.01)), math.dist(place, (0, 0, 0))
    assert int((paths.amplitude != 0).sum()) == 1
    assert float(paths.amplitude.abs().sum()) == pytest.approx(amplitude(sigma_m2, range_m, range_m), rel=1e-4)
    assert float(paths.delay_s[0, 0]) == pytest.approx(2 * range_m / SPEED_OF_LIGHT_M_S, rel=1e-6)


def test_a_metal_wall_shows_mirror_images() -> None:
    """Direct, twice over the wall on one leg, once on both; signs +, -, +; ITU's metal takes 0.07 % at each reflection."""
    place = (0.5, 3.0, 0.2)
    paths = echoes(place, 1.0, filled_array(1, 1, 0.01), (MIRROR,))
    near, far = math.dist(place, (0, 0, 0)), math.dist((2 * MIRROR_M - place[0], *place[1:]), (0, 0, 0))
    found = sorted(
        (delay, a.real, a.imag, n)
        for delay, a, n in zip(
            paths.delay_s[0].tolist(), paths.amplitude[0].tolist(), paths.reflections[0].tolist(), strict=True
        )
        if a != 0
    )
    expected = [(near, near, 1, 0), (near, far, -1, 1), (near, far, -1, 1), (far, far, 1, 2)]
    assert len(found) == 4
    for (delay, real, imaginary, count), (out, back, sign, reflections) in zip(found, expected, strict=True):
        assert delay * SPEED_OF_LIGHT_M_S == pytest.approx(out + back, rel=1e-6)
        assert real == pytest.approx(sign * amplitude(1.0, out, back), rel=0.003)
        assert abs(imaginary) < 0.003 * abs(real)
        assert count == reflections
    assert int((paths.up_to(0).amplitude != 0).sum()) == 1


def test_the_radar_operator_shows_target_and_ghost_where_they_are() -> None:
    """On the right and with the phase that the operator's image carries; the ghost over both legs is the mirror image."""
    array = filled_array(2, 6, WAVELENGTH_M / 2)
    centre, place = array.centre_m()[0], (0.9, 4.0, 0.0)
    period = torch.tensor([5e-7], dtype=torch.float64)
    waveform = FmcwWaveform(
        carrier_hz=torch.tensor([CARRIER_HZ], dtype=torch.float64),
        slope_hz_per_s=1e7 / period,
        sample_period_s=period,
        samples=64,
        chirp_period_s=100 * period,
        transmitter_slots=(0, 0),
    )
    paths = echoes(place, 1.0, array, (MIRROR,))
    ranges, sines = (
        torch.arange(2.5, 6.5, 0.02, dtype=torch.float64)[None],
        torch.arange(-0.9, 0.91, 0.01).double()[None],
    )
    operator = mimo_radar(waveform, array, ranges_m=ranges, angles_rad=torch.asin(sines), dtype=torch.complex128)
    for chosen, x_m in ((paths.up_to(0), place[0]), (only(paths, 2), 2 * MIRROR_M - place[0])):
        image = operator.adjoint(chosen.samples(waveform)[None])[0, 0]
        row, column = divmod(int(image.abs().argmax()), image.shape[1])
        offset = x_m - float(centre[0]), place[1]
        range_m = math.hypot(*offset)
        assert abs(float(ranges[0, column]) - range_m) < 0.03  # a cell is 0.23 m
        assert abs(float(sines[0, row]) - offset[0] / range_m) < 0.02  # a cell is 0.17
        height = float(image.abs().max()) / (array.elements * waveform.frequencies)
        assert height == pytest.approx(amplitude(1.0, range_m, range_m), rel=0.02)


def only(paths: TracedPaths, reflections: int) -> TracedPaths:
    return TracedPaths(paths.amplitude * (paths.reflections == reflections), paths.delay_s, paths.reflections)
