"""Noise models against the moments and densities of scipy.stats."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import torch

from echoform.physics.noise import GaussianNoise, PoissonGaussianNoise, standard_normal

COUNT = 200_000


def generator(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def level(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_complex_noise_has_total_variance_sigma_squared() -> None:
    """|n|^2 / s^2 is exponential with mean one; each component is normal with variance s^2 / 2; they do not correlate."""
    clean = torch.full((2, COUNT), 3 - 1j, dtype=torch.complex128)
    noise = (GaussianNoise(level(0.5, 2.0)).sample(clean, generator()) - clean).numpy()
    for row, sigma in zip(noise, (0.5, 2.0), strict=True):
        assert scipy.stats.kstest(np.abs(row) ** 2 / sigma**2, "expon").pvalue > 1e-3
        for part in (row.real, row.imag):
            assert scipy.stats.kstest(part, "norm", args=(0, sigma / np.sqrt(2))).pvalue > 1e-3
        assert abs(np.mean(row**2)) < 5 * sigma**2 / np.sqrt(COUNT), "noise is not circular"


def test_real_noise_has_variance_sigma_squared() -> None:
    clean = torch.full((1, COUNT), -2.0, dtype=torch.float64)
    noise = (GaussianNoise(level(0.7)).sample(clean, generator()) - clean)[0].numpy()
    assert scipy.stats.kstest(noise, "norm", args=(0, 0.7)).pvalue > 1e-3


def test_complex_density() -> None:
    """The log density is that of two independent normal components of variance s^2 / 2."""
    y, clean, sigma = torch.tensor([[1 + 2j, -0.3j]]), torch.tensor([[0.5 + 0j, 1 - 1j]]), 0.8
    y, clean = y.to(torch.complex128), clean.to(torch.complex128)
    part = scipy.stats.norm(scale=sigma / np.sqrt(2))
    error = (y - clean).numpy()
    expected = part.logpdf(error.real) + part.logpdf(error.imag)
    assert np.allclose(GaussianNoise(level(sigma)).log_prob(y, clean).numpy(), expected, rtol=1e-12)


def test_real_density() -> None:
    y, clean, sigma = level(1.0, -2.0)[None], level(0.5, 1.0)[None], 0.8
    expected = scipy.stats.norm(loc=clean.numpy(), scale=sigma).logpdf(y.numpy())
    assert np.allclose(GaussianNoise(level(sigma)).log_prob(y, clean).numpy(), expected, rtol=1e-12)


def test_density_per_sensor() -> None:
    y, clean = torch.ones(2, 3, 4, dtype=torch.complex128), torch.zeros(2, 3, 4, dtype=torch.complex128)
    both = GaussianNoise(level(0.5, 2.0)).log_prob(y, clean)
    for i, sigma in enumerate((0.5, 2.0)):
        assert torch.equal(both[i : i + 1], GaussianNoise(level(sigma)).log_prob(y[i : i + 1], clean[i : i + 1]))


def test_poisson_gaussian_moments() -> None:
    """Mean A x, variance g A x + s^2."""
    clean = torch.tensor([[0.0], [0.3], [5.0]], dtype=torch.float64).expand(3, COUNT)
    gain, sigma = level(0.5, 0.1, 2.0), level(0.2, 0.3, 0.0)
    drawn = PoissonGaussianNoise(sigma, gain).sample(clean, generator())
    variance = gain * clean[:, 0] + sigma.square()
    error = (drawn.mean(1) - clean[:, 0]).abs()
    assert bool((error <= 5 * (variance / COUNT).sqrt() + 1e-12).all())
    assert torch.allclose(drawn.var(1), variance, rtol=0.02)


def test_poisson_counts() -> None:
    """Without read-out noise y / g is Poisson: chi-square test of the counts."""
    clean = torch.full((1, COUNT), 1.5, dtype=torch.float64)
    counts = PoissonGaussianNoise(level(0.0), level(0.5)).sample(clean, generator())[0].numpy() / 0.5
    assert np.array_equal(counts, np.round(counts))
    observed = np.bincount(counts.astype(int), minlength=10)
    expected = scipy.stats.poisson(3).pmf(np.arange(10)) * COUNT
    pooled, pooled_expected = np.append(observed[:10], observed[10:].sum()), np.append(expected, COUNT - expected.sum())
    assert scipy.stats.chisquare(pooled, pooled_expected).pvalue > 1e-3


def test_poisson_gaussian_density_is_its_gaussian_approximation() -> None:
    y, clean = level(1.0, 2.5)[None], level(0.0, 2.0)[None]
    expected = scipy.stats.norm(loc=clean.numpy(), scale=np.sqrt(0.5 * clean.numpy() + 0.09)).logpdf(y.numpy())
    assert np.allclose(PoissonGaussianNoise(level(0.3), level(0.5)).log_prob(y, clean).numpy(), expected, rtol=1e-12)


def test_zero_gain_is_gaussian() -> None:
    clean = level(0.5, 1.5)[None]
    noise = PoissonGaussianNoise(level(0.3), level(0.0))
    assert torch.equal(noise.sample(clean, generator()), GaussianNoise(level(0.3)).sample(clean, generator()))
    assert torch.allclose(noise.log_prob(clean + 0.1, clean), GaussianNoise(level(0.3)).log_prob(clean + 0.1, clean))


@pytest.mark.parametrize("complex_samples", [False, True])
def test_without_variance_the_probability_is_that_of_a_point_mass(complex_samples: bool) -> None:
    """0 of the clean value and -inf of another, of dark pixels and of no noise at all; the rest, and its gradient, as ever."""
    clean, y = level(0.0, 0.0, 2.0)[None], level(0.0, 1.0, 2.0)[None]
    if complex_samples:
        found = GaussianNoise(level(0.0)).log_prob(y.to(torch.complex128), clean.to(torch.complex128))
        assert found.tolist() == [[0.0, -np.inf, 0.0]]
        return
    assert GaussianNoise(level(0.0)).log_prob(y, clean).tolist() == [[0.0, -np.inf, 0.0]]
    counted, leaf = PoissonGaussianNoise(level(0.0), level(0.1)), clean.clone().requires_grad_()
    found = counted.log_prob(y, leaf)
    assert found[0, :2].tolist() == [0.0, -np.inf]
    assert found[0, 2].item() == pytest.approx(scipy.stats.norm(2, np.sqrt(0.2)).logpdf(2.0))
    (gradient,) = torch.autograd.grad(found.sum(), leaf)
    assert gradient[0].tolist() == pytest.approx([0.0, 0.0, -0.25])
    drawn = counted.sample(clean, generator())
    assert bool(torch.isfinite(counted.log_prob(drawn, clean)).all())


@pytest.mark.parametrize("clean", [torch.ones(1, 3, dtype=torch.complex64), torch.tensor([[1.0, -0.1]])])
def test_counts_need_real_non_negative_samples(clean: torch.Tensor) -> None:
    noise = PoissonGaussianNoise(torch.ones(1), torch.ones(1))
    with pytest.raises(ValueError, match="real, non-negative"):
        noise.sample(clean)
    with pytest.raises(ValueError, match="real, non-negative"):
        noise.log_prob(clean, clean)


@pytest.mark.parametrize("bad", [torch.tensor([-1.0]), torch.tensor([float("nan")]), torch.tensor(1.0)])
def test_bad_levels_are_refused(bad: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="sigma"):
        GaussianNoise(bad)
    with pytest.raises(ValueError, match="gain"):
        PoissonGaussianNoise(torch.ones(1), bad)


def test_the_generator_decides() -> None:
    noise, clean = GaussianNoise(torch.ones(1)), torch.zeros(1, 5, dtype=torch.complex64)
    assert torch.equal(noise.sample(clean, generator(3)), noise.sample(clean, generator(3)))
    assert not torch.equal(noise.sample(clean, generator(3)), noise.sample(clean, generator(4)))
    assert standard_normal(clean, generator()).dtype == torch.complex64
