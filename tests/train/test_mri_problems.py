"""The MRI family: noise at its level, operators of unit norm at most, every kind of mask, scenes with and without pictures."""

from __future__ import annotations

import pytest
import torch

from echoform.physics.fourier_mask import FourierMask
from echoform.physics.multicoil_mri import MulticoilMRI
from echoform.scene.photographs import Photographs
from echoform.train.problems.mri import CartesianMri
from echoform.train.problems.problem import Problem, draw_problem
from echoform.train.problems.stream import problem_generator

PICTURES = Photographs((torch.rand(1, 50, 60, generator=torch.Generator().manual_seed(0)),))
FAMILY = CartesianMri(shape=(48, 40), pictures=PICTURES)


def draw(index: int, family: CartesianMri = FAMILY, batch: int = 3) -> Problem:
    return draw_problem(problem_generator(1, index), family, batch)


def test_problems_repeat_and_differ() -> None:
    a, b, c = draw(5), draw(5), draw(6)
    assert torch.equal(a.measurement.y, b.measurement.y)
    assert a.truth.shape == (3, 1, 48, 40)
    assert a.truth.is_complex()
    assert not torch.equal(a.truth, c.truth)


def test_one_coil_and_many_rows_and_columns_are_drawn() -> None:
    seen, directions = set(), set()
    for index in range(30):
        operator = draw(index).operator
        seen.add(operator.range_shape[0])
        support = operator.support()
        assert support is not None
        directions.add(
            (bool((support.amax(-1) == support.amin(-1)).all()), bool((support.amax(-2) == support.amin(-2)).all()))
        )
        assert isinstance(operator, FourierMask if operator.range_shape[0] == 1 else MulticoilMRI)
        assert float(operator.norm().max()) < 1.01
    assert seen == {1, 4, 8, 15}
    assert directions == {(True, False), (False, True), (False, False)}


def test_the_noise_has_the_drawn_level() -> None:
    problem = draw(2)
    clean = problem.operator(problem.truth)
    count = problem.operator.samples()
    noise = (problem.measurement.y - clean).abs().square().flatten(1).sum(1) / count
    power = clean.abs().square().flatten(1).sum(1) / count
    assert torch.allclose(10 * torch.log10(power / noise).float(), problem.snr_db, atol=0.3)
    assert bool(((problem.snr_db >= 8) & (problem.snr_db <= 48)).all())


@pytest.mark.parametrize("acceleration", [4, 8])
def test_accelerations_are_the_stated_ones(acceleration: int) -> None:
    family = CartesianMri(shape=(64, 64), accelerations=(acceleration,), planar=0.3)
    shares = [float(draw(index, family, 2).operator.samples().float().mean()) for index in range(20)]
    coils = [draw(index, family, 2).operator.range_shape[0] for index in range(20)]
    realised = [coil * 64 * 64 / share for share, coil in zip(shares, coils, strict=True)]
    assert 0.55 * acceleration < min(realised)
    assert max(realised) < 1.6 * acceleration


def test_pictures_and_heads_are_mixed() -> None:
    only = CartesianMri(shape=(32, 32), pictures=Photographs((torch.ones(1, 32, 32),)), measured=1.0)
    assert torch.allclose(draw(0, only).truth.abs(), torch.ones(3, 1, 32, 32), atol=1e-4)
    heads = draw(0, CartesianMri(shape=(32, 32)))
    assert bool((heads.truth.abs() < 1e-6).any())
