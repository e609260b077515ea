"""Extended targets as sets of scattering centres that each face some way.

The centre q of a target at r, of body position (u, v), height h, outward normal n and strength a appears at

    r + R(heading) (u, v) + h tan(g) d,      amplitude  a max(cos^p(n . d), floor) exp(i phi)

with d the direction towards the radar, g the grazing angle, phi uniform. p is large for a flat wall that flashes when seen
square on, small for edges and corners; a centre without a normal is seen from everywhere.

Between the centres the body of a target is rough: developed speckle within its outline, weaker than the centres.

Source: Potter and Moses (1997), IEEE Trans. Image Process. 6(1) (the centres' aspect laws, here cosines in place of sincs).
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from echoform.scene.frame import Frame, Illumination
from echoform.scene.outline import body_direction, swept_box, to_ground
from echoform.scene.point_response import PointResponse, draw_response, render, unweighted, weighted
from echoform.scene.random_fields import developed_speckle, gamma_texture, rough_field
from echoform.scene.random_source import RandomSource
from echoform.scene.scene import Objects, Scene, SceneClass, still_centres

#: amplitude of a centre that faces away, as a share of its greatest: -30 dB
FLOOR = 10 ** (-30 / 20)
#: amplitude of the rough body below the strongest centre of the scene, decibels
BODY_DB = (-42.0, -20.0)


@dataclass(frozen=True)
class Parts:
    """Scattering centres of N targets in their own axes.

    Attributes:
        body_m: (u, v), (B, N, Q, 2), metres.
        height_m: above the ground, (B, N, Q), metres.
        normal: outward unit normal (u, v), zero for a centre seen from everywhere, (B, N, Q, 2).
        sharpness: p, (B, N, Q).
        strength: a, (B, N, Q), not negative.
    """

    body_m: Tensor
    height_m: Tensor
    normal: Tensor
    sharpness: Tensor
    strength: Tensor


def parts(
    body_m: Tensor, strength: Tensor, *, height_m: Tensor, normal: Tensor | None = None, sharpness: float | Tensor = 1.0
) -> Parts:
    """Return parts of one make.

    Args:
        body_m: (u, v), (B, N, Q, 2), metres.
        strength: a, broadcasting to (B, N, Q).
        height_m: broadcasting to (B, N, Q), metres.
        normal: broadcasting to (B, N, Q, 2); absent for centres seen from everywhere.
        sharpness: p, broadcasting to (B, N, Q).
    """
    shape = body_m.shape[:-1]
    facing = torch.zeros_like(body_m) if normal is None else normal.expand_as(body_m)
    p = torch.as_tensor(sharpness, dtype=body_m.dtype, device=body_m.device).expand(shape)
    return Parts(body_m, height_m.expand(shape), facing, p, strength.expand(shape))


def together(groups: list[Parts]) -> Parts:
    """Return all parts of the same targets in one."""
    return Parts(*(torch.cat([getattr(g, f.name) for g in groups], 2) for f in fields(Parts)))


def aspect_gain(made_of: Parts, towards: Tensor) -> Tensor:
    """Return max(cos^p, floor) of each centre, 1 without a normal, (B, N, Q).

    Args:
        made_of: the centres.
        towards: unit vector to the radar in the axes of each target, (B, N, 2).
    """
    cosine = (made_of.normal * towards[:, :, None]).sum(-1).clamp(0, 1)
    faceless = made_of.normal.abs().sum(-1) == 0
    return torch.where(faceless, 1.0, cosine.pow(made_of.sharpness).clamp_min(FLOOR))


def assemble(
    source: RandomSource,
    frame: Frame,
    illumination: Illumination,
    objects: Objects,
    made_of: Parts,
    masks: dict[SceneClass, Tensor],
    *,
    axes: tuple[Tensor, Tensor],
    response: PointResponse | None = None,
) -> Scene:
    """Return targets seen by the radar, with their shadows added to the masks.

    Args:
        source: of randomness.
        frame: pixels.
        illumination: where the radar is.
        objects: the targets.
        made_of: their centres.
        masks: what they cover, per class.
        axes: (u, v) of the pixels in the axes of each target, from :func:`to_body`.
        response: how the image shows them; drawn when absent.
    """
    towards = body_direction(illumination.towards(), objects.heading_rad)
    strength = made_of.strength * aspect_gain(made_of, towards) * objects.present[..., None]
    ground = to_ground(objects.position_m, objects.heading_rad, made_of.body_m)
    where = illumination.apparent_m(ground, made_of.height_m).flatten(1, 2)
    owner = torch.arange(objects.present.shape[1], device=frame.spacing_m.device)[None, :, None]
    owner = owner.expand(strength.shape).flatten(1)
    amplitude = strength.flatten(1) * source.phase((frame.batch, owner.shape[1]))
    centres = still_centres(where, amplitude, owner)
    covered = torch.stack(list(masks.values())).any(0)
    body = source.decibels((frame.batch, 1, 1), *BODY_DB) * amplitude.abs().amax(1)[:, None, None]
    texture = gamma_texture(rough_field(source, frame.batch, frame.shape), source.log_uniform((frame.batch, 1), 0.5, 5))
    rough = body * covered * developed_speckle(source, texture)
    image = render(centres, frame, unweighted(source)) + rough[:, None]
    shadow = shadow_of(illumination, objects, axes)
    scene = Scene(image, centres, objects, masks | {SceneClass.SHADOW: shadow & ~covered})
    return weighted(scene, response or draw_response(source, frame.batch))


def shadow_of(illumination: Illumination, objects: Objects, axes: tuple[Tensor, Tensor]) -> Tensor:
    """Return the pixels that boxes of the objects' size hide from the radar, footprints included, (B, H, W) bool.

    Args:
        illumination: where the radar is.
        objects: the boxes.
        axes: (u, v) of the pixels from :func:`to_body`.
    """
    u, v = axes
    length, width, height = objects.size_m.unbind(-1)
    away = -body_direction(illumination.towards(), objects.heading_rad)
    hidden = swept_box(u, v, length, width, direction=away, distance_m=illumination.shadow_m(height))
    return (hidden & objects.present[..., None, None]).any(1)


def union(shapes: Tensor, present: Tensor) -> Tensor:
    """Return the pixels that any present shape covers, (B, H, W) bool.

    Args:
        shapes: (B, N, H, W) bool.
        present: (B, N) bool.
    """
    return (shapes & present[..., None, None]).any(1)
