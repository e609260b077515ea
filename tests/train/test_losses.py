"""Losses: gradients and weights against their formulas, and the size that errors should have."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from training_cases import RECIPE

from echoform.measure.measurement import Measurement, simulate
from echoform.nets.ram import OFFICIAL, RAM
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.identity import identity
from echoform.physics.masking import SampleMask
from echoform.physics.noise import GaussianNoise, standard_normal
from echoform.train.losses import (
    HOPELESS,
    LARGEST,
    BalancedSquaredError,
    ExpectedError,
    SquaredErrorRecipe,
    WeightedAbsoluteError,
    balanced,
    denoised,
)
from echoform.train.problems.microwave import Born
from echoform.train.problems.problem import draw_problem
from echoform.train.problems.stream import problem_generator
from echoform.train.problems.task import Modes, Task, draw_state, pose
from echoform.train.training_state import TrainingState


def white_task(sigma: float, *, stated: bool, real: bool, batch: int = 16) -> Task:
    """White scenes of unit RMS, for which the Wiener estimate is the posterior mean and v its variance."""
    generator = torch.Generator().manual_seed(4)
    kind = torch.float32 if real else torch.complex64
    x = standard_normal(torch.zeros(batch, 1, 32, 32, dtype=kind), generator)
    if real:
        operator = identity((1, 32, 32), complex_image=False)
    else:
        operator = FourierMask((torch.rand(batch, 1, 32, 32, generator=generator) < 0.4).float())
    measurement = simulate(x, operator, GaussianNoise(torch.full((batch,), sigma)), generator=generator)
    state = draw_state(x, (0.1, 1.0), generator) if stated else None
    return Task("white", x, measurement, state, torch.ones(batch))


@pytest.mark.parametrize("real", [False, True])
@pytest.mark.parametrize("stated", [False, True])
@pytest.mark.parametrize("sigma", [0.1, 1.0])
def test_on_white_scenes_the_untrained_network_errs_by_what_theory_says(sigma: float, stated: bool, real: bool):
    """|D - x|^2 / v and |A (D - x)|^2 over its expectation are one in the mean, 16 scenes of 1024 pixels: 2 %."""
    network = TrainingState.start(RECIPE, torch.device("cpu")).network
    with torch.no_grad():
        network.consistency.log_error.bias.fill_(-10)  # type: ignore[union-attr]
        made = denoised(network, white_task(sigma, stated=stated, real=real))
    assert float(made.relative.mean()) == pytest.approx(1.0, abs=0.03)
    assert float(made.measured.mean()) == pytest.approx(1.0, abs=0.05)


def test_balanced_loss_weights_by_the_expected_error_without_touching_the_network_gradient_through_it():
    errors = torch.tensor([2.0, 0.5, 1e11], requires_grad=True)
    log_expected = torch.tensor([0.7, -1.0, 0.0], requires_grad=True)
    counted = torch.tensor([True, True, False])
    balanced(errors, log_expected, counted).backward()
    u = torch.exp(log_expected.detach())
    assert torch.allclose(errors.grad, counted / u / 3)
    assert torch.allclose(log_expected.grad, counted * (1 - errors.detach() / u) / 3)


def test_a_scene_of_which_the_sensor_sees_nothing_bright_leaves_no_trace():
    """One bright point under the mask: the scale that the samples give is off by a million, and so is the error over v."""
    x = torch.full((2, 1, 16, 16), 1e-3, dtype=torch.complex64)
    x[:, 0, 3, 3] = 1e3
    seen = torch.ones(2, 1, 16, 16)
    seen[1, 0, 3, 3] = 0
    measurement = simulate(
        x, SampleMask(seen), GaussianNoise(torch.full((2,), 1e-4)), generator=torch.Generator().manual_seed(0)
    )
    state = TrainingState.start(RECIPE, torch.device("cpu"))
    made = denoised(state.network, Task("point", x, measurement, None, None))
    assert float(made.first[0]) < 10
    assert float(made.first[1]) > 1e9
    judged = state.lesson.loss(state.network, Task("point", x, measurement, None, None))
    assert float(judged.loss.detach()) < 10


def test_the_predictor_of_the_error_finds_its_way_back_from_any_weights():
    """However far off its last layer is, log u is bounded and its gradient is not zero."""
    expected = ExpectedError()
    made = denoised(
        TrainingState.start(RECIPE, torch.device("cpu")).network, white_task(0.3, stated=False, real=False, batch=4)
    )
    for off in (-20.0, 20.0):
        torch.nn.init.constant_(expected.layers[-1].bias, off)
        u = expected(made.given)
        assert bool((u.abs() < 8.01).all())
        (gradient,) = torch.autograd.grad(u.sum(), expected.layers[-1].bias)
        assert float(gradient.abs()) > 1e-3


def test_the_physics_term_adds_to_the_loss_and_not_to_the_errors():
    network = TrainingState.start(RECIPE, torch.device("cpu")).network
    task = white_task(0.3, stated=False, real=False, batch=4)
    plain, constrained = SquaredErrorRecipe(0.0).build(), SquaredErrorRecipe(2.0).build()
    assert isinstance(constrained, BalancedSquaredError)
    constrained.load_state_dict(plain.state_dict())
    with torch.no_grad():
        made = denoised(network, task)
        u = constrained.expected(made.given)
        every = made.first < HOPELESS
        expected = balanced(made.relative + 2 * made.measured, u, every)
        a, b = plain(network, task), constrained(network, task)
    assert torch.equal(a.errors, b.errors)
    assert float(b.loss) == pytest.approx(float(expected), rel=1e-5)
    assert float(a.loss) == pytest.approx(float(balanced(made.relative, u, every)), rel=1e-5)


def test_the_papers_loss_is_its_formula():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = RAM(replace(OFFICIAL, channels=(4, 4, 4, 4), blocks=1)).eval()
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(2, 3, 64, 64, generator=generator)
    operator = identity((3, 64, 64), complex_image=False)
    measurement = simulate(x, operator, GaussianNoise(torch.tensor([0.05, 0.2])), generator=generator)
    with torch.no_grad():
        found = WeightedAbsoluteError()(network, Task("x", x, measurement, None, None))
        error = network(measurement) - x
    sizes = [float(measurement.y[i].norm()) / (3 * 64 * 64) ** 0.5 for i in range(2)]
    each = [sizes[i] / s * float(error[i].abs().mean()) for i, s in enumerate((0.05, 0.2))]
    assert float(found.loss) == pytest.approx(sum(each) / 2, rel=1e-5)
    assert float(found.errors[0]) == pytest.approx(float(error[0].square().sum() / x[0].square().sum()), rel=1e-5)


def test_the_papers_loss_has_no_state_mode():
    task = white_task(0.3, stated=True, real=False, batch=2)
    assert isinstance(task.measurement, Measurement)
    with pytest.raises(ValueError, match="one_shot to 1"):
        WeightedAbsoluteError()(TrainingState.start(RECIPE, torch.device("cpu")).network, task)


@pytest.mark.parametrize("level", [2e-3, 1e-2])
def test_born_tasks_with_a_state_have_finite_gradients(level: float):
    """Where s_t is far below s_n the data term is solved in a few of its steps: what follows them must not enter the gradient."""
    lesson = TrainingState.start(RECIPE, torch.device("cpu")).lesson
    modes = Modes(one_shot=0.0, state=1.0, blind=0.0, state_range=(level, 1.01 * level))
    for index in range(5):
        problem = draw_problem(problem_generator(11, index), Born(shape=(16, 16)), 2)
        lesson.zero_grad()
        lesson(pose(problem, modes, problem_generator(12, index)))[0].backward()
        gradients = [p.grad for p in lesson.network.parameters() if p.grad is not None]
        assert len(gradients) > 10
        assert all(bool(torch.isfinite(gradient).all()) for gradient in gradients)


def test_a_scene_counts_no_more_than_the_largest():
    """By the logarithms of error and of expected error the gradients are those of twenty times u, for a thousand times it."""
    log_error = torch.tensor([1000.0, 2.0]).log().requires_grad_()
    log_expected = torch.zeros(2, requires_grad=True)
    (2 * balanced(log_error.exp(), log_expected, torch.ones(2, dtype=torch.bool))).backward()
    assert log_error.grad is not None
    assert log_expected.grad is not None
    assert log_error.grad.tolist() == pytest.approx([LARGEST, 2])
    assert log_expected.grad.tolist() == pytest.approx([1 - LARGEST, -1])
