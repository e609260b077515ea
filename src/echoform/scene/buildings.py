"""Buildings: facades and roofs laid over towards the radar, the bright line of the double bounce, and the shadow behind.

A flat-roofed box of height h on level ground appears in ground range as

    roof            the footprint moved by h tan(g) towards the radar
    facade          from the foot of the facing walls over h tan(g) towards the radar
    double bounce   wall to ground to radar: a line at the foot of the facing walls, strongest when seen square on
    shadow          behind it over h / tan(g), its own ground included, as far as no roof is laid over it

g is the grazing angle. Facade and roof add where they meet, and to the ground that they fall upon. Windows make a lattice of
bright points on the facade. Levels are absolute, in the unit of :mod:`echoform.scene.composed`: backscatter of a square metre of
roof or facade as they appear on the ground, cross section of a window, and that of a metre of wall that doubles the echo.

Source: Franceschetti, Iodice and Riccio (2002), IEEE Trans. Geosci. Remote Sens. 40(8), section II (the mechanisms).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from echoform.scene.frame import Frame, Illumination, draw_illumination
from echoform.scene.outline import body_direction, box, swept_box, to_body, to_ground
from echoform.scene.point_response import PointResponse, draw_response, render, unweighted, weighted
from echoform.scene.random_fields import developed_speckle
from echoform.scene.random_source import RandomSource
from echoform.scene.scattering_parts import union
from echoform.scene.scene import Centres, ObjectKind, Objects, Scene, SceneClass, objects_at_rest, still_centres

#: backscatter of roofs and facades, decibels
ROOF_DB, FACADE_DB = (-18.0, -6.0), (-8.0, 4.0)
#: cross section of a window over one square metre, and of a metre of wall seen square on over one metre, decibels
WINDOW_DB, WALL_DB = (-12.0, 20.0), (2.0, 24.0)
#: windows across and along the height of a facade
WINDOWS = (8, 6)


@dataclass(frozen=True)
class Footprints:
    """Which pixels show what of each building, (B, N, H, W) bool."""

    roof: Tensor
    facade: Tensor
    shadow: Tensor


def buildings(
    source: RandomSource,
    frame: Frame,
    *,
    most: int = 6,
    illumination: Illumination | None = None,
    street_rad: Tensor | None = None,
    response: PointResponse | None = None,
) -> Scene:
    """Return one to ``most`` buildings along common streets, masks BUILDING (roof), LAYOVER, DOUBLE_BOUNCE and SHADOW.

    Args:
        source: of randomness.
        frame: pixels; 0.3 to 2 m show the parts.
        most: N, greatest number of buildings.
        illumination: where the radar is; drawn when absent.
        street_rad: direction of the streets, (B,), radians; drawn when absent.
        response: how the image shows them; drawn when absent.
    """
    illumination = illumination or draw_illumination(source, frame.batch)
    street = source.uniform((frame.batch,), 0, math.pi) if street_rad is None else street_rad
    objects = _layout(source, frame, most, street[:, None])
    axes = to_body(frame, objects.position_m, objects.heading_rad)
    seen = footprints(illumination, objects, axes)
    towards = body_direction(illumination.towards(), objects.heading_rad)
    area, line = _echoes(source, frame, objects, seen, axes, towards)
    windows = _windows(source, frame, illumination, objects, towards)
    points = render(windows, frame, unweighted(source))
    present = objects.present
    roof, facade = union(seen.roof, present), union(seen.facade, present)
    bounce = line > 0.1 * line.amax((1, 2), keepdim=True).clamp_min(1e-12)
    shadow = union(seen.shadow, present) & ~(roof | facade | bounce)
    coherent = 0.8 * _ramp(source, frame) + 0.6 * source.white(tuple(line.shape))
    image = developed_speckle(source, area) + line * coherent
    masks = {
        SceneClass.BUILDING: roof,
        SceneClass.LAYOVER: facade,
        SceneClass.DOUBLE_BOUNCE: bounce,
        SceneClass.SHADOW: shadow,
    }
    scene = Scene(image[:, None] + points, windows, objects, masks)
    return weighted(scene, response or draw_response(source, frame.batch))


def footprints(illumination: Illumination, objects: Objects, axes: tuple[Tensor, Tensor]) -> Footprints:
    """Return where roof, facing facades and shadow of each building appear.

    Args:
        illumination: where the radar is.
        objects: the buildings.
        axes: (u, v) of the pixels from :func:`to_body`.
    """
    u, v = axes
    length, width, height = objects.size_m.unbind(-1)
    towards = body_direction(illumination.towards(), objects.heading_rad)
    lay, dark = illumination.layover_m(height), illumination.shadow_m(height)
    move = (lay[..., None] * towards)[..., None, None, :]
    ground, roof = box(u, v, length, width), box(u - move[..., 0], v - move[..., 1], length, width)
    hidden = swept_box(u, v, length, width, direction=-towards, distance_m=dark)
    facade = swept_box(u, v, length, width, direction=towards, distance_m=lay) & ~ground
    return Footprints(roof, facade, hidden & ~facade & ~roof)


def _ramp(source: RandomSource, frame: Frame) -> Tensor:
    """Phase of walls, exp(i k . r): a wall not quite square on lies many wavelengths deep, so that k is anything, (B, H, W)."""
    rate = source.uniform((frame.batch, 2, 1, 1), -math.pi, math.pi)
    j, k = (torch.arange(n, device=source.place) for n in frame.shape)
    turn = rate[:, 0] * j[:, None] + rate[:, 1] * k
    return torch.polar(torch.ones_like(turn), turn) * source.phase((frame.batch, 1, 1))


def _layout(source: RandomSource, frame: Frame, most: int, street: Tensor) -> Objects:
    shape = (frame.batch, most)
    scale = (frame.side_m()[:, None] / 75).clamp(0.4, 2.0)
    length, width = source.log_uniform(shape, 10, 32) * scale, source.log_uniform(shape, 7, 16) * scale
    height = source.log_uniform(shape, 3, 20) * scale
    heading = street + math.pi / 2 * source.integers(shape, 0, 2) + 0.02 * source.normal(shape)
    row, column = torch.arange(most, device=source.place) % 2, torch.arange(most, device=source.place) // 2
    spot = torch.stack([row - 0.5, column - (-(-most // 2) - 1) / 2], -1) + 0.15 * source.normal((*shape, 2))
    block = (
        torch.stack([torch.full_like(street, 0.5), torch.full_like(street, 0.33)], -1) * frame.side_m()[:, None, None]
    )
    order = source.uniform(shape).argsort(1)[..., None].expand(-1, -1, 2)
    position = to_ground(torch.zeros_like(block), street, (spot * block)[:, None].gather(2, order[:, None]))[:, 0]
    first = torch.arange(most, device=source.place)[None, :, None] == 0
    position = torch.where(first, position / 3, position)
    kind = torch.full(shape, ObjectKind.BUILDING.value, device=source.place)
    size = torch.stack([length, width, height], -1)
    return objects_at_rest(kind, source.present(frame.batch, most), position, heading, size)


def _echoes(
    source: RandomSource,
    frame: Frame,
    objects: Objects,
    seen: Footprints,
    axes: tuple[Tensor, Tensor],
    towards: Tensor,
) -> tuple[Tensor, Tensor]:
    """Mean intensity of roofs and facades, and amplitude of the double-bounce lines, (B, H, W)."""
    shape = tuple(objects.present.shape)
    on = objects.present.float()
    roof = on * source.decibels(shape, *ROOF_DB).square()
    facade = on * source.decibels(shape, *FACADE_DB).square()
    area = torch.einsum("bn,bnhw->bhw", roof, seen.roof.float())
    area = area + torch.einsum("bn,bnhw->bhw", facade, seen.facade.float())
    u, v = axes
    thick = frame.spacing_m.amax(1)[:, None, None, None]
    # a metre of wall per pixel length, over the pixel's area
    bright = on * source.decibels(shape, *WALL_DB) / frame.spacing_m.amin(1)[:, None].sqrt()
    line = torch.zeros_like(area)
    for way, across, size, span, facing in (
        (u, v, objects.size_m[..., 0], objects.size_m[..., 1], towards[..., 0]),
        (v, u, objects.size_m[..., 1], objects.size_m[..., 0], towards[..., 1]),
    ):
        foot = way - (torch.sign(facing) * size / 2)[..., None, None]
        profile = (1 - foot.abs() / thick).clamp_min(0) * (across.abs() <= span[..., None, None] / 2)
        line = line + torch.einsum("bn,bnhw->bhw", bright * facing.abs().pow(6), profile)
    return area, line


def _windows(
    source: RandomSource, frame: Frame, illumination: Illumination, objects: Objects, towards: Tensor
) -> Centres:
    """Bright points in a lattice on the facade that faces the radar most."""
    shape = tuple(objects.present.shape)
    length, width, height = (s[..., None] for s in objects.size_m.unbind(-1))
    across, up = WINDOWS
    at = (torch.arange(across, device=source.place) + 0.5) / across - 0.5
    floor = (torch.arange(up, device=source.place) + 0.5) / up
    at, floor = at.repeat(up), floor.repeat_interleave(across)
    du, dv = towards[..., 0, None], towards[..., 1, None]
    front = du.abs() > dv.abs()
    u = torch.where(front, torch.sign(du) * length / 2, at * length)
    v = torch.where(front, at * width, torch.sign(dv) * width / 2)
    ground = to_ground(objects.position_m, objects.heading_rad, torch.stack([u, v], -1))
    where = illumination.apparent_m(ground, (floor * height).expand(*shape, len(at)))
    strength = source.decibels((*shape, 1), *WINDOW_DB) * source.exponential((*shape, len(at))).sqrt()
    strength = strength * objects.present[..., None] / frame.spacing_m.prod(1).sqrt()[:, None, None]
    owner = torch.arange(shape[1], device=source.place)[None, :, None].expand(strength.shape)
    amplitude = strength.flatten(1) * source.phase((shape[0], shape[1] * len(at)))
    return still_centres(where.flatten(1, 2), amplitude, owner.flatten(1))
