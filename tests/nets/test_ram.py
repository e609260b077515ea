"""The network: sizes, the state head's algebra against closed forms, equivariance, batching, padding, errors."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from echoform.linalg.cg import Stopping
from echoform.linalg.inner import expand
from echoform.measure.measurement import Measurement, simulate
from echoform.nets.ram import OFFICIAL, RAM, RAMConfig
from echoform.nets.sensing import normalize
from echoform.nets.state import STOPPING, DiffusionState, input_channels, state_inputs
from echoform.nets.weights import load as load_weights
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.identity import blind
from echoform.physics.masking import SampleMask
from echoform.physics.noise import GaussianNoise, PoissonGaussianNoise, standard_normal
from echoform.physics.nonuniform_fourier import NonuniformFourier

MINIATURE = RAMConfig(channels=(4, 6, 8, 8), blocks=1, embedding=8)


def network(config: RAMConfig = MINIATURE) -> RAM:
    """A network with every weight random, the tail and the modulation included, so that all of it matters."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        net = RAM(config)
        for name, parameter in net.named_parameters():
            if "modulation" in name or "m_tail" in name or "log_error.weight" in name:
                torch.nn.init.normal_(parameter, std=0.1)
    return net.eval()


def problem(batch: int = 3, side: int = 16, sigma: float = 0.2) -> tuple[Tensor, Measurement, torch.Generator]:
    generator = torch.Generator().manual_seed(3)
    x = standard_normal(torch.zeros(batch, 1, side, side, dtype=torch.complex64), generator)
    mask = (torch.rand(batch, 1, side, side, generator=generator) < 0.4).float()
    return x, simulate(x, FourierMask(mask), GaussianNoise(torch.full((batch,), sigma)), generator=generator), generator


def test_official_configuration_has_the_published_size():
    net = RAM(OFFICIAL)
    assert sum(p.numel() for p in net.parameters()) == 35_618_813
    assert len(net.state_dict()) == 685


def test_official_network_with_all_three_kinds_of_head_runs_and_refuses_a_state():
    net = RAM(replace(OFFICIAL, channels=(8, 8, 8, 8), blocks=1)).eval()
    x, measurement, _ = problem(side=20)
    with torch.no_grad():
        assert net(measurement).shape == x.shape
    with pytest.raises(ValueError, match="state mode"):
        net(measurement, DiffusionState(x, torch.ones(1)))


@pytest.mark.parametrize("sigma_t", [1e-2, 1.0, 1e2])
@pytest.mark.parametrize("sigma", [1e-3, 0.1, 3.0])
def test_state_inputs_are_the_closed_forms_for_a_fourier_mask(sigma: float, sigma_t: float):
    x, measurement, generator = problem(sigma=sigma)
    x_t = x + sigma_t * standard_normal(x, generator)
    sensing = normalize(measurement, multiple=8, scale=torch.ones(3))
    given = state_inputs(sensing, DiffusionState(x_t, torch.tensor([sigma_t])))
    operator = FourierMask(measurement.operator.weights.double())
    rate = operator.eigenvalues / sigma**2 + 1 / sigma_t**2
    b = operator.adjoint(measurement.y.to(torch.complex128)) / sigma**2 + x_t / sigma_t**2
    wiener = torch.fft.ifft2(torch.fft.fft2(b) / (rate + 1))
    variance = (1 / (rate + 1)).mean((1, 2, 3))
    assert torch.allclose(given.wiener.to(wiener.dtype), wiener, rtol=0, atol=2e-4 * float(wiener.abs().max()))
    assert torch.allclose(given.variance.double(), variance, rtol=1e-4)
    mu = torch.fft.ifft2(torch.fft.fft2(b) / rate) / expand(1 + (1 / rate).mean((1, 2, 3)), 3)
    skipped = torch.complex(given.channels[:, 2], given.channels[:, 3])[:, None]
    assert torch.allclose(skipped.to(mu.dtype), mu, rtol=0, atol=5e-4 * float(mu.abs().max()))


