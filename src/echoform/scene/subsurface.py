"""The ground below a radar's line: layers, pipes, voids and stones in a vertical section.

The frame's rows rise as in :class:`echoform.scene.soil.Section`: the last row is the uppermost, y grows upwards. The image is
the reflectivity at each place, after the way through the soil has been made up for. An interface reflects with its coefficient
of either sign; a pipe shows the arc of its top and, weaker and of opposite sign, that of its bottom, which appears at

    top - 2 r n_inside / n_soil

because the wave inside travels at another speed. A void does the same with a rough roof and floor.

Source: Daniels, Ground Penetrating Radar (2004), chapter 2.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from echoform.scene.frame import Frame
from echoform.scene.outline import ellipse, to_body
from echoform.scene.point_response import PointResponse, draw_response, render
from echoform.scene.random_fields import developed_speckle, gamma_texture, rough_field
from echoform.scene.random_source import RandomSource
from echoform.scene.scattering_parts import union
from echoform.scene.scene import Centres, ObjectKind, Objects, Scene, SceneClass, both, objects_at_rest, still_centres

#: greatest numbers of interfaces and stones
INTERFACES, STONES = 4, 24
#: centres along a top and along a bottom
TOP, BOTTOM = 20, 12


def subsurface(source: RandomSource, frame: Frame, *, most: int = 4, response: PointResponse | None = None) -> Scene:
    """Return sections with up to ``most`` pipes and voids, masks INTERFACE, PIPE and VOID.

    Args:
        source: of randomness.
        frame: pixels; rows rise, columns run along the line; 0.01 to 0.05 m is usual.
        most: N, greatest number of pipes and voids.
        response: how points look; drawn when absent.
    """
    depth, sheets = _interfaces(source, frame)
    soil = _volume(source, frame, depth)
    objects, ratio = _layout(source, frame, most)
    centres = both(_echoes(source, objects, ratio), _stones(source, frame))
    points = render(centres, frame, response or draw_response(source, frame.batch))
    u, v = to_body(frame, objects.position_m, objects.heading_rad)
    inside = ellipse(u, v, objects.size_m[..., 0], objects.size_m[..., 2])
    pipe = objects.kind == ObjectKind.PIPE.value
    masks = {
        SceneClass.INTERFACE: sheets.abs() > 0.5 * sheets.abs().amax((1, 2), keepdim=True),
        SceneClass.PIPE: union(inside, objects.present & pipe),
        SceneClass.VOID: union(inside, objects.present & ~pipe),
    }
    return Scene((soil + sheets)[:, None] + points, centres, objects, masks)


def _interfaces(source: RandomSource, frame: Frame) -> tuple[Tensor, Tensor]:
    """Row of each interface in every column, (B, L, W), and the image of all, (B, H, W)."""
    batch, (height, width) = frame.batch, frame.shape
    column = torch.arange(width, device=source.place) / width
    cycles = source.uniform((batch, INTERFACES, 4, 1), 0.2, 4)
    angle = 2 * math.pi * (cycles * column + source.uniform((batch, INTERFACES, 4, 1)))
    waves = (source.normal((batch, INTERFACES, 4, 1)) / (1 + cycles) * torch.sin(angle)).sum(2)
    slope = source.uniform((batch, 1, 1), -0.15, 0.15) * (column - 0.5)
    base = source.uniform((batch, INTERFACES, 1), 0.1, 0.95)
    row = height * (base + slope + source.log_uniform((batch, 1, 1), 0.003, 0.08) * waves)
    strength = source.decibels((batch, INTERFACES), -45, -15) * source.present(batch, INTERFACES, 0)
    sign = torch.where(source.chance((batch, INTERFACES), 0.5), 1.0, -1.0)
    from_it = (torch.arange(height, device=source.place)[:, None] - row[:, :, None]).clamp(-2, 2)
    wavelet = 0.5 + 0.5 * torch.cos(math.pi / 2 * from_it)
    phase = source.phase((batch, 1, 1))
    fading = (1 + 0.3 * source.white((batch, 1, width))) * phase
    return row, fading * torch.einsum("bl,blhw->bhw", strength * sign, wavelet)


def _volume(source: RandomSource, frame: Frame, row: Tensor) -> Tensor:
    """Clutter of the soil, 70 to 45 dB below the strongest echo, another level in every layer, (B, H, W) complex64."""
    batch, (height, _) = frame.batch, frame.shape
    j = torch.arange(height, device=source.place)[:, None]
    layer = (j < row[:, :, None]).sum(1)
    level = source.decibels((batch, INTERFACES + 1), -70, -45)
    amplitude = level.gather(1, layer.flatten(1)).reshape(layer.shape)
    texture = gamma_texture(rough_field(source, batch, frame.shape), source.log_uniform((batch, 1), 0.5, 10))
    return amplitude * developed_speckle(source, texture)


def _layout(source: RandomSource, frame: Frame, most: int) -> tuple[Objects, Tensor]:
    """Pipes (circles) and voids (flat ellipses), and n_inside / n_soil of each, (B, N)."""
    shape = (frame.batch, most)
    side = frame.side_m()[:, None]
    pipe = source.chance(shape, 0.7)
    long = side * torch.where(pipe, source.log_uniform(shape, 0.04, 0.22), source.uniform(shape, 0.15, 0.45))
    high = torch.where(pipe, long, long * source.uniform(shape, 0.25, 0.8))
    kind = torch.where(pipe, ObjectKind.PIPE.value, ObjectKind.VOID.value)
    position = frame.anywhere_m(source, most, share=0.75)
    size = torch.stack([long, long, high], -1)
    objects = objects_at_rest(kind, source.present(frame.batch, most), position, torch.zeros_like(long), size)
    return objects, source.uniform(shape, 0.3, 1.0)


def _echoes(source: RandomSource, objects: Objects, ratio: Tensor) -> Centres:
    """Centres along the tops and bottoms of pipes and voids."""
    shape = tuple(objects.present.shape)
    pipe = (objects.kind == ObjectKind.PIPE.value)[..., None]
    long, high = objects.size_m[..., 0, None], objects.size_m[..., 2, None]
    angle_top = torch.linspace(-1.25, 1.25, TOP, device=source.place)
    angle_bottom = torch.linspace(-0.8, 0.8, BOTTOM, device=source.place)
    top = torch.stack([torch.sin(angle_top) * long, torch.cos(angle_top) * high], -1) / 2
    apparent = high / 2 - high * ratio[..., None] * torch.cos(angle_bottom)
    bottom = torch.stack([torch.sin(angle_bottom) * long / 2 * torch.ones_like(apparent), apparent], -1)
    rough = torch.where(pipe, 0.1, 1.2)

    def strength(angle: Tensor, low_db: float, high_db: float) -> Tensor:
        level = source.decibels((*shape, 1), low_db, high_db) * torch.cos(angle).clamp_min(0).square()
        phi = rough * source.normal((*shape, len(angle)))
        return level * torch.polar(torch.ones_like(phi), phi)

    echo = torch.cat([strength(angle_top, -25, 0), -strength(angle_bottom, -40, -12)], -1)
    amplitude = echo * source.phase((*shape, 1)) * objects.present[..., None]
    position = objects.position_m[:, :, None] + torch.cat([top, bottom], 2)
    owner = torch.arange(shape[1], device=source.place)[None, :, None].expand(amplitude.shape)
    return still_centres(position.flatten(1, 2), amplitude.flatten(1), owner.flatten(1))


def _stones(source: RandomSource, frame: Frame) -> Centres:
    shape = (frame.batch, STONES)
    amplitude = source.decibels(shape, -60, -25) * source.phase(shape) * source.present(*shape, 0)
    owner = torch.full(shape, -1, device=source.place)
    return still_centres(frame.anywhere_m(source, STONES), amplitude, owner)
