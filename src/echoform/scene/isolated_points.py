"""Isolated scatterers: anywhere or on pixels, alone, in clusters or in lines, with powers of several laws over 60 dB and more."""

from __future__ import annotations

import math
from enum import Enum, auto

import torch
from torch import Tensor

from echoform.scene.frame import Frame
from echoform.scene.point_response import PointResponse, draw_response, render
from echoform.scene.random_source import RandomSource
from echoform.scene.scene import Scene, still_centres


class PowerLaw(Enum):
    """How the powers of points are spread."""

    #: uniform in decibels
    LOG_UNIFORM = auto()
    #: exponential (Swerling's first two cases)
    EXPONENTIAL = auto()
    #: P(power > p) falls as 1 / p: few outshine all others
    PARETO = auto()


def magnitudes(source: RandomSource, shape: tuple[int, ...], law: PowerLaw, *, range_db: float = 80.0) -> Tensor:
    """Return amplitudes of at most one and at least ``range_db`` below it.

    Args:
        source: of randomness.
        shape: of the result.
        law: how the powers are spread.
        range_db: from the strongest possible to the weakest, decibels.
    """
    least = 10 ** (-range_db / 10)
    if law is PowerLaw.LOG_UNIFORM:
        power = source.log_uniform(shape, least, 1.0)
    elif law is PowerLaw.EXPONENTIAL:
        power = source.exponential(shape) / 10
    else:
        power = least / (1 - source.uniform(shape)).clamp_min(least)
    return power.clamp(least, 1.0).sqrt()


def points(
    source: RandomSource,
    frame: Frame,
    *,
    most: int | None = None,
    range_db: float = 80.0,
    response: PointResponse | None = None,
) -> Scene:
    """Return one to ``most`` points per scene; each scene has its own law of powers and arrangement.

    In half of the scenes every point is exactly one pixel. Of the arrangements a third each are uniform, in three clusters, and
    along a line.

    Args:
        source: of randomness.
        frame: pixels.
        most: greatest number, log-uniform from one; a point for 64 pixels when absent.
        range_db: from the strongest possible to the weakest, decibels.
        response: how points between pixels look; drawn when absent.
    """
    batch, count = frame.batch, most or max(2, math.prod(frame.shape) // 64)
    wanted = source.log_uniform((batch, 1), 1, count + 0.999).long()
    present = torch.arange(count, device=source.place)[None] < wanted
    laws = torch.stack([magnitudes(source, (batch, count), law, range_db=range_db) for law in PowerLaw])
    law = source.integers((batch,), 0, len(PowerLaw))
    magnitude = laws[law, torch.arange(batch, device=source.place)] * present
    position = _arranged(source, frame, count)
    pixel = frame.pixels(position).round()
    middle = torch.tensor([n // 2 for n in frame.shape], device=source.place)
    snapped = ((pixel - middle) * frame.spacing_m[:, None]).flip(-1)
    exact = source.chance((batch,), 0.5)
    position = torch.where(exact[:, None, None], snapped, position)
    amplitude = magnitude * source.phase((batch, count)) * frame.inside(position)
    owner = torch.full((batch, count), -1, device=source.place)
    centres = still_centres(position, amplitude, owner)
    look = response or draw_response(source, batch)
    look = PointResponse(torch.where(exact, 0.0, look.shape), torch.where(exact, 1.0, look.share))
    return Scene(render(centres, frame, look), centres)


def _arranged(source: RandomSource, frame: Frame, count: int) -> Tensor:
    """Positions (x, y), (B, count, 2), metres."""
    batch, size = frame.batch, frame.extent_m().flip(1)[:, None]
    uniform = frame.anywhere_m(source, count)
    cluster = source.integers((batch, count, 1), 0, 3).expand(-1, -1, 2)
    centre = frame.anywhere_m(source, 3, share=0.7).gather(1, cluster)
    clustered = centre + source.normal((batch, count, 2)) * source.uniform((batch, 1, 1), 0.02, 0.12) * size
    turn = source.uniform((batch, 1), 0, math.pi)
    direction = torch.stack([torch.cos(turn), torch.sin(turn)], -1) * size
    along = source.uniform((batch, count, 1), -0.5, 0.5)
    line = frame.anywhere_m(source, 1, share=0.5) + along * direction
    choice = source.integers((batch, 1, 1), 0, 3)
    last = torch.tensor([min(0.45, 0.5 - 1 / n) for n in reversed(frame.shape)], device=source.place)
    return _folded(torch.where(choice == 0, uniform, torch.where(choice == 1, clustered, line)), last * size)


def _folded(position_m: Tensor, half_m: Tensor) -> Tensor:
    """Positions beyond +-half turned back inside, as by mirrors at the border."""
    return half_m - (torch.remainder(position_m + half_m, 4 * half_m) - 2 * half_m).abs()
