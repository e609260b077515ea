"""Ships: the outline of a hull, a bridge, masts and cranes that outshine all else, and cargo in rows across the deck."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from echoform.scene.frame import Frame, Illumination, draw_illumination
from echoform.scene.outline import to_body
from echoform.scene.point_response import PointResponse
from echoform.scene.random_source import RandomSource
from echoform.scene.scattering_parts import Parts, assemble, parts, together, union
from echoform.scene.scene import ObjectKind, Objects, Scene, SceneClass

#: range of lengths, metres
LENGTH_M = (15.0, 350.0)
#: where the bow begins to taper, as a share of the length from the middle
SHOULDER = 0.22


def ships(
    source: RandomSource,
    frame: Frame,
    *,
    most: int = 2,
    length_m: tuple[float, float] = LENGTH_M,
    illumination: Illumination | None = None,
    response: PointResponse | None = None,
) -> Scene:
    """Return one to ``most`` ships under way or moored, with the mask SHIP.

    Args:
        source: of randomness.
        frame: pixels; 1 to 10 m suit the lengths drawn, which stay below 85 % of the scene's side.
        most: N, greatest number of ships.
        length_m: range of their lengths, metres; log-uniform where it does not exceed 15 to 85 % of the scene's side.
        illumination: where the radar is; drawn when absent.
        response: how the image shows them; drawn when absent.
    """
    illumination = illumination or draw_illumination(source, frame.batch)
    objects = _layout(source, frame, most, length_m)
    u, v = axes = to_body(frame, objects.position_m, objects.heading_rad)
    length, width = (objects.size_m[..., i, None, None] for i in (0, 1))
    hull = (u.abs() <= length / 2) & (v.abs() <= width / 2 * hull_profile(u / length))
    made_of = _make(source, objects.size_m)
    masks = {SceneClass.SHIP: union(hull, objects.present)}
    return assemble(source, frame, illumination, objects, made_of, masks, axes=axes, response=response)


def hull_profile(share: Tensor) -> Tensor:
    """Return half the beam over its greatest at u / length: full up to the shoulder, then an ellipse's quarter to the bow."""
    bow = ((share - SHOULDER) / (0.5 - SHOULDER)).clamp(0, 1)
    return (1 - bow.square()).sqrt()


def _layout(source: RandomSource, frame: Frame, most: int, length_m: tuple[float, float]) -> Objects:
    shape = (frame.batch, most)
    largest = 0.85 * frame.side_m()[:, None]
    high = largest.clamp_max(length_m[1])
    low = torch.minimum((0.15 * high).clamp_min(length_m[0]), high)
    length = low * (high / low) ** source.uniform(shape)
    width = length / source.uniform(shape, 4.5, 8.5)
    height = width * source.uniform(shape, 0.15, 0.5)
    heading = source.uniform(shape, 0, 2 * math.pi)
    speed = torch.where(source.chance(shape, 0.3), 0.0, source.uniform(shape, 2, 12))
    velocity = speed[..., None] * torch.stack([torch.cos(heading), torch.sin(heading)], -1)
    kind = torch.full(shape, ObjectKind.SHIP.value, device=source.place)
    present = source.present(frame.batch, most)
    position = torch.where(torch.arange(most, device=source.place)[None, :, None] == 0, 0.4, 1.0)
    position = position * frame.anywhere_m(source, most, share=0.8)
    return Objects(kind, present, position, heading, torch.stack([length, width, height], -1), velocity)


def _make(source: RandomSource, size_m: Tensor) -> Parts:
    """36 centres along the hull, 14 on the bridge, 5 masts, 18 on the deck."""
    lead = (size_m.shape[0], size_m.shape[1])
    length, width, height = (s[..., None] for s in size_m.unbind(-1))
    scale = torch.stack([length, width], -1)
    along = source.uniform((*lead, 36), -0.5, 0.5)
    side = torch.where(source.chance((*lead, 36), 0.5), 1.0, -1.0)
    hull = torch.stack([along, side * hull_profile(along) / 2], -1) * scale
    normal = torch.stack([torch.zeros_like(side), side], -1)
    aft = source.uniform((*lead, 1), -0.42, 0.1)
    bridge = torch.stack([aft + source.uniform((*lead, 14), -0.05, 0.05), source.uniform((*lead, 14), -0.4, 0.4)], -1)
    mast = torch.stack([source.uniform((*lead, 5), -0.4, 0.45), source.uniform((*lead, 5), -0.1, 0.1)], -1)
    row = torch.linspace(-0.3, 0.3, 6, device=size_m.device).repeat_interleave(3)
    across = torch.tensor([-0.3, 0.0, 0.3], device=size_m.device).repeat(6)
    deck = torch.stack([row, across], -1) + source.normal((*lead, 18, 2)) * 0.01
    cargo = source.decibels((*lead, 1), -15, 6)
    return together(
        [
            parts(
                hull,
                source.exponential((*lead, 36)).sqrt(),
                height_m=height * source.uniform((*lead, 36)),
                normal=normal,
                sharpness=source.uniform((*lead, 1), 0.5, 3.0),
            ),
            parts(
                bridge * scale,
                source.decibels((*lead, 1), 0, 12) * source.exponential((*lead, 14)).sqrt(),
                height_m=height * source.uniform((*lead, 14), 1.0, 2.0),
            ),
            parts(
                mast * scale,
                source.decibels((*lead, 5), -3, 16),
                height_m=height * source.uniform((*lead, 5), 1.0, 2.5),
            ),
            parts(deck * scale, cargo * source.exponential((*lead, 18)).sqrt(), height_m=height),
        ]
    )
