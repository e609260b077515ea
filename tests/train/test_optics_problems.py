"""Families of optics and tomography: the paper's ranges and kinds, scenes with and without photographs."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from echoform.physics.channelwise import ChannelwiseOperator
from echoform.physics.compositions import ComposedOperator, ScaledOperator
from echoform.physics.convolution import CircularConvolution
from echoform.physics.noise import GaussianNoise, PoissonGaussianNoise
from echoform.physics.tomography import Tomography
from echoform.scene.beams import FanBeam, ParallelBeam
from echoform.scene.blur_kernels import Difficulty
from echoform.scene.photographs import Photographs, brightness
from echoform.train.problems.deblurring import Deblurring, deblurring_task
from echoform.train.problems.demosaicing import Demosaicing
from echoform.train.problems.denoising import Denoising
from echoform.train.problems.inpainting import Inpainting
from echoform.train.problems.noise_levels import NoiseLevels
from echoform.train.problems.problem import Problem, ProblemFamily, draw_problem
from echoform.train.problems.stream import problem_generator
from echoform.train.problems.super_resolution import SuperResolution
from echoform.train.problems.tomography import ComputedTomography

PICTURE = torch.rand(3, 40, 50, generator=torch.Generator().manual_seed(0))


def draw(family: ProblemFamily, index: int = 0, batch: int = 4) -> Problem:
    return draw_problem(problem_generator(2, index), family, batch)


def test_pictures_are_gray_or_in_colour() -> None:
    channels = {draw(Denoising(shape=(16, 16)), index).truth.shape[1] for index in range(12)}
    assert channels == {1, 3}


def test_photographs_are_used_where_there_are_some() -> None:
    """A photograph of one colour shows as that colour, and as its brightness in gray."""
    flat = PICTURE.new_tensor([0.2, 0.5, 0.7])[:, None, None].expand(3, 40, 50)
    family = Denoising(shape=(16, 16), photographs=Photographs((flat,)), measured=1.0)
    for index in range(8):
        truth = draw(family, index).truth
        expected = flat[:, :1, :1] if truth.shape[1] == 3 else brightness(flat[:, :1, :1])
        assert torch.allclose(truth, expected.expand_as(truth[0]), atol=1e-5)
    half = replace(family, measured=0.5)
    flatness = [float(draw(half, index).truth.std((-2, -1)).amax()) < 1e-4 for index in range(30)]
    assert 5 < sum(flatness) < 25


def test_levels_are_the_papers() -> None:
    ranges = {
        Denoising: ((0.001, 0.2), (0.01, 1.0)),
        Deblurring: ((0.001, 0.2), None),
        Inpainting: ((0.01, 0.2), (0.01, 1.0)),
        SuperResolution: ((0.001, 0.01), None),
    }
    for family, (sigma, gain) in ranges.items():
        levels = family().levels
        assert levels is not None
        assert (levels.sigma, levels.gain) == (sigma, gain)
        kind = GaussianNoise if gain is None else PoissonGaussianNoise
        assert isinstance(draw(family(shape=(16, 16))).noise, kind)


def test_counted_scenes_are_the_share_said() -> None:
    noise = NoiseLevels((0.1, 0.2), (0.01, 1.0), counted=0.3)
    drawn = draw(Denoising(shape=(4, 4), levels=noise), batch=2000).noise
    assert isinstance(drawn, PoissonGaussianNoise)
    gain = drawn.gain
    assert float((gain > 0).float().mean()) == pytest.approx(0.3, abs=0.04)
    assert float(gain[gain > 0].min()) >= 0.01
    steep = NoiseLevels((1e-4, 1.0), logarithmic=True)
    sigma = draw(Denoising(shape=(4, 4), levels=steep), batch=2000).noise.sigma
    assert float(sigma.median().log10()) == pytest.approx(-2, abs=0.15)


def test_blur_is_circular_or_valid_and_kernels_sum_to_one() -> None:
    kinds = set()
    for index in range(10):
        problem = draw(Deblurring(shape=(64, 64)), index, batch=2)
        operator = problem.operator
        kinds.add(type(operator))
        assert operator.batch == 2
        flat = torch.ones_like(problem.truth)
        assert torch.allclose(operator(flat), torch.ones_like(problem.measurement.y), atol=1e-4)
        if not isinstance(operator, CircularConvolution):
            assert operator.range_shape[1:] == (34, 34)  # 64 - 31 + 1
    assert kinds == {CircularConvolution, ComposedOperator, ChannelwiseOperator}


@pytest.mark.parametrize("difficulty", Difficulty)
@pytest.mark.parametrize("motion", [True, False])
def test_the_papers_test_problems(difficulty: Difficulty, motion: bool) -> None:
    problem = draw(deblurring_task(difficulty, motion=motion), batch=2)
    sigma = {Difficulty.EASY: 0.01, Difficulty.MEDIUM: 0.05, Difficulty.HARD: 0.1}[difficulty]
    assert torch.allclose(problem.noise.sigma, torch.full((2,), sigma))
    assert problem.measurement.y.shape[1:] == (3, 34, 34)


def test_masks_are_of_three_kinds_and_keep_their_share() -> None:
    family = Inpainting(shape=(32, 32), channels=(3,), kept=(0.5, 0.5), lines=0.0, entries=0.0)
    mask = draw(family, batch=8).operator.support()
    assert mask is not None
    mask = mask.expand(-1, 3, -1, -1)
    assert torch.equal(mask[:, 0], mask[:, 2])
    assert float(mask.mean()) == pytest.approx(0.5, abs=0.03)
    entries = draw(replace(family, entries=1.0)).operator.support()
    assert entries is not None
    assert float((entries[:, 0] != entries[:, 2]).float().mean()) == pytest.approx(0.5, abs=0.05)
    lines = draw(replace(family, lines=1.0), batch=8).operator.support()
    assert lines is not None
    lines[..., 16, 16] = lines[..., 16, 15]
    along = [
        (lines == lines[..., :1]).flatten(1).float().mean(1),
        (lines == lines[..., :1, :]).flatten(1).float().mean(1),
    ]
    assert bool((torch.stack(along).amax(0) > 0.95).all())
    assert {int(i) for i in torch.stack(along).argmax(0)} == {0, 1}


def test_factors_divide_the_sides() -> None:
    shapes = {draw(SuperResolution(shape=(16, 24)), index).measurement.y.shape[-1] for index in range(12)}
    assert shapes == {12, 6}
    assert {draw(SuperResolution(shape=(18, 22)), index).measurement.y.shape[-1] for index in range(6)} == {11}
    with pytest.raises(ValueError, match="none of the factors"):
        draw(SuperResolution(shape=(17, 16)))


def test_bayer_patterns_begin_anywhere() -> None:
    found = [draw(Demosaicing(shape=(16, 16)), index).operator.support() for index in range(30)]
    assert len({tuple(m[0, 2, :2, :2].flatten().tolist()) for m in found if m is not None}) == 4


def test_beams_and_sections() -> None:
    """Parallel and fan beams of 10 to 51 angles, of unit norm; a section of water shows as one half."""
    water = Photographs((torch.ones(1, 30, 30),))
    family = ComputedTomography(shape=(16, 16), sections=water, measured=1.0)
    beams, angles = set(), set()
    for index in range(16):
        problem = draw(family, index, batch=2)
        operator = problem.operator
        assert isinstance(operator, ScaledOperator)
        assert isinstance(operator.base, Tomography)
        beams.add(type(operator.base.beam))
        angles.add(operator.range_shape[1])
        assert torch.allclose(problem.truth, torch.full_like(problem.truth, 0.5))
        assert torch.linalg.matrix_norm(dense_image(operator), 2) == pytest.approx(1, abs=0.01)
    assert beams == {ParallelBeam, FanBeam}
    assert angles == {10, 20, 51}


def dense_image(operator: ScaledOperator) -> torch.Tensor:
    size = torch.Size(operator.domain_shape).numel()
    units = torch.eye(size).reshape(size, *operator.domain_shape)
    return operator(units).flatten(1).T


def test_a_ratio_takes_the_place_of_levels() -> None:
    problem = draw(replace(Denoising(shape=(32, 32)), levels=None, snr_db=(12.0, 12.0)))
    assert isinstance(problem.noise, GaussianNoise)
    assert torch.allclose(problem.snr_db, torch.full((4,), 12.0), atol=1e-3)