@pytest.mark.parametrize("sigma_t", [0.05, 1.0, 30.0])
@pytest.mark.parametrize("sigma", [0.01, 0.1, 1.0])
def test_wiener_input_of_a_nonuniform_sensor_is_close_after_the_fixed_number_of_steps(sigma: float, sigma_t: float):
    generator = torch.Generator().manual_seed(0)
    points = (torch.rand(1, 2, 120, generator=generator, dtype=torch.float64) - 0.5) * 6
    base = NonuniformFourier(points, torch.ones(1, 120), domain_shape=(1, 16, 16), sample_shape=(12, 10))
    operator = base.normalized()
    x = standard_normal(torch.zeros(1, 1, 16, 16, dtype=torch.complex64), generator)
    measurement = simulate(x, operator, GaussianNoise(torch.tensor([sigma])), generator=generator)
    x_t = x + sigma_t * standard_normal(x, generator)
    sensing = normalize(measurement, multiple=8, scale=torch.ones(1))
    given = state_inputs(sensing, DiffusionState(x_t, torch.tensor([sigma_t])))
    precision = 1 / sigma_t**2
    exact = sensing.operator.prox_from_backprojection(
        sensing.backprojection,
        precision / (precision + 1) * x_t,
        torch.tensor([sigma**2 * (precision + 1)]),
        Stopping(1e-6, 2000),
    )
    error = float((given.wiener - exact).norm() / exact.norm())
    print(f"sigma {sigma}, sigma_t {sigma_t}: {STOPPING.max_iterations} steps leave {error:.1e}")
    # Ill conditioned only where the noise is far below the image and the state says little; the network sees b as well.
    assert error < {0.01: 0.3, 0.1: 0.12, 1.0: 0.01}[sigma]


def test_without_a_measurement_the_output_is_preconditioned_as_in_edm():
    x, _, generator = problem()
    sigma_t = 0.7
    measurement = Measurement(torch.zeros_like(x), blind((1, 16, 16)), GaussianNoise(torch.ones(1)))
    sensing = normalize(measurement, multiple=8, scale=torch.ones(3))
    x_t = x + sigma_t * standard_normal(x, generator)
    given = state_inputs(sensing, DiffusionState(x_t, torch.tensor([sigma_t])))
    assert torch.allclose(given.wiener, x_t / (1 + sigma_t**2), atol=1e-6)
    assert torch.allclose(given.variance, torch.full((3,), sigma_t**2 / (1 + sigma_t**2)))


def test_a_state_that_tells_nothing_leaves_the_one_pass_inputs():
    x, measurement, generator = problem()
    sensing = normalize(measurement, multiple=8)
    far = DiffusionState(1e5 * standard_normal(x, generator), torch.tensor([1e5]))
    one_pass, stated = state_inputs(sensing, None), state_inputs(sensing, far)
    assert torch.allclose(one_pass.wiener, stated.wiener, atol=1e-3)
    assert torch.allclose(one_pass.variance, stated.variance, rtol=1e-4)


@pytest.mark.parametrize("factor", [1e-6, 3.0, 1e5])
def test_reconstruction_is_equivariant_to_the_scale_of_the_measurement(factor: float):
    net = network()
    _, m, _ = problem()
    scaled = replace(m, y=factor * m.y, noise=GaussianNoise(factor * m.noise.sigma))
    with torch.no_grad():
        a, b = net(m), net(scaled)
    assert torch.allclose(a, b / factor, atol=1e-4 * float(a.abs().max()))


