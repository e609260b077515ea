"""Laws of clutter against SciPy: distribution functions, densities, moments, log-moments, textures."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats
import torch
from torch import Tensor

from echoform.scene.clutter import Clutter, Speckle, compound
from echoform.scene.clutter_laws import G0Clutter, KClutter, LogNormalClutter, WeibullClutter

COUNT = 100_000
#: largest deviation of an estimate, standard deviations
SIGMAS = 4.5


def tensor(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def generator(seed: int = 5) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def k_tail(x: np.ndarray, nu: float) -> np.ndarray:
    """P(I > x) by quadrature over the texture, not by the Bessel function."""
    law = scipy.stats.gamma(nu, scale=1 / nu)
    quantiles = law.ppf((np.arange(200_000) + 0.5) / 200_000)
    return np.array([np.exp(-t / quantiles).mean() for t in x])


CASES: dict[str, Clutter] = {
    "speckle": Speckle(),
    "K 0.5": KClutter(tensor(0.5)),
    "K 1": KClutter(tensor(1.0)),
    "K 20": KClutter(tensor(20.0)),
    "G0 -1.5": G0Clutter(tensor(-1.5)),
    "G0 -4": G0Clutter(tensor(-4.0)),
    "G0 -15": G0Clutter(tensor(-15.0)),
    "Weibull 0.8": WeibullClutter(tensor(0.8)),
    "Weibull 2": WeibullClutter(tensor(2.0)),
    "log-normal": LogNormalClutter(tensor(1.7)),
}

#: P(I <= x m) by SciPy
TRUTH = {
    "speckle": scipy.stats.expon().cdf,
    "K 0.5": lambda x: 1 - k_tail(x, 0.5),
    "K 1": lambda x: 1 - k_tail(x, 1.0),
    "K 20": lambda x: 1 - k_tail(x, 20.0),
    "G0 -1.5": scipy.stats.lomax(1.5, scale=0.5).cdf,
    "G0 -4": scipy.stats.lomax(4, scale=3).cdf,
    "G0 -15": scipy.stats.lomax(15, scale=14).cdf,
    "Weibull 0.8": scipy.stats.weibull_min(0.4, scale=1 / scipy.special.gamma(3.5)).cdf,
    "Weibull 2": scipy.stats.weibull_min(1, scale=1).cdf,
    "log-normal": scipy.stats.lognorm(1.7, scale=math.exp(-(1.7**2) / 2)).cdf,
}


@pytest.mark.parametrize("label", CASES)
def test_distribution_function_is_that_of_scipy(label: str) -> None:
    x = np.logspace(-4, 3, 25)
    found = CASES[label].cdf(2.5 * torch.from_numpy(x)[None], tensor(2.5)[None])[0].numpy()
    assert np.abs(found - TRUTH[label](x)).max() < 2e-4


@pytest.mark.parametrize("label", CASES)
def test_draws_follow_the_distribution_function(label: str) -> None:
    """Kolmogorov-Smirnov on |z|^2, at two mean intensities, and on the phase, which is uniform and tells nothing of |z|."""
    law = CASES[label]
    mean = tensor(0.3, 40.0)[:, None].expand(2, COUNT)
    z = law.sample(mean, generator())
    probability = law.cdf(z.abs().square(), mean).numpy()
    turn = (torch.angle(z) / (2 * math.pi) + 0.5).numpy()
    for row in (*probability, *turn):
        assert scipy.stats.kstest(row, "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(probability[0], np.cos(2 * math.pi * turn[0]))[0, 1]) < SIGMAS / math.sqrt(COUNT)


@pytest.mark.parametrize("label", CASES)
def test_density_is_the_slope_of_the_distribution_function(label: str) -> None:
    law = CASES[label]
    intensity = torch.logspace(-3, 2, 30, dtype=torch.float64)[None]
    mean = tensor(0.7)[:, None]
    step = 1e-5 * intensity
    slope = (law.cdf(intensity + step, mean) - law.cdf(intensity - step, mean)) / (2 * step)
    density = law.log_prob(intensity, mean).exp()
    seen = slope > 1e-6
    assert torch.allclose(density[seen], slope[seen], rtol=1e-4)


@pytest.mark.parametrize("label", CASES)
def test_log_moments_of_draws(label: str) -> None:
    """Mean, variance and third moment of ln I, within the error that their own next moments say."""
    law = CASES[label]
    logs = law.sample(torch.ones(1, COUNT, dtype=torch.float64), generator(7)).abs().square().log()[0]
    expected = law.log_cumulants()[:, 0]
    centred = logs - expected[0]
    for power, value in ((1, 0.0), (2, float(expected[1])), (3, float(expected[2]))):
        terms = centred**power
        assert abs(float(terms.mean()) - value) < SIGMAS * float(terms.std()) / math.sqrt(COUNT), power


@pytest.mark.parametrize("label", CASES)
def test_log_moments_by_quadrature(label: str) -> None:
    """The closed forms (digamma and its derivatives) against the integral of the density over ln I."""
    law = CASES[label]
    grid = torch.linspace(-60, 60, 120_001, dtype=torch.float64)
    density = (law.log_prob(grid.exp()[None], tensor(1.0)[:, None])[0] + grid).exp()
    density = torch.nan_to_num(density, nan=0.0)
    step = float(grid[1] - grid[0])
    mean = float((density * grid).sum() * step)
    found = [mean, *(float((density * (grid - mean) ** n).sum() * step) for n in (2, 3))]
    assert float(density.sum() * step) == pytest.approx(1, abs=1e-7)
    assert found == pytest.approx(law.log_cumulants()[:, 0].tolist(), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("order", [-0.2, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("label", CASES)
def test_moments_by_quadrature_where_they_exist(label: str, order: float) -> None:
    law = CASES[label]
    value = float(law.moment(order)[0])
    if order == 1:
        assert value == pytest.approx(1, rel=1e-12)
    if label == "G0 -1.5" and order == 2:
        assert math.isinf(value)
        return
    grid = torch.linspace(-150, 100, 200_001, dtype=torch.float64)
    terms = (law.log_prob(grid.exp()[None], tensor(1.0)[:, None])[0] + (1 + order) * grid).exp()
    integral = float(torch.nan_to_num(terms, nan=0.0).sum() * (grid[1] - grid[0]))
    assert integral == pytest.approx(value, rel=1e-5)


def test_moments_of_draws_where_their_error_has_a_variance() -> None:
    """E I and E I^2 of laws whose eighth amplitude moment is finite and moderate."""
    for label in ("speckle", "K 20", "G0 -15", "Weibull 2"):
        law = CASES[label]
        intensity = law.sample(torch.ones(1, COUNT, dtype=torch.float64), generator(9)).abs().square()[0]
        for order in (1, 2):
            terms = intensity**order
            expected = float(law.moment(order)[0])
            assert abs(float(terms.mean()) - expected) < SIGMAS * float(terms.std()) / math.sqrt(COUNT), label


def test_moments_that_do_not_exist_are_infinite_and_refused_below_minus_one() -> None:
    alpha = G0Clutter(tensor(-2.0, -2.001))
    assert torch.isinf(alpha.moment(2.0)).tolist() == [True, False]
    assert torch.isinf(KClutter(tensor(0.5, 0.7)).moment(-0.6)).tolist() == [True, False]
    with pytest.raises(ValueError, match="above -1"):
        Speckle().moment(-1.0)


def test_each_scene_has_its_own_parameter() -> None:
    both = KClutter(tensor(0.5, 20.0))
    x = torch.rand(2, 5, 6, dtype=torch.float64, generator=generator()) + 0.1
    mean = torch.full_like(x, 2.0)
    for i, nu in enumerate((0.5, 20.0)):
        assert torch.allclose(
            both.log_prob(x, mean)[i], KClutter(tensor(nu)).log_prob(x[i : i + 1], mean[i : i + 1])[0]
        )
    z = both.sample(torch.ones(2, 40_000), generator())
    assert z.dtype == torch.complex64
    contrast = z.abs().square().var(1)
    assert float(contrast[0]) > 2 * float(contrast[1])


@pytest.mark.parametrize("label", ["K 0.5", "G0 -4", "Weibull 0.8"])
def test_correlated_textures_keep_the_law(label: str) -> None:
    """Textures at the quantiles of normal fields: the same distribution, alike where the fields are alike."""
    law = CASES[label]
    assert isinstance(law, KClutter | G0Clutter | WeibullClutter)
    shape = (2, 1, COUNT) if isinstance(law, WeibullClutter) else (1, COUNT)
    first = torch.randn(shape, dtype=torch.float64, generator=generator(1))
    other = 0.95 * first + math.sqrt(1 - 0.95**2) * torch.randn(shape, dtype=torch.float64, generator=generator(2))
    one, two = law.texture_at(first), law.texture_at(other)
    z = compound(one, generator(3))
    probability = law.cdf(z.abs().square(), torch.ones_like(one))
    assert scipy.stats.kstest(probability[0].numpy(), "uniform").pvalue > 1e-3
    rank = scipy.stats.spearmanr(one[0].numpy(), two[0].numpy()).statistic
    assert rank > 0.8
    apart = law.texture_at(torch.randn(shape, dtype=torch.float64, generator=generator(4)))
    assert abs(scipy.stats.spearmanr(one[0].numpy(), apart[0].numpy()).statistic) < SIGMAS / math.sqrt(COUNT)


def test_the_gamma_and_stable_textures_are_monotone_and_exact_at_the_median() -> None:
    zero = torch.zeros(1, 1, dtype=torch.float64)
    assert float(KClutter(tensor(0.7)).texture_at(zero)) == pytest.approx(
        scipy.stats.gamma(0.7, scale=1 / 0.7).median()
    )
    assert float(G0Clutter(tensor(-3.0)).texture_at(zero)) == pytest.approx(scipy.stats.invgamma(3, scale=2).median())
    steps = torch.linspace(-7, 7, 50)[None]
    for law in (KClutter(tensor(0.5)), G0Clutter(tensor(-1.5))):
        assert bool((law.texture_at(steps).diff() >= 0).all())
    extremes = torch.tensor([-9.0, 0.0, 9.0])
    pairs = torch.stack(torch.meshgrid(extremes, extremes, indexing="ij")).reshape(2, 1, 9)
    for c in (0.8, 1.999, 2.0):
        assert bool(torch.isfinite(WeibullClutter(torch.tensor([c])).texture_at(pairs)).all())
    assert torch.equal(WeibullClutter(torch.tensor([2.0])).texture_at(pairs), torch.ones(1, 9))


def test_far_ends_of_the_k_law_are_finite() -> None:
    x = tensor(1e-30, 1e-12, 1e3)[None]
    for nu in (0.5, 1.5, 20.0):
        assert bool(torch.isfinite(KClutter(tensor(nu)).log_prob(x, torch.ones_like(x))).all())
    assert float(KClutter(tensor(20.0)).log_prob(x, torch.ones_like(x))[0, 0]) == pytest.approx(math.log(20 / 19))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("nu", [49.0, 52.0, 240.0, 300.0, 1000.0, 1e5])
def test_the_k_law_of_a_steady_texture(nu: float, dtype: torch.dtype) -> None:
    """Density and distribution function by quadrature over the texture, where K_nu leaves the range of double precision too."""
    x = np.array([1e-6, 1e-3, 0.1, 0.5, 1.0, 2.0, 4.0, 15.0])
    texture = np.linspace(max(1e-9, 1 - 12 / math.sqrt(nu)), 1 + 14 / math.sqrt(nu), 20_001)
    weight = np.exp(nu * (np.log(nu * texture) - texture) - np.log(texture) - scipy.special.gammaln(nu))
    weight *= texture[1] - texture[0]
    density = (weight * np.exp(-x[:, None] / texture) / texture).sum(1)
    beyond = (weight * np.exp(-x[:, None] / texture)).sum(1)
    law, one = KClutter(torch.tensor([nu], dtype=dtype)), torch.ones(1, len(x), dtype=dtype)
    intensity = torch.from_numpy(x).to(dtype)[None]
    bound = 1e-7 if dtype is torch.float64 else 1e-5
    assert np.abs(law.log_prob(intensity, one)[0].numpy() - np.log(density)).max() < bound
    assert np.abs(law.cdf(intensity, one)[0].numpy() - (1 - beyond)).max() < bound


def test_what_is_no_parameter_or_mean_is_refused() -> None:
    for make, value in ((KClutter, 0.0), (G0Clutter, -1.0), (WeibullClutter, 2.1), (LogNormalClutter, math.nan)):
        with pytest.raises(ValueError, match="must have shape"):
            make(tensor(value))
    with pytest.raises(ValueError, match="must have shape"):
        KClutter(torch.tensor(1.0))
    with pytest.raises(ValueError, match="mean_intensity"):
        Speckle().sample(tensor(-1.0)[None])
    with pytest.raises(ValueError, match="mean_intensity"):
        Speckle().sample(torch.ones(1, 2, dtype=torch.complex64))


def test_a_seed_gives_the_same_clutter_again() -> None:
    mean = torch.ones(2, 8, 8)
    for law in CASES.values():
        assert torch.equal(law.sample(mean, generator(3)), law.sample(mean, generator(3)))
        assert not torch.equal(law.sample(mean, generator(3)), law.sample(mean, generator(4)))
