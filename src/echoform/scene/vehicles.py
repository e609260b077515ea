"""Cars and lorries: edges and corners of a box, sides that flash when seen square on, and things on the roof.

Sizes are those of road vehicles; strengths span 30 dB within a vehicle, as in X-band images of parked cars.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from echoform.scene.frame import Frame, Illumination, draw_illumination
from echoform.scene.outline import box, perimeter, to_body
from echoform.scene.point_response import PointResponse
from echoform.scene.random_source import RandomSource
from echoform.scene.scattering_parts import Parts, assemble, parts, together, union
from echoform.scene.scene import ObjectKind, Objects, Scene, SceneClass, objects_at_rest

#: shares of lorries and of scenes with vehicles parked in a row
LORRIES, PARKED = 0.25, 0.5


def vehicles(
    source: RandomSource,
    frame: Frame,
    *,
    most: int = 6,
    illumination: Illumination | None = None,
    response: PointResponse | None = None,
) -> Scene:
    """Return one to ``most`` vehicles, scattered or parked in a row, with masks VEHICLE and SHADOW.

    Args:
        source: of randomness.
        frame: pixels; 0.1 to 0.6 m show a car's shape.
        most: N, greatest number of vehicles.
        illumination: where the radar is; drawn when absent.
        response: how the image shows them; drawn when absent.
    """
    illumination = illumination or draw_illumination(source, frame.batch)
    objects = _layout(source, frame, most)
    u, v = axes = to_body(frame, objects.position_m, objects.heading_rad)
    length, width, _ = objects.size_m.unbind(-1)
    mask = union(box(u, v, length, width), objects.present)
    made_of = _make(source, objects.size_m)
    masks = {SceneClass.VEHICLE: mask}
    return assemble(source, frame, illumination, objects, made_of, masks, axes=axes, response=response)


def _layout(source: RandomSource, frame: Frame, most: int) -> Objects:
    shape = (frame.batch, most)
    lorry = source.chance(shape, LORRIES)
    length = torch.where(lorry, source.uniform(shape, 6.0, 14.0), source.uniform(shape, 3.5, 5.2))
    width = torch.where(lorry, source.uniform(shape, 2.2, 2.6), source.uniform(shape, 1.6, 2.0))
    height = torch.where(lorry, source.uniform(shape, 2.5, 4.0), source.uniform(shape, 1.3, 1.9))
    parked = source.chance((frame.batch, 1), PARKED)
    row = source.uniform((frame.batch, 1), 0, 2 * math.pi)
    heading = row + source.normal(shape) * torch.where(parked, 0.03, 3.0)
    order = torch.arange(most, device=source.place)  # 0, 1, -1, 2, -2, ...: the first stands in the middle
    step = source.uniform((frame.batch, 1), 2.6, 3.6) * torch.where(order % 2 == 1, (order + 1) // 2, -(order // 2))
    side = torch.stack([-torch.sin(row), torch.cos(row)], -1) * step[..., None]
    middle = frame.anywhere_m(source, 1, share=0.4)
    scattered = frame.anywhere_m(source, most, share=0.8)
    scattered = torch.where(order[None, :, None] == 0, scattered / 2, scattered)
    position = torch.where(parked[..., None], middle + side, scattered)
    kind = torch.where(lorry, ObjectKind.LORRY.value, ObjectKind.CAR.value)
    size = torch.stack([length, width, height], -1)
    return objects_at_rest(kind, source.present(frame.batch, most), position, heading, size)


def _make(source: RandomSource, size_m: Tensor) -> Parts:
    """14 centres on the edges, 4 corners, 4 sides of 3, 6 on the roof."""
    lead = (size_m.shape[0], size_m.shape[1])
    length, width, height = (s[..., None] for s in size_m.unbind(-1))
    edge, edge_normal = perimeter(source.uniform((*lead, 14)), length, width)
    ratio = torch.tensor([[0.5, 0.5], [0.5, -0.5], [-0.5, 0.5], [-0.5, -0.5]], device=size_m.device)
    corner = ratio * size_m[..., None, :2]
    along = torch.tensor([-0.3, 0.0, 0.3], device=size_m.device)
    side, side_normal = _sides(along, size_m)
    roof = source.uniform((*lead, 6, 2), -0.4, 0.4) * size_m[..., None, :2]
    return together(
        [
            parts(
                edge,
                source.exponential((*lead, 14)).sqrt(),
                height_m=source.uniform((*lead, 14)) * height,
                normal=edge_normal,
                sharpness=2.0,
            ),
            parts(
                corner,
                source.decibels((*lead, 4), 2, 14),
                height_m=0.2 * height,
                normal=torch.sign(corner) / math.sqrt(2),
                sharpness=1.0,
            ),
            parts(
                side,
                source.decibels((*lead, 4), 6, 18).repeat_interleave(3, -1),
                height_m=0.0 * height,
                normal=side_normal,
                sharpness=source.log_uniform((*lead, 1), 10, 200),
            ),
            parts(
                roof,
                0.6 * source.exponential((*lead, 6)).sqrt(),
                height_m=height * source.uniform((*lead, 6), 0.6, 1.0),
            ),
        ]
    )


def _sides(along: Tensor, size_m: Tensor) -> tuple[Tensor, Tensor]:
    """Points at shares ``along`` of the four sides (front, left, back, right) and the normals there, (B, N, 4 K, 2)."""
    still = torch.full_like(along, 0.5)
    sides = [(still, along), (along, still), (-still, along), (along, -still)]
    ratio = torch.cat([torch.stack(side, -1) for side in sides])
    normals = torch.tensor([[1.0, 0], [0, 1], [-1, 0], [0, -1]], device=size_m.device).repeat_interleave(len(along), 0)
    points = ratio * size_m[..., None, :2]
    return points, normals.expand_as(points)
