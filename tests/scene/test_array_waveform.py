"""Virtual arrays and the figures of ranging waveforms."""

import math

import pytest
import torch

from echoform.scene.array import MimoArray, filled_array, polar_positions_m, uniform_line
from echoform.scene.collection import SPEED_OF_LIGHT_M_S
from echoform.scene.waveform import FmcwWaveform, OfdmWaveform


def one(value: float) -> torch.Tensor:
    return torch.tensor([value], dtype=torch.float64)


def test_filled_array_is_a_uniform_line_transmitter_by_transmitter() -> None:
    array = filled_array(2, 4, 0.002)
    assert array.elements == 8
    assert torch.allclose(array.virtual_m()[0, :, 0], 0.002 * torch.arange(8, dtype=torch.float64))
    assert array.transmitter_of().tolist() == [0] * 4 + [1] * 4
    assert array.centre_m()[0].tolist() == pytest.approx([0.0035, 0, 0])


def test_far_path_is_the_limit_of_the_exact_one() -> None:
    """|t - p| + |r - p| - 2 R at 10 km, elements off the line too."""
    generator = torch.Generator().manual_seed(0)
    t, r = (0.1 * torch.randn(1, n, 3, dtype=torch.float64, generator=generator) for n in (2, 3))
    array = MimoArray(t, r)
    angles = torch.tensor([[-0.8, 0.0, 0.5]], dtype=torch.float64)
    place = polar_positions_m(array, ranges_m=one(1e4)[None], angles_rad=angles)[0, :, 0]
    exact = (place[:, None] - t[0]).norm(dim=-1)[:, :, None] + (place[:, None] - r[0]).norm(dim=-1)[:, None]
    assert torch.allclose(array.path_offset_m(angles)[0], (exact.flatten(1) - 2e4).mT, atol=1e-5)


def test_polar_positions_have_the_right_on_the_right() -> None:
    array = filled_array(1, 2, 0.01)
    place = polar_positions_m(array, ranges_m=torch.tensor([[2.0]]), angles_rad=torch.tensor([[math.pi / 6, 0.0]]))
    assert place.shape == (1, 2, 1, 3)
    assert place[0, 0, 0].tolist() == pytest.approx([0.0025 + 1.0, math.sqrt(3), 0], abs=1e-6)
    assert place[0, 1, 0].tolist() == pytest.approx([0.0025, 2.0, 0])


def test_fmcw_figures() -> None:
    waveform = FmcwWaveform(one(77e9), one(-30e12), one(1e-7), 256, one(50e-6), 64, (0, 1, 2))
    wavelength = SPEED_OF_LIGHT_M_S / 77e9
    assert float(waveform.bandwidth_hz()) == pytest.approx(768e6)
    assert float(waveform.range_resolution_m()) == pytest.approx(SPEED_OF_LIGHT_M_S / (2 * 768e6))
    assert float(waveform.range_extent_m()) == pytest.approx(SPEED_OF_LIGHT_M_S / 6e6)
    assert float(waveform.cycle_s()) == pytest.approx(150e-6)
    assert float(waveform.velocity_resolution_m_s()) == pytest.approx(wavelength / (2 * 64 * 150e-6))
    assert float(waveform.velocity_extent_m_s()) == pytest.approx(wavelength / 300e-6)
    assert waveform.slot_s()[0].tolist() == pytest.approx([0, 50e-6, 100e-6])
    assert waveform.offset_hz()[0, [0, 128, 255]].tolist() == pytest.approx([128 * 3e6, 0, -127 * 3e6])
    assert waveform.time_s()[0, [0, 32, 63]].tolist() == pytest.approx([-32 * 150e-6, 0, 31 * 150e-6])
    assert float(waveform.range_axis_m()[0, -1] + waveform.range_resolution_m()) == pytest.approx(
        float(waveform.range_extent_m())
    )
    assert float(waveform.velocity_axis_m_s(5)[0, 2]) == 0


def test_ofdm_figures() -> None:
    waveform = OfdmWaveform(one(28e9), one(240e3), 800, one(4.46e-6), 14)
    assert float(waveform.bandwidth_hz()) == pytest.approx(192e6)
    assert float(waveform.cycle_s()) == pytest.approx(4.46e-6)
    assert float(waveform.step_hz) == 240e3
    assert waveform.slots == (0,)


def test_damaged_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="transmitter_m"):
        MimoArray(torch.zeros(2, 3), uniform_line(2, 0.1))
    with pytest.raises(ValueError, match="receiver_m holds"):
        MimoArray(uniform_line(2, 0.1), torch.full((1, 2, 3), math.nan))
    for bad in ({"carrier_hz": one(0.0)}, {"carrier_hz": torch.tensor(77e9)}, {"chirps": 0}, {"transmitter_slots": ()}):
        good = {
            "carrier_hz": one(77e9),
            "slope_hz_per_s": one(3e13),
            "sample_period_s": one(1e-7),
            "samples": 8,
            "chirp_period_s": one(5e-5),
            "chirps": 4,
        }
        with pytest.raises(ValueError, match=r"must be finite|at least one"):
            FmcwWaveform(**(good | bad))
