"""Splitting a measurement: the two parts hold every sample once, and each part's operator knows its own samples."""

import measure_cases
import pytest
import torch

from echoform.measure.measurement import Measurement
from echoform.measure.splitting import drop_pulses, split
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.noise import GaussianNoise

OPERATORS = measure_cases.operators()


@pytest.mark.parametrize("label", OPERATORS)
def test_the_parts_add_up(label) -> None:
    measurement = measure_cases.measurement(OPERATORS[label])
    kept = torch.rand(measurement.y.shape[1:], generator=measure_cases.generator())[None] < 0.6
    if label in ("nonuniform, batched", "nonuniform, coarse"):
        kept = kept[:, :1]
    one, other = split(measurement, kept)
    assert torch.equal(one.y + other.y, measurement.y)
    assert torch.equal(one.y != 0, (measurement.y != 0) & kept)
    x = measurement.metadata.truth
    assert x is not None
    for part, marks in ((one, kept), (other, ~kept)):
        assert torch.allclose(part.operator(x), measurement.operator(x) * marks, atol=2e-5)
        assert part.noise is measurement.noise


def test_pulses_are_dropped_whole_and_at_random() -> None:
    measurement = measure_cases.measurement(OPERATORS["plane wave"])
    heard = [0, 2, 3, 4]
    chosen = set()
    for seed in range(30):
        kept, held = drop_pulses(measurement, 0.5, generator=measure_cases.generator(seed))
        pulses = {p for p in range(5) if bool((kept.y[:, :, p] != 0).any())}
        assert len(pulses) == 2
        assert {p for p in range(5) if bool((held.y[:, :, p] != 0).any())} == set(heard) - pulses
        assert float(kept.operator.samples()) == float(held.operator.samples()) == 2 * 7
        assert type(kept.operator) is type(measurement.operator)
        again, _ = drop_pulses(measurement, 0.5, generator=measure_cases.generator(seed))
        assert torch.equal(again.y, kept.y)
        chosen.add(frozenset(pulses))
    assert len(chosen) == 6


def test_bad_shares_and_shapes_are_refused() -> None:
    measurement = measure_cases.measurement(OPERATORS["plane wave"])
    for share in (0.0, 1.0, 0.01, 1.5, -1.0):
        with pytest.raises(ValueError, match="at least one pulse in each part"):
            drop_pulses(measurement, share, generator=measure_cases.generator())
    flat = measure_cases.measurement(OPERATORS["stacked"])
    with pytest.raises(ValueError, match="channels, pulses, frequencies"):
        drop_pulses(flat, 0.5, generator=measure_cases.generator())
    with pytest.raises(ValueError, match="must be boolean"):
        split(measurement, torch.ones(1, 1, 5, 7))
    with pytest.raises(ValueError, match="kept must broadcast"):
        split(measurement, torch.ones(1, 1, 5, 6, dtype=torch.bool))


def test_a_scene_of_a_batch_without_a_pulse_in_one_part_is_refused() -> None:
    """One scene has two pulses of eight: most choices leave it none to be judged by, or none to be imaged from."""
    marks = torch.ones(2, 1, 8, 4)
    marks[1, :, 2:] = 0
    measurement = Measurement(torch.ones(2, 1, 8, 4) * marks + 0j, FourierMask(marks), GaussianNoise(torch.ones(1)))
    refused = 0
    for seed in range(30):
        try:
            parts = drop_pulses(measurement, 0.5, generator=measure_cases.generator(seed))
        except ValueError:
            refused += 1
        else:
            assert all(bool((part.operator.samples() > 0).all()) for part in parts)
    assert 5 < refused < 25
