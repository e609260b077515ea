"""Random fields against their spectra and covariances, textures and speckle against their laws."""

import math
from collections.abc import Callable

import pytest
import torch
from scipy import stats

from echoform.scene.random_fields import (
    developed_speckle,
    gamma_texture,
    lognormal_texture,
    matern_field,
    photograph_texture,
    power_law_field,
    squared_frequency,
)
from scene.scene_cases import source

DRAWS = 400


def test_power_law_field_has_the_spectrum_stated() -> None:
    p, outer = torch.full((DRAWS,), 1.5), torch.full((DRAWS,), 6.0)
    field = power_law_field(source(), DRAWS, (32, 48), exponent=p, outer_px=outer)
    spectrum = torch.fft.fft2(field).abs().square().mean(0) / (32 * 48)
    ky, kx = (2 * math.pi * torch.fft.fftfreq(n) for n in (32, 48))
    expected = (ky[:, None].square() + kx.square() + 1 / 36) ** -1.5
    expected[0, 0] = 0
    torch.testing.assert_close(
        squared_frequency((32, 48), torch.device("cpu"))[0], (ky[:, None].square() + kx.square())[:, :25]
    )
    ratio = (spectrum / (expected / expected.mean())).flatten()[1:]
    assert float(field.square().mean()) == pytest.approx(1, abs=0.03)
    assert float(ratio.mean()) == pytest.approx(1, abs=0.01)
    assert float(ratio.std()) < 2 / math.sqrt(
        DRAWS
    )  # each is an average of DRAWS exponentials, or of squares where real


@pytest.mark.parametrize(
    ("nu", "covariance"),
    [
        (1.5, lambda r: (1 + math.sqrt(3) * r) * math.exp(-math.sqrt(3) * r)),
        (2.5, lambda r: (1 + math.sqrt(5) * r + 5 * r * r / 3) * math.exp(-math.sqrt(5) * r)),
    ],
)
def test_matern_field_has_its_covariance(nu: float, covariance: Callable[[float], float]) -> None:
    length = torch.full((DRAWS,), 3.0)
    field = matern_field(source(1), DRAWS, (64, 64), smoothness=torch.full((DRAWS,), nu), length_px=length)
    for lag in (0, 1, 2, 4, 8):
        assert float((field * field.roll(lag, -1)).mean()) == pytest.approx(covariance(lag / 3), abs=0.03)


def test_fields_of_a_batch_are_independent() -> None:
    field = power_law_field(source(2), 64, (32, 32), exponent=torch.full((64,), 1.2), outer_px=torch.full((64,), 5.0))
    flat = torch.nn.functional.normalize(field.flatten(1), dim=1)
    pairs = (flat @ flat.T)[torch.triu_indices(64, 64, 1).unbind()]
    assert abs(float(pairs.mean())) < 4 * float(pairs.std()) / math.sqrt(len(pairs))
    assert 0.03 < float(pairs.std()) < 0.2


@pytest.mark.parametrize("nu", [0.4, 1.0, 3.3, 30.0])
def test_gamma_texture_is_gamma_and_speckle_over_it_k(nu: float) -> None:
    z = source(3).normal((1, 300, 300))
    texture = gamma_texture(z, torch.tensor([[nu]]))
    assert stats.kstest(texture.flatten()[::9].numpy(), stats.gamma(nu, scale=1 / nu).cdf).pvalue > 0.01
    assert float(texture.mean()) == pytest.approx(1, abs=0.02)
    assert float(texture.var()) == pytest.approx(1 / nu, rel=0.05)
    intensity = developed_speckle(source(4), texture).abs().square().double()
    assert float(intensity.square().mean()) == pytest.approx(2 * (1 + 1 / nu), rel=0.08)


def test_gamma_texture_by_labels_equals_each_alone() -> None:
    z = source(5).normal((2, 16, 16))
    nu = torch.tensor([[0.5, 8.0], [3.0, 20.0]])
    labels = source(6).integers((2, 16, 16), 0, 2)
    mixed = gamma_texture(z, nu, labels)
    for k in (0, 1):
        alone = gamma_texture(z, nu[:, k : k + 1])
        assert torch.allclose(mixed[labels == k], alone[labels == k])


def test_lognormal_texture_has_its_moments_and_speckle_is_exponential() -> None:
    z = source(7).normal((1, 400, 400))
    texture = lognormal_texture(z, torch.tensor([0.6]))
    assert float(texture.mean()) == pytest.approx(1, abs=0.01)
    assert float(texture.var()) == pytest.approx(math.exp(0.36) - 1, rel=0.05)
    speckle = developed_speckle(source(8), torch.full((1, 150, 150), 4.0))
    assert stats.kstest(speckle.abs().square().flatten().numpy(), stats.expon(scale=4).cdf).pvalue > 0.01
    assert abs(complex((speckle * speckle).mean())) < 0.1  # circular


def test_photograph_texture_spans_the_range_asked_for() -> None:
    texture = photograph_texture(source(9).uniform((3, 3, 20, 20)), torch.tensor([10.0, 20.0, 40.0]))
    span = 10 * torch.log10(texture.amax((1, 2)) / texture.amin((1, 2)))
    assert span.tolist() == pytest.approx([10, 20, 40], abs=1e-3)
    assert texture.mean((1, 2)).tolist() == pytest.approx([1, 1, 1], abs=1e-5)
