"""Plug-and-play against closed-form fixed points, RAM as its denoiser, equivariance; the deep image prior on a small problem."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from contracts import distance
from echoform.assess.metrics import nmse_db
from echoform.linalg.fft import circulant
from echoform.measure.measurement import Measurement, simulate
from echoform.nets import weights
from echoform.nets.denoiser import GaussianDenoiser, RAMDenoiser
from echoform.nets.sensing import normalize
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.noise import GaussianNoise, standard_normal
from echoform.recon.classical.matched_filter import MatchedFilter
from echoform.recon.deep_image_prior import DeepImagePrior
from echoform.recon.plug_and_play import PlugAndPlayGradient, PlugAndPlayHalfQuadratic
from echoform.recon.reconstructor import Reconstructor

SIDE = 16


def seed(value: int) -> torch.Generator:
    return torch.Generator().manual_seed(value)


def coloured_power() -> Tensor:
    """A spectrum that falls with frequency, mean one."""
    frequency = torch.fft.fftfreq(SIDE, dtype=torch.float64)
    power = 1 / (0.02 + frequency[:, None].square() + frequency.square())
    return (power / power.mean())[None, None]


def gaussian_problem(*, sigma: float = 0.3, batch: int = 2) -> tuple[Tensor, Measurement]:
    white = standard_normal(torch.zeros(batch, 1, SIDE, SIDE, dtype=torch.complex128), seed(1))
    x = circulant(coloured_power().sqrt(), white)
    operator = FourierMask((torch.rand(batch, 1, SIDE, SIDE, generator=seed(2)) < 0.6).double())
    noise = GaussianNoise(torch.full((batch,), sigma, dtype=torch.float64))
    return x, simulate(x, operator, noise, generator=seed(3))


def blocks(side: int) -> Tensor:
    image = torch.full((1, 1, side, side), 0.1)
    image[..., 6:16, 8:24] = 1
    image[..., 20:28, 4:16] = 0.5
    return torch.polar(image, torch.linspace(0, 1, side).expand_as(image))


def test_proximal_gradient_with_the_gaussian_denoiser_gives_the_posterior_mean():
    _, m = gaussian_problem()
    power = coloured_power()
    estimate = PlugAndPlayGradient(GaussianDenoiser(power), tolerance=1e-10, max_iterations=2000)(m)
    sensing = normalize(m, multiple=8)
    # the posterior mean of the normalised scene, put back into the scene's units
    ratio = sensing.sigma.square()[:, None, None, None] / power
    closed = sensing.restored(circulant(1 / (sensing.operator.base.eigenvalues + ratio), sensing.backprojection))
    assert estimate.facts["unconverged"] == 0
    assert distance(estimate.mean, closed) < 1e-7


def test_strength_multiplies_the_level_of_the_denoiser():
    _, m = gaussian_problem()
    power = coloured_power()
    estimate = PlugAndPlayGradient(GaussianDenoiser(power), strength=2, tolerance=1e-10, max_iterations=2000)(m)
    weaker = PlugAndPlayGradient(GaussianDenoiser(power / 4), tolerance=1e-10, max_iterations=2000)(m)
    assert distance(estimate.mean, weaker.mean) < 1e-7


def test_half_quadratic_splitting_with_the_gaussian_denoiser_comes_near_the_posterior_mean():
    x, m = gaussian_problem()
    denoiser = GaussianDenoiser(coloured_power())
    exact = PlugAndPlayGradient(denoiser, tolerance=1e-8, max_iterations=1000)(m).mean
    image = PlugAndPlayHalfQuadratic(denoiser, trade_off=1.0)(m).mean
    error = [float(nmse_db(e, x).mean()) for e in (exact, image, MatchedFilter()(m).mean)]
    print("NMSE, dB: posterior mean, eight steps, matched filter", error)
    assert error[0] <= error[1] + 0.05
    assert error[1] < error[0] + 1.0
    assert error[1] < error[2] - 2.0


METHODS: list[Reconstructor] = [
    PlugAndPlayHalfQuadratic(GaussianDenoiser(coloured_power())),
    PlugAndPlayGradient(GaussianDenoiser(coloured_power()), max_iterations=20),
    DeepImagePrior(features=8, scales=2, max_iterations=5),
]


@pytest.mark.parametrize("method", METHODS, ids=lambda m: type(m).__name__)
def test_methods_are_equivariant_to_scale_and_refuse_noise_without_a_level(method: Reconstructor):
    _, m = gaussian_problem()
    m = Measurement(
        m.y.to(torch.complex64), FourierMask(m.operator.weights.float()), GaussianNoise(torch.full((2,), 0.3))
    )
    scaled = replace(m, y=1024 * m.y, noise=GaussianNoise(1024 * m.noise.sigma))
    a, b = method(m, generator=seed(0)).mean, method(scaled, generator=seed(0)).mean
    assert distance(b / 1024, a) < 1e-5
    with pytest.raises(ValueError, match="sigma > 0"):
        method(replace(m, noise=GaussianNoise(torch.zeros(1))))


def test_ram_denoises_as_well_as_theory_allows_on_white_scenes_and_better_on_structured_ones():
    denoiser = RAMDenoiser(weights.load("echoform-tiny"))
    level = torch.tensor([0.5])
    scene = blocks(32)
    scene = scene / scene.abs().square().mean().sqrt()
    for x, best in ((standard_normal(scene, seed(1)), 0.2), (scene, 0.1)):
        noisy = x + level * standard_normal(x, seed(2))
        with torch.no_grad():
            error = float((denoiser(noisy, level) - x).abs().square().mean())
        # E|u - D|^2 = s^2 / (1 + s^2) = 0.2 for a white Gaussian scene
        assert error < 1.2 * best


def test_plug_and_play_with_ram_beats_the_matched_filter():
    operator = FourierMask((torch.rand(1, 1, 32, 32, generator=seed(4)) < 0.6).float())
    scene = blocks(32)
    m = simulate(scene, operator, GaussianNoise(torch.tensor([0.05])), generator=seed(5))
    denoiser = RAMDenoiser(weights.load("echoform-tiny"))
    plain = float(nmse_db(MatchedFilter()(m).mean, scene))
    for method in (PlugAndPlayHalfQuadratic(denoiser), PlugAndPlayGradient(denoiser, strength=3, max_iterations=15)):
        gain = plain - float(nmse_db(method(m).mean, scene))
        print(f"{type(method).__name__}: {gain:.1f} dB better than the matched filter")
        assert gain > 4.0


def test_deep_image_prior_lowers_the_error_and_stops_at_the_noise():
    scene = torch.cat([blocks(32), blocks(32).flip(-1)])
    operator = FourierMask((torch.rand(2, 1, 32, 32, generator=seed(4)) < 0.6).float())
    m = simulate(scene, operator, GaussianNoise(torch.tensor([0.1, 0.05])), generator=seed(5))
    method = DeepImagePrior(features=16, scales=2, max_iterations=400)
    with torch.no_grad():  # as the command line calls every method
        estimate = method(m, generator=seed(0))
    gain = nmse_db(MatchedFilter()(m).mean, scene) - nmse_db(estimate.mean, scene)
    print("gain over the matched filter, dB", gain.tolist(), estimate.facts)
    assert bool((gain > 3.0).all())
    assert estimate.facts["unconverged"] == 0
    assert 0.8 < estimate.facts["discrepancy"] <= 1.0
    assert not estimate.mean.requires_grad


def test_deep_image_prior_follows_its_generator_and_scenes_do_not_mix():
    scene = torch.cat([blocks(32), blocks(32).flip(-1)])
    operator = FourierMask((torch.rand(1, 1, 32, 32, generator=seed(4)) < 0.6).float())
    m = simulate(scene, operator, GaussianNoise(torch.tensor([0.1])), generator=seed(5))
    method = DeepImagePrior(features=8, scales=2, max_iterations=10)
    same = [method(m, generator=seed(s)).mean for s in (0, 0, 1)]
    assert torch.equal(same[0], same[1])
    assert distance(same[2], same[0]) > 0.01
    other = replace(m, y=torch.cat([m.y[:1], 2 * m.y[1:].roll(3, -1)]))
    assert distance(method(other, generator=seed(0)).mean[:1], same[0][:1]) < 1e-3


def test_the_image_prior_trains_in_inference_mode_and_begins_alike():
    """Its own gradients are taken whatever the caller's mode; without a generator every run is the same."""
    _, m = gaussian_problem()
    measurement = replace(
        m,
        y=m.y.to(torch.complex64),
        operator=FourierMask(m.operator.weights.float()),  # pyright: ignore
    )
    method = DeepImagePrior(features=8, scales=2, max_iterations=5)
    plain = method(measurement).mean
    with torch.inference_mode():
        found = method(replace(measurement, y=measurement.y.clone())).mean.clone()
    assert torch.equal(found, plain)
