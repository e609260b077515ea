"""l1 reconstruction: soft threshold, optimality conditions, discrepancy principle, recovery."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from echoform.assess.metrics import nmse_db
from echoform.measure.measurement import Measurement, simulate
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.identity import blind, identity
from echoform.physics.noise import GaussianNoise, standard_normal
from echoform.physics.nonuniform_fourier import NonuniformFourier
from echoform.recon.classical.sparse import SparseL1, fista, soft_threshold
from echoform.recon.classical.tikhonov import Tikhonov
from echoform.recon.discrepancy import expected_noise_energy, residual_energy


def points(batch: int, side: int, *, fraction: float = 0.04, dtype: torch.dtype = torch.complex128) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    values = standard_normal(torch.zeros(batch, 1, side, side, dtype=dtype), generator)
    return values * (torch.rand(values.shape, generator=generator) < fraction)


def mask(batch: int, side: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(6)
    marks = torch.rand(batch, 1, side, side, generator=generator, dtype=torch.float64) < 0.5
    return marks * torch.linspace(0.5, 1.5, side, dtype=torch.float64)


def nonuniform(side: int) -> NonuniformFourier:
    """Return 400 samples at frequencies drawn at random."""
    generator = torch.Generator().manual_seed(7)
    k = (torch.rand(1, 2, 400, generator=generator, dtype=torch.float64) - 0.5) * 2 * math.pi
    return NonuniformFourier(
        k,
        torch.ones(1, 400, dtype=torch.float64),
        domain_shape=(1, side, side),
        sample_shape=(20, 20),
        dtype=torch.complex128,
    )


def measured(operator, x: torch.Tensor, sigma: list[float]) -> Measurement:
    noise = GaussianNoise(torch.tensor(sigma, dtype=torch.float64))
    return simulate(x, operator, noise, generator=torch.Generator().manual_seed(8))


def test_soft_threshold_keeps_the_phase_and_takes_from_the_magnitude():
    x = torch.tensor([3 * np.exp(0.7j), 0.5j, 0.0, -2.0])
    expected = torch.tensor([2 * np.exp(0.7j), 0.0, 0.0, -1.0])
    torch.testing.assert_close(soft_threshold(x, torch.ones(())), expected)
    torch.testing.assert_close(soft_threshold(x, torch.zeros(())), x)


@pytest.mark.parametrize("weight", [0.4, torch.tensor([0.1, 0.8], dtype=torch.float64)])
def test_identity_gives_the_soft_threshold(weight):
    y = points(2, 16, fraction=1.0)
    measurement = Measurement(y, identity((1, 16, 16)), GaussianNoise(torch.ones(1)))
    expected = soft_threshold(y, torch.as_tensor(weight, dtype=torch.float64).reshape(-1, 1, 1, 1))
    torch.testing.assert_close(SparseL1(weight)(measurement).mean, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["mask", "nonuniform"])
def test_optimality_conditions(name):
    operator = FourierMask(mask(2, 16)) if name == "mask" else nonuniform(16)
    measurement = measured(operator, points(2, 16), [0.05])
    b = operator.adjoint(measurement.y)
    weight = 0.1 * b.abs().flatten(1).amax(1)
    estimate = SparseL1(weight, iterations=5000, tolerance=1e-10)(measurement)
    assert estimate.facts["unconverged"] == 0
    x = estimate.mean
    gradient = operator.adjoint(measurement.y - operator(x)) / weight.reshape(-1, 1, 1, 1)
    on = x.abs() > 0
    assert 5 < int(on.sum()) < x.numel() // 2
    torch.testing.assert_close(gradient[on], torch.sgn(x[on]), rtol=0, atol=1e-5)
    assert float(gradient[~on].abs().max()) <= 1 + 1e-6


def test_restart_beats_plain_proximal_gradients():
    """After as many steps the objective is below that of the unaccelerated iteration, run here in full."""
    operator = nonuniform(16)
    measurement = measured(operator, points(1, 16), [0.5])
    b = operator.adjoint(measurement.y)
    lipschitz = operator.norm().square()
    weight = torch.tensor([2.0], dtype=torch.float64)

    def objective(x: torch.Tensor) -> float:
        return float(0.5 * residual_energy(measurement, x) + weight * x.abs().sum())

    plain = torch.zeros_like(b)
    for _ in range(60):
        plain = soft_threshold(plain + (b - operator.normal(plain)) / lipschitz, weight / lipschitz)
    start = torch.zeros_like(b)

    def run(iterations: int) -> float:
        result = fista(
            operator.normal, b, weight, lipschitz=lipschitz, start=start, iterations=iterations, tolerance=0.0
        )
        return objective(result.solution)

    best = run(4000)
    assert run(60) - best < 0.2 * (objective(plain) - best)


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_discrepancy_principle_in_every_sample(dtype):
    weights = mask(3, 24).to(torch.zeros((), dtype=dtype).real.dtype)
    measurement = measured(FourierMask(weights), points(3, 24, dtype=dtype), [0.005, 0.02, 0.08])
    estimate = SparseL1(iterations=500)(measurement)
    ratio = residual_energy(measurement, estimate.mean) / expected_noise_energy(measurement)
    np.testing.assert_allclose(ratio.numpy(), 1, atol=0.01)
    assert estimate.facts["unreached"] == 0
    assert estimate.mean.dtype == dtype


def test_discrepancy_principle_off_the_grid():
    measurement = measured(nonuniform(16), points(2, 16), [0.2, 0.6])
    estimate = SparseL1(iterations=1000)(measurement)
    ratio = residual_energy(measurement, estimate.mean) / expected_noise_energy(measurement)
    np.testing.assert_allclose(ratio.numpy(), 1, atol=0.01)


def test_sparse_scenes_are_recovered_where_tikhonov_cannot():
    x = points(2, 32, fraction=0.03, dtype=torch.complex64)
    measurement = measured(FourierMask((mask(2, 32) > 0).float()), x, [0.01])
    assert bool((nmse_db(SparseL1()(measurement).mean, x) < -20).all())
    assert bool((nmse_db(Tikhonov()(measurement).mean, x) > -5).all())


def test_ends_of_the_bracket_are_taken_and_reported():
    operator = FourierMask(mask(1, 16))
    signal = operator(points(1, 16, fraction=1.0))
    loud = SparseL1()(Measurement(signal, operator, GaussianNoise(torch.tensor([50.0]))))
    assert loud.facts["unreached"] == 1
    assert float(loud.mean.abs().max()) == 0
    silent = SparseL1()(Measurement(signal, operator, GaussianNoise(torch.zeros(1))))
    assert silent.facts["unreached"] == 1
    assert silent.facts["residual"] < 1e-6
    nothing = SparseL1()(Measurement(0 * signal, operator, GaussianNoise(torch.ones(1))))
    assert float(nothing.mean.abs().max()) == 0
    assert nothing.facts["residual"] == 0


@pytest.mark.parametrize("method", [SparseL1(), SparseL1(0.05)])
def test_a_batch_is_a_loop(method):
    marks, sigma = mask(3, 16), [0.01, 0.05, 0.2]
    together = measured(FourierMask(marks), points(3, 16), sigma)
    whole = method(together).mean
    for b in range(3):
        noise = GaussianNoise(torch.tensor(sigma[b : b + 1], dtype=torch.float64))
        alone = Measurement(together.y[b : b + 1], FourierMask(marks[b : b + 1]), noise)
        torch.testing.assert_close(method(alone).mean[0], whole[b], rtol=1e-8, atol=1e-10)


def test_operators_and_weights_that_make_no_sense_are_refused():
    x = points(2, 8)
    with pytest.raises(ValueError, match="zero"):
        SparseL1()(measured(blind((1, 8, 8)), x, [1.0]))
    with pytest.raises(ValueError, match="weight must be"):
        SparseL1(-0.1)(measured(FourierMask(mask(2, 8)), x, [0.1]))


@pytest.mark.parametrize("decibels", [60, 80])
def test_precise_samples_are_solved_to_their_minimiser(decibels: int) -> None:
    """Two blocks from 60 % of the samples: a weight so small that A^H y says nothing of when to stop."""
    x = torch.zeros(1, 1, 32, 32, dtype=torch.complex128)
    x[..., 8:20, 6:15], x[..., 15:27, 18:28] = 1, 2
    marks = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(2), dtype=torch.float64) < 0.6
    operator = FourierMask(marks.double())
    measurement = measured(
        operator, x, [float(operator(x)[:, marks[0]].abs().square().mean().sqrt()) * 10 ** (-decibels / 20)]
    )
    found = SparseL1()(measurement)
    exact = SparseL1(found.facts["weight"], iterations=20000, tolerance=1e-7)(measurement)
    assert found.facts["unconverged"] == 0
    assert float((found.mean - exact.mean).norm() / (exact.mean - x).norm()) < 0.2
    assert nmse_db(found.mean, x) < 12 - decibels
