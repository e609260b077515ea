"""Multiplicative speckle against scipy.stats.gamma."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import torch

from echoform.measure.measurement import Measurement
from echoform.measure.native import load, save
from echoform.physics.identity import ScalarOperator
from echoform.physics.noise_speckle import SpeckleNoise
from echoform.recon.discrepancy import expected_noise_energy

COUNT = 100_000
LOOKS = (1.0, 3.0, 4.7, 50.0)


def drawn() -> tuple[SpeckleNoise, torch.Tensor, torch.Tensor]:
    noise = SpeckleNoise(torch.tensor(LOOKS, dtype=torch.float64))
    clean = torch.full((len(LOOKS), COUNT), 2.5, dtype=torch.float64)
    return noise, clean, noise.sample(clean, torch.Generator().manual_seed(1))


def test_samples_are_gamma_numbers_of_l_looks() -> None:
    """Kolmogorov-Smirnov, and the moments: mean 1, variance 1 / L, E ln s = psi(L) - ln L."""
    _, clean, y = drawn()
    for row, looks in zip((y / clean).numpy(), LOOKS, strict=True):
        law = scipy.stats.gamma(looks, scale=1 / looks)
        assert scipy.stats.kstest(row, law.cdf).pvalue > 1e-3
        assert row.mean() == pytest.approx(1, abs=4.5 / math.sqrt(looks * COUNT))
        fourth = (law.stats("k") + 2) * law.var() ** 2
        assert row.var() == pytest.approx(1 / looks, abs=4.5 * math.sqrt(float(fourth) / COUNT))
        logs = np.log(row)
        assert logs.mean() == pytest.approx(float(law.expect(np.log)), abs=4.5 * logs.std() / math.sqrt(COUNT))


def test_density_is_that_of_scipy() -> None:
    noise = SpeckleNoise(torch.tensor(LOOKS, dtype=torch.float64))
    y = torch.logspace(-2, 1, 20, dtype=torch.float64).expand(len(LOOKS), 20)
    clean = torch.full_like(y, 0.8)
    for row, looks in zip(noise.log_prob(y, clean).numpy(), LOOKS, strict=True):
        assert np.allclose(row, scipy.stats.gamma(looks, scale=0.8 / looks).logpdf(y[0].numpy()), rtol=1e-10)


def test_the_expected_energy_is_known_without_the_clean_samples() -> None:
    noise, clean, y = drawn()
    operator = ScalarOperator((1, 100, COUNT // 100), torch.ones(1))
    shape = (len(LOOKS), *operator.domain_shape)
    measurement = Measurement(y.reshape(shape), operator, noise)
    actual = (y - clean).square().sum(1)
    assert torch.allclose(expected_noise_energy(measurement), actual, rtol=0.03)


def test_a_file_keeps_it(tmp_path: Path) -> None:
    operator = ScalarOperator((1, 3, 4), torch.ones(1))
    noise = SpeckleNoise(torch.tensor([2.0, 3.5]))
    y = noise.sample(torch.ones(2, 1, 3, 4), torch.Generator().manual_seed(1))
    save(Measurement(y, operator, noise), tmp_path / "speckle.h5")
    read = load(tmp_path / "speckle.h5").noise
    assert isinstance(read, SpeckleNoise)
    assert torch.equal(read.looks, noise.looks)
    with pytest.raises(ValueError, match="noise levels"):
        save(Measurement(y[:1], operator, noise), tmp_path / "two.h5")


def test_what_is_no_intensity_or_number_of_looks_is_refused() -> None:
    noise = SpeckleNoise(torch.ones(1))
    for bad in (torch.ones(1, 2, dtype=torch.complex64), -torch.ones(1, 2)):
        with pytest.raises(ValueError, match="intensities"):
            noise.sample(bad)
    for looks in (torch.zeros(1), torch.tensor(1.0), torch.tensor([math.inf])):
        with pytest.raises(ValueError, match="looks"):
            SpeckleNoise(looks)
