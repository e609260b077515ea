"""Phase errors, channel errors and antenna patterns against their formulas and distributions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
import torch

from echoform.scene.antenna_pattern import gaussian_pattern, off_boresight_rad, sinc_pattern
from echoform.scene.channel_errors import channel_gains
from echoform.scene.phase_errors import (
    quadratic_phase,
    random_walk_phase,
    range_offset_phase,
    sinusoidal_phase,
    white_phase,
)


def level(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def generator(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_quadratic_phase() -> None:
    phase = quadratic_phase(33, level(math.pi / 4, 4 * math.pi))
    assert torch.allclose(phase[:, [0, 16, 32]], level(math.pi / 4, 4 * math.pi)[:, None] * level(1, 0, 1))
    assert torch.allclose(phase.diff(n=3), torch.zeros(2, 30, dtype=torch.float64), atol=1e-12)


def test_sinusoidal_phase() -> None:
    phase = sinusoidal_phase(50, level(0.3), level(4.0), level(0.7))
    spectrum = torch.fft.fft(phase[0]) / 50
    assert abs(spectrum[4] - 0.15 * np.exp(1j * (0.7 - math.pi / 2))) < 1e-12
    assert float(spectrum.abs().square().sum()) == pytest.approx(2 * 0.15**2)


def test_white_phase_is_normal_and_independent() -> None:
    phase = white_phase(40_000, level(0.2, 1.0), generator=generator()).numpy()
    for row, std in zip(phase, (0.2, 1.0), strict=True):
        assert scipy.stats.kstest(row, "norm", args=(0, std)).pvalue > 1e-3
        assert abs(np.corrcoef(row[1:], row[:-1])[0, 1]) < 4 / math.sqrt(len(row))


def test_random_walk_grows_with_the_square_root() -> None:
    phase = random_walk_phase(26, level(0.1).expand(4000), generator=generator()).numpy()
    assert float(np.abs(phase[:, 0]).max()) == 0
    assert scipy.stats.kstest(phase[:, 25] - phase[:, 16], "norm", args=(0, 0.3)).pvalue > 1e-3
    assert scipy.stats.kstest(phase[:, 25], "norm", args=(0, 0.5)).pvalue > 1e-3


def test_channel_gains_have_the_stated_spread() -> None:
    gain = channel_gains(30_000, level(0.5, 3.0), torch.deg2rad(level(2.0, 30.0)), generator=generator()).numpy()
    for row, gain_db, phase_deg in zip(gain, (0.5, 3.0), (2.0, 30.0), strict=True):
        assert scipy.stats.kstest(20 * np.log10(np.abs(row)), "norm", args=(0, gain_db)).pvalue > 1e-3
        assert np.rad2deg(np.angle(row)).std() == pytest.approx(phase_deg, rel=0.03)
        assert abs(np.corrcoef(np.abs(row), np.angle(row))[0, 1]) < 4 / math.sqrt(len(row))


def test_the_generator_decides() -> None:
    for draw in (
        lambda g: white_phase(9, level(1.0), generator=g),
        lambda g: random_walk_phase(9, level(1.0), generator=g),
        lambda g: channel_gains(9, level(1.0), level(1.0), generator=g),
    ):
        assert torch.equal(draw(generator(3)), draw(generator(3)))
        assert not torch.equal(draw(generator(3)), draw(generator(4)))


def test_range_offset_phase() -> None:
    """A quarter of a wavelength further away is half a turn later."""
    frequency = level(3e8, 6e8)[None]
    phase = range_offset_phase(level(299_792_458.0 / 3e8 / 4)[None], frequency)
    assert torch.allclose(phase, level(-math.pi, -2 * math.pi)[None, None])
    assert torch.allclose(
        range_offset_phase(level(0.1, 0.2)[None], frequency, phase_sign=1)[0, 1],
        2 * 4 * math.pi * 0.1 * frequency[0] / 299_792_458.0,
    )


@pytest.mark.parametrize("pattern", [sinc_pattern, gaussian_pattern])
@pytest.mark.parametrize("beamwidth_deg", [0.5, 3.0, 40.0])
def test_power_is_halved_at_half_the_beamwidth(pattern, beamwidth_deg) -> None:
    beamwidth = torch.deg2rad(level(beamwidth_deg))
    assert float(pattern(level(0.0), beamwidth)) == pytest.approx(1)
    assert float(pattern(beamwidth / 2, beamwidth)) ** 2 == pytest.approx(0.5, abs=1e-9)
    assert float(pattern(-beamwidth / 2, beamwidth)) ** 2 == pytest.approx(0.5, abs=1e-9)
    angle = torch.linspace(0, float(beamwidth), 50, dtype=torch.float64)
    assert bool((pattern(angle, beamwidth).diff() < 0).all())


def test_sinc_side_lobes_are_those_of_a_uniform_aperture() -> None:
    """First side lobe at -13.26 dB, first null where L sin(angle) = lambda; L = 0.886 lambda / beamwidth for narrow beams."""
    beamwidth = level(0.01)
    angle = torch.linspace(0, 0.05, 50_001, dtype=torch.float64)
    gain = sinc_pattern(angle, beamwidth)
    null = int((gain[1:].sign() != gain[:-1].sign()).nonzero()[0])
    assert float(angle[null]) == pytest.approx(0.01 / 0.8859, rel=1e-3)
    assert 20 * math.log10(float(gain[null:].abs().max())) == pytest.approx(-13.26, abs=0.01)
    assert float(sinc_pattern(level(2.0), level(1.0))) == 0


def test_angle_off_boresight() -> None:
    antenna, aim, position = (torch.randn(7, 3, generator=generator(s), dtype=torch.float64) for s in (1, 2, 3))
    found = off_boresight_rad(antenna, aim, position).numpy()
    a, b = (aim - antenna).numpy(), (position - antenna).numpy()
    expected = np.arccos((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1))
    assert np.allclose(found, expected, rtol=1e-10)
    tiny = off_boresight_rad(level(1e4, 0, 0), level(0, 0, 0), level(0, 1e-5, 0))
    assert float(tiny) == pytest.approx(1e-9, rel=1e-9)