def test_posterior_denoiser_is_equivariant_when_the_scale_is_given():
    net = network()
    x, m, generator = problem()
    c = 40.0
    state = DiffusionState(x + 0.5 * standard_normal(x, generator), torch.full((3,), 0.5))
    scaled = replace(m, y=c * m.y, noise=GaussianNoise(c * m.noise.sigma))
    with torch.no_grad():
        a = net(m, state, scale=torch.ones(3))
        b = net(scaled, DiffusionState(c * state.x_t, c * state.sigma_t), scale=torch.full((3,), c))
    assert torch.allclose(a, b / c, atol=1e-4 * float(a.abs().max()))


def test_a_batch_of_sensors_is_a_loop_over_them():
    net = network()
    x, m, generator = problem()
    state = DiffusionState(x + 0.5 * standard_normal(x, generator), torch.tensor([0.1, 0.5, 2.0]))
    with torch.no_grad():
        together = net(m, state)
        for i in range(3):
            single = Measurement(
                m.y[i : i + 1], FourierMask(m.operator.weights[i : i + 1]), GaussianNoise(m.noise.sigma[i : i + 1])
            )
            alone = net(single, DiffusionState(state.x_t[i : i + 1], state.sigma_t[i : i + 1]))
            assert torch.allclose(alone[0], together[i], atol=1e-4)


def test_sides_that_are_no_multiple_of_eight_are_padded_and_cropped():
    net = network()
    x, m, generator = problem(side=13)
    state = DiffusionState(x + 0.5 * standard_normal(x, generator), torch.full((3,), 0.5))
    with torch.no_grad():
        assert net(m).shape == x.shape
        assert net(m, state).shape == x.shape


def test_the_physics_is_used():
    net = network()
    _, m, generator = problem()
    other = FourierMask((torch.rand(3, 1, 16, 16, generator=generator) < 0.4).float())
    with torch.no_grad():
        a = net(m)
        b = net(replace(m, operator=other))
    assert float((a - b).norm() / a.norm()) > 0.1


def test_noise_that_the_state_head_cannot_take_is_refused():
    net = network()
    _, m, _ = problem()
    with pytest.raises(ValueError, match="sigma > 0"):
        net(replace(m, noise=GaussianNoise(torch.zeros(1))))
    with pytest.raises(ValueError, match="counts are real"):
        net(replace(m, noise=PoissonGaussianNoise(torch.ones(1), torch.ones(1))))


def test_a_measurement_without_signal_has_no_scale():
    net = network()
    _, m, _ = problem()
    with pytest.raises(ValueError, match="scale"):
        net(replace(m, y=torch.zeros_like(m.y)))


KINDS = replace(MINIATURE, image_channels=(2, 1, 3))


def real_problem(channels: int, sigma: float = 0.2) -> tuple[Tensor, Measurement, torch.Generator]:
    generator = torch.Generator().manual_seed(3)
    x = 1 + standard_normal(torch.zeros(3, channels, 16, 16), generator)
    operator = SampleMask((torch.rand(3, channels, 16, 16, generator=generator) < 0.6).float(), complex_image=False)
    return x, simulate(x, operator, GaussianNoise(torch.full((3,), sigma)), generator=generator), generator


@pytest.mark.parametrize("channels", [1, 3])
def test_real_images_are_denoised_in_their_own_kind_and_equivariantly(channels: int):
    net = network(KINDS)
    x, m, generator = real_problem(channels)
    c = 30.0
    state = DiffusionState(x + 0.5 * standard_normal(x, generator), torch.full((3,), 0.5))
    scaled = replace(m, y=c * m.y, noise=GaussianNoise(c * m.noise.sigma))
    with torch.no_grad():
        one_pass, stated = net(m), net(m, state, scale=torch.ones(3))
        again = net(scaled, DiffusionState(c * state.x_t, c * state.sigma_t), scale=torch.full((3,), c))
        alone = net(
            Measurement(
                m.y[1:2], SampleMask(m.operator.weights[1:2], complex_image=False), GaussianNoise(m.noise.sigma[1:2])
            ),
            DiffusionState(state.x_t[1:2], state.sigma_t[1:2]),
            scale=torch.ones(1),
        )
    assert one_pass.shape == x.shape
    assert one_pass.dtype == stated.dtype == torch.float32
    assert torch.allclose(stated, again / c, atol=1e-4 * float(stated.abs().max()))
    assert torch.allclose(alone[0], stated[1], atol=1e-4)


