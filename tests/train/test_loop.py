"""The training loop: resuming is exact, problems come from (seed, step) alone, the balanced loss has the right gradient."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch

from echoform.nets.ram import RAMConfig
from echoform.train.loop import Phase, Recipe, TrainingState, train
from echoform.train.losses import balanced, relative_error
from echoform.train.problems.mixture import Mixture, Problem, draw_problem, generator_for
from echoform.train.problems.scenes import SceneKind

MIXTURE = Mixture(scenes=((SceneKind.POINTS, 0.5), (SceneKind.REGIONS, 0.5)))
SOURCE = partial(draw_problem, MIXTURE, chips=None)
RECIPE = Recipe(
    network=RAMConfig(channels=(4, 4, 4, 4), blocks=1, embedding=4),
    phases=(Phase(4, 16, 3), Phase(2, 24, 2)),
    warmup=2,
)


def weights_after(folder: Path, stops: list[int]) -> dict[str, torch.Tensor]:
    for stop in stops:
        state = TrainingState.start(RECIPE, torch.device("cpu"))
        if (folder / "checkpoint.pt").exists():
            state.load(folder / "checkpoint.pt")
        train(state, RECIPE, SOURCE, folder=folder, until=stop)
    return state.network.state_dict() | {f"average.{k}": v for k, v in state.average.state_dict().items()}


def test_a_run_cut_in_two_is_the_uncut_run_bit_for_bit(tmp_path: Path):
    uncut = weights_after(tmp_path / "a", [6])
    cut = weights_after(tmp_path / "b", [3, 6])
    start = TrainingState.start(RECIPE, torch.device("cpu")).network.state_dict()
    assert all(torch.equal(uncut[k], cut[k]) for k in uncut)
    assert any(not torch.equal(uncut[k], start[k]) for k in start)


def test_problems_depend_on_seed_and_step_only():
    def draw(seed: int, step: int) -> Problem:
        return SOURCE(generator_for(seed, step), 4, (16, 16))

    a, b, c = draw(1, 5), draw(1, 5), draw(1, 6)
    assert torch.equal(a.truth, b.truth)
    assert torch.equal(a.measurement.y, b.measurement.y)
    assert not torch.equal(a.truth, c.truth)


def test_all_modes_and_families_are_drawn():
    seen = set()
    for step in range(60):
        p = SOURCE(generator_for(2, step), 2, (16, 16))
        seen.add((type(p.measurement.operator).__name__, p.state is not None))
        assert bool(torch.isfinite(p.measurement.y.abs()).all())
    assert seen == {
        ("ScalarOperator", True),
        ("FourierMask", True),
        ("FourierMask", False),
        ("NonuniformFourier", True),
        ("NonuniformFourier", False),
    }


def test_the_signal_to_noise_ratio_is_the_one_asked_for():
    for step in range(12):
        p = SOURCE(generator_for(3, step), 3, (16, 16))
        if p.scale is None:
            operator = p.measurement.operator
            clean = operator(p.truth)
            power = clean.abs().square().flatten(1).sum(1) / operator.samples()
            snr_db = 10 * torch.log10(power / p.measurement.noise.sigma.square())
            assert bool(((snr_db >= -5.01) & (snr_db <= 40.01)).all())


def test_an_untrained_network_has_a_relative_error_near_one_on_white_scenes():
    state = TrainingState.start(RECIPE, torch.device("cpu"))
    source = partial(draw_problem, Mixture(scenes=((SceneKind.CLUTTER, 1.0),)), chips=None)
    with torch.no_grad():
        errors = [relative_error(state.network, source(generator_for(4, step), 8, (32, 32)))[0] for step in range(6)]
    assert float(torch.cat(errors).mean()) == pytest.approx(1.0, abs=0.25)


def test_balanced_loss_weights_by_the_expected_error_without_touching_the_network_gradient_through_it():
    errors = torch.tensor([2.0, 0.5], requires_grad=True)
    log_expected = torch.tensor([0.7, -1.0], requires_grad=True)
    balanced(errors, log_expected).backward()
    u = torch.exp(log_expected.detach())
    assert torch.allclose(errors.grad, 1 / u / 2)
    assert torch.allclose(log_expected.grad, (1 - errors.detach() / u) / 2)


def test_phases_and_rate():
    assert [RECIPE.phase(s).side for s in range(6)] == [16] * 4 + [24] * 2
    assert RECIPE.rate(0) == pytest.approx(RECIPE.learning_rate / 2)
    assert RECIPE.rate(RECIPE.steps) == pytest.approx(0.01 * RECIPE.learning_rate)
