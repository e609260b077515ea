"""Dielectric bodies for microwave imaging, as contrast of permittivity against the background.

    chi = eps / eps_b - 1,   eps = eps' - i eps''          (time convention exp(+i w t): losses have Im eps < 0)

The values of tissue are those of 1 to 10 GHz (Lazebnik et al. (2007), Phys. Med. Biol. 52, table 3 and figures 6 to 8, rounded);
the breast lies in a matching liquid whose permittivity is drawn. ``strength`` scales all contrasts down to where the Born
approximation holds.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from echoform.scene.ellipses import coverage, painted
from echoform.scene.frame import Frame
from echoform.scene.random_fields import rough_field
from echoform.scene.random_source import RandomSource
from echoform.scene.scene import ObjectKind, Objects, Scene, SceneClass, objects_at_rest

#: eps' and eps'' of tissue, lowest and highest
SKIN = ((35.0, 10.0), (42.0, 18.0))
FAT = ((3.5, 0.2), (7.0, 1.5))
GLAND = ((25.0, 6.0), (50.0, 16.0))
TUMOUR = ((48.0, 14.0), (60.0, 22.0))


def dielectric_cylinders(source: RandomSource, frame: Frame, *, most: int = 4) -> Scene:
    """Return one to ``most`` dielectric cylinders, at times one within another, with the mask DIELECTRIC.

    Permittivities are 1.05 to 4 times that of the background or below it, with loss tangents to 0.3; the background has a
    grain of -70 to -50 dB.

    Args:
        source: of randomness.
        frame: pixels.
        most: N, greatest number of cylinders.
    """
    batch = frame.batch
    shape = (batch, most)
    axes = source.log_uniform((*shape, 1), 0.05, 0.4) * source.uniform((*shape, 2), 0.6, 1.0)
    axes = torch.where(source.chance((*shape, 1), 0.6), axes[..., :1], axes)
    centre = source.uniform((*shape, 2), -0.55, 0.55)
    nested = source.chance((batch, 1), 0.5) & (torch.arange(most, device=source.place) > 0)
    inner = 0.3 * axes[:, :1] * source.uniform((*shape, 2), 0.5, 1.2)
    spot = centre[:, :1] + 0.4 * axes[:, :1] * source.uniform((*shape, 2), -1, 1)
    axes, centre = torch.where(nested[..., None], inner, axes), torch.where(nested[..., None], spot, centre)
    angle = source.uniform(shape, 0, math.pi)
    present = source.present(batch, most)
    real = torch.where(
        source.chance(shape, 0.8), source.log_uniform(shape, 0.05, 3.0), -source.uniform(shape, 0.1, 0.7)
    )
    loss = source.uniform(shape, 0, 0.3) * source.chance(shape, 0.5)
    chi = torch.complex(real, -(1 + real) * loss)
    covers = coverage(centre, axes, angle, frame.shape) * present[..., None, None]
    grain = source.decibels((batch, 1, 1), -70, -50) * rough_field(source, batch, frame.shape)
    image = painted(chi, covers) + grain
    masks = {SceneClass.DIELECTRIC: (covers > 0.5).any(1)}
    kind = torch.full(shape, ObjectKind.CYLINDER.value, device=source.place)
    return Scene(image[:, None], None, _as_objects(frame, kind, present, centre, axes, angle), masks)


def breast(source: RandomSource, frame: Frame, *, strength: float = 1.0) -> Scene:
    """Return coronal sections of a breast with none to two tumours, masks SKIN, FAT, GLAND and TUMOUR.

    Args:
        source: of randomness.
        frame: pixels; 1 to 3 mm at 64 x 64 make it life-size.
        strength: factor of all contrasts.
    """
    batch, count = frame.batch, 2
    outer = source.uniform((batch, 1, 1), 0.65, 0.85) * source.uniform((batch, 1, 2), 0.85, 1.0)
    centre = source.uniform((batch, 1, 2), -0.1, 0.1)
    angle = source.uniform((batch, 1), 0, math.pi)
    body = coverage(centre, outer, angle, frame.shape)[:, 0]
    inside = coverage(centre, outer - source.uniform((batch, 1, 1), 0.05, 0.1), angle, frame.shape)[:, 0]
    depth = coverage(centre, 0.75 * outer, angle, frame.shape)[:, 0]
    field = rough_field(source, batch, frame.shape)
    gland = torch.sigmoid(6 * (field - source.uniform((batch, 1, 1), -0.5, 1.5))) * depth
    spot = centre + 0.5 * outer * source.uniform((batch, count, 2), -1, 1)
    size = source.log_uniform((batch, count, 1), 0.04, 0.18) * source.uniform((batch, count, 2), 0.7, 1.0)
    turn = source.uniform((batch, count), 0, math.pi)
    present = source.present(batch, count, 0)
    lumps = coverage(spot, size, turn, frame.shape) * present[..., None, None]
    tumour = lumps.amax(1) * inside
    background = source.uniform((batch, 1, 1), 5, 25)

    def tissue(bounds: tuple[tuple[float, float], tuple[float, float]]) -> Tensor:
        low, high = bounds
        parts = [source.uniform((batch, 1, 1), l, h) for l, h in zip(low, high, strict=True)]  # noqa: E741
        return torch.complex(parts[0], -parts[1])

    skin, fat, glandular, cancer = (tissue(bounds) for bounds in (SKIN, FAT, GLAND, TUMOUR))
    permittivity = background + body * (skin - background)
    permittivity = permittivity + inside * (fat * (1 + 0.08 * field) - permittivity)
    permittivity = permittivity + gland * (glandular - permittivity)
    permittivity = permittivity + tumour * (cancer - permittivity)
    image = strength * (permittivity / background - 1)
    masks = {
        SceneClass.SKIN: (body > 0.5) & (inside <= 0.5),
        SceneClass.FAT: (inside > 0.5) & (gland <= 0.5) & (tumour <= 0.5),
        SceneClass.GLAND: (gland > 0.5) & (tumour <= 0.5),
        SceneClass.TUMOUR: tumour > 0.5,
    }
    kind = torch.full((batch, count), ObjectKind.TUMOUR.value, device=source.place)
    return Scene(image[:, None], None, _as_objects(frame, kind, present, spot, size, turn), masks)


def layered_wall(source: RandomSource, frame: Frame, *, most: int = 5) -> Scene:
    """Return plane layers across the scene with an inclusion at times, mask DIELECTRIC where an inclusion is.

    Args:
        source: of randomness.
        frame: pixels; the layers lie one above another along the rows.
        most: greatest number of layers.
    """
    batch, (height, width) = frame.batch, frame.shape
    j = torch.arange(height, device=source.place)[:, None] / height
    k = torch.arange(width, device=source.place) / width
    edge = source.uniform((batch, most, 1, 1), 0.1, 0.9) + source.uniform((batch, 1, 1, 1), -0.1, 0.1) * (k - 0.5)
    above = ((j - edge) * height + 0.5).clamp(0, 1)
    step = source.uniform((batch, most), -0.4, 0.8) * source.present(batch, most)
    chi = torch.einsum("bl,blhw->bhw", step, above)
    centre, axes = source.uniform((batch, 1, 2), -0.6, 0.6), source.log_uniform((batch, 1, 2), 0.04, 0.2)
    angle, present = source.uniform((batch, 1), 0, math.pi), source.chance((batch, 1), 0.6)
    cover = coverage(centre, axes, angle, frame.shape)[:, 0] * present[..., None]
    chi = chi + cover * (source.uniform((batch, 1, 1), -0.7, 1.5) - chi)
    chi = chi + source.decibels((batch, 1, 1), -60, -40) * rough_field(source, batch, frame.shape)
    image = torch.complex(chi, -chi * source.uniform((batch, 1, 1), 0, 0.2))
    kind = torch.full((batch, 1), ObjectKind.VOID.value, device=source.place)
    objects = _as_objects(frame, kind, present, centre, axes, angle)
    return Scene(image[:, None], None, objects, {SceneClass.DIELECTRIC: cover > 0.5})


def _as_objects(
    frame: Frame, kind: Tensor, present: Tensor, centre: Tensor, axes: Tensor, angle_rad: Tensor
) -> Objects:
    """Ellipses of coordinates -1 to 1 as objects in metres; half axes become lengths and widths."""
    half = frame.extent_m().flip(1)[:, None] / 2
    size = torch.cat([2 * axes * half, torch.zeros_like(axes[..., :1])], -1)
    return objects_at_rest(kind, present, centre * half, angle_rad, size)
