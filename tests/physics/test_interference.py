"""Interference has the power, the band, the sweep and the duty that it states."""

from __future__ import annotations

import math

import pytest
import scipy.stats
import torch
from torch import Tensor

from echoform.measure.interfered import interfered
from echoform.measure.measurement import Measurement
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.interference import Chirps, FastAxis, Interference, Pulses, Tones
from echoform.physics.noise import GaussianNoise, standard_normal

SCENES, CHANNELS, PULSES, LENGTH = 64, 3, 16, 128
TIME = FastAxis.TIME


def tensor(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def generator(seed: int = 2) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def signal(scenes: int = SCENES) -> Tensor:
    """Samples of which every scene has another power."""
    like = torch.zeros(scenes, CHANNELS, PULSES, LENGTH, dtype=torch.complex128)
    return standard_normal(like, generator(1)) * torch.logspace(-2, 2, scenes, dtype=torch.float64)[:, None, None, None]


def ratio(interference: Interference, y: Tensor) -> Tensor:
    """Power of the interference over that of the samples, (B,)."""
    added = interference.sample(y, generator())
    return added.abs().square().flatten(1).mean(1) / y.abs().square().flatten(1).mean(1)


KINDS: dict[str, Interference] = {
    "tone": Tones(tensor(0.0), TIME),
    "five tones": Tones(tensor(0.0), TIME, 5),
    "chirp": Chirps(tensor(0.0), TIME, tensor(0.6)),
    "pulses": Pulses(tensor(0.0), TIME, tensor(0.1), tensor(300.7)),
}


def at(interference: Interference, ratio_db: float, fast: FastAxis) -> Interference:
    """Return interference of the same kind at another level and axis."""
    match interference:
        case Tones():
            return Tones(tensor(ratio_db), fast, interference.count)
        case Chirps():
            return Chirps(tensor(ratio_db), fast, interference.bandwidth)
        case Pulses():
            return Pulses(tensor(ratio_db), fast, interference.duty, interference.interval)
    raise AssertionError(interference)


@pytest.mark.parametrize("fast", FastAxis)
@pytest.mark.parametrize("ratio_db", [0.0, 12.0, 30.0])
@pytest.mark.parametrize("label", KINDS)
def test_power_is_what_is_stated(label: str, ratio_db: float, fast: FastAxis) -> None:
    """One tone and a chirp have it in every draw, the others in the mean over the draws."""
    found = ratio(at(KINDS[label], ratio_db, fast), signal())
    if label in ("tone", "chirp"):
        assert torch.allclose(10 * found.log10(), tensor(ratio_db), atol=1e-9)
        return
    mean, error = float(found.mean()), float(found.std()) / math.sqrt(SCENES)
    assert error < 0.05 * mean
    assert abs(mean / 10 ** (ratio_db / 10) - 1) < 4 * error / mean


def test_each_scene_has_its_own_ratio() -> None:
    found = ratio(Tones(tensor(0.0, 30.0), TIME), signal(2))
    assert torch.allclose(10 * found.log10(), tensor(0.0, 30.0), atol=1e-9)


def test_a_tone_is_a_narrow_line_at_a_frequency_of_its_own() -> None:
    spectrum = torch.fft.fft(KINDS["tone"].sample(signal(), generator())).abs().square()
    share = spectrum / spectrum.sum(-1, keepdim=True)
    peak = share.argmax(-1)
    assert bool((peak == peak[:, :1, :1]).all()), "the frequency must not change from line to line"
    near = torch.stack([share.gather(-1, (peak[..., None] + k) % LENGTH) for k in (-1, 0, 1)]).sum(0)
    assert float(near.min()) > 0.85
    assert scipy.stats.kstest((peak[:, 0, 0].double() / LENGTH).numpy(), "uniform").pvalue > 1e-3


def test_a_tone_seen_in_frequency_samples_is_one_of_few_samples() -> None:
    y = signal()
    added = Tones(tensor(0.0), FastAxis.FREQUENCY).sample(y, generator())
    power = added.abs().square()
    strongest = power.sort(-1, descending=True).values
    assert float((strongest[..., :3].sum(-1) / power.sum(-1)).min()) > 0.85
    flat = Tones(tensor(0.0), TIME).sample(y, generator()).abs()
    assert torch.allclose(flat, flat[..., :1].expand_as(flat))


def instantaneous_frequency(added: Tensor) -> Tensor:
    """Cycles per sample from one sample to the next."""
    return torch.angle(added[..., 1:] * added[..., :-1].conj()) / (2 * math.pi)


@pytest.mark.parametrize("bandwidth", [0.1, 0.6, 1.0])
def test_a_chirp_sweeps_its_band_evenly_and_stays_within_the_sampled_one(bandwidth: float) -> None:
    added = Chirps(tensor(0.0), TIME, tensor(bandwidth)).sample(signal(), generator())
    frequency = instantaneous_frequency(added)
    slope = frequency.diff(dim=-1)
    assert torch.allclose(slope.abs(), tensor(bandwidth / LENGTH), atol=1e-9)
    swept = frequency.amax(-1) - frequency.amin(-1)
    assert torch.allclose(swept, tensor(bandwidth * (LENGTH - 2) / LENGTH), atol=1e-9)
    assert float(frequency.abs().max()) <= 0.5
    up = (slope[:, 0, 0, 0] > 0).double().mean()
    assert 0.25 < float(up) < 0.75


def test_pulses_are_on_for_their_duty_at_their_interval() -> None:
    duty, interval = 0.1, 300.0
    added = Pulses(tensor(0.0), TIME, tensor(duty), tensor(interval)).sample(signal(), generator())
    on = (added.abs() > 0).flatten(1)
    share = on.double().mean(1)
    assert float(share.mean()) == pytest.approx(duty, abs=4 * float(share.std()) / math.sqrt(SCENES))
    assert torch.equal(on[:, 300:], on[:, :-300]), "the interval is 300 samples, across the ends of lines"
    starts = (on[:, 1:] & ~on[:, :-1]).sum(1)
    expected = CHANNELS * PULSES * LENGTH / interval
    assert bool(((starts - expected).abs() <= 1).all())


@pytest.mark.parametrize("label", ["tone", "chirp"])
def test_the_phase_advances_evenly_from_pulse_to_pulse_and_channel_to_channel(label: str) -> None:
    """One coherent emitter: a line in Doppler and a direction to the array, both its own."""
    added = KINDS[label].sample(signal(), generator())
    for axis in (1, 2):
        turn = added.narrow(axis, 1, added.shape[axis] - 1) * added.narrow(axis, 0, added.shape[axis] - 1).conj()
        turn = turn / turn.abs()
        first = turn[:, :1, :1, :1]
        assert torch.allclose(turn, first.expand_as(turn), atol=1e-9)
        phases = (torch.angle(first).flatten() / (2 * math.pi) + 0.5).numpy()
        assert scipy.stats.kstest(phases, "uniform").pvalue > 1e-3


def test_missing_samples_carry_none_and_powers_are_those_of_the_support() -> None:
    kept = (torch.rand(1, 1, 8, 32, generator=generator()) < 0.4).double()
    operator = FourierMask(kept)
    y = operator(standard_normal(torch.zeros(4, 1, 8, 32, dtype=torch.complex128), generator()))
    measurement = Measurement(y, operator, GaussianNoise(torch.ones(1)))
    added = interfered(measurement, Tones(tensor(10.0), TIME), generator=generator()).y - y
    assert float(added.abs()[:, kept[0] == 0].max()) == 0
    share = added.abs().square().flatten(1).sum(1) / y.abs().square().flatten(1).sum(1)
    assert torch.allclose(10 * share.log10(), tensor(10.0), atol=1e-6)


def test_a_seed_gives_the_same_interference_again() -> None:
    y = signal(3).to(torch.complex64)
    for kind in KINDS.values():
        one = kind.sample(y, generator(3))
        assert one.dtype == torch.complex64
        assert torch.equal(one, kind.sample(y, generator(3)))
        assert not torch.equal(one, kind.sample(y, generator(4)))


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="count"):
        Tones(tensor(0.0), TIME, 0)
    with pytest.raises(ValueError, match="bandwidth"):
        Chirps(tensor(0.0), TIME, tensor(1.1))
    with pytest.raises(ValueError, match="duty"):
        Pulses(tensor(0.0), TIME, tensor(0.0), tensor(10.0))
    with pytest.raises(ValueError, match="interval"):
        Pulses(tensor(0.0), TIME, tensor(0.5), tensor(0.0))
    with pytest.raises(TypeError, match="complex"):
        KINDS["tone"].sample(torch.zeros(1, 4))
