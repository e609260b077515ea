"""Samplers and oracle denoisers against posteriors known in closed form."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from echoform.linalg.inner import expand
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.noise import standard_normal
from echoform.recon.diffusion.point_target import PointTargetMixture
from echoform.recon.diffusion.samplers import ancestral, dpm_2m
from echoform.recon.diffusion.schedule import karras_schedule


def test_point_target_posterior_equals_the_dense_mixture():
    """Means and probabilities against all 17 Gaussians written out with dense matrices."""
    generator = torch.Generator().manual_seed(0)
    prior = PointTargetMixture((4, 4), clutter=0.3, target=3.0, presence=0.8)
    mask = (torch.rand(1, 1, 4, 4, generator=generator) < 0.5).double()
    operator = FourierMask(mask)
    x, _ = prior.sample(1, generator)
    x = x.to(torch.complex128)
    sigma, sigma_t = torch.tensor([0.4], dtype=torch.float64), torch.tensor([0.5], dtype=torch.float64)
    y = operator(x) + mask * expand(sigma, 3) * standard_normal(x, generator)
    x_t = x + expand(sigma_t, 3) * standard_normal(x, generator)
    found = prior.posterior(operator, y, sigma, x_t, sigma_t)

    eye = torch.eye(16, dtype=torch.complex128)
    dense = torch.stack([operator(e.reshape(1, 1, 4, 4)).flatten() for e in eye], 1)
    seen = mask.flatten() > 0
    rows = torch.cat([dense[seen], eye])
    noise = torch.diag(torch.cat([sigma.square().expand(int(seen.sum())), sigma_t.square().expand(16)])).to(eye.dtype)
    data = torch.cat([y.flatten()[seen], x_t.flatten()])
    log_weights, means = [], []
    for k in range(17):
        covariance = prior.clutter**2 * eye.clone()
        if k < 16:
            covariance[k, k] += prior.target**2
        total = rows @ covariance @ rows.mH + noise
        solved = torch.linalg.solve(total, data)
        log_prior = math.log(prior.presence / 16 if k < 16 else 1 - prior.presence)
        log_weights.append(-(data.conj() @ solved).real - torch.linalg.slogdet(total)[1] + log_prior)
        means.append(covariance @ rows.mH @ solved)
    probabilities = torch.softmax(torch.stack(log_weights), 0)
    mean = (probabilities[:, None] * torch.stack(means)).sum(0)
    assert torch.allclose(found.probabilities[0], probabilities, atol=1e-10)
    assert torch.allclose(found.mean.flatten(), mean, atol=1e-10)


def test_karras_schedule_ends_where_it_should_and_refuses_nonsense():
    schedule = karras_schedule(5, largest=10.0, smallest=0.1)
    assert float(schedule[0]) == pytest.approx(10.0)
    assert float(schedule[-1]) == pytest.approx(0.1)
    assert bool((schedule.diff() < 0).all())
    assert float(schedule[1]) == pytest.approx((10 ** (1 / 7) + 0.25 * (0.1 ** (1 / 7) - 10 ** (1 / 7))) ** 7)
    with pytest.raises(ValueError, match="smallest"):
        karras_schedule(5, largest=0.1, smallest=1.0)


class GaussianPosterior:
    """E[x | x_t, y] for x ~ CN(0, F^H diag(S) F) seen through a Fourier mask: every frequency on its own."""

    def __init__(self, generator: torch.Generator) -> None:
        self.power = torch.exp(2 * torch.randn(8, 8, generator=generator, dtype=torch.float64))
        self.mask = (torch.rand(8, 8, generator=generator) < 0.5).double()
        self.sigma = 0.3
        self.y = self.mask * standard_normal(torch.zeros(8, 8, dtype=torch.complex128), generator)
        self.rate = self.mask / self.sigma**2 + 1 / self.power

    @property
    def mean(self) -> Tensor:
        return self.y / self.sigma**2 / self.rate

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        known = torch.fft.fft2(x, norm="ortho") / sigma**2 + self.y / self.sigma**2
        return torch.fft.ifft2(known / (self.rate + 1 / sigma**2), norm="ortho")


def ancestral_variance(posterior: GaussianPosterior, schedule: Tensor) -> Tensor:
    """Variance of every mode at the end of the ancestral chain: D is linear with slope g, so it obeys a recursion."""
    variance = schedule[0].square().expand(8, 8)
    for s, following in zip(schedule[:-1], schedule[1:], strict=True):
        slope = 1 / s**2 / (posterior.rate + 1 / s**2)
        ratio = (following / s) ** 2
        variance = (slope + ratio * (1 - slope)) ** 2 * variance + following**2 * (1 - ratio)
    slope = 1 / schedule[-1] ** 2 / (posterior.rate + 1 / schedule[-1] ** 2)
    return slope**2 * variance


def draw(posterior: GaussianPosterior, schedule: Tensor, draws: int, *, stochastic: bool) -> Tensor:
    generator = torch.Generator().manual_seed(8)
    start = schedule[0] * standard_normal(torch.zeros(draws, 8, 8, dtype=torch.complex128), generator)
    if stochastic:
        samples = ancestral(posterior, start, schedule, generator)
    else:
        samples = dpm_2m(posterior, start, schedule)
    return torch.fft.fft2(samples, norm="ortho")


@pytest.mark.parametrize("stochastic", [False, True])
def test_samplers_reproduce_the_mean_of_a_gaussian_posterior(stochastic: bool):
    posterior = GaussianPosterior(torch.Generator().manual_seed(4))
    modes = draw(posterior, karras_schedule(32, largest=80.0, smallest=0.01), 4000, stochastic=stochastic)
    deviation = (modes.mean(0) - posterior.mean).abs() / (1 / posterior.rate / 4000).sqrt()
    assert float(deviation.square().mean()) < 1.5


@pytest.mark.parametrize(("steps", "tolerance"), [(16, 0.12), (48, 0.03)])
def test_2m_reproduces_the_variance_of_a_gaussian_posterior(steps: int, tolerance: float):
    posterior = GaussianPosterior(torch.Generator().manual_seed(4))
    modes = draw(posterior, karras_schedule(steps, largest=80.0, smallest=0.01), 4000, stochastic=False)
    assert abs(float((modes.var(0) * posterior.rate).mean()) - 1) < tolerance


def test_ancestral_has_the_variance_that_its_recursion_predicts_and_becomes_exact_with_steps():
    posterior = GaussianPosterior(torch.Generator().manual_seed(4))
    schedule = karras_schedule(32, largest=80.0, smallest=0.01)
    modes = draw(posterior, schedule, 4000, stochastic=True)
    predicted = ancestral_variance(posterior, schedule)
    assert float((modes.var(0) / predicted - 1).abs().max()) < 5 / 4000**0.5
    fine = ancestral_variance(posterior, karras_schedule(4000, largest=80.0, smallest=0.01))
    assert float((fine * posterior.rate - 1).abs().max()) < 0.02


def test_2m_with_the_oracle_matches_the_mixture_probabilities():
    """Total variation of the target's position within twice the floor of exact draws."""
    generator = torch.Generator().manual_seed(1)
    prior = PointTargetMixture((8, 8), clutter=0.5, target=5.0, presence=0.8)
    x, _ = prior.sample(12, generator)
    operator = FourierMask((torch.rand(12, 1, 8, 8, generator=generator) < 0.35).float())
    level = torch.tensor([1.5])
    y = operator(x) + operator.weights * level * standard_normal(x, generator)
    exact = prior.posterior(operator, y, level, None, None).probabilities
    draws = 200
    counts = torch.multinomial(exact, draws, replacement=True, generator=generator)
    floor = torch.zeros_like(exact).scatter_add(1, counts, torch.full(counts.shape, 1 / draws, dtype=exact.dtype))
    schedule = karras_schedule(16, largest=20.0, smallest=0.02)
    everywhere = FourierMask(torch.ones(1, 1, 8, 8))
    total = torch.zeros_like(exact)
    for _ in range(draws):
        start = (schedule[0] * standard_normal(x, generator)).to(x.dtype)
        sample = dpm_2m(lambda x_t, s: prior.posterior(operator, y, level, x_t, s).mean.to(x_t.dtype), start, schedule)
        total += prior.posterior(everywhere, everywhere(sample), torch.tensor([0.05]), None, None).probabilities / draws

    def distance(p: Tensor) -> float:
        return float(0.5 * (p - exact).abs().sum(1).mean())

    assert distance(total) < 2 * distance(floor)
