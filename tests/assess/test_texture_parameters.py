"""The method of log-cumulants finds the parameters that the clutter was drawn with."""

from __future__ import annotations

import math

import pytest
import scipy.special
import scipy.stats
import torch
from torch import Tensor

from echoform.assess.texture_parameters import (
    equivalent_looks,
    g0_alpha,
    k_shape,
    log_cumulants,
    lognormal_deviation,
    weibull_shape,
)
from echoform.scene.clutter import Clutter, Speckle
from echoform.scene.clutter_laws import G0Clutter, KClutter, LogNormalClutter, WeibullClutter

COUNT = 200_000


def intensity(law: Clutter, scenes: int) -> Tensor:
    mean = torch.full((scenes, COUNT), 3.0, dtype=torch.float64)
    return law.sample(mean, torch.Generator().manual_seed(11)).abs().square()


def test_k_statistics_are_those_of_scipy() -> None:
    values = torch.rand(2, 40, generator=torch.Generator().manual_seed(1), dtype=torch.float64) + 0.1
    found = log_cumulants(values)
    for b in range(2):
        for n in range(3):
            assert float(found[n, b]) == pytest.approx(scipy.stats.kstat(values[b].log().numpy(), n + 1), rel=1e-10)


def test_cumulants_given_exactly_give_the_parameter_exactly() -> None:
    values = torch.tensor([0.5, 1.0, 4.0, 20.0], dtype=torch.float64)
    assert torch.allclose(k_shape(KClutter(values).log_cumulants()), values, rtol=1e-10)
    assert torch.allclose(g0_alpha(G0Clutter(-1 - values).log_cumulants()), -1 - values, rtol=1e-10)
    assert torch.allclose(weibull_shape(WeibullClutter(values / 10).log_cumulants()), values / 10, rtol=1e-12)
    assert torch.allclose(lognormal_deviation(LogNormalClutter(values).log_cumulants()), values, rtol=1e-12)
    assert torch.allclose(equivalent_looks(Speckle().log_cumulants()), torch.ones(1, dtype=torch.float64))


@pytest.mark.parametrize(
    ("law", "estimate", "truth"),
    [
        (KClutter, k_shape, (0.5, 2.0, 8.0)),
        (G0Clutter, g0_alpha, (-1.5, -2.0, -8.0)),
        (WeibullClutter, weibull_shape, (0.8, 1.2, 2.0)),
        (LogNormalClutter, lognormal_deviation, (0.5, 1.5, 3.0)),
    ],
)
def test_parameters_are_recovered(law, estimate, truth) -> None:
    """Within four standard deviations: var kappa_2 = (kappa_4 + 2 kappa_2^2) / N, and the slope of the parameter in it."""
    parameter = torch.tensor(truth, dtype=torch.float64)
    values = intensity(law(parameter), 3)
    found = estimate(log_cumulants(values))
    exact = law(parameter).log_cumulants()
    logs = values.log()
    centred = logs - logs.mean(1, keepdim=True)
    error = ((centred**4).mean(1) - (centred**2).mean(1) ** 2).div(COUNT).sqrt()
    moved = exact.clone()
    moved[1] += 1e-4
    slope = (estimate(moved) - estimate(exact)) / 1e-4
    deviation = (slope * error).abs()
    print(
        *(
            f"{law.__name__} {t:g}: {float(f):.4f} +- {float(d):.4f}"
            for t, f, d in zip(truth, found, deviation, strict=True)
        )
    )
    assert bool(((found - parameter).abs() < 4 * deviation).all())
    assert bool((deviation < 0.1 * parameter.abs()).all()), "the estimate is too loose to prove anything"


def test_looks_are_taken_into_account() -> None:
    """Mean of four looks over one texture: the texture is found when L is said, and is missed when it is not."""
    nu = torch.tensor([2.0], dtype=torch.float64)
    generator = torch.Generator().manual_seed(2)
    field = torch.randn(1, COUNT, dtype=torch.float64, generator=generator)
    texture = KClutter(nu).texture_at(field)
    looks = torch.stack([Speckle().sample(texture, generator).abs().square() for _ in range(4)]).mean(0)
    cumulants = log_cumulants(looks)
    assert float(k_shape(cumulants, looks=4)[0]) == pytest.approx(2, rel=0.02)
    assert float(k_shape(cumulants)[0]) == math.inf
    third = float(cumulants[2, 0]) - float(scipy.special.polygamma(2, 4))
    assert third < 0, "a gamma texture leans to the left"


def test_speckle_has_no_texture_and_its_looks_are_found() -> None:
    generator = torch.Generator().manual_seed(3)
    ones = torch.ones(1, COUNT, dtype=torch.float64)
    looks = torch.stack([Speckle().sample(ones, generator).abs().square() for _ in range(3)]).mean(0)
    assert float(equivalent_looks(log_cumulants(looks))[0]) == pytest.approx(3, rel=0.02)
    smoother = log_cumulants(looks)
    assert float(k_shape(smoother)[0]) == math.inf
    assert float(g0_alpha(smoother)[0]) == -math.inf


def test_intensities_without_logarithm_are_refused() -> None:
    for bad in (torch.zeros(1, 10), torch.ones(1, 2), torch.full((1, 10), math.inf)):
        with pytest.raises(ValueError, match="leave zeros out"):
            log_cumulants(bad)
