"""Tasks: all modes by their shares, states at the level drawn, one phase for scene and samples, the same from seed and index."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch
from training_cases import RECIPE

from echoform.linalg.inner import expand
from echoform.scene.random_source import RandomSource
from echoform.train.families import FamilySource, shares
from echoform.train.problems.gridded_fourier import GriddedFourier
from echoform.train.problems.problem import draw_problem
from echoform.train.problems.scenes import CHIP_SIDE, Chips
from echoform.train.problems.strata import Strata
from echoform.train.problems.stream import problem_generator
from echoform.train.problems.task import Modes, Task, draw_state, pose, rms
from echoform.train.recipe import FamilyChoice, Phase

PROBLEM = draw_problem(problem_generator(3, 0), GriddedFourier(shape=(16, 16)), 4)


def source(seed: int) -> RandomSource:
    return RandomSource(problem_generator(seed, 0))


def posed(seed: int, modes: Modes) -> Task:
    return pose(PROBLEM, modes, problem_generator(seed, 1))


def test_modes_are_drawn_by_their_shares():
    """Shares of 400 draws, within four standard deviations or so."""
    modes = Modes(0.5, 0.3, 0.2)
    found = [posed(seed, modes) for seed in range(400)]
    blind = sum(task.scale is not None for task in found) / 400
    stated = sum(task.state is not None for task in found) / 400 - blind
    assert blind == pytest.approx(0.2, abs=0.06)
    assert stated == pytest.approx(0.3, abs=0.07)


def test_scene_and_samples_turn_together_and_by_all_angles():
    """Each scene and its samples take one phase, and the phases cover the circle."""
    angles = []
    for seed in range(60):
        task = posed(seed, Modes(1, 0, 0))
        turn = (task.truth / PROBLEM.truth).flatten(1)[:, 100]
        assert torch.allclose(turn.abs(), torch.ones(4), atol=1e-4)
        residual = task.measurement.y - expand(turn, 3) * PROBLEM.measurement.y
        assert float(residual.abs().max()) < 1e-4 * float(PROBLEM.measurement.y.abs().max())
        angles += turn.angle().tolist()
    resultant = abs(sum(complex(math.cos(a), math.sin(a)) for a in angles)) / len(angles)
    assert resultant < 3 / math.sqrt(len(angles))


def test_states_stand_at_the_levels_drawn_over_the_images_own_size():
    """x_t - x has the RMS stated, and levels over the image's RMS are log-uniform over the range."""
    x = 40.0 * PROBLEM.truth
    levels = []
    for seed in range(50):
        state = draw_state(x, (1e-2, 1e2), problem_generator(seed, 0))
        noise = rms(state.x_t - x)
        assert torch.allclose(noise, state.sigma_t, rtol=0.2)
        levels += (state.sigma_t / rms(x)).log10().tolist()
    spread = torch.tensor(levels)
    assert bool(((spread >= -2) & (spread <= 2)).all())
    assert float(spread.mean()) == pytest.approx(0.0, abs=4 * 4 / math.sqrt(12 * 200))


def test_a_blind_task_holds_no_measurement_and_its_scale_to_a_decibel():
    """Samples and operator are zero, and the scale given is within a decibel of the image's RMS."""
    task = posed(0, Modes(0, 0, 1))
    assert task.scale is not None
    assert float(task.measurement.y.abs().max()) == 0
    assert float(task.measurement.operator.norm().max()) == 0
    assert float((20 * torch.log10(task.scale / rms(task.truth))).abs().max()) <= 1.0


def test_tasks_depend_on_seed_and_index_alone_and_ranks_share_them():
    """Two ranks take every second task of one, a later start goes on, another seed draws others."""
    drawn = shares(RECIPE.families, Path())
    phase = RECIPE.phases[0]

    def prints(rank: int, ranks: int, start: int, count: int) -> list[tuple[str, bytes]]:
        tasks = islice(FamilySource(RECIPE, drawn, rank, ranks)(phase, start), count)
        return [(task.family, task.truth.numpy().tobytes()) for task in tasks]

    alone = prints(0, 1, 0, 6)
    assert len(set(alone)) == 6
    assert prints(0, 2, 0, 3) == alone[0::2]
    assert prints(1, 2, 0, 3) == alone[1::2]
    assert prints(0, 1, 4, 2) == alone[4:]
    other = FamilySource(replace(RECIPE, seed=1), drawn)
    assert next(other(phase, 0)).truth.numpy().tobytes() != alone[0][1]


def test_larger_sides_are_drawn_as_often_with_about_as_many_pixels():
    """Sides of 16 and 32 pixels come about as often, with four scenes and with one."""
    drawn, phase = shares(RECIPE.families, Path()), Phase(1, 16, 4, larger=(32,))
    shapes = [tuple(t.truth.shape) for t in islice(FamilySource(RECIPE, drawn)(phase, 0), 40)]
    sides = {shape[-1]: {s[0] for s in shapes if s[-1] == shape[-1]} for shape in shapes}
    assert sides == {16: {4}, 32: {1}}
    assert sum(shape[-1] == 32 for shape in shapes) == pytest.approx(20, abs=10)


def test_a_family_is_drawn_up_to_its_largest_side_and_at_the_first_in_any_case():
    """Of two families the one with a largest side of 8 is drawn at 16 pixels alone, the other at 16 and at 32."""
    fourier, stripmap = shares((FamilyChoice("fourier"), FamilyChoice("stripmap", largest=8)), Path())
    source = FamilySource(RECIPE, (fourier, stripmap))
    seen = {(t.family, t.truth.shape[-1]) for t in islice(source(Phase(1, 16, 4, larger=(32,)), 0), 40)}
    assert seen == {("fourier", 16), ("fourier", 32), ("stripmap", 16)}


def test_chips_are_seen_in_images_they_cover_alone():
    """Images larger than a chip are simulated, and the family says so; smaller ones take the share asked for."""
    chips = Chips(torch.ones(1, CHIP_SIDE, CHIP_SIDE, dtype=torch.complex64))
    asked = Strata(chips=chips, measured=1.0)
    counts = {side: replace(asked, shape=(side, side)).layout(source(1), 4).counts for side in (32, 64, 72)}
    assert [counts[side][-1] for side in (32, 64, 72)] == [4, 4, 0]
    assert sum(counts[72]) == 4


def test_shares_that_are_none_are_refused():
    with pytest.raises(ValueError, match="sum to one"):
        Modes(0.5, 0.5, 0.5)
    with pytest.raises(ValueError, match="increasing"):
        Modes(state_range=(2.0, 1.0))
