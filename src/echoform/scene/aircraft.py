"""Aircraft on the ground: fuselage, swept wings whose leading edges flash, tail, engines and landing gear."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from echoform.scene.frame import Frame, Illumination, draw_illumination
from echoform.scene.outline import ellipse, to_body
from echoform.scene.point_response import PointResponse
from echoform.scene.random_source import RandomSource
from echoform.scene.scattering_parts import Parts, assemble, parts, together, union
from echoform.scene.scene import ObjectKind, Objects, Scene, SceneClass, objects_at_rest

#: range of lengths, metres
LENGTH_M = (8.0, 72.0)
#: fuselage width, wing chord at the root and tail span, as shares of the length
FUSELAGE, CHORD, TAIL = 0.1, 0.2, 0.35


def aircraft(
    source: RandomSource,
    frame: Frame,
    *,
    most: int = 3,
    illumination: Illumination | None = None,
    response: PointResponse | None = None,
) -> Scene:
    """Return one to ``most`` parked aircraft with masks AIRCRAFT and SHADOW.

    Args:
        source: of randomness.
        frame: pixels; 0.3 to 2 m suit the lengths drawn, which stay below 80 % of the scene's side.
        most: N, greatest number of aircraft.
        illumination: where the radar is; drawn when absent.
        response: how the image shows them; drawn when absent.
    """
    illumination = illumination or draw_illumination(source, frame.batch)
    shape = (frame.batch, most)
    length = source.log_uniform(shape, 0.25, 1.0) * (0.8 * frame.side_m()[:, None]).clamp_max(LENGTH_M[1])
    length = length.clamp_min(LENGTH_M[0])
    span = length * source.uniform(shape, 0.75, 1.15)
    sweep = source.uniform(shape, 0.05, 0.7)
    heading = source.uniform((frame.batch, 1), 0, 2 * math.pi) + source.normal(shape) * 0.2
    position = frame.anywhere_m(source, most, share=0.8)
    position = torch.where(torch.arange(most, device=source.place)[None, :, None] == 0, 0.3 * position, position)
    size = torch.stack([length, FUSELAGE * length, FUSELAGE * length], -1)
    kind = torch.full(shape, ObjectKind.AIRCRAFT.value, device=source.place)
    objects = objects_at_rest(kind, source.present(frame.batch, most), position, heading, size)
    axes = to_body(frame, objects.position_m, objects.heading_rad)
    masks = {SceneClass.AIRCRAFT: union(_silhouette(axes, objects, span, sweep), objects.present)}
    made_of = _make(source, length, span, sweep)
    return assemble(source, frame, illumination, objects, made_of, masks, axes=axes, response=response)


def _silhouette(axes: tuple[Tensor, Tensor], objects: Objects, span_m: Tensor, sweep: Tensor) -> Tensor:
    u, v = axes
    length = objects.size_m[..., 0]
    body = ellipse(u, v, length, FUSELAGE * length)
    long, half, slope = (s[..., None, None] for s in (length, span_m / 2, sweep))
    off = v.abs()
    lead = 0.1 * long - slope * off
    wing = (off <= half) & (u <= lead) & (u >= lead - CHORD * long * (1 - 0.7 * off / half))
    tail_lead = -0.38 * long - 0.5 * off
    tail = (off <= TAIL / 2 * long) & (u <= tail_lead) & (u >= tail_lead - 0.08 * long)
    return body | wing | tail


def _make(source: RandomSource, length_m: Tensor, span_m: Tensor, sweep: Tensor) -> Parts:
    """20 centres along the fuselage, 2 x 8 leading and 2 x 5 trailing edges, 4 engines, 6 of the tail, 4 of the gear."""
    lead = tuple(length_m.shape)
    device = length_m.device
    long, half, slope = (s[..., None] for s in (length_m, span_m / 2, sweep))
    angle = source.uniform((*lead, 20), 0, 2 * math.pi)
    around = torch.stack([torch.cos(angle), torch.sin(angle)], -1)
    body = around * torch.stack([long, FUSELAGE * long], -1) / 2
    body_normal = torch.nn.functional.normalize(around * torch.tensor([FUSELAGE, 1.0], device=device), dim=-1)

    def wing_points(count: int) -> tuple[Tensor, Tensor]:
        share = torch.linspace(0.15, 1, count, device=device).repeat(2)
        return share, torch.tensor([1.0, -1.0], device=device).repeat_interleave(count)

    share, hand = wing_points(8)
    leading = torch.stack([0.1 * long - slope * share * half, hand * share * half], -1)
    leading_normal = torch.nn.functional.normalize(
        torch.stack([torch.ones_like(slope * hand), slope * hand], -1), dim=-1
    )
    back, back_hand = wing_points(5)
    chord = CHORD * long * (1 - 0.7 * back)
    trailing = torch.stack([0.1 * long - slope * back * half - chord, back_hand * back * half], -1)
    jet = torch.tensor([0.33, 0.33, 0.6, 0.6], device=device)
    jet_hand = torch.tensor([1.0, -1.0, 1.0, -1.0], device=device)
    engine = torch.stack([0.15 * long - slope * jet * half, jet_hand * jet * half], -1)
    four = torch.where(source.chance((*lead, 1), 0.3), 1.0, 0.0)
    on = torch.cat([torch.ones_like(four).expand(*lead, 2), four.expand(*lead, 2)], -1)
    tail_at = torch.linspace(-1, 1, 6, device=device) * TAIL / 2
    tail = torch.stack([-(0.38 + 0.5 * tail_at.abs()) * long, tail_at * long], -1)
    gear = torch.tensor([[0.4, 0], [0, 0.06], [0, -0.06], [-0.45, 0]], device=device) * long[..., None]
    high = FUSELAGE * long
    return together(
        [
            parts(
                body,
                source.exponential((*lead, 20)).sqrt(),
                height_m=high * source.uniform((*lead, 20)),
                normal=body_normal,
                sharpness=2.0,
            ),
            parts(
                leading,
                source.decibels((*lead, 1), 0, 12) * source.decibels((*lead, 16), -6, 0),
                height_m=0.5 * high,
                normal=leading_normal,
                sharpness=source.log_uniform((*lead, 1), 2, 60),
            ),
            parts(trailing, source.decibels((*lead, 10), -14, -2), height_m=0.5 * high),
            parts(engine, on * source.decibels((*lead, 4), 4, 20), height_m=0.3 * high),
            parts(tail, source.decibels((*lead, 6), -8, 6), height_m=1.5 * high),
            parts(gear, source.decibels((*lead, 4), -4, 16), height_m=0.0 * high),
        ]
    )
