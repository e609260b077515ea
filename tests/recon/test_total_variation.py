"""Total variation: optimality certified by a dual field, an independent library, descent, phase invariance, speckled scenes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from echoform.assess.metrics import nmse_db
from echoform.linalg.finite_difference import differences, differences_adjoint, field_magnitude
from echoform.measure.measurement import Measurement, simulate
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.identity import blind, identity
from echoform.physics.noise import GaussianNoise
from echoform.physics.nonuniform_fourier import NonuniformFourier
from echoform.recon.classical.magnitude_total_variation import MagnitudeTotalVariation, feature_enhanced
from echoform.recon.classical.matched_filter import MatchedFilter
from echoform.recon.classical.sparse import SparseL1
from echoform.recon.classical.total_variation import TotalVariation
from echoform.recon.discrepancy import expected_noise_energy, residual_energy

DOUBLE = torch.complex128


def uniform(*shape: int, seed: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def blocks(side: int, batch: int = 1) -> torch.Tensor:
    """Two rectangles on a weak ground, real."""
    image = torch.full((batch, 1, side, side), 0.1, dtype=torch.float64)
    image[..., side // 5 : side // 2, side // 4 : 3 * side // 4] = 1
    image[..., 5 * side // 8 : 7 * side // 8, side // 8 : side // 2] = 0.5
    return image


def turned(image: torch.Tensor, seed: int) -> torch.Tensor:
    """The image under phases drawn anew for every pixel."""
    return image * torch.exp(2j * math.pi * uniform(*image.shape, seed=seed))


def smooth_phase(image: torch.Tensor) -> torch.Tensor:
    ramp = torch.linspace(0, 1.0, image.shape[-1], dtype=torch.float64)
    return image * torch.exp(1j * (ramp + ramp[:, None] ** 2))


def mask(batch: int, side: int, *, fraction: float = 0.5, seed: int = 1) -> FourierMask:
    return FourierMask((uniform(batch, 1, side, side, seed=seed) < fraction).double())


def nonuniform(side: int, count: int = 400) -> NonuniformFourier:
    points = (uniform(1, 2, count, seed=2) - 0.5) * 2 * math.pi
    ones = torch.ones(1, count, dtype=torch.float64)
    return NonuniformFourier(points, ones, domain_shape=(1, side, side), sample_shape=(20, count // 20), dtype=DOUBLE)


def measured(operator, x: torch.Tensor, sigma: list[float]) -> Measurement:
    noise = GaussianNoise(torch.tensor(sigma, dtype=torch.float64))
    return simulate(x, operator, noise, generator=torch.Generator().manual_seed(3))


def variation(x: torch.Tensor) -> torch.Tensor:
    """TV written out with NumPy's differences."""
    z = x[0, 0].numpy()
    down, right = np.diff(z, axis=0, append=z[-1:]), np.diff(z, axis=1, append=z[:, -1:])
    return torch.tensor(np.sqrt(np.abs(down) ** 2 + np.abs(right) ** 2).sum())


def dual_field(gradient: torch.Tensor) -> torch.Tensor:
    """argmin |D^T p - gradient| over |p| <= 1, by accelerated projected gradients."""
    p = q = torch.zeros_like(differences(gradient))
    for k in range(3000):
        raised = q - differences(differences_adjoint(q) - gradient) / 8
        new = raised / field_magnitude(raised).clamp_min(1)
        p, q = new, new + k / (k + 3) * (new - p)
    return p


def test_differences_have_their_adjoint() -> None:
    x, p = turned(uniform(2, 3, 5, 7, seed=4), 5), turned(uniform(2, 2, 3, 5, 7, seed=6), 7)
    left, right = (differences(x).conj() * p).sum(), (x.conj() * differences_adjoint(p)).sum()
    assert abs(complex(left - right)) < 1e-12 * abs(complex(left))
    assert float(torch.linalg.vector_norm(differences(x)) ** 2 / torch.linalg.vector_norm(x) ** 2) < 8


@pytest.mark.parametrize("name", ["mask", "nonuniform"])
def test_a_dual_field_certifies_the_minimum(name: str) -> None:
    """If A^H (y - A x) = weight D^T p with |p| <= 1, the objective is within weight (TV(x) - Re <p, D x>) of its minimum."""
    operator = mask(1, 12, fraction=0.6) if name == "mask" else nonuniform(12)
    measurement = measured(operator, smooth_phase(blocks(12)), [0.05])
    weight = 0.1 * float(operator.spectrum().mean(lambda value: value))
    estimate = TotalVariation(weight, iterations=4000, tolerance=1e-8)(measurement)
    x = estimate.mean
    gradient = operator.adjoint(measurement.y - operator(x)) / weight
    p = dual_field(gradient)
    assert float(field_magnitude(p).max()) <= 1 + 1e-12
    missed = float(torch.linalg.vector_norm(gradient - differences_adjoint(p)) / torch.linalg.vector_norm(gradient))
    gap = 1 - float((p.conj() * differences(x)).real.sum() / variation(x))
    print(f"{name}: relative residual of the subgradient {missed:.1e}, gap / (weight TV(x)) {gap:.1e}")
    assert missed < 1e-3
    assert abs(gap) < 1e-3
    flat = field_magnitude(differences(x)) < 1e-4
    assert 0.1 < float(flat.double().mean()) < 0.95


