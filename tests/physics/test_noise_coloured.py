"""Noise with a level per sample or correlated along an axis: moments, distributions and densities against SciPy and formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.linalg
import scipy.stats
import torch
from torch import Tensor

from contracts import randn
from echoform.physics.noise import GaussianNoise
from echoform.physics.noise_coloured import (
    ColouredGaussianNoise,
    DiagonalGaussianNoise,
    spectral_covariance,
    toeplitz_covariance,
)

COUNT = 60_000


def generator(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def covariances(count: int, batch: int = 2) -> Tensor:
    factor = randn((batch, count, count), 3)
    return factor @ factor.mH / count + 0.2 * torch.eye(count, dtype=torch.float64)


def test_each_sample_has_its_own_level() -> None:
    deviation = torch.tensor([[[0.3], [2.0]], [[1.0], [0.1]]], dtype=torch.float64)
    clean = torch.full((2, 2, COUNT), 1 - 2j, dtype=torch.complex128)
    error = (DiagonalGaussianNoise(deviation).sample(clean, generator()) - clean).numpy()
    for row, sigma in zip(error.reshape(4, -1), (0.3, 2.0, 1.0, 0.1), strict=True):
        assert scipy.stats.kstest(np.abs(row) ** 2 / sigma**2, "expon").pvalue > 1e-3
        assert scipy.stats.kstest(row.real, "norm", args=(0, sigma / np.sqrt(2))).pvalue > 1e-3
        assert abs(np.mean(row**2)) < 5 * sigma**2 / np.sqrt(COUNT), "noise is not circular"
    real = (DiagonalGaussianNoise(deviation).sample(clean.real, generator()) - clean.real).numpy()
    assert scipy.stats.kstest(real[0, 1], "norm", args=(0, 2.0)).pvalue > 1e-3


def test_levels_that_are_all_alike_are_white_noise() -> None:
    clean, sigma = randn((2, 3, 4), 1), torch.tensor([0.5, 2.0], dtype=torch.float64)
    white, diagonal = GaussianNoise(sigma), DiagonalGaussianNoise(sigma[:, None, None])
    assert torch.equal(diagonal.sample(clean, generator()), white.sample(clean, generator()))
    y = white.sample(clean, generator())
    for a, b in ((y, clean), (y.real, clean.real)):
        assert torch.allclose(diagonal.log_prob(a, b), white.log_prob(a, b), rtol=1e-12)
    assert torch.allclose(diagonal.sigma, sigma)


def test_coloured_covariance() -> None:
    """E n n^H is C along the axis, and lines are independent, in both sensors; E n n^T = 0."""
    covariance = covariances(4)
    noise = ColouredGaussianNoise(covariance, 1)
    drawn = noise.sample(torch.zeros(2, COUNT, 4, 2, dtype=torch.complex128), generator())
    for b in range(2):
        rows = drawn[b, :, :, 0]
        bound = 6 * float(covariance[b].abs().amax()) / math.sqrt(COUNT)
        assert float((rows.mT @ rows.conj() / COUNT - covariance[b]).abs().max()) < bound
        assert float((rows.mT @ rows / COUNT).abs().max()) < bound
        assert float((rows.mT @ drawn[b, :, :, 1].conj() / COUNT).abs().max()) < bound


def test_coloured_samples_are_normal() -> None:
    """n^H C^-1 n of a line of n complex entries is a gamma variable of shape n."""
    covariance = covariances(5, 1)
    lines = ColouredGaussianNoise(covariance, 0).sample(torch.zeros(1, 5, 20_000, dtype=torch.complex128), generator())[
        0
    ]
    energy = (lines.conj() * torch.linalg.solve(covariance[0], lines)).real.sum(0)
    assert scipy.stats.kstest(energy.numpy(), "gamma", args=(5,)).pvalue > 1e-3


def test_real_coloured_density_is_that_of_scipy() -> None:
    covariance = covariances(4).real
    clean, y = randn((2, 3, 4), 1).real, randn((2, 3, 4), 2).real
    found = ColouredGaussianNoise(covariance, 1).log_prob(y, clean).sum(-1)
    for b in range(2):
        expected = scipy.stats.multivariate_normal(cov=covariance[b].numpy()).logpdf((y - clean)[b].numpy())
        assert np.allclose(found[b].numpy(), expected, rtol=1e-10)


def test_complex_coloured_density() -> None:
    """log p = -e^H C^-1 e - log det(pi C), for an axis that is not the last."""
    covariance = covariances(4)
    clean, y = randn((2, 4, 3), 1), randn((2, 4, 3), 2)
    found = ColouredGaussianNoise(covariance, 0).log_prob(y, clean).sum(1)
    error = y - clean
    quadratic = (error.conj() * torch.linalg.solve(covariance, error)).real.sum(1)
    expected = -quadratic - torch.linalg.slogdet(math.pi * covariance).logabsdet[:, None]
    assert torch.allclose(found, expected, rtol=1e-10)


def test_variance_of_every_sample() -> None:
    covariance = covariances(4)
    coloured = ColouredGaussianNoise(covariance, 1).variance((3, 4, 5))
    assert coloured.shape == (2, 3, 4, 5)
    assert torch.equal(coloured[:, 0, :, 0], covariance.diagonal(dim1=1, dim2=2).real)
    assert torch.equal(DiagonalGaussianNoise(torch.full((1, 3, 1), 2.0)).variance((3, 4)), torch.full((1, 3, 4), 4.0))


def test_toeplitz_covariance_is_that_of_scipy() -> None:
    lags = randn((2, 5), 4)
    for row, matrix in zip(lags.numpy(), toeplitz_covariance(lags).numpy(), strict=True):
        below = scipy.linalg.toeplitz(row, row.conj())
        assert np.allclose(np.tril(matrix), np.tril(below))
        assert np.allclose(np.triu(matrix, 1), np.triu(below, 1))


def test_the_spectrum_of_an_autoregression_gives_its_covariance() -> None:
    """n_m = a n_{m-1} + e_m has S(w) = 1 / |1 - a exp(-i w)|^2 and r[k] = a^k / (1 - |a|^2): the sign of the frequency counts."""
    a = 0.6 * np.exp(0.8j)
    turn = 2 * np.pi * np.arange(400) / 400
    density = torch.from_numpy(1 / np.abs(1 - a * np.exp(-1j * turn)) ** 2)[None]
    expected = toeplitz_covariance(torch.from_numpy(a ** np.arange(12) / (1 - abs(a) ** 2))[None])
    assert torch.allclose(spectral_covariance(density, 12), expected, atol=1e-12)
    white = spectral_covariance(torch.full((1, 30), 4.0), 9)
    assert torch.allclose(white, 4 * torch.eye(9, dtype=torch.complex128)[None], atol=1e-12)


def test_what_is_no_noise_is_refused() -> None:
    eye = torch.eye(3, dtype=torch.float64)[None]
    for bad in (torch.tensor([[1.0, -0.1]]), torch.tensor([[float("nan")]]), torch.ones(3)):
        with pytest.raises(ValueError, match="deviation"):
            DiagonalGaussianNoise(bad)
    for bad, message in (
        (eye[:, :2], "n, n"),
        (-eye, "positive"),
        (eye + eye.roll(1, 1), "Hermitian"),
        (eye[0], "n, n"),
    ):
        with pytest.raises(ValueError, match=message):
            ColouredGaussianNoise(bad, 0)
    with pytest.raises(ValueError, match="Hermitian"):
        ColouredGaussianNoise(torch.nan * eye, 0)
    with pytest.raises(ValueError, match="axis"):
        ColouredGaussianNoise(eye, -1)
    with pytest.raises(ValueError, match="real covariance"):
        ColouredGaussianNoise(eye.to(torch.complex128), 0).sample(torch.zeros(1, 3))
    for density in (torch.ones(1, 8), torch.zeros(1, 9), torch.ones(9)):
        with pytest.raises(ValueError, match="density"):
            spectral_covariance(density, 5)


def test_single_precision_stays_so() -> None:
    clean = torch.zeros(1, 3, 4, dtype=torch.complex64)
    for noise in (
        DiagonalGaussianNoise(torch.ones(1, 3, 1, dtype=torch.float64)),
        ColouredGaussianNoise(covariances(3, 1), 0),
    ):
        drawn = noise.sample(clean, generator())
        assert drawn.dtype == torch.complex64
        assert noise.log_prob(drawn, clean).dtype == torch.float32
        assert noise.to(torch.device("cpu")).sample(clean, generator()).equal(drawn)
