"""Pictures that resemble photographs where none are at hand: opaque things of all sizes lying over one another.

Leaves of radius r, density proportional to r^-3 between a pixel and a good part of the side, fall one after the other on a
shaded ground; the uppermost is seen. That law makes the picture look alike at all scales, with the occlusions and the power
spectrum about k^-2 of photographs; each picture has a least radius of its own, from crowded to plain. A leaf is a turned ellipse
or rectangle with colour, shading and texture of its own; light falls unevenly, and a lens blurs the whole.

Leaves of each octave of r are painted in windows as large as the octave needs, so that every octave costs about as much as the
picture has pixels.

Source: Lee, Mumford and Huang (2001), Int. J. Computer Vision 41 (the model); Baradad et al. (2021), NeurIPS, "Learning to see by
looking at noise" (what networks learn from it).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from echoform.scene.random_fields import rough_field, squared_frequency
from echoform.scene.random_source import RandomSource
from echoform.scene.scene import Scene

#: the area of each octave of leaves over that of the picture
COVER = 0.5
#: smallest radius, pixels, and largest over the shorter side
RADIUS = (1.0, 0.9)
#: range of the least radius of a picture, pixels
LEAST = (1.0, 16.0)
#: standard deviation of luminance and of the two opponent colours among the leaves of a picture
SPREAD = (0.28, 0.09, 0.06)
#: luminance, red against blue, and green against both, each of unit length
OPPONENT = (
    (0.57735, 0.57735, 0.57735),
    (0.70711, 0.0, -0.70711),
    (-0.40825, 0.81650, -0.40825),
)


@dataclass(frozen=True)
class Leaves:
    """Leaves of a batch of pictures, the lowest first; lengths in pixels.

    Attributes:
        centre: (row, column), (B, N, 2).
        radius: (B, N).
        turn: cosine and sine, (B, N, 2).
        stretch: half axes over the radius, (B, N, 2).
        square: whether it is a rectangle, (B, N).
    """

    centre: Tensor
    radius: Tensor
    turn: Tensor
    stretch: Tensor
    square: Tensor


def dead_leaves(source: RandomSource, batch: int, shape: tuple[int, int], *, channels: int = 3) -> Scene:
    """Return pictures of values 0 to 1, (B, channels, H, W) float32.

    Args:
        source: of randomness.
        batch: number of scenes.
        shape: (H, W).
        channels: 3 for colour, 1 for brightness.
    """
    octaves = _octaves(shape)
    leaves = _draw(source, batch, shape, octaves)
    seen = _uppermost(source, leaves, shape, octaves)
    surface = _surfaces(source, leaves, shape, channels)
    row = torch.arange(batch, device=source.place)[:, None, None] * surface.shape[1]
    shown = surface.flatten(0, 1)[(seen + row).flatten()].unflatten(0, seen.shape)
    image = shown[..., :channels].movedim(-1, 1) * torch.exp(_shade(source, shown[..., channels:]))[:, None]
    exposure = source.uniform((batch, 1, 1, 1), 0.7, 1.3)
    return Scene((_lens(source, image) * exposure).clamp(0, 1))


def _octaves(shape: tuple[int, int]) -> list[tuple[float, int]]:
    """Smallest radius of each octave and the number of its leaves: mean area 2 ln 2 pi r^2 of a density r^-3, times 0.75."""
    radius, found = RADIUS[0], []
    while radius < RADIUS[1] * min(shape):
        area = 0.75 * math.pi * radius**2 * (2 * math.log(2) / (1 - 0.25))
        found.append((radius, max(3, round(COVER * shape[0] * shape[1] / area))))
        radius *= 2
    return found


def _draw(source: RandomSource, batch: int, shape: tuple[int, int], octaves: list[tuple[float, int]]) -> Leaves:
    count = sum(number for _, number in octaves)
    smallest = torch.cat([torch.full((number,), radius, device=source.place) for radius, number in octaves])
    radius = smallest / torch.sqrt(1 - 0.75 * source.uniform((batch, count)))
    size = torch.tensor(shape, device=source.place)
    centre = source.uniform((batch, count, 2), -0.1, 1.1) * size
    angle = source.uniform((batch, count), 0, math.pi)
    ratio = source.log_uniform((batch, count), 0.12, 1.0)
    square = source.chance((batch, count), 0.3)
    turn = torch.stack([torch.cos(angle), torch.sin(angle)], -1)
    return Leaves(centre, radius, turn, torch.stack([torch.ones_like(ratio), ratio], -1), square)


def _uppermost(
    source: RandomSource, leaves: Leaves, shape: tuple[int, int], octaves: list[tuple[float, int]]
) -> Tensor:
    """Which leaf each pixel shows, 0 for the ground and 1 + n for leaf n, (B, H, W) int64; leaves lie in random order."""
    batch, count = leaves.radius.shape
    height, width = shape
    order = source.uniform((batch, count)).argsort(1)
    large = leaves.radius >= source.log_uniform((batch, 1), *LEAST)
    rank = torch.empty_like(leaves.radius).scatter_(
        1, order, torch.arange(1.0, count + 1, device=order.device).expand(batch, -1)
    )
    top = torch.zeros(batch, height * width, device=source.place)
    first = 0
    for radius, number in octaves:
        some, first = slice(first, first + number), first + number
        reach = math.ceil(2 * radius)
        rows, columns = (torch.arange(min(2 * reach + 1, n), device=source.place) for n in shape)
        corner = leaves.centre[:, some].round().long() - reach
        row = corner[..., :1].clamp(0, height - len(rows)) + rows
        column = corner[..., 1:].clamp(0, width - len(columns)) + columns
        inside = _covers(leaves, some, row, column)
        index = (row * width)[..., :, None] + column[..., None, :]
        value = inside * (rank * large)[:, some, None, None]
        top.scatter_reduce_(1, index.flatten(1), value.flatten(1), "amax")
    order = torch.cat([torch.zeros_like(order[:, :1]), order + 1], 1)
    return order.gather(1, top.long()).unflatten(1, shape)


def _covers(leaves: Leaves, some: slice, row: Tensor, column: Tensor) -> Tensor:
    """Whether leaves cover pixels of the rows (B, N, h) and columns (B, N, w), (B, N, h, w)."""
    half = leaves.radius[:, some, None] * leaves.stretch[:, some]
    y, x = (part[..., None] for part in leaves.centre[:, some].unbind(-1))
    down, right = row - y, column - x
    along, across = ((leaves.turn[:, some, None] / half[..., None]).unbind(2)[i] for i in (0, 1))
    u = (along[..., :1] * right)[..., None, :] + (along[..., 1:] * down)[..., :, None]
    v = (across[..., :1] * down)[..., :, None] - (across[..., 1:] * right)[..., None, :]
    u, v = u.square_(), v.square_()
    return torch.where(leaves.square[:, some, None, None], torch.maximum(u, v), u + v) <= 1


def _surfaces(source: RandomSource, leaves: Leaves, shape: tuple[int, int], channels: int) -> Tensor:
    """What ground and leaves look like, (B, 1 + N, channels + 8): colour, then the eight numbers of :func:`_shade`."""
    batch, count = leaves.radius.shape
    ground = leaves.radius.new_tensor([shape[0] / 2, shape[1] / 2]).expand(batch, 1, 2)
    centre = torch.cat([ground, leaves.centre], 1)
    radius = torch.cat([torch.full_like(leaves.radius[:, :1], max(shape) / 2), leaves.radius], 1)
    slope = 0.25 * source.normal((batch, count + 1, 2)) / radius[..., None]
    texture = source.uniform((batch, count + 1)).square() * 0.5
    stripe = 0.4 * source.uniform((batch, count + 1)) * source.chance((batch, count + 1), 0.15)
    turns = 2 * math.pi / source.log_uniform((batch, count + 1), 2.5, 12)
    wave = turns[..., None] * torch.cat([torch.ones_like(ground), leaves.turn], 1)
    offset = -(slope * centre).sum(-1)
    phase = source.uniform((batch, count + 1), 0, 2 * math.pi)
    numbers = torch.stack([offset, *slope.unbind(-1), texture, stripe, phase, *wave.unbind(-1)], -1)
    return torch.cat([_colours(source, batch, count + 1, channels), numbers], -1)


def _shade(source: RandomSource, shown: Tensor) -> Tensor:
    """Logarithm of the brightness over the leaf's own colour, (B, H, W): o + a r + b c + k z + m sin(p + f r + g c)."""
    batch, height, width, _ = shown.shape
    offset, a, b, texture, stripe, phase, f, g = shown.unbind(-1)
    row = torch.arange(height, device=source.place)[:, None]
    column = torch.arange(width, device=source.place)
    stripes = stripe * torch.sin(phase + f * row + g * column)
    return offset + a * row + b * column + texture * rough_field(source, batch, (height, width)) + stripes