@pytest.mark.parametrize("weight", [0.05, 0.3])
def test_denoising_reaches_the_objective_of_scikit_image(weight: float) -> None:
    restoration = pytest.importorskip("skimage.restoration")
    noisy = blocks(24) + 0.2 * torch.randn(
        1, 1, 24, 24, dtype=torch.float64, generator=torch.Generator().manual_seed(8)
    )
    other = restoration.denoise_tv_chambolle(noisy[0, 0].numpy(), weight=weight, eps=1e-12, max_num_iter=5000)

    def objective(x: torch.Tensor) -> float:
        return float(0.5 * (x - noisy).abs().square().sum() + weight * variation(x))

    theirs = objective(torch.from_numpy(other)[None, None])
    measurement = Measurement(noisy.to(DOUBLE), identity((1, 24, 24)), GaussianNoise(torch.ones(1)))
    image = TotalVariation(weight, iterations=2000, tolerance=1e-7)(measurement).mean
    ours = objective(image)
    print(f"weight {weight}: objective {ours:.8f}, scikit-image {theirs:.8f}, ratio - 1 = {ours / theirs - 1:.1e}")
    assert float(image.imag.abs().max()) < 1e-12
    assert abs(ours / theirs - 1) < 1e-4


def magnitude_objective(measurement: Measurement, x: torch.Tensor, weight: float, sparsity: float, e: float) -> float:
    """Return the objective of Cetin and Karl in numpy: misfit, roughness and size of |x|, rounded by e."""
    magnitude = x[0, 0].abs().numpy()
    down, right = (
        np.diff(magnitude, axis=0, append=magnitude[-1:]),
        np.diff(magnitude, axis=1, append=magnitude[:, -1:]),
    )
    rough = np.sqrt(down**2 + right**2 + e * e).sum() + sparsity * np.sqrt(magnitude**2 + e * e).sum()
    return float(0.5 * residual_energy(measurement, x)) + weight * float(rough)


def test_magnitude_objective_never_grows_and_ends_where_its_gradient_vanishes() -> None:
    operator = nonuniform(16, 300)
    measurement = measured(operator, turned(blocks(16), 9), [2.0])
    b, scale = operator.adjoint(measurement.y), torch.tensor([300.0], dtype=torch.float64)
    weight, sparsity, e = 30.0, 0.3, 0.02
    x = b / 300
    values = [magnitude_objective(measurement, x, weight, sparsity, e)]

    def steps(x: torch.Tensor, count: int) -> torch.Tensor:
        """Return the image after further steps."""
        return feature_enhanced(
            operator,
            b,
            torch.tensor([weight], dtype=torch.float64),
            sparsity=sparsity,
            smoothing=torch.tensor([e], dtype=torch.float64),
            scale=scale,
            start=x,
            iterations=count,
            tolerance=0.0,
        ).solution

    for _ in range(30):
        x = steps(x, 1)
        values.append(magnitude_objective(measurement, x, weight, sparsity, e))
    assert all(after <= before * (1 + 1e-12) for before, after in zip(values, values[1:], strict=False))
    assert values[-1] < 0.9 * values[0]
    x = steps(x, 300).requires_grad_()
    d = differences(x.abs())
    rough = (field_magnitude(d).square() + e * e).sqrt().sum() + sparsity * (x.abs().square() + e * e).sqrt().sum()
    objective = 0.5 * (operator(x) - measurement.y).abs().square().sum() + weight * rough
    (gradient,) = torch.autograd.grad(objective, x)
    size = float(torch.linalg.vector_norm(gradient) / torch.linalg.vector_norm(b))
    print(f"|gradient| / |A^H y| at the end: {size:.1e}")
    assert size < 5e-3


