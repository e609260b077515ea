"""The posterior sampler: of white scenes the untrained network is the exact denoiser, so its samples have a known law."""

from __future__ import annotations

import pytest
import torch

from echoform.measure.measurement import Measurement, simulate
from echoform.nets.ram import OFFICIAL, RAM, RAMConfig
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.identity import identity
from echoform.physics.noise import GaussianNoise, standard_normal
from echoform.recon.diffusion.posterior import PosteriorSampler, Trajectory, exceedance, second_order

CONFIG = RAMConfig(channels=(4, 4, 4, 4), blocks=1, image_channels=(2, 1, 3), embedding=4)


def wiener() -> RAM:
    """The network whose output is (P + I)^-1 b: the posterior mean of a white scene."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = RAM(CONFIG).eval()
    torch.nn.init.constant_(network.consistency.log_error.bias, -10.0)  # type: ignore[union-attr]
    return network


def complex_problem(batch: int = 1) -> tuple[Measurement, torch.Generator]:
    generator = torch.Generator().manual_seed(2)
    x = 3.0 * standard_normal(torch.zeros(batch, 1, 16, 16, dtype=torch.complex64), generator)
    operator = FourierMask((torch.rand(1, 1, 16, 16, generator=generator) < 0.5).float())
    return simulate(x, operator, GaussianNoise(torch.tensor([1.5])), generator=generator), generator


@pytest.mark.parametrize("trajectory", [Trajectory(24, sampler=second_order), Trajectory(40)], ids=["2M", "SDE 2M"])
def test_samples_of_a_white_scene_have_its_posterior_mean_and_variance(trajectory: Trajectory):
    """Mode by mode, CN(c^2 y / (c^2 + s^2), c^2 s^2 / (c^2 + s^2)) where measured, CN(0, c^2) elsewhere; c the scale found."""
    measurement, generator = complex_problem()
    network, count = wiener(), 200
    c = float(network.prepare(measurement).scale)
    assert c == pytest.approx(3.0, rel=0.1)
    estimate = PosteriorSampler(network, samples=count, trajectory=trajectory, at_once=100)(
        measurement, generator=generator
    )
    everywhere = FourierMask(torch.ones(1, 1, 16, 16))
    operator = measurement.operator
    assert isinstance(operator, FourierMask)
    marks = operator.weights[0, 0] > 0
    variance = torch.where(marks, 1 / (1 / c**2 + 1 / 1.5**2), torch.tensor(c**2))
    mean = variance * measurement.y[0, 0] / 1.5**2
    modes = everywhere(estimate.samples[:, 0])[:, 0]  # type: ignore[index]
    deviation = (modes.mean(0) - mean).abs().square() / variance * count
    assert float(deviation.mean()) == pytest.approx(1.0, abs=0.25)  # 256 modes: 1 +- 0.06
    spread = (modes - mean).abs().square().mean(0) / variance
    assert float(spread[marks].mean()) == pytest.approx(1.0, abs=0.06)
    assert float(spread[~marks].mean()) == pytest.approx(1.0, abs=0.06)


def test_real_images_and_real_noise_keep_the_same_law():
    generator = torch.Generator().manual_seed(3)
    x = standard_normal(torch.zeros(1, 3, 16, 16), generator)
    operator = identity((3, 16, 16), complex_image=False)
    measurement = simulate(x, operator, GaussianNoise(torch.tensor([0.7])), generator=generator)
    network = wiener()
    c = float(network.prepare(measurement).scale)
    estimate = PosteriorSampler(network, samples=200, trajectory=Trajectory(steps=40), at_once=100)(
        measurement, generator=generator
    )
    assert estimate.mean.dtype == torch.float32
    variance = 1 / (1 / c**2 + 1 / 0.7**2)
    mean = variance * measurement.y / 0.7**2
    samples = estimate.samples
    assert samples is not None
    assert float((estimate.mean - mean).square().mean() / variance * 200) == pytest.approx(1.0, abs=0.2)
    assert float((samples - mean).square().mean() / variance) == pytest.approx(1.0, abs=0.05)
    assert estimate.std is not None
    assert float(estimate.std.square().mean() / variance) == pytest.approx(1.0, abs=0.05)


def test_samples_drawn_together_are_samples_drawn_alone():
    measurement, _ = complex_problem()
    network = wiener()
    for layer in network.body.m_tail.values():
        torch.nn.init.normal_(layer.weight, std=0.1)  # type: ignore[arg-type]
    trajectory = Trajectory(4, sampler=second_order)  # draws nothing on the way
    alone = PosteriorSampler(network, samples=3, trajectory=trajectory, at_once=1)
    together = PosteriorSampler(network, samples=3, trajectory=trajectory, at_once=3)
    a, b = (s(measurement, generator=torch.Generator().manual_seed(1)).samples for s in (alone, together))
    assert torch.allclose(a, b, atol=1e-4 * float(a.abs().max()))


def test_a_batch_of_scenes_keeps_its_order_and_shapes():
    measurement, generator = complex_problem(batch=2)
    estimate = PosteriorSampler(wiener(), samples=4, trajectory=Trajectory(steps=4))(measurement, generator=generator)
    assert estimate.samples is not None
    assert estimate.samples.shape == (4, 2, 1, 16, 16)
    assert torch.allclose(estimate.samples.mean(0), estimate.mean)
    assert estimate.std is not None
    assert torch.allclose(estimate.samples.std(0), estimate.std, rtol=1e-4)


def test_exceedance_is_the_share_above():
    samples = torch.tensor([0.5, 1.5, -2.0, 1.0]).reshape(4, 1, 1)
    assert exceedance(samples, 1.0).item() == 0.5


def test_what_cannot_be_sampled_is_refused():
    with pytest.raises(ValueError, match="at least 2"):
        PosteriorSampler(wiener(), samples=1)
    with pytest.raises(ValueError, match="no state mode"):
        PosteriorSampler(
            RAM(RAMConfig((4, 4, 4, 4), blocks=1, image_channels=OFFICIAL.image_channels, embedding=0)), samples=2
        )
    with pytest.raises(ValueError, match="steps"):
        Trajectory(steps=1)


def test_the_last_level_follows_the_noise():
    """60 dB: the standard deviation is the noise's, where a last level of 5e-3 would leave a fifth of it."""
    generator = torch.Generator().manual_seed(2)
    x = 3.0 * standard_normal(torch.zeros(1, 1, 16, 16, dtype=torch.complex64), generator)
    operator = FourierMask(torch.ones(1, 1, 16, 16))
    measurement = simulate(x, operator, GaussianNoise(torch.tensor([3e-3])), generator=generator)
    estimate = PosteriorSampler(wiener(), samples=100, trajectory=Trajectory(40), at_once=100)(measurement)
    assert float(estimate.std.square().mean().sqrt()) / 3e-3 == pytest.approx(1.0, abs=0.05)  # type: ignore[union-attr]
    assert float(Trajectory().schedule(1e-3)[-1]) == pytest.approx(2e-4, rel=1e-5)
    assert float(Trajectory().schedule()[-1]) == pytest.approx(5e-3, rel=1e-5)