def _colours(source: RandomSource, batch: int, count: int, channels: int) -> Tensor:
    """Colours of leaves about a mean of each picture, (B, count, channels), positive."""
    spread = torch.tensor(SPREAD, device=source.place)
    middle = source.normal((batch, 1, 3)) * 0.5 * spread
    contrast = source.uniform((batch, 1, 1), 0.4, 1.2)
    drawn = middle + contrast * source.normal((batch, count, 3)) * spread
    drawn[..., 0] += 0.45 * math.sqrt(3)
    axes = torch.tensor(OPPONENT, device=source.place)
    colours = (drawn @ axes).clamp_min(0.02)
    return colours if channels == 3 else colours.mean(-1, keepdim=True)


def _lens(source: RandomSource, image: Tensor) -> Tensor:
    """The picture blurred by a Gaussian of 0.3 to 0.7 pixels, in a sixth of the scenes of up to 2, with fine grain."""
    batch, _, height, width = image.shape
    deviation = source.uniform((batch,), 0.3, 0.7)
    deviation = torch.where(source.chance((batch,), 1 / 6), source.uniform((batch,), 0.7, 2.0), deviation)
    k2 = squared_frequency((height, width), source.place)
    blur = torch.exp(-0.5 * deviation[:, None, None].square() * k2)
    sharp = torch.fft.irfft2(blur[:, None] * torch.fft.rfft2(image), s=(height, width))
    return sharp * (1 + 0.02 * source.uniform((batch, 1, 1, 1)) * source.normal((batch, 1, height, width)))