def test_phases_do_not_matter_to_the_variation_of_the_magnitude() -> None:
    """The same scene under other phases, seen directly, gives the same image turned by those phases; complex TV does not."""
    x = blocks(24) + 0.1 * uniform(1, 1, 24, 24, seed=10)
    phase = torch.exp(2j * math.pi * uniform(1, 1, 24, 24, seed=11))
    noise = GaussianNoise(torch.tensor([0.1], dtype=torch.float64))
    for method, same in ((MagnitudeTotalVariation(0.2), True), (TotalVariation(0.2), False)):
        plain = method(Measurement(x.to(DOUBLE), identity((1, 24, 24)), noise)).mean
        rotated = method(Measurement(x * phase, identity((1, 24, 24)), noise)).mean
        distance = float(torch.linalg.vector_norm(rotated - plain * phase) / torch.linalg.vector_norm(plain))
        assert (distance < 1e-9) is same


def magnitude_nmse_db(image: torch.Tensor, truth: torch.Tensor) -> float:
    return float(nmse_db(image.abs().to(DOUBLE), truth.abs().to(DOUBLE)))


def test_blocks_of_random_phase_are_best_seen_by_the_variation_of_the_magnitude() -> None:
    """Speckled blocks, 60 % of the frequencies, 15 dB: weights by the discrepancy principle, nothing tuned to the truth."""
    operator = mask(1, 32, fraction=0.6, seed=12)
    truth = turned(blocks(32), 13)
    clean = operator(truth)
    sigma = float(clean.abs().square().sum().div(operator.samples()[0]).sqrt()) * 10 ** (-15 / 20)
    measurement = measured(operator, truth, [sigma])
    found = {
        "matched filter": MatchedFilter(),
        "l1": SparseL1(),
        "complex TV": TotalVariation(),
        "TV of |x|": MagnitudeTotalVariation(),
    }
    levels = {name: magnitude_nmse_db(method(measurement).mean, truth) for name, method in found.items()}
    print("NMSE of the magnitude, dB:", ", ".join(f"{name} {level:.2f}" for name, level in levels.items()))
    assert levels["TV of |x|"] < min(levels["l1"], levels["complex TV"]) - 1


def test_a_smooth_phase_is_best_seen_by_complex_variation() -> None:
    marks = mask(1, 32, fraction=0.4, seed=14).weights
    marks[..., 14:19, 14:19] = 1  # without its lowest frequencies such a scene has no level
    operator = FourierMask(marks)
    truth = smooth_phase(blocks(32))
    measurement = measured(operator, truth, [0.02])
    levels = {
        name: float(nmse_db(method(measurement).mean, truth))
        for name, method in (("l1", SparseL1()), ("complex TV", TotalVariation()))
    }
    print("NMSE, dB:", ", ".join(f"{name} {level:.2f}" for name, level in levels.items()))
    assert levels["complex TV"] < levels["l1"] - 3


@pytest.mark.parametrize("method", [TotalVariation(), MagnitudeTotalVariation()])
@pytest.mark.parametrize("dtype", [torch.complex64, DOUBLE])
def test_discrepancy_principle_in_every_sample(method, dtype) -> None:
    weights = mask(3, 16).weights.to(dtype.to_real())
    measurement = measured(FourierMask(weights), turned(blocks(16, 3), 15).to(dtype), [0.02, 0.08, 0.2])
    estimate = method(measurement)
    ratio = residual_energy(measurement, estimate.mean) / expected_noise_energy(measurement)
    np.testing.assert_allclose(ratio.numpy(), 1, atol=0.01)
    assert estimate.facts["unreached"] == 0
    assert estimate.mean.dtype == dtype


@pytest.mark.parametrize("method", [TotalVariation(0.05), MagnitudeTotalVariation(0.05)])
def test_a_batch_is_a_loop(method) -> None:
    operator = mask(3, 12)
    together = measured(operator, turned(blocks(12, 3), 16), [0.01, 0.05, 0.2])
    whole = method(together).mean
    for b in range(3):
        noise = GaussianNoise(together.noise.sigma[b : b + 1])
        alone = Measurement(together.y[b : b + 1], FourierMask(operator.weights[b : b + 1]), noise)
        torch.testing.assert_close(method(alone).mean[0], whole[b], rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("method", [TotalVariation, MagnitudeTotalVariation])
def test_what_makes_no_sense_is_refused(method) -> None:
    x = turned(blocks(8, 2), 17)
    with pytest.raises(ValueError, match="zero"):
        method()(measured(blind((1, 8, 8)), x, [1.0]))
    with pytest.raises(ValueError, match="must be positive"):
        method(0.0)(measured(mask(2, 8), x, [0.1]))
    nothing = method()(Measurement(torch.zeros_like(x), mask(2, 8), GaussianNoise(torch.ones(1))))
    assert float(nothing.mean.abs().max()) == 0
    with pytest.raises(ValueError, match="smoothing"):
        MagnitudeTotalVariation(smoothing=0.0)
