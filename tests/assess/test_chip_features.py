"""Features of chips whose statistics are known in closed form."""

import math

import pytest
import torch
from torch import Tensor

from echoform.assess.chip_features import DARKEST_DB, NAMES, centred_spectrum, chip_features, gini
from echoform.scene.clutter_laws import KClutter


def speckle(count: int = 48, side: int = 64, seed: int = 1) -> Tensor:
    return torch.randn(count, side, side, generator=torch.Generator().manual_seed(seed), dtype=torch.complex128)


def means_of(chips: Tensor) -> dict[str, float]:
    return dict(zip(NAMES, chip_features(chips).mean(0).tolist(), strict=True))


def mean_of(chips: Tensor, name: str) -> float:
    return means_of(chips)[name]


def test_speckle_has_the_statistics_of_an_exponential_law() -> None:
    found = means_of(speckle())
    over_median = [10 * math.log10(-math.log(1 - q) / math.log(2)) for q in (0.02, 0.25, 0.99)]
    for q, expected in zip((2, 25, 99), over_median, strict=True):
        assert found[f"amplitude {q} %, dB"] == pytest.approx(expected, abs=0.12)
    assert found["kappa_2"] == pytest.approx(math.pi**2 / 6, abs=0.06)  # the darkest pixels are limited
    assert found["Gini"] == pytest.approx(0.5, abs=0.005)
    assert found["energy in top 10 %"] == pytest.approx(0.1 * (1 + math.log(10)), rel=0.01)
    for side in (4, 8):
        looks = torch.tensor(float(side**2), dtype=torch.float64)
        assert found[f"var ln I, {side} x {side}"] == pytest.approx(float(torch.special.polygamma(1, looks)), rel=0.1)
    for name in NAMES:
        if name.startswith("autocorrelation"):
            assert abs(found[name]) < 0.01
        if name.startswith("spectrum"):
            assert abs(found[name]) < 0.5  # rolling to the centroid of noise gathers some power about it


def test_k_clutter_has_its_shape() -> None:
    law = KClutter(torch.full((64,), 2.0, dtype=torch.float64))
    chips = law.sample(torch.ones(64, 64, 64, dtype=torch.float64), torch.Generator().manual_seed(2))
    assert mean_of(chips, "1 / K shape") == pytest.approx(0.5, abs=0.04)


def test_band_is_found_where_it_is_and_how_wide_it_is() -> None:
    k = torch.fft.fftfreq(64)
    spectrum = torch.fft.fft2(speckle()) * (k.abs() < 0.25)[:, None] * (k.abs() < 0.375)
    chips = torch.fft.ifft2(torch.roll(spectrum, (20, -9), (1, 2)))
    assert mean_of(chips, "equivalent band, rows") == pytest.approx(31 / 64, abs=0.04)
    assert mean_of(chips, "equivalent band, columns") == pytest.approx(47 / 64, abs=0.05)
    power = centred_spectrum(chips).mean(0)
    for axis, half in ((1, 16), (0, 24)):
        marginal = power.sum(axis) / power.sum()
        assert float(marginal[32 - half - 2 : 32 + half + 3].sum()) > 0.98


@pytest.mark.parametrize("change", ["level", "shift of the band", "global phase"])
def test_what_does_not_matter_does_not(change: str) -> None:
    chips = speckle(8) * (1 + 5 * torch.rand(8, 64, 64, generator=torch.Generator().manual_seed(3)))
    ramp = torch.exp(2j * torch.pi * 11 * torch.arange(64, dtype=torch.float64) / 64)
    altered = {"level": 37.0 * chips, "shift of the band": ramp[:, None] * chips, "global phase": 1j * chips}[change]
    assert torch.allclose(chip_features(chips), chip_features(altered), rtol=1e-7, atol=1e-7)


def test_gini_of_equal_values_one_value_and_a_ramp() -> None:
    values = torch.stack([torch.ones(100), torch.eye(100)[3], torch.arange(100.0)]).double()
    assert gini(values).tolist() == pytest.approx([0.0, 0.99, (100 + 1) / (3 * 100)], abs=1e-9)


def test_pixels_rounded_to_zero_do_not_decide_the_texture() -> None:
    chips = 6 * math.sqrt(2) * speckle(16)
    counts = torch.view_as_complex(torch.view_as_real(chips).round())
    assert bool((counts == 0).any())
    assert mean_of(counts, "kappa_2") == pytest.approx(mean_of(chips, "kappa_2"), abs=0.06)
    assert 10 * math.log10(72 * math.log(2)) < DARKEST_DB  # one count stays above the limit


def test_one_pixel_and_flat_chips_have_finite_features() -> None:
    chips = torch.zeros(2, 32, 32, dtype=torch.complex64)
    chips[0, 3, 5], chips[1] = 1, 1
    features = chip_features(chips)
    assert bool(torch.isfinite(features).all())
    assert features.shape == (2, len(NAMES))


def test_wrong_chips_are_named() -> None:
    for chips in (torch.zeros(2, 30, 32, dtype=torch.complex64), torch.zeros(2, 32, 32), speckle(1)[0]):
        with pytest.raises(ValueError, match="divisible by 8"):
            chip_features(chips)
    with pytest.raises(ValueError, match="not empty"):
        chip_features(torch.zeros(2, 32, 32, dtype=torch.complex64))
