"""Small things close to a radar: rods, plates, discs and angles, on their own or before a rough surface.

A thing is scattering centres along its edges with one phase and a roughness, so that smooth edges glint and rough ones speckle.
Sizes are shares of the image, since the families that use it span centimetres to metres.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from echoform.scene.frame import Frame
from echoform.scene.outline import ellipse, perimeter, to_body, to_ground
from echoform.scene.point_response import draw_response, render
from echoform.scene.random_fields import developed_speckle, gamma_texture, rough_field
from echoform.scene.random_source import RandomSource
from echoform.scene.scattering_parts import union
from echoform.scene.scene import Centres, ObjectKind, Objects, Scene, SceneClass, objects_at_rest, still_centres

#: centres of one thing
EDGE = 32


def small_objects(source: RandomSource, frame: Frame, *, most: int = 5) -> Scene:
    """Return one to ``most`` things per scene over a weak floor, half of them before a surface, with the mask INSERT.

    Args:
        source: of randomness.
        frame: pixels.
        most: N, greatest number of things.
    """
    objects = _layout(source, frame, most)
    centres = _edges(source, objects)
    image = render(centres, frame, draw_response(source, frame.batch))
    u, v = to_body(frame, objects.position_m, objects.heading_rad)
    inside = ellipse(u, v, objects.size_m[..., 0], objects.size_m[..., 1])
    return Scene(image + _surface(source, frame), centres, objects, {SceneClass.INSERT: union(inside, objects.present)})


def _layout(source: RandomSource, frame: Frame, most: int) -> Objects:
    shape = (frame.batch, most)
    side = frame.side_m()[:, None]
    long = side * source.log_uniform(shape, 0.03, 0.5)
    wide = long * torch.where(source.chance(shape, 0.4), 0.03, source.uniform(shape, 0.3, 1.0))
    kind = torch.full(shape, ObjectKind.CYLINDER.value, device=source.place)
    turn = source.uniform(shape, 0, math.pi)
    size = torch.stack([long, wide, torch.zeros_like(long)], -1)
    return objects_at_rest(kind, source.present(*shape), frame.anywhere_m(source, most, share=0.75), turn, size)


def _edges(source: RandomSource, objects: Objects) -> Centres:
    """Centres around boxes or ellipses; the side that faces the radar (below) is the brighter."""
    shape = (*objects.present.shape, EDGE)
    length, width, _ = objects.size_m[..., None].unbind(-2)
    along = (torch.arange(EDGE, device=source.place) + source.uniform(shape)) / EDGE
    box, box_normal = perimeter(along, length, width)
    angle = 2 * math.pi * along
    round_normal = torch.stack([torch.cos(angle), torch.sin(angle)], -1)
    disc = round_normal * torch.stack([length, width], -1).expand_as(round_normal) / 2
    is_round = source.chance((*shape[:2], 1, 1), 0.5)
    place = to_ground(objects.position_m, objects.heading_rad, torch.where(is_round, disc, box))
    normal = torch.where(is_round, round_normal, box_normal)
    outward = to_ground(torch.zeros_like(objects.position_m), objects.heading_rad, normal)
    facing = 10 ** (-(1 + outward[..., 1]) * source.uniform((*shape[:2], 1), 0.2, 1.0))
    rough = source.uniform((*shape[:2], 1), 0.2, 3.0) * source.normal(shape)
    level = source.decibels((*shape[:2], 1), -30, 0) * facing
    phase = torch.polar(torch.ones_like(rough), rough) * source.phase((*shape[:2], 1))
    amplitude = level * phase * objects.present[..., None]
    owner = torch.arange(shape[1], device=source.place)[None, :, None].expand(shape)
    return still_centres(place.flatten(1, 2), amplitude.flatten(1), owner.flatten(1))


def _surface(source: RandomSource, frame: Frame) -> Tensor:
    """A rough, curved sheet across the scene behind most things, and a floor of noise-like clutter, (B, 1, H, W)."""
    batch, (height, width) = frame.batch, frame.shape
    j = torch.arange(height, device=source.place)[:, None] / height
    k = torch.arange(width, device=source.place) / width - 0.5
    bend = source.uniform((batch, 1, 1), -1, 1) * k.square() + source.uniform((batch, 1, 1), -0.3, 0.3) * k
    depth = source.uniform((batch, 1, 1), 0.5, 0.9) + bend
    sheet = torch.exp(-((j - depth) / source.log_uniform((batch, 1, 1), 0.01, 0.06)).square() / 2)
    level = source.decibels((batch, 1, 1), -50, -20) * source.chance((batch, 1, 1), 0.5)
    texture = gamma_texture(rough_field(source, batch, frame.shape), source.log_uniform((batch, 1), 0.8, 10))
    floor = source.decibels((batch, 1, 1), -80, -55)
    return (developed_speckle(source, texture) * level * sheet + floor * source.white((batch, height, width)))[:, None]