@pytest.mark.parametrize("channels", [1, 3])
def test_inputs_of_real_images_are_the_closed_forms_of_real_noise(channels: int):
    """Pixels that are kept have precision 1 / s_n^2 + 1 / s_t^2 + 1, the others 1 / s_t^2 + 1."""
    x, m, generator = real_problem(channels)
    x_t = x + 0.5 * standard_normal(x, generator)
    sensing = normalize(m, multiple=8, scale=torch.ones(3))
    given = state_inputs(sensing, DiffusionState(x_t, torch.tensor([0.5])))
    marks = m.operator.weights
    rate = marks / 0.04 + 4 + 1
    assert torch.allclose(given.wiener, (marks * m.y / 0.04 + 4 * x_t) / rate, atol=1e-4)
    assert torch.allclose(given.variance, (1 / rate).mean((1, 2, 3)), rtol=2e-2)
    assert given.channels.shape[1] == input_channels(channels)


def test_far_states_leave_the_one_pass_inputs_of_real_images_too():
    x, m, generator = real_problem(3)
    sensing = normalize(m, multiple=8)
    far = DiffusionState(1e5 * standard_normal(x, generator), torch.tensor([1e5]))
    one_pass, stated = state_inputs(sensing, None), state_inputs(sensing, far)
    assert torch.allclose(one_pass.wiener, stated.wiener, atol=1e-3)


def test_images_of_a_kind_that_has_no_head_are_refused():
    _, gray, _ = real_problem(1)
    with pytest.raises(ValueError, match=r"one complex channel, the sensor's has 1 real channel"):
        network()(gray)
    with pytest.raises(ValueError, match="classical method"):
        network(KINDS)(real_problem(2)[1])


def test_further_kinds_of_image_change_nothing_for_the_first():
    """The shipped weights in a network that serves all kinds give what they gave."""
    shipped = load_weights("echoform-tiny")
    more = RAM(replace(shipped.config, image_channels=(2, 1, 3))).eval()
    more.load_state_dict({**more.state_dict(), **shipped.state_dict()})
    _, m, _ = problem()
    with torch.no_grad():
        assert torch.allclose(shipped(m), more(m), atol=1e-5)  # layouts in memory differ


@pytest.mark.parametrize("gain", [1e-15, 1e15])
def test_sensors_in_any_unit_have_finite_gradients(gain: float):
    """y and A times 1e-15 or 1e15 change no gradient."""
    generator = torch.Generator().manual_seed(0)
    points = (torch.rand(1, 2, 120, generator=generator, dtype=torch.float64) - 0.5) * 6
    base = NonuniformFourier(points, torch.ones(1, 120), domain_shape=(1, 16, 16), sample_shape=(12, 10)).normalized()
    x = standard_normal(torch.zeros(1, 1, 16, 16, dtype=torch.complex64), generator)
    m = simulate(x, base, GaussianNoise(torch.tensor([0.5])), generator=generator)
    state = DiffusionState(x + 0.01 * standard_normal(x, generator), torch.tensor([0.01]))
    net, found = network(), []
    for factor in (1.0, gain):
        scaled = Measurement(factor * m.y, factor * base, GaussianNoise(factor * m.noise.sigma))
        image = net(scaled, state, scale=torch.ones(1))
        net.zero_grad()
        image.abs().square().sum().backward()
        found.append(torch.cat([p.grad.flatten() for p in net.parameters() if p.grad is not None]))
    assert bool(torch.isfinite(found[1]).all())
    assert float((found[0] - found[1]).norm() / found[0].norm()) < 1e-2


