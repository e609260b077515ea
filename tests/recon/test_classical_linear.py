"""Matched filter and Tikhonov against closed forms; windows against their theory."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from echoform.assess.point_target import point_target_response
from echoform.linalg.fft import fft2c, ifft2c
from echoform.measure.measurement import Measurement, simulate
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.identity import blind, identity
from echoform.physics.noise import GaussianNoise, PoissonGaussianNoise, standard_normal
from echoform.physics.nonuniform_fourier import NonuniformFourier
from echoform.recon.classical.matched_filter import MatchedFilter
from echoform.recon.classical.tikhonov import Tikhonov, predicted_weight
from echoform.recon.classical.window import Hamming, Taylor
from echoform.recon.discrepancy import expected_noise_energy, residual_energy


def scenes(batch: int, side: int, *, seed: int = 0, dtype: torch.dtype = torch.complex128) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return standard_normal(torch.zeros(batch, 1, side, side, dtype=dtype), generator)


def mask(batch: int, side: int, *, fraction: float = 0.5, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(batch, 1, side, side, generator=generator, dtype=torch.float64) < fraction).double()


def nonuniform(side: int, *, seed: int = 2, dtype: torch.dtype = torch.complex128) -> NonuniformFourier:
    generator = torch.Generator().manual_seed(seed)
    points = (torch.rand(1, 2, 600, generator=generator, dtype=torch.float64) - 0.5) * 2 * math.pi * 0.8
    weights = torch.ones(1, 600, dtype=torch.float64)
    weights[:, ::7] = 0
    return NonuniformFourier(points, weights, domain_shape=(1, side, side), sample_shape=(20, 30), dtype=dtype)


def measured(operator, x: torch.Tensor, sigma: list[float], *, seed: int = 3) -> Measurement:
    noise = GaussianNoise(torch.tensor(sigma, dtype=torch.float64))
    return simulate(x, operator, noise, generator=torch.Generator().manual_seed(seed))


def test_matched_filter_of_a_full_mask_returns_the_scene():
    x = scenes(2, 16)
    full = FourierMask(3 * torch.ones(1, 1, 16, 16, dtype=torch.float64))
    estimate = MatchedFilter()(measured(full, x, [0.0]))
    torch.testing.assert_close(estimate.mean, x)
    assert estimate.facts["residual"] < 1e-20


@pytest.mark.parametrize("window", [None, Taylor(), Hamming()])
def test_the_level_of_a_point_target_is_kept(window):
    """On any mask, windowed or not: the window is normalised over the measured entries, not over the grid."""
    x = torch.zeros(2, 1, 32, 32, dtype=torch.complex128)
    x[:, 0, 14, 19] = 2j
    operator = FourierMask(mask(2, 32, fraction=0.4))
    estimate = MatchedFilter(window)(measured(operator, x, [0.0]))
    torch.testing.assert_close(estimate.mean[:, 0, 14, 19], x[:, 0, 14, 19])


@pytest.mark.parametrize(
    ("window", "level_db", "tolerance_db"),
    [(None, -13.26, 0.1), (Taylor(), -35.0, 1.5), (Taylor(-45.0, 6), -45.0, 1.5), (Hamming(), -42.7, 1.0)],
)
def test_windows_reach_their_side_lobes_on_a_band_inside_the_grid(window, level_db, tolerance_db):
    marks = torch.zeros(1, 1, 128, 128, dtype=torch.float64)
    marks[..., 30:105, 12:90] = 1
    k = 2 * torch.pi * (torch.arange(128, dtype=torch.float64) - 64) / 128
    y = marks * torch.exp(-1j * (k[:, None] * 3.3 + k[None, :] * -6.6))
    estimate = MatchedFilter(window)(Measurement(y, FourierMask(marks), GaussianNoise(torch.zeros(1))))
    response = point_target_response(estimate.mean[0, 0])
    assert response.rows.position_px == pytest.approx(64 + 3.3, abs=0.02)
    assert response.columns.position_px == pytest.approx(64 - 6.6, abs=0.02)
    assert response.rows.pslr_db == pytest.approx(level_db, abs=tolerance_db)
    assert response.columns.pslr_db == pytest.approx(level_db, abs=tolerance_db)


def test_window_on_pulses_and_frequencies():
    """A rectangle of wavenumbers measured as (pulses, frequencies): the window acts along both."""
    rows = torch.linspace(-1.5, 1.5, 60, dtype=torch.float64)
    columns = torch.linspace(-2.0, 2.0, 80, dtype=torch.float64)
    points = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))[None].flatten(-2)
    operator = NonuniformFourier(
        points,
        torch.ones(1, 4800, dtype=torch.float64),
        domain_shape=(1, 64, 64),
        sample_shape=(60, 80),
        dtype=torch.complex128,
    )
    x = torch.zeros(1, 1, 64, 64, dtype=torch.complex128)
    x[0, 0, 33, 30] = 1
    for window, level in ((None, -13.26), (Taylor(), -35.0)):
        image = MatchedFilter(window)(measured(operator, x, [0.0])).mean[0, 0]
        response = point_target_response(image)
        assert response.rows.pslr_db == pytest.approx(level, abs=1.0)
        assert response.columns.pslr_db == pytest.approx(level, abs=1.0)


def test_matched_filter_refuses_what_it_cannot_do():
    x = scenes(1, 8)
    with pytest.raises(ValueError, match="zero"):
        MatchedFilter()(measured(blind((1, 8, 8)), x, [1.0]))
    flat = NonuniformFourier(
        torch.zeros(1, 2, 5, dtype=torch.float64),
        torch.ones(1, 5, dtype=torch.float64),
        domain_shape=(1, 8, 8),
        sample_shape=(5,),
    )
    with pytest.raises(ValueError, match="two axes"):
        MatchedFilter(Taylor())(measured(flat, scenes(1, 8, dtype=torch.complex64), [0.0]))
    with pytest.raises(ValueError, match="negative"):
        Taylor(35.0)


@pytest.mark.parametrize("weight", [0.3, torch.tensor([0.1, 2.0])])
def test_tikhonov_on_a_mask_is_the_analytic_filter(weight):
    weights = mask(2, 16) * torch.linspace(0.5, 2, 16, dtype=torch.float64)
    measurement = measured(FourierMask(weights), scenes(2, 16), [0.1])
    w = torch.as_tensor(weight, dtype=torch.float64).reshape(-1, 1, 1, 1)
    expected = ifft2c(weights * measurement.y / (weights.square() + w))
    torch.testing.assert_close(Tikhonov(weight)(measurement).mean, expected, rtol=1e-6, atol=1e-7)


def test_tikhonov_by_conjugate_gradients_against_a_dense_solve():
    operator = nonuniform(12)
    x = scenes(2, 12)
    measurement = measured(operator, x, [1.0])
    basis = torch.eye(144, dtype=torch.complex128).reshape(144, 1, 12, 12)
    dense = operator(basis).flatten(1).T
    for weight in (5.0, 300.0):
        solution = torch.linalg.solve(dense.mH @ dense + weight * torch.eye(144), dense.mH @ measurement.y.flatten(1).T)
        image = Tikhonov(weight, tolerance=1e-10, max_iterations=400)(measurement).mean
        torch.testing.assert_close(image.flatten(1).T, solution, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", ["mask", "weighted", "nonuniform"])
@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_tikhonov_meets_the_discrepancy_principle_in_every_sample(name, dtype):
    real = torch.zeros((), dtype=dtype).real.dtype
    if name == "nonuniform":
        operator, sigma = nonuniform(24, dtype=dtype), [0.5, 3.0, 10.0]
    else:
        weights = mask(3, 24) * (torch.linspace(0.2, 3, 24, dtype=torch.float64) if name == "weighted" else 1)
        operator, sigma = FourierMask(weights.to(real)), [0.02, 0.1, 0.4]
    measurement = measured(operator, scenes(3, 24, dtype=dtype), sigma)
    estimate = Tikhonov(max_iterations=300)(measurement)
    ratio = residual_energy(measurement, estimate.mean) / expected_noise_energy(measurement)
    np.testing.assert_allclose(ratio.numpy(), 1, atol=0.01)
    assert estimate.facts["unreached"] == 0
    assert estimate.mean.dtype == dtype


def test_the_discrepancy_weight_of_a_mask_has_a_closed_form():
    """On a 0/1 mask |A x_w - y|^2 = (w / (1 + w))^2 |y|^2."""
    operator = FourierMask(mask(2, 32))
    measurement = measured(operator, scenes(2, 32), [0.1, 0.3])
    share = (expected_noise_energy(measurement) / measurement.y.abs().square().flatten(1).sum(1)).sqrt()
    expected = share / (1 - share)
    weight, _, _ = predicted_weight(measurement, operator.adjoint(measurement.y))
    torch.testing.assert_close(weight, expected, rtol=1e-6, atol=0)
    facts = Tikhonov()(measurement).facts
    assert facts["solves"] == 1
    assert facts["weight"] == pytest.approx(float(expected.median()), rel=1e-6)


def test_real_noise_counts_one_variance_per_entry():
    x = scenes(1, 64).real
    measurement = measured(identity((1, 64, 64)), x, [0.5])
    assert not measurement.y.is_complex()
    assert float(expected_noise_energy(measurement)) == pytest.approx(4096 * 0.25)
    estimate = Tikhonov()(measurement)
    assert estimate.facts["discrepancy"] == pytest.approx(1, abs=0.01)


def test_poisson_noise_adds_the_energy_of_the_counts():
    x = 50 * scenes(1, 64).abs().float()
    noise = PoissonGaussianNoise(torch.tensor([0.5]), torch.tensor([2.0]))
    measurement = simulate(x, identity((1, 64, 64)), noise, generator=torch.Generator().manual_seed(4))
    actual = float((measurement.y - x).double().square().sum())
    assert float(expected_noise_energy(measurement)) == pytest.approx(actual, rel=0.08)


def test_ends_of_the_bracket_are_taken_and_reported():
    operator = FourierMask(mask(1, 16))
    signal = operator(scenes(1, 16))
    loud = Measurement(signal, operator, GaussianNoise(torch.tensor([50.0])))
    estimate = Tikhonov()(loud)
    assert estimate.facts["unreached"] == 1
    assert float(estimate.mean.abs().max()) < 1e-6
    silent = Measurement(signal, operator, GaussianNoise(torch.zeros(1)))
    estimate = Tikhonov()(silent)
    assert estimate.facts["unreached"] == 1
    torch.testing.assert_close(fft2c(estimate.mean) * operator.support(), signal, rtol=1e-6, atol=1e-6)
    nothing = Measurement(0 * signal, operator, GaussianNoise(torch.ones(1)))
    assert float(Tikhonov()(nothing).mean.abs().max()) == 0


@pytest.mark.parametrize("method", [Tikhonov(), Tikhonov(0.2), MatchedFilter(), MatchedFilter(Taylor())])
def test_a_batch_is_a_loop(method):
    marks = mask(3, 16) * torch.linspace(0.2, 3, 16, dtype=torch.float64)
    sigma = [0.05, 0.2, 0.6]
    together = measured(FourierMask(marks), scenes(3, 16), sigma)
    whole = method(together).mean
    for b in range(3):
        noise = GaussianNoise(torch.tensor(sigma[b : b + 1], dtype=torch.float64))
        alone = Measurement(together.y[b : b + 1], FourierMask(marks[b : b + 1]), noise)
        torch.testing.assert_close(method(alone).mean[0], whole[b], rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("weight", [-1.0, float("nan"), torch.ones(5)])
def test_bad_weights_are_refused(weight):
    with pytest.raises(ValueError, match="weight must be"):
        Tikhonov(weight)(measured(FourierMask(mask(2, 8)), scenes(2, 8), [0.1]))
