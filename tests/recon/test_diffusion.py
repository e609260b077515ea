"""Samplers and oracle denoisers against posteriors known in closed form."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from echoform.linalg.inner import expand
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.noise import standard_normal
from echoform.physics.nonuniform_fourier import NonuniformFourier
from echoform.recon.diffusion.gaussian import Gaussian, GaussianMixture, dense
from echoform.recon.diffusion.point_target import PointTargetMixture
from echoform.recon.diffusion.samplers import Denoiser, ancestral, ddim, dpm_2m, heun, sde_2m
from echoform.recon.diffusion.schedule import geometric_schedule, karras_schedule


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


def test_the_geometric_schedule_has_equal_ratios_and_is_what_karras_tends_to():
    schedule = geometric_schedule(5, largest=10.0, smallest=0.1)
    assert torch.allclose(schedule, torch.tensor([10, 10**0.5, 1, 10**-0.5, 0.1], dtype=torch.float64))
    assert torch.allclose(schedule, karras_schedule(5, largest=10.0, smallest=0.1, rho=1e6), rtol=1e-4)
    with pytest.raises(ValueError, match="smallest"):
        geometric_schedule(1, largest=1.0, smallest=0.1)


SHAPE = (1, 4, 4)
DRAWS = 3000


def sensor(generator: torch.Generator) -> NonuniformFourier:
    """Eleven samples at any frequencies of 16 pixels: not diagonal in any basis the samplers know of."""
    points = (torch.rand(1, 2, 11, generator=generator, dtype=torch.float64) - 0.5) * 5
    return NonuniformFourier(points, torch.ones(1, 11), domain_shape=SHAPE, sample_shape=(11, 1))


def covariance(generator: torch.Generator, size: float) -> Tensor:
    """A full covariance whose eigenvalues span two decades."""
    root = standard_normal(torch.zeros(16, 16, dtype=torch.complex128), generator)
    basis = torch.linalg.qr(root)[0]
    return size * (basis * torch.logspace(-2, 0, 16, dtype=torch.float64)) @ basis.mH


def gaussian_posterior() -> Gaussian:
    generator = torch.Generator().manual_seed(4)
    mean = standard_normal(torch.zeros(16, dtype=torch.complex128), generator)
    prior = Gaussian.of(SHAPE, mean, covariance(generator, 1.0))
    operator = sensor(generator)
    y = operator(prior.sample(1, generator).to(torch.complex64))
    return prior.given(operator, y + 0.1 * standard_normal(y, generator), 0.1)[0]


def sampled(denoiser: Denoiser, name: str, steps: int, draws: int, largest: float = 60.0) -> Tensor:
    generator = torch.Generator().manual_seed(8)
    schedule = karras_schedule(steps, largest=largest, smallest=0.003)
    start = schedule[0] * standard_normal(torch.zeros(draws, *SHAPE, dtype=torch.complex128), generator)
    if name in ("ancestral", "sde 2m"):
        return {"ancestral": ancestral, "sde 2m": sde_2m}[name](denoiser, start, schedule, generator)
    return {"2m": dpm_2m, "heun": heun, "ddim": ddim}[name](denoiser, start, schedule)


def distances(posterior: Gaussian, samples: Tensor) -> tuple[float, float]:
    """|error of the mean|^2 over its expectation, and |error of the covariance| over |C| (both with |C| the exact one)."""
    flat = samples.flatten(1)
    exact = posterior.covariance
    mean = (flat.mean(0) - posterior.mean).abs().square().sum() / exact.diagonal().real.sum() * len(flat)
    away = flat - flat.mean(0)
    found = away.mT @ away.conj() / (len(flat) - 1)
    return float(mean), float((found - exact).norm() / exact.norm())


def test_a_gaussian_posterior_is_that_of_the_dense_formulas():
    generator = torch.Generator().manual_seed(3)
    prior = Gaussian.of(SHAPE, torch.zeros(16, dtype=torch.complex128), covariance(generator, 1.0))
    operator = sensor(generator)
    y = standard_normal(torch.zeros(1, *operator.range_shape, dtype=torch.complex64), generator)
    posterior, _ = prior.given(operator, y, 0.3)
    a = dense(operator, SHAPE).to(torch.complex128)
    precision = torch.linalg.inv(prior.covariance) + a.mH @ a / 0.09
    assert torch.allclose(posterior.covariance, torch.linalg.inv(precision), atol=1e-8)
    mean = torch.linalg.solve(precision, a.mH @ y.flatten().to(a.dtype) / 0.09)
    assert torch.allclose(posterior.mean, mean, atol=1e-7)
    x = standard_normal(torch.zeros(2, *SHAPE, dtype=torch.complex128), generator)
    more = torch.linalg.solve(precision + torch.eye(16) / 0.25, (precision @ mean + x.flatten(1) / 0.25).mT).mT
    assert torch.allclose(posterior(x, torch.tensor([0.5])).flatten(1), more, atol=1e-7)


@pytest.mark.parametrize(
    ("name", "steps"), [("2m", 64), ("sde 2m", 64), ("heun", 40), ("ddim", 400), ("ancestral", 400)]
)
def test_samplers_reproduce_mean_and_covariance_of_a_gaussian_posterior(name: str, steps: int):
    """Within 1.5 times what as many exact draws are off by: the floor, printed."""
    posterior = gaussian_posterior()
    floor = distances(posterior, posterior.sample(DRAWS, torch.Generator().manual_seed(1)))
    mean, spread = distances(posterior, sampled(posterior, name, steps, DRAWS))
    print(f"{name}, {steps}: mean {mean:.2f} (floor {floor[0]:.2f}), covariance {spread:.3f} (floor {floor[1]:.3f})")
    assert mean < 1.6  # 16 modes: 1 +- 0.25 for exact draws
    assert spread < 1.5 * floor[1]


@pytest.mark.parametrize(
    ("name", "steps"), [("2m", 32), ("sde 2m", 32), ("heun", 24), ("ddim", 128), ("ancestral", 128)]
)
def test_samplers_reproduce_the_probabilities_of_a_mixture(name: str, steps: int):
    """Probabilities of four components after a measurement, within twice the floor of as many exact draws."""
    generator = torch.Generator().manual_seed(6)
    parts = [
        Gaussian.of(
            SHAPE, 0.25 * standard_normal(torch.zeros(16, dtype=torch.complex128), generator), covariance(generator, s)
        )
        for s in (0.05, 0.02, 0.1, 0.04)
    ]
    prior = GaussianMixture(torch.tensor([0.4, 0.3, 0.2, 0.1]), parts)
    operator = sensor(generator)
    y = operator(parts[1].sample(1, generator).to(torch.complex64))
    posterior = prior.given(operator, y + 3.0 * standard_normal(y, generator), 3.0)
    assert float(posterior.weights.amax()) < 0.9  # else there is nothing to get right
    samples = sampled(posterior, name, steps, DRAWS)
    found = posterior.probabilities(samples, torch.tensor([1e-2])).mean(0)
    draws = torch.multinomial(posterior.weights, 200 * DRAWS, replacement=True, generator=generator).reshape(200, DRAWS)
    exact = torch.stack([(draws == k).double().mean(1) for k in range(4)], 1)
    floor = float(0.5 * (exact - posterior.weights).abs().sum(1).mean())
    distance = float(0.5 * (found - posterior.weights).abs().sum())
    print(f"{name}, {steps}: total variation {distance:.4f}, floor {floor:.4f}, exact {posterior.weights.tolist()}")
    assert distance < 2 * floor


def test_few_steps_of_2m_come_closer_than_as_many_of_ddim():
    posterior = gaussian_posterior()
    second, first = (distances(posterior, sampled(posterior, name, 16, DRAWS))[1] for name in ("2m", "ddim"))
    assert second < 0.7 * first


def test_few_steps_of_the_second_order_stochastic_sampler_come_closer_than_as_many_of_the_first():
    posterior = gaussian_posterior()
    second, first = (distances(posterior, sampled(posterior, name, 32, DRAWS))[1] for name in ("sde 2m", "ancestral"))
    assert second < 0.5 * first


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
