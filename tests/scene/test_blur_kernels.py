"""Blur kernels against the covariance they are drawn from and against deepinv's generators."""

from __future__ import annotations

import math

import pytest
import torch

from contracts import distance
from echoform.scene.blur_kernels import (
    GAUSSIAN_TASKS,
    MOTION_TASKS,
    PERIOD_STEPS,
    Difficulty,
    _paths,
    gaussian_kernel,
    motion_kernel,
)
from echoform.scene.random_source import RandomSource


def source(seed: int = 0) -> RandomSource:
    return RandomSource(torch.Generator().manual_seed(seed))


def spread_px(kernel: torch.Tensor) -> torch.Tensor:
    """RMS distance of each kernel's weight from its own middle, pixels, (B,)."""
    side = kernel.shape[-1]
    place = torch.arange(side, dtype=kernel.dtype)
    rows, columns = kernel.sum((1, 3)), kernel.sum((1, 2))
    total = 0.0
    for marginal in (rows, columns):
        mean = (marginal * place).sum(1, keepdim=True)
        total = total + (marginal * (place - mean).square()).sum(1)
    return torch.as_tensor(total).sqrt()


def test_gaussians_have_their_moments() -> None:
    kernel = gaussian_kernel(torch.tensor([[2.0, 3.0], [3.0, 1.5]]), torch.tensor([0.0, math.pi / 2]))
    assert torch.allclose(kernel.sum((1, 2, 3)), torch.ones(2))
    place = torch.arange(31.0) - 15
    rows, columns = ((kernel.sum(axes) * place.square()).sum(1).sqrt() for axes in ((1, 3), (1, 2)))
    assert torch.allclose(rows, torch.tensor([2.0, 1.5]), rtol=1e-3)
    assert torch.allclose(columns, torch.tensor([3.0, 3.0]), rtol=1e-3)


def test_paths_have_the_covariance_said() -> None:
    """The mean square step over a lag d is 2 (c(0) - c(d)), whatever the mean that is taken off."""
    length, deviation = torch.full((4000,), 0.3), torch.full((4000,), 0.25)
    path = _paths(source(), length, deviation)
    assert path.shape[-1] == 159
    assert float(path.mean(-1).abs().max()) < 1e-12
    for lag in (5, 40, 120):
        r = math.sqrt(5) * lag * 2 * math.pi / PERIOD_STEPS / 0.3
        expected = 2 * 0.25**2 * (1 - (1 + r + r * r / 3) * math.exp(-r))
        found = float((path[..., lag] - path[..., 0]).square().mean())
        assert found == pytest.approx(expected, rel=4 * math.sqrt(2 / 8000))


def test_motion_kernels_sum_to_one_and_grow_with_the_difficulty() -> None:
    spreads = []
    for level in Difficulty:
        task = MOTION_TASKS[level]
        kernel = motion_kernel(source(1), torch.full((200,), task.length), torch.full((200,), task.deviation))
        assert kernel.shape == (200, 1, 31, 31)
        assert float(kernel.min()) >= 0
        assert torch.allclose(kernel.sum((1, 2, 3)), torch.ones(200))
        spreads.append(float(spread_px(kernel).mean()))
    assert spreads[0] < spreads[1] < spreads[2]
    assert [GAUSSIAN_TASKS[level].deviation_px for level in Difficulty] == [1, 2, 4]


def test_a_path_outside_is_drawn_again() -> None:
    kernel = motion_kernel(source(), torch.full((50,), 0.2), torch.full((50,), 40.0), side=3)
    assert torch.allclose(kernel.sum((1, 2, 3)), torch.ones(50))


def test_deepinv_draws_alike() -> None:
    """Gaussians equal theirs; the spread of motion kernels has the same distribution (two-sample Kolmogorov-Smirnov)."""
    pytest.importorskip("deepinv", reason="deepinv is not installed: pip install 'echoform[deepinv]'")
    from deepinv.physics.functional import gaussian_blur
    from deepinv.physics.generator import MotionBlurGenerator
    from scipy.stats import ks_2samp

    deviation, degrees = torch.tensor([[1.0, 4.0], [2.0, 0.7]]), torch.tensor([30.0, -70.0])
    theirs = gaussian_blur((31, 31), deviation, degrees)
    assert distance(gaussian_kernel(deviation, torch.deg2rad(degrees)), theirs) < 1e-5
    for level in Difficulty:
        task = MOTION_TASKS[level]
        drawn = MotionBlurGenerator((31, 31), l=task.length, sigma=task.deviation).step(100, seed=0)["filter"]
        ours = motion_kernel(source(2), torch.full((300,), task.length), torch.full((300,), task.deviation))
        assert ks_2samp(spread_px(ours).numpy(), spread_px(drawn).numpy()).pvalue > 1e-3