def test_gradients_reach_the_state_and_the_samples():
    """Against differences, in double precision, with a state and in one pass; c given."""
    net = network().double().requires_grad_(False)
    _, measurement, generator = problem(batch=1)
    operator = FourierMask(measurement.operator.weights.double())  # type: ignore[union-attr]
    y = measurement.y.to(torch.complex128)
    noise, scale = GaussianNoise(measurement.noise.sigma.double()), torch.ones(1, dtype=torch.float64)
    image = standard_normal(torch.zeros(1, 1, 16, 16, dtype=torch.complex128), generator)
    toward, along = torch.randn_like(image), torch.randn_like(image)

    def found(x_t: Tensor | None, samples: Tensor) -> Tensor:
        state = None if x_t is None else DiffusionState(x_t, torch.tensor([0.5], dtype=torch.float64))
        return (net(Measurement(samples, operator, noise), state, scale=scale) * toward.conj()).real.sum()

    step = 1e-7
    for start in (None, image):
        at, samples = None if start is None else start.clone().requires_grad_(), y.clone().requires_grad_()
        leaves = (samples,) if at is None else (samples, at)
        gradients = torch.autograd.grad(found(at, samples), leaves)
        with torch.no_grad():
            moved = [(found(start, y + step * along) - found(start, y - step * along)) / (2 * step)]
            if start is not None:
                moved.append((found(start + step * along, y) - found(start - step * along, y)) / (2 * step))
        for gradient, difference in zip(gradients, moved, strict=True):
            assert float((gradient.conj() * along).real.sum()) == pytest.approx(float(difference), rel=1e-5)


def test_another_precision_than_the_weights_is_refused():
    _, measurement, _ = problem()
    with pytest.raises(ValueError, match=r"the weights are torch\.float32"):
        network()(replace(measurement, y=measurement.y.to(torch.complex128)))
    with pytest.raises(ValueError, match=r"the weights are torch\.float32"):
        network()(replace(measurement, operator=FourierMask(measurement.operator.weights.double())))  # type: ignore[union-attr]


@pytest.mark.parametrize("side", [32, 30])
def test_precise_samples_give_no_worse_an_image(side: int):
    """Shipped weights, from 40 to 100 dB; 30 x 30 is padded, so that its sums are solved by conjugate gradients."""
    net, generator = load_weights("echoform-tiny"), torch.Generator().manual_seed(1)
    x = torch.zeros(1, 1, side, side, dtype=torch.complex64)
    x[..., 5:14, 4:12], x[..., 16:25, 15:20], x[..., 20, 8] = 1, 0.6j, 3
    operator = FourierMask((torch.rand(1, 1, side, side, generator=generator) < 0.5).float())
    rms, errors = float(x.abs().square().mean().sqrt()), []
    for decibels in (40, 100):
        noise = GaussianNoise(torch.tensor([rms * 10 ** (-decibels / 20)]))
        measurement = simulate(x, operator, noise, generator=torch.Generator().manual_seed(4))
        errors.append(float((net(measurement) - x).detach().norm() / x.norm()))
    assert errors[1] < 1.2 * errors[0]


@pytest.mark.parametrize("level", [1e-5, 1e-7, 1e-9])
def test_far_below_what_training_drew_the_denoiser_returns_what_it_is_given(level: float):
    """Its features of the noise are bounded, so that nothing is extrapolated: at 1e-7 the image was 400 times too large."""
    net, generator = load_weights("echoform-tiny"), torch.Generator().manual_seed(1)
    x = standard_normal(torch.zeros(1, 1, 16, 16, dtype=torch.complex64), generator)
    with torch.no_grad():
        found = net(
            Measurement(torch.zeros_like(x), blind((1, 16, 16)), GaussianNoise(torch.ones(1))),
            DiffusionState(x, torch.tensor([level])),
            scale=torch.ones(1),
        )
    assert float((found - x).norm() / x.norm()) < max(level, 1e-6)
