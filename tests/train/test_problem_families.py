"""Families of problems: reproducible to the bit, consistent with their operators, at the noise level that was drawn, savable."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from echoform.measure.native import load, save
from echoform.nets.sensing import UnitSensor
from echoform.physics.noise import GaussianNoise, PoissonGaussianNoise
from echoform.scene.random_source import RandomSource
from echoform.train.problems.catalogue import FAMILIES
from echoform.train.problems.missing import draw_kept
from echoform.train.problems.problem import Problem, ProblemFamily, draw_problem
from echoform.train.problems.stream import problem_generator
from pretended_gpu import pretended_gpu

SHAPE = (24, 16)
families = pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.name)


def drawn(family: ProblemFamily, seed: int, batch: int = 5) -> Problem:
    return draw_problem(problem_generator(seed, 0), replace(family, shape=SHAPE), batch)


@families
def test_one_seed_gives_one_problem_to_the_bit(family: ProblemFamily) -> None:
    before = torch.get_rng_state()
    first, again, other = drawn(family, 1), drawn(family, 1), drawn(family, 2)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.truth, again.truth)
    assert torch.equal(first.measurement.y, again.measurement.y)
    buffers = zip(first.operator.named_buffers(), again.operator.named_buffers(), strict=True)
    assert all(name == twin and torch.equal(a, b) for (name, a), (twin, b) in buffers)
    shapes = first.measurement.y.shape, other.measurement.y.shape
    assert shapes[0] != shapes[1] or not torch.equal(first.measurement.y, other.measurement.y)


@families
def test_parts_fit_each_other(family: ProblemFamily) -> None:
    problem = drawn(family, 3)
    operator = problem.operator
    assert problem.truth.shape == (5, *operator.domain_shape)
    assert problem.truth.shape[-2:] == SHAPE
    assert operator.batch in (1, 5)
    assert bool(torch.isfinite(problem.truth.abs()).all())
    assert bool((problem.truth.abs().flatten(1).amax(1) > 0).all())
    assert problem.measurement.metadata.truth is problem.truth
    norm = operator.normalized().norm()
    assert torch.allclose(norm, torch.ones_like(norm), atol=0.01)
    for mask in problem.scene.masks.values():
        assert mask.shape == (5, *SHAPE)


@families
def test_noise_stands_at_the_level_drawn(family: ProblemFamily, monkeypatch: pytest.MonkeyPatch) -> None:
    """The power of y - A x over that of A x, both per sample, is the stated ratio within the scatter of a chi-square."""
    monkeypatch.setattr(type(family), "disturbed", ProblemFamily.disturbed)  # what is no noise has a test of its own
    for seed in range(3):
        problem = drawn(replace(family, snr_db=(-10.0, 40.0), levels=None), seed)
        clean = problem.operator(problem.truth)
        count = problem.operator.samples().expand(5)
        noise = (problem.measurement.y - clean).abs().square().flatten(1).sum(1) / count
        signal = clean.abs().square().flatten(1).sum(1) / count
        measured_db = 10 * torch.log10(signal / noise)
        spread = (
            1.0 if clean.is_complex() else 2**0.5
        )  # of |n|^2 over its mean: one of a complex number, two of a real one's square
        tolerance = 4 * spread * 10 / torch.log(torch.tensor(10.0)) / count.sqrt() + 1e-3
        assert bool(((measured_db - problem.snr_db).abs() < tolerance).all())
        assert bool(((problem.snr_db > -10.001) & (problem.snr_db < 40.001)).all())
        assert isinstance(problem.noise, GaussianNoise)


@families
def test_problems_survive_a_file(family: ProblemFamily, tmp_path: Path) -> None:
    problem = drawn(family, 4, batch=2)
    save(problem.measurement, tmp_path / "problem.h5")
    back = load(tmp_path / "problem.h5")
    assert torch.equal(back.y, problem.measurement.y)
    assert back.metadata.truth is not None
    assert torch.equal(back.metadata.truth, problem.truth)
    error = back.operator(problem.truth) - problem.operator(problem.truth)
    assert float(error.abs().max()) <= 1e-5 * float(problem.operator(problem.truth).abs().max())


@families
def test_stated_levels_are_those_of_the_samples(family: ProblemFamily) -> None:
    """The scatter of y about A x is the variance g A x + sigma^2 of the noise stated, within that of its mean square."""
    if family.levels is None:
        pytest.skip("the family's noise follows from a ratio")
    problem = drawn(replace(family, shape=(48, 48)), 7, batch=4)
    clean = problem.operator(problem.truth).flatten(1)
    error = (problem.measurement.y.flatten(1) - clean).square()
    marks = problem.operator.support()
    marks = torch.ones_like(clean) if marks is None else marks.expand(4, *problem.operator.range_shape).flatten(1)
    variance = problem.noise.sigma.square()[:, None] * marks
    assert bool(
        ((problem.noise.sigma >= family.levels.sigma[0]) & (problem.noise.sigma <= family.levels.sigma[1])).all()
    )
    if isinstance(problem.noise, PoissonGaussianNoise):
        variance = variance + problem.noise.gain[:, None] * clean * marks
    found = error.mean(1) / variance.mean(1)
    assert bool(((found - 1).abs() < 0.35).all())
    ratio = 10 * torch.log10(clean.square().mean(1) / variance.mean(1))
    assert torch.allclose(ratio, problem.snr_db, atol=1e-3)


@families
def test_the_adjoint_shows_the_scene(family: ProblemFamily) -> None:
    """Without noise, backprojection correlates with the truth more than with another scene, what all share taken off."""
    problem = drawn(replace(family, snr_db=(60.0, 60.1), levels=None), 5, batch=8)
    operator, truth = problem.operator, problem.truth
    shared = truth.mean(0, keepdim=True) if truth.is_floating_point() else torch.zeros_like(truth[:1])
    image = operator.adjoint(problem.measurement.y - operator(shared.expand_as(truth)))
    parts = (v.flatten(1).to(torch.complex64) for v in (image, truth - shared))
    image, truth = (torch.nn.functional.normalize(v, dim=1) for v in parts)
    alike = (truth.conj() @ image.mT).abs()
    own, others = alike.diagonal(), (alike.sum(1) - alike.diagonal()) / 7
    assert float(own.median()) > 1.25 * float(others.median())  # heads all lie in the middle and resemble each other


@families
@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_problems_are_made_on_the_device(family: ProblemFamily) -> None:
    device = torch.device("cuda")
    here = drawn(family, 6)
    there = draw_problem(problem_generator(6, 0), replace(family, shape=SHAPE), 5, device)
    assert there.truth.device.type == there.measurement.y.device.type == "cuda"
    assert there.measurement.y.shape == here.measurement.y.shape


@families
def test_a_gpu_gets_the_problems_of_the_cpu(family: ProblemFamily) -> None:
    """Drawn by a generator of the CPU for a GPU, the pretended one, with norm, spectrum and coarse sensors: all as on the CPU."""
    here = drawn(family, 6)
    sensor = UnitSensor.of(here.operator, multiple=8)
    image = sensor.levels[1].adjoint(here.measurement.y)
    with pretended_gpu() as device:
        there = draw_problem(problem_generator(6, 0), replace(family, shape=SHAPE), 5, device)
        moved = UnitSensor.of(there.operator, multiple=8)
        found = there.truth, there.measurement.y, moved.norm, moved.levels[1].adjoint(there.measurement.y)
        assert all(v.device == device for v in found)
        found = [v.cpu() for v in found]
    for value, expected in zip(found, (here.truth, here.measurement.y, sensor.norm, image), strict=True):
        assert float((value - expected).norm()) <= 1e-5 * float(expected.norm())


def test_a_batch_must_hold_something() -> None:
    with pytest.raises(ValueError, match="batch must be at least 1"):
        draw_problem(torch.Generator(), FAMILIES[0], 0)


def test_patterns_of_missing_samples_keep_their_share() -> None:
    kept = draw_kept(RandomSource(torch.Generator().manual_seed(1)), 4000, 64, share=(0.5, 0.5))
    assert bool((kept[:, 32] == 1).all())
    assert float(kept.mean()) == pytest.approx(0.5, abs=0.02)
    changes = (kept[:, 1:] != kept[:, :-1]).sum(1)
    assert float((changes <= 4).double().mean()) == pytest.approx(0.5, abs=0.05)  # one gap, or one solid piece
    assert float((changes >= 62).double().mean()) == pytest.approx(0.25, abs=0.05)  # every other one
