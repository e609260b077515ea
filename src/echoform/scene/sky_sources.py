"""What an interferometer sees: rings, jets, blobs, double sources and fields of points, flux density per pixel.

Skies are real and not negative; images are complex, as all radio images here. Coordinates run from -1 to 1 across the image.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from echoform.scene.random_fields import rough_field
from echoform.scene.random_source import RandomSource
from echoform.scene.scene import Scene


def sky_source(source: RandomSource, batch: int, shape: tuple[int, int]) -> Scene:
    """Return skies of total flux density one, a kind each, over a weak extended background in half of them.

    Args:
        source: of randomness.
        batch: number of scenes.
        shape: (H, W).
    """
    kinds: tuple[Callable[[RandomSource, int, tuple[int, int]], Tensor], ...] = (ring, jet, blobs, field_of_points)
    kind = source.integers((batch,), 0, len(kinds))
    image = torch.zeros(batch, *shape, device=source.place)
    for number, draw in enumerate(kinds):
        rows = torch.nonzero(kind == number).squeeze(-1)
        if len(rows):
            image[rows] = _unit(draw(source, len(rows), shape))
    background = _unit(
        rough_field(source, batch, shape).clamp_min(0) * gaussian(source, _middle(batch, image), 0.4, shape)
    )
    level = source.decibels((batch, 1, 1), -60, -10) * source.chance((batch, 1, 1), 0.5)
    return Scene(_unit(image + level * background).to(torch.complex64)[:, None])


def ring(source: RandomSource, batch: int, shape: tuple[int, int]) -> Tensor:
    """Return rings, brighter on one side, as of a black hole's shadow, (B, H, W)."""
    x, y = _from(_centre(source, batch, 0.15), shape)
    radius, width = (source.uniform((batch, 1, 1), *bounds) for bounds in ((0.15, 0.45), (0.04, 0.15)))
    distance = torch.hypot(x, y)
    side = source.uniform((batch, 1, 1), 0, 2 * math.pi)
    contrast = source.uniform((batch, 1, 1), 0, 0.9)
    brightness = 1 + contrast * torch.cos(torch.atan2(y, x) - side)
    return brightness * torch.exp(-((distance - radius) / width).square() / 2)


def jet(source: RandomSource, batch: int, shape: tuple[int, int]) -> Tensor:
    """Return a core and knots along a curve, each longer than wide, fading outwards, (B, H, W)."""
    knots = 8
    turn = source.uniform((batch, 1), 0, 2 * math.pi)
    way = torch.arange(knots, device=source.place) / knots * source.uniform((batch, 1), 0.5, 1.2)
    bend = turn + source.uniform((batch, 1), -1.2, 1.2) * way + 0.1 * source.normal((batch, knots))
    start = _centre(source, batch, 0.3)
    place = start[:, None] + way[..., None] * torch.stack([torch.cos(bend), torch.sin(bend)], -1)
    fading = 10 ** (-source.uniform((batch, 1), 0.5, 2.5) * way)
    level = fading * source.exponential((batch, knots)) * source.present(batch, knots, 2)
    level[:, 0] = 1
    size = source.log_uniform((batch, 1), 0.02, 0.08) * (1 + 2 * way)
    return sum_of_gaussians(level, place, size, shape)


def blobs(source: RandomSource, batch: int, shape: tuple[int, int]) -> Tensor:
    """Return one to five Gaussian blobs, at times two lobes either side of a core, (B, H, W)."""
    most = 5
    place = source.uniform((batch, most, 2), -0.6, 0.6)
    apart = source.uniform((batch, 1, 2), -0.7, 0.7)
    sides = torch.tensor([0.0, 1.0, -1.0, 0.8, -0.8], device=source.place)[None, :, None] * apart
    place = torch.where(source.chance((batch, 1, 1), 0.5), sides, place)
    level = source.decibels((batch, most), -20, 0).square() * source.present(batch, most)
    return sum_of_gaussians(level, place, source.log_uniform((batch, most), 0.03, 0.3), shape)


def field_of_points(source: RandomSource, batch: int, shape: tuple[int, int]) -> Tensor:
    """Return up to 40 compact sources whose numbers fall with their flux density, (B, H, W)."""
    most = 40
    flux = 1e-3 / (1 - source.uniform((batch, most))).clamp_min(1e-3)
    level = flux * source.present(batch, most)
    return sum_of_gaussians(level, source.uniform((batch, most, 2), -0.85, 0.85), torch.full_like(level, 0.02), shape)


def sum_of_gaussians(level: Tensor, place: Tensor, size: Tensor, shape: tuple[int, int]) -> Tensor:
    """Return the sum of level exp(-r^2 / 2 size^2), (B, H, W), of Q blobs: (B, Q), places (B, Q, 2) as (x, y), (B, Q)."""
    y, x = _axes(shape, place)
    rows = torch.exp(-((y - place[..., 1, None]) / size[..., None]).square() / 2)
    columns = torch.exp(-((x - place[..., 0, None]) / size[..., None]).square() / 2)
    return torch.einsum("bq,bqh,bqw->bhw", level, rows, columns)


def gaussian(source: RandomSource, place: Tensor, size: float, shape: tuple[int, int]) -> Tensor:
    """Return one round blob per scene, (B, H, W); place is (B, 2)."""
    one = torch.ones(len(place), 1, device=source.place)
    return sum_of_gaussians(one, place[:, None], size * one, shape)


def _axes(shape: tuple[int, int], like: Tensor) -> tuple[Tensor, Tensor]:
    """y of the rows and x of the columns."""
    rows, columns = ((torch.arange(n, device=like.device) - n // 2) * (2 / n) for n in shape)
    return rows, columns


def _from(centre: Tensor, shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """(x, y) of the pixels as seen from a centre (B, 2), (B, 1, W) and (B, H, 1)."""
    y, x = _axes(shape, centre)
    return x - centre[:, None, None, 0], y[:, None] - centre[:, None, None, 1]


def _centre(source: RandomSource, batch: int, reach: float) -> Tensor:
    return source.uniform((batch, 2), -reach, reach)


def _middle(batch: int, like: Tensor) -> Tensor:
    return torch.zeros(batch, 2, device=like.device)


def _unit(image: Tensor) -> Tensor:
    return image / image.sum((1, 2), keepdim=True).clamp_min(1e-20)
