"""A network of twice the channels begins with the function of the narrow one, and its pairs of channels then part."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from training_cases import RECIPE, carried_out

from echoform.nets.ram import RAM, RAMConfig
from echoform.nets.state import DiffusionState
from echoform.train.families import shares
from echoform.train.problems.problem import Problem, draw_problem
from echoform.train.problems.stream import Share, problem_generator
from echoform.train.training_state import CheckpointError, TrainingState

WIDE_SIZE = RAMConfig((8, 8, 8, 8), blocks=1, image_channels=(2, 1, 3), embedding=4)
WIDE = replace(RECIPE, network=WIDE_SIZE)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of a narrow network, trained so that no layer is zero any more."""
    folder = tmp_path_factory.mktemp("narrow")
    recipe = replace(RECIPE, schedule=replace(RECIPE.schedule, peak=1e-2), average=0.0)
    carried_out(recipe, folder, [6])
    return folder / "checkpoint.pt"


def networks(start: Path) -> tuple[RAM, RAM]:
    """The trained network and the wide one that starts from it."""
    narrow, wide = (
        TrainingState.start(replace(recipe, start=str(start)), torch.device("cpu")) for recipe in (RECIPE, WIDE)
    )
    assert isinstance(narrow.network, RAM)
    assert isinstance(wide.network, RAM)
    return narrow.network, wide.network


def drawn(share: Share) -> Problem:
    """Problems of a family."""
    return draw_problem(problem_generator(3, 0), replace(share.family, shape=(16, 16)), 4)


@pytest.mark.parametrize("share", shares(RECIPE.families, Path()), ids=lambda share: type(share.family).__name__)
def test_it_starts_with_the_same_function(trained: Path, share: Share):
    narrow, wide = networks(trained)
    problem = drawn(share)
    state = DiffusionState(problem.truth + 0.3 * torch.randn_like(problem.truth), torch.tensor([0.3]))
    for given in (None, state):
        with torch.no_grad():
            expected, got = narrow(problem.measurement, given), wide(problem.measurement, given)
            untrained = WIDE_SIZE.build()(problem.measurement, given)
        scale = expected.norm()
        assert float((got - expected).norm() / scale) < 1e-5
        assert float((untrained - expected).norm() / scale) > 1e-3  # so that equality says something


def test_pairs_of_channels_have_different_gradients(trained: Path):
    _, wide = networks(trained)
    problem = drawn(shares(RECIPE.families, Path())[0])
    (wide(problem.measurement) - problem.truth).abs().square().sum().backward()
    head = wide.body.m_head["conv0"].weight
    assert isinstance(head, torch.nn.Parameter)
    assert torch.equal(head[0::2], head[1::2])
    assert head.grad is not None
    assert float((head.grad[0::2] - head.grad[1::2]).norm() / head.grad.norm()) > 0.05


def test_other_sizes_are_refused(trained: Path):
    other = replace(WIDE, network=replace(WIDE_SIZE, channels=(8, 16, 8, 8)), start=str(trained))
    with pytest.raises(CheckpointError, match=r"cannot be widened.*half of it"):
        TrainingState.start(other, torch.device("cpu"))
