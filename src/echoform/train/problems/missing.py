"""Which samples of an axis were taken: all, some at random, every n-th, or all but a gap."""

from __future__ import annotations

import torch
from torch import Tensor

from echoform.scene.random_source import RandomSource


def draw_kept(source: RandomSource, batch: int, count: int, *, share: tuple[float, float]) -> Tensor:
    """Return 0/1, (B, count), float64: a share of the samples, log-uniform in the range, in one of four patterns.

    A quarter each: at random; every n-th; all but one gap; a solid piece. The middle sample is always taken.

    Args:
        source: of randomness.
        batch: number of sensors.
        count: samples of the axis.
        share: of samples taken, lowest and highest.
    """
    kept = source.log_uniform((batch, 1), *share)
    index = torch.arange(count, device=source.place)
    at_random = source.uniform((batch, count)) < kept
    step = (1 / kept).round().clamp_min(1)
    regular = torch.remainder(index, step) == torch.remainder(torch.full_like(index[:1], count // 2), step)
    away = torch.remainder(index - source.uniform((batch, 1)) * count, count)
    gap = away < kept * count
    solid = (index - (count - 1) / 2).abs() <= kept * count / 2
    pattern = source.integers((batch, 1), 0, 4)
    taken = torch.where(
        pattern == 0, at_random, torch.where(pattern == 1, regular, torch.where(pattern == 2, gap, solid))
    )
    taken[:, count // 2] = True
    return taken.double()
