"""The networks RAM is compared with: parity with deepinv, published sizes, shapes, equivariance, gradients, errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from contracts import distance
from echoform.linalg.cg import Stopping
from echoform.linalg.fft import circulant
from echoform.measure.measurement import Measurement, simulate
from echoform.nets.denoiser import GaussianDenoiser, RAMDenoiser
from echoform.nets.drunet import DRUNet, DRUNetConfig
from echoform.nets.half_quadratic import (
    half_quadratic_levels,
    half_quadratic_splitting,
    half_quadratic_weights,
)
from echoform.nets.one_pass import OnePassNetwork, linear_image
from echoform.nets.pdnet import PDNet, PDNetConfig, Update
from echoform.nets.ram import RAM, RAMConfig, parameters_count
from echoform.nets.sensing import normalize
from echoform.nets.unet import UNet, UNetConfig
from echoform.nets.unrolled import UnrolledConfig, UnrolledDPIR
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.identity import blind, identity
from echoform.physics.noise import GaussianNoise, PoissonGaussianNoise, standard_normal
from echoform.physics.nonuniform_fourier import NonuniformFourier
from echoform.physics.operator import LinearOperator
from echoform.physics.stacked import StackedOperator
from echoform.recon.network import NetworkReconstructor

MINIATURE = DRUNetConfig(channels=(4, 6, 8, 8), blocks=1)
NETWORKS: dict[str, Callable[[], OnePassNetwork]] = {
    "unet": lambda: UNet(UNetConfig(channels=(4, 6, 8, 8))),
    "pdnet": lambda: PDNet(PDNetConfig(iterations=3, memory=3, features=6)),
    "unrolled tied": lambda: UnrolledDPIR(UnrolledConfig(MINIATURE, steps=3)),
    "unrolled untied": lambda: UnrolledDPIR(UnrolledConfig(MINIATURE, steps=3, tied=False)),
}


def seeded(make: Callable[[], nn.Module]) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        return make().eval()


def random(*shape: int, seed: int = 1) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def measured(operator: LinearOperator, *, batch: int = 2, sigma: float = 0.1) -> Measurement:
    generator = torch.Generator().manual_seed(3)
    x = standard_normal(torch.zeros(batch, *operator.domain_shape, dtype=operator.dtype), generator)
    return simulate(x, operator, GaussianNoise(torch.full((batch,), sigma)), generator=generator)


def fourier(side: int = 16) -> FourierMask:
    return FourierMask((random(2, 1, side, side) < 0.5).float())


def nonuniform() -> NonuniformFourier:
    points = (random(1, 2, 120, seed=2).double() - 0.5) * 6
    return NonuniformFourier(points, torch.ones(1, 120), domain_shape=(1, 16, 16), sample_shape=(12, 10))


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest) -> OnePassNetwork:
    return seeded(NETWORKS[request.param])  # pyright: ignore[reportReturnType]


@pytest.mark.parametrize("operator", [fourier(13), nonuniform(), StackedOperator([fourier(), fourier()])])
def test_image_has_the_shape_of_the_scene_for_every_sensor(network: OnePassNetwork, operator: LinearOperator):
    m = measured(operator)
    with torch.no_grad():
        estimate = NetworkReconstructor(network)(m)
    assert estimate.mean.shape == (2, *operator.domain_shape)
    assert estimate.mean.is_complex()


@pytest.mark.parametrize("factor", [1e-4, 1e3])
def test_equivariant_to_the_scale_of_samples_and_of_the_sensor(network: OnePassNetwork, factor: float):
    m = measured(fourier())
    louder = replace(m, y=factor * m.y, noise=GaussianNoise(factor * m.noise.sigma))
    stronger = replace(louder, operator=FourierMask(factor * fourier().weights))
    with torch.no_grad():
        image = network(m)
        assert distance(network(louder) / factor, image) < 1e-4
        assert distance(network(stronger), image) < 1e-4


def test_a_scene_does_not_depend_on_its_neighbours(network: OnePassNetwork):
    m = measured(fourier())
    first = Measurement(m.y[:1], FourierMask(fourier().weights[:1]), GaussianNoise(m.noise.sigma[:1]))
    with torch.no_grad():
        assert distance(network(first), network(m)[:1]) < 1e-5


def test_the_noise_level_is_an_input(network: OnePassNetwork):
    m, scale = measured(fourier(), sigma=1.0), torch.ones(2)
    with torch.no_grad():
        a, b = network(m, scale=scale), network(replace(m, noise=GaussianNoise(0.1 * m.noise.sigma)), scale=scale)
    assert distance(a, b) > 5e-4


@pytest.mark.parametrize("operator", [fourier(), nonuniform()])
def test_gradients_reach_every_parameter(network: OnePassNetwork, operator: LinearOperator):
    m = measured(operator)
    network(m).abs().square().mean().backward()
    silent = [n for n, p in network.named_parameters() if p.grad is None or float(p.grad.abs().sum()) == 0]
    assert silent == []
    network.zero_grad()


def test_sensors_without_a_level_or_without_sight_are_refused(network: OnePassNetwork):
    m = measured(fourier())
    with pytest.raises(ValueError, match="sigma > 0"):
        network(replace(m, noise=GaussianNoise(torch.zeros(1))))
    with pytest.raises(ValueError, match="GaussianNoise"):
        network(replace(m, noise=PoissonGaussianNoise(torch.ones(1), torch.ones(1))))


def test_the_linear_image_is_refused_where_nothing_is_seen():
    m = measured(blind((1, 16, 16)))
    with pytest.raises(ValueError, match="zero"):
        linear_image(normalize(m, multiple=8, scale=torch.ones(2)))


def test_linear_image_is_the_scene_and_its_level_that_of_the_noise():
    sensing = normalize(measured(identity((1, 16, 16)), sigma=0.5), multiple=8, scale=torch.ones(2))
    linear = linear_image(sensing)
    assert torch.allclose(linear.image, sensing.y)
    assert torch.allclose(linear.noise, torch.full((2,), 0.5))
    assert torch.allclose(linear.error, torch.full((2,), 0.5))


def test_linear_image_is_wrong_by_what_it_expects_for_a_white_scene():
    operator = FourierMask((random(1, 1, 64, 64) < 0.4).float())
    m = measured(operator, batch=4, sigma=0.3)
    linear = linear_image(normalize(m, multiple=8, scale=torch.ones(4)))
    assert m.metadata.truth is not None
    seen = (linear.image - m.metadata.truth).abs().square().mean().sqrt()
    assert torch.allclose(linear.error, seen.expand(4), rtol=0.02)


def test_real_images_of_three_channels_pass_through_every_network():
    small = replace(MINIATURE, image_channels=3)
    m = measured(identity((3, 16, 20), complex_image=False))
    for net in (
        UNet(UNetConfig(3, (4, 6, 8, 8))),
        PDNet(PDNetConfig(3, 3, iterations=2, memory=2, features=4)),
        PDNet(PDNetConfig(3, 1, iterations=2, memory=2, features=4)),
        UnrolledDPIR(UnrolledConfig(small, steps=2)),
    ):
        assert net(m).shape == (2, 3, 16, 20)
        assert not net(m).is_complex()


def test_images_and_samples_of_other_channels_are_refused():
    m = measured(identity((1, 16, 16), complex_image=False))
    with pytest.raises(ValueError, match="image_channels=1"):
        UnrolledDPIR(UnrolledConfig(MINIATURE))(m)
    with pytest.raises(ValueError, match="data_channels"):
        PDNet(PDNetConfig(1, 2))(m)
    with pytest.raises(ValueError, match="2 real channels"):
        PDNet(PDNetConfig(2, 1))(m)
    with pytest.raises(ValueError, match="memory"):
        PDNet(PDNetConfig(memory=1))


# ---- DRUNet


def test_drunet_is_homogeneous():
    net = seeded(lambda: DRUNet(MINIATURE))
    x = measured(identity((1, 13, 18))).y
    sigma = torch.tensor([0.1, 0.4])
    with torch.no_grad():
        assert distance(net(7 * x, 7 * sigma), 7 * net(x, sigma)) < 1e-5
        assert net(x, sigma[:1]).shape == x.shape


def test_drunet_sees_the_noise_of_a_real_channel_in_complex_images():
    net = seeded(lambda: DRUNet(MINIATURE))
    x = measured(identity((1, 16, 16))).y
    real = torch.cat([x.real, x.imag], 1)
    with torch.no_grad():
        a, b = net(x, torch.tensor([0.2 * 2**0.5])), net(real, torch.tensor([0.2]))
    assert distance(torch.cat([a.real, a.imag], 1), b) < 1e-6


@pytest.mark.parametrize("image_channels", [1, 2, 3])
def test_drunet_equals_deepinv_weight_for_weight(image_channels: int):
    dinv = pytest.importorskip("deepinv", reason="deepinv is not installed: pip install 'echoform[deepinv]'")
    widths = (8, 10, 12, 14)
    theirs = seeded(lambda: dinv.models.DRUNet(image_channels, image_channels, nc=widths, nb=2, pretrained=None))
    ours = DRUNet(DRUNetConfig(image_channels, widths, blocks=2)).eval()
    ours.load_state_dict(theirs.state_dict())
    x, sigma = random(2, image_channels, 32, 40), torch.tensor([0.05, 0.2])
    with torch.no_grad():
        assert distance(ours(x, sigma), theirs(x, sigma)) < 1e-5


def test_published_sizes():
    """RAM paper, tables 1 and 4: DRUNet and tied DPIR 32M (32.6M), untied "256M" (8 x 32.6M is 261M), for colour."""
    colour = DRUNetConfig(3)
    with torch.device("meta"):
        drunet = parameters_count(DRUNet(colour))
        assert drunet == 32_640_960
        assert parameters_count(UnrolledDPIR(UnrolledConfig(colour))) == drunet + 16
        assert parameters_count(UnrolledDPIR(UnrolledConfig(colour, tied=False))) == 8 * drunet + 16


def test_full_size_has_the_parameters_of_deepinv():
    dinv = pytest.importorskip("deepinv", reason="deepinv is not installed: pip install 'echoform[deepinv]'")
    with torch.device("meta"):
        for c in (1, 2, 3):
            theirs = dinv.models.DRUNet(c, c, pretrained=None)
            assert parameters_count(DRUNet(DRUNetConfig(c))) == parameters_count(theirs)
            plain = dinv.models.UNet(c + 1, c, residual=False, bias=False, batch_norm=False, device="meta")
            assert parameters_count(UNet(UNetConfig(c))) == parameters_count(plain)


# ---- U-Net and PDNet


def test_unet_equals_deepinv_weight_for_weight():
    dinv = pytest.importorskip("deepinv", reason="deepinv is not installed: pip install 'echoform[deepinv]'")
    widths = [6, 8, 10, 12]
    theirs = seeded(
        lambda: dinv.models.UNet(3, 2, residual=False, bias=False, batch_norm=False, channels_per_scale=widths)
    )
    ours = UNet(UNetConfig(channels=(6, 8, 10, 12))).eval()
    names = {"Conv1": "head", "Conv_1x1": "tail"}
    names |= {f"Conv{i + 2}": f"down.{i}.1" for i in range(3)}
    names |= {f"Up{i + 2}": f"up.{i}" for i in range(3)} | {f"Up_conv{i + 2}": f"merge.{i}" for i in range(3)}
    state = theirs.state_dict()
    renamed = {f"{names[key.split('.')[0]]}.{key.split('.', 1)[1]}": value for key, value in state.items()}
    ours.load_state_dict(renamed)
    x = random(2, 3, 16, 24)
    with torch.no_grad():
        assert distance(ours.body(x), theirs(x)) < 1e-5


def test_primal_dual_blocks_equal_deepinv_weight_for_weight():
    pytest.importorskip("deepinv", reason="deepinv is not installed: pip install 'echoform[deepinv]'")
    from deepinv.models.PDNet import PDNet_DualBlock

    theirs = seeded(lambda: PDNet_DualBlock(in_channels=7, out_channels=5))
    ours = Update(2, 5, 32)
    order = ["in_conv.weight", "in_conv.bias", "nl_list.0.weight", "conv_list.0.weight", "conv_list.0.bias"]
    order += ["nl_list.1.weight", "out_conv.weight", "out_conv.bias"]
    state = theirs.state_dict()
    assert set(order) == set(state)
    ours.load_state_dict(dict(zip(ours.state_dict(), [state[key] for key in order], strict=True)))
    h, forward, y = (random(1, c, 8, 8, seed=c) for c in (5, 1, 3))
    with torch.no_grad():
        assert distance(ours(h, forward, y[:, :1]), theirs(h, forward, y[:, :1])) < 1e-6


# ---- half-quadratic splitting


@pytest.mark.parametrize("sigma", [0.01, 0.05, 0.15])
def test_levels_and_weights_are_those_of_dpir(sigma: float):
    pytest.importorskip("deepinv", reason="deepinv is not installed: pip install 'echoform[deepinv]'")
    from deepinv.optim.dpir import get_DPIR_params

    theirs, stepsize, steps = get_DPIR_params(sigma)
    levels = half_quadratic_levels(torch.tensor([sigma]), first=torch.tensor([49 / 255]))
    assert levels.shape == (steps, 1)
    assert torch.allclose(levels[:, 0], theirs, rtol=1e-5)
    assert torch.allclose(half_quadratic_weights(torch.tensor([sigma]), levels)[:, 0], 1 / stepsize, rtol=1e-5)


def test_half_quadratic_splitting_equals_deepinv_dpir():
    dinv = pytest.importorskip("deepinv", reason="deepinv is not installed: pip install 'echoform[deepinv]'")
    from deepinv.optim.dpir import DPIR
    from deepinv.physics.functional.blur import gaussian_blur

    from echoform.physics.deepinv_bridge import from_deepinv

    denoiser = seeded(lambda: dinv.models.DRUNet(1, 1, nc=(4, 6, 8, 8), nb=2, pretrained=None))
    physics = dinv.physics.BlurFFT((1, 32, 32), filter=gaussian_blur(sigma=1.0))
    y = physics(random(1, 1, 32, 32))
    ours = DRUNet(replace(MINIATURE, image_channels=1, blocks=2))
    ours.load_state_dict(denoiser.state_dict())
    operator, sigma = from_deepinv(physics, (1, 32, 32)), torch.tensor([0.05])
    levels = half_quadratic_levels(sigma, first=torch.tensor([49 / 255]))
    with torch.no_grad():
        theirs = DPIR(sigma=0.05, denoiser=denoiser)(y, physics)
        back = operator.adjoint(y)
        weights = half_quadratic_weights(sigma, levels)
        image = half_quadratic_splitting(
            operator, back, back, [ours] * 8, levels=levels, weights=weights, stopping=Stopping(1e-7, 200)
        )
    assert distance(image, theirs) < 1e-4


def test_levels_stay_where_the_noise_is_above_the_first():
    levels = half_quadratic_levels(torch.tensor([2.0, 0.1]), first=torch.tensor([0.4]), steps=3)
    assert torch.allclose(levels, torch.tensor([[2.0, 0.4], [2.0, 0.2], [2.0, 0.1]]))
    with pytest.raises(ValueError, match="steps"):
        half_quadratic_levels(torch.ones(1), first=torch.ones(1), steps=1)


def test_half_quadratic_splitting_converges_to_its_closed_form():
    power = (0.2 + random(1, 1, 16, 16, seed=4)).double()
    m = measured(FourierMask(fourier().weights.double()))
    level, weight = torch.full((2,), 0.3, dtype=torch.float64), torch.full((2,), 0.2, dtype=torch.float64)
    back, steps = m.operator.adjoint(m.y.to(torch.complex128)), 400
    image = half_quadratic_splitting(
        m.operator,
        back,
        back,
        [GaussianDenoiser(power)] * steps,
        levels=level.expand(steps, 2),
        weights=weight.expand(steps, 2),
    )
    # x = z + s^2 z / P and A^H A x + w (x - z) = A^H y
    ratio = 0.3**2 / power
    closed = circulant(1 / (m.operator.eigenvalues * (1 + ratio) + 0.2 * ratio), back)
    assert distance(image, closed) < 1e-8


# ---- RAM as a denoiser


@pytest.mark.parametrize("channels", [1, 3])
def test_untrained_ram_denoises_real_images_as_wiener(channels: int):
    net = RAM(RAMConfig((4, 4, 4, 4), blocks=1, image_channels=(2, 1, 3), embedding=4)).eval()
    assert net.consistency is not None
    torch.nn.init.constant_(net.consistency.log_error.bias, -10)
    x, sigma = random(2, channels, 16, 16) - 0.5, torch.tensor([0.2, 1.0])
    with torch.no_grad():
        image = RAMDenoiser(net)(x, sigma)
    assert torch.allclose(image, x / (1 + sigma.square()[:, None, None, None]), atol=1e-4)
