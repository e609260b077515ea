"""Phases and gains that were put in are found again, for every method, error and kind of spotlight operator."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from calibration_cases import (
    disturbed,
    errors,
    exact,
    measured,
    plane_wave,
    plane_wave_along_y,
    points,
)
from torch import Tensor

from echoform.assess.metrics import entropy
from echoform.measure.measurement import Measurement
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.masking import restrict
from echoform.physics.noise import GaussianNoise
from echoform.physics.operator import LinearOperator
from echoform.physics.range_angle_doppler import mimo_radar
from echoform.recon.calibration.calibration import Calibrator, ChannelAxis, residual_rad, rmse_rad, without_linear
from echoform.recon.calibration.channel_gain import ChannelGain
from echoform.recon.calibration.data_fit import Alternation, DataFit
from echoform.recon.calibration.phase_gradient import PhaseGradient, azimuth_direction, image_measurement
from echoform.recon.calibration.sharpness import MinimumEntropy, cosines, entropy_and_gradient
from echoform.scene.array import MimoArray, uniform_line
from echoform.scene.collection import SPEED_OF_LIGHT_M_S
from echoform.scene.waveform import FmcwWaveform

SIDE, POINTS = 64, 8
LIMIT_RAD = 0.05
METHODS = {"phase gradient": PhaseGradient(), "sharpness": MinimumEntropy(), "data fit": DataFit()}
METHOD = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


def every(phase: Tensor) -> Tensor:
    return torch.ones_like(phase, dtype=torch.bool)


@pytest.fixture(scope="module")
def clean() -> Measurement:
    return measured(plane_wave(SIDE), points(SIDE, POINTS, 1))


@METHOD
@pytest.mark.parametrize("name", errors(SIDE))
def test_known_error_is_found(method: Calibrator, name: str, clean: Measurement) -> None:
    truth = errors(SIDE)[name]
    assert float(rmse_rad(0 * truth, truth, every(truth))) > 3 * LIMIT_RAD
    blurred = disturbed(clean, truth)
    found = method(blurred)
    assert float(rmse_rad(found.phase_rad, truth, every(truth))) < LIMIT_RAD
    after, before = (float(entropy(clean.operator.adjoint(m.y))) for m in (found.measurement, blurred))
    assert after < before


@METHOD
def test_missing_pulses_are_left_alone(method: Calibrator, clean: Measurement) -> None:
    """The data fit holds its accuracy; the others, which look at the image, are known not to (benchmarks/autofocus.py)."""
    kept = torch.rand(SIDE, generator=torch.Generator().manual_seed(2)) < 0.7
    thinned = clean.without(restrict(clean.operator, kept[None, None, :, None]))
    truth = errors(SIDE)["random walk"]
    found = method(disturbed(thinned, truth))
    if isinstance(method, DataFit):
        assert float(rmse_rad(found.phase_rad, truth, kept[None])) < LIMIT_RAD
    assert bool((found.phase_rad[:, ~kept] == 0).all())
    assert bool((found.measurement.y[:, :, ~kept] == 0).all())


@pytest.mark.parametrize("method", [PhaseGradient(), MinimumEntropy(stages=(8,))], ids=["phase gradient", "sharpness"])
@pytest.mark.parametrize("build", [plane_wave_along_y, exact])
def test_any_look_and_the_exact_operator(method: Calibrator, build: Callable[[int], LinearOperator]) -> None:
    truth = errors(24)["quadratic, 4 pi"] / 4
    found = method(disturbed(measured(build(24), points(24, 3, 1)), truth))
    error, before = (float(rmse_rad(p, truth, every(truth))) for p in (found.phase_rad, 0 * truth))
    assert error < min(2 * LIMIT_RAD, before / 5)


@METHOD
def test_a_batch_is_as_its_scenes_and_calls_repeat(method: Calibrator) -> None:
    operator, truth = plane_wave(32), errors(32)
    scenes = [measured(operator, points(32, 4, seed)) for seed in (0, 1)]
    blurred = [disturbed(m, truth[name]) for m, name in zip(scenes, ("sinusoidal", "white"), strict=True)]
    both = replace(blurred[0], y=torch.cat([m.y for m in blurred]), noise=GaussianNoise(torch.ones(2)))
    found, again = method(both), method(both)
    assert torch.equal(found.phase_rad, again.phase_rad)
    for row, m in zip(found.phase_rad, blurred, strict=True):
        # Not equal to rounding: L-BFGS takes its steps for the whole batch and stops by its sum.
        assert float(rmse_rad(row[None], method(m).phase_rad, every(row[None]))) < 0.02


def test_image_is_the_measurement_of_its_spectrum() -> None:
    image = points(64, 8, 1)
    whole = image_measurement(image)
    torch.testing.assert_close(whole.operator.adjoint(whole.y), image, atol=1e-6, rtol=1e-5)
    truth = errors(64)["sinusoidal"]
    blurred = image_measurement(whole.operator.adjoint(disturbed(whole, truth).y))
    found = PhaseGradient()(blurred)
    assert float(rmse_rad(found.phase_rad, truth, every(truth))) < LIMIT_RAD
    restored = found.measurement.operator.adjoint(found.measurement.y)
    assert abs(float(entropy(restored)) - float(entropy(image))) < 0.02


def test_azimuth_lies_across_the_look() -> None:
    for build, direction in ((plane_wave, (1.0, 0.0)), (plane_wave_along_y, (0.0, -1.0)), (exact, (1.0, 0.0))):
        m = measured(build(24), points(24, 3, 1))
        found = azimuth_direction(ChannelAxis(m, 1))
        torch.testing.assert_close(found, torch.tensor([direction], dtype=torch.float64), atol=2e-2, rtol=0)


def test_entropy_and_its_gradient_agree_with_definition_and_differences() -> None:
    generator = torch.Generator().manual_seed(0)
    weights = torch.rand(2, 1, 8, 8, dtype=torch.float64, generator=generator)
    operator = FourierMask(weights)
    y = 30 * torch.randn(2, 1, 8, 8, dtype=torch.complex128, generator=generator)
    channels = ChannelAxis(Measurement(y, operator, GaussianNoise(torch.ones(1))), 1)
    phase = torch.randn(2, 8, dtype=torch.float64, generator=generator)
    value, gradient = entropy_and_gradient(channels, phase)
    torch.testing.assert_close(value, entropy(operator.adjoint(channels.rotated(phase))))
    step = 1e-5 * torch.eye(8, dtype=torch.float64)
    for k in range(8):
        up, down = (entropy_and_gradient(channels, phase + s * step[k])[0] for s in (1, -1))
        torch.testing.assert_close(gradient[:, k], (up - down) / 2e-5, atol=1e-8, rtol=1e-6)


def test_cosines_are_orthonormal() -> None:
    basis = cosines(12, 12)
    torch.testing.assert_close(basis @ basis.mT, torch.eye(12, dtype=torch.float64))


def test_line_is_removed_also_through_wraps() -> None:
    index = torch.arange(40, dtype=torch.float64)
    wanted = without_linear(0.4 * torch.sin(index)[None], every(index[None]))
    ramp = 2.3 + 1.9 * index
    torch.testing.assert_close(without_linear(wanted + ramp, every(wanted)), wanted)
    wrapped = torch.exp(1j * (wanted + ramp)).angle()
    torch.testing.assert_close(
        residual_rad(wrapped, torch.zeros_like(wanted), every(wanted)), wanted, atol=1e-9, rtol=0
    )
    some = every(wanted)
    some[:, 5:9] = False
    assert bool((without_linear(wanted + ramp, some)[:, 5:9] == 0).all())


def radar() -> LinearOperator:
    """A 77 GHz FMCW radar of 2 x 8 half-wavelength virtual elements; 24 angles, even in their sine, and 32 ranges."""
    half = SPEED_OF_LIGHT_M_S / 77e9 / 2
    one = torch.ones(1, dtype=torch.float64)
    waveform = FmcwWaveform(77e9 * one, 30e12 * one, 1e-7 * one, 32, 5e-5 * one, 1, (0, 1))
    array = MimoArray(uniform_line(2, 8 * half), uniform_line(8, half))
    angles = torch.linspace(-0.8, 0.8, 24, dtype=torch.float64).asin()[None]
    ranges = waveform.range_extent_m()[:, None] * torch.linspace(0.1, 0.9, 32, dtype=torch.float64)
    return mimo_radar(waveform, array, ranges_m=ranges, angles_rad=angles)


@pytest.mark.parametrize("dead", [False, True])
def test_gains_of_array_elements_are_found(dead: bool) -> None:
    operator, generator = radar(), torch.Generator().manual_seed(4)
    scene = torch.zeros(1, 1, 24, 32, dtype=torch.complex64)
    for row, column, value in ((4, 20, 1.0), (11, 6, 0.7j), (17, 25, -0.6), (20, 12, 0.5)):
        scene[0, 0, row, column] = torch.tensor(value)
    clean = measured(operator, scene)
    phase = 0.5 * torch.randn(1, 16, dtype=torch.float64, generator=generator)
    level = 0.2 * torch.randn(1, 16, dtype=torch.float64, generator=generator)
    kept = every(phase)
    if dead:
        kept[:, 5] = False
        clean = clean.without(restrict(operator, kept[:, None, :, None]))
    axis = ChannelAxis(clean, 1)
    disturbed_y = clean.y * axis.spread(torch.polar(level.exp(), phase))
    found = ChannelGain()(replace(clean, y=disturbed_y))
    expected = level - (level * kept).sum() / kept.sum()
    assert float(((found.magnitude.log() - expected) * kept).square().mean().sqrt()) < 0.05
    assert float(rmse_rad(found.phase_rad, phase, kept)) < LIMIT_RAD
    assert float(found.phase_rad[0, 0]) == pytest.approx(0.0, abs=1e-12)
    assert float((found.magnitude.log() * kept).sum()) == pytest.approx(0.0, abs=1e-9)
    torch.testing.assert_close(
        found.measurement.y * axis.spread(found.gain), clean.y * axis.spread(torch.polar(level.exp(), phase))
    )
    if dead:
        assert float(found.magnitude[0, 5]) == 1.0
        with pytest.raises(ValueError, match="reference channel 5"):
            ChannelGain(reference=5)(clean)


def test_stated_noise_is_the_mean_over_the_corrected_channels() -> None:
    measurement = Measurement(
        torch.ones(1, 1, 2, 4) + 0j, FourierMask(torch.ones(1, 1, 2, 4)), GaussianNoise(torch.ones(1))
    )
    magnitude = torch.tensor([[2.0, 0.5]], dtype=torch.float64)
    corrected = ChannelAxis(measurement, 1).corrected(torch.zeros_like(magnitude), magnitude, {}).measurement
    assert float(corrected.noise.sigma) == pytest.approx(math.sqrt((0.25 + 4) / 2))
    torch.testing.assert_close(corrected.y[0, 0, :, 0].real, torch.tensor([0.5, 2.0]))


def test_requests_without_meaning_are_refused(clean: Measurement) -> None:
    with pytest.raises(ValueError, match="axis 7"):
        MinimumEntropy(axis=7)(clean)
    with pytest.raises(ValueError, match="start_rad"):
        PhaseGradient()(clean, start_rad=torch.zeros(1, 3))
    with pytest.raises(ValueError, match="shrink"):
        PhaseGradient(shrink=1.5)
    with pytest.raises(ValueError, match="last_share"):
        Alternation(first_share=0.1, last_share=0.2)
    two = FourierMask(torch.ones(1, 2, 8, 8))
    blank = Measurement(torch.zeros(1, 2, 8, 8) + 0j, two, GaussianNoise(torch.ones(1)))
    with pytest.raises(ValueError, match="one channel"):
        PhaseGradient()(blank)
