"""Heads for magnetic resonance: Shepp and Logan's ellipses and their kin, and sections of a brain, with smooth phase.

A brain is built from the elliptic radius rho about the middle, bent by rough fields: scalp, skull, fluid, a folded ribbon of grey
matter, white matter, ventricles, deep nuclei and at times lesions. The contrast (which tissue is bright) is drawn, a receive
coil shades it smoothly, and the phase is a smooth random field.

Source: Shepp and Logan (1974), IEEE Trans. Nucl. Sci. 21(3), with the contrast of Toft's modification (1996).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from echoform.scene.ellipses import coverage, sum_of_ellipses
from echoform.scene.random_fields import power_law_field, rough_field
from echoform.scene.random_source import RandomSource
from echoform.scene.scene import Scene, SceneClass

#: value, half axes, centre (x, y), angle in degrees; y is up
SHEPP_LOGAN = (
    (1.0, 0.69, 0.92, 0.0, 0.0, 0.0),
    (-0.8, 0.6624, 0.874, 0.0, -0.0184, 0.0),
    (-0.2, 0.11, 0.31, 0.22, 0.0, -18.0),
    (-0.2, 0.16, 0.41, -0.22, 0.0, 18.0),
    (0.1, 0.21, 0.25, 0.0, 0.35, 0.0),
    (0.1, 0.046, 0.046, 0.0, 0.1, 0.0),
    (0.1, 0.046, 0.046, 0.0, -0.1, 0.0),
    (0.1, 0.046, 0.023, -0.08, -0.605, 0.0),
    (0.1, 0.023, 0.023, 0.0, -0.606, 0.0),
    (0.1, 0.023, 0.046, 0.06, -0.605, 0.0),
)
#: classes of a brain, with the range of their brightness
TISSUES = (
    (SceneClass.SKIN, 0.2, 1.0),
    (SceneClass.SKULL, 0.02, 0.1),
    (SceneClass.FLUID, 0.1, 1.0),
    (SceneClass.GREY_MATTER, 0.4, 0.8),
    (SceneClass.WHITE_MATTER, 0.4, 0.9),
    (SceneClass.LESION, 0.3, 1.2),
)


def shepp_logan(shape: tuple[int, int], *, device: torch.device | None = None) -> Tensor:
    """Return the modified Shepp-Logan phantom with row 0 at the bottom, (H, W), values 0 to 1."""
    table = torch.tensor([SHEPP_LOGAN], device=device)
    image = sum_of_ellipses(table[..., 3:5], table[..., 1:3], torch.deg2rad(table[..., 5]), table[..., 0], shape)
    return image[0]


def shepp_logan_like(source: RandomSource, batch: int, shape: tuple[int, int], *, phase_rad: float = 2.0) -> Scene:
    """Return variants of the phantom: every ellipse moved, stretched and re-valued, the whole turned, with smooth phase.

    Args:
        source: of randomness.
        batch: number of scenes.
        shape: (H, W).
        phase_rad: greatest standard deviation of the phase, radians.
    """
    table = torch.tensor(SHEPP_LOGAN, device=source.place).expand(batch, -1, -1)
    count = table.shape[1]
    inner = (torch.arange(count, device=source.place) > 1).float()[:, None]
    axes = table[..., 1:3] * torch.exp(inner * 0.35 * source.normal((batch, count, 2)))
    centre = table[..., 3:5] + inner * 0.06 * source.normal((batch, count, 2))
    turn = source.uniform((batch, 1), -math.pi, math.pi)
    angle = torch.deg2rad(table[..., 5]) + inner[:, 0] * 0.5 * source.normal((batch, count)) + turn
    c, s = torch.cos(turn), torch.sin(turn)
    x, y = centre.unbind(-1)
    squeeze = source.uniform((batch, 1, 2), 0.75, 1.0)
    centre = torch.stack([x * c - y * s, x * s + y * c], -1)
    value = table[..., 0] * torch.exp(inner[:, 0] * 0.5 * source.normal((batch, count)))
    value = value * torch.where((inner[:, 0] > 0) & source.chance((batch, count), 0.3), -1.0, 1.0)
    magnitude = sum_of_ellipses(centre * squeeze, axes * squeeze, angle, value, shape).clamp_min(0)
    tissue = {SceneClass.TISSUE: magnitude > 0.02}
    return Scene(with_smooth_phase(source, magnitude, phase_rad)[:, None], masks=tissue)


def brain(source: RandomSource, batch: int, shape: tuple[int, int], *, phase_rad: float = 2.0) -> Scene:
    """Return sections of brains with a mask for every class of :data:`TISSUES`; arguments as in :func:`shepp_logan_like`."""
    radius, x, y = _bent_radius(source, batch, shape)
    fold = power_law_field(
        source,
        batch,
        shape,
        exponent=source.uniform((batch,), 1.6, 2.2),
        outer_px=torch.full((batch,), min(shape) / 10, device=source.place),
    )
    cleft = (x.abs() < 0.02) & (radius < 0.75) & ((y.abs() > 0.3) | (radius > 0.6))
    folded = radius + 0.07 * fold
    inside = radius < 0.8
    cortex = inside & (folded < 0.72) & ~cleft
    white = (folded + 0.05 * torch.roll(fold, 2, -1) < source.uniform((batch, 1, 1), 0.52, 0.6)) & ~cleft
    nuclei = coverage(*_pair(source, batch, 0.16, 0.02, 0.08, 0.13), shape).amax(1) > 0.5
    ventricles = coverage(*_pair(source, batch, 0.09, 0.05, 0.05, 0.22), shape).amax(1) > 0.5
    spots = coverage(
        source.uniform((batch, 3, 2), -0.4, 0.4),
        source.log_uniform((batch, 3, 1), 0.02, 0.15) * source.uniform((batch, 3, 2), 0.6, 1.0),
        source.uniform((batch, 3), 0, math.pi),
        shape,
    )
    lesion = ((spots > 0.5) & source.present(batch, 3, 0)[..., None, None]).any(1) & cortex
    skull = (radius < 0.92) & ~inside
    skin = (radius < 1.0) & ~skull & ~inside
    fluid = inside & (~cortex | ventricles) & ~lesion
    grey = cortex & (~white | nuclei) & ~ventricles & ~lesion
    masks = dict(
        zip([t[0] for t in TISSUES], [skin, skull, fluid, grey, cortex & ~(fluid | grey | lesion), lesion], strict=True)
    )
    magnitude = torch.zeros_like(radius)
    for label, low, high in TISSUES:
        magnitude = magnitude + source.uniform((batch, 1, 1), low, high) * masks[label]
    grain = 1 + 0.04 * rough_field(source, batch, shape)
    coil = torch.exp(
        source.uniform((batch, 1, 1), 0, 0.8)
        * (x * source.uniform((batch, 1, 1), -1, 1) + y * source.uniform((batch, 1, 1), -1, 1))
    )
    return Scene(with_smooth_phase(source, _soften(magnitude) * grain * coil, phase_rad)[:, None], masks=masks)


def _bent_radius(source: RandomSource, batch: int, shape: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
    """Elliptic radius of a head, 1 at the scalp, and the coordinates in it, (B, H, W) each."""
    height, width = shape
    j = (torch.arange(height, device=source.place) - height // 2)[:, None] * (2 / height)
    k = (torch.arange(width, device=source.place) - width // 2) * (2 / width)
    turn = source.uniform((batch, 1, 1), -0.3, 0.3) + math.pi / 2 * source.integers((batch, 1, 1), 0, 4)
    c, s = torch.cos(turn), torch.sin(turn)
    size = source.uniform((batch, 1, 1), 0.75, 0.95)
    x = (k * c + j * s) / (size * source.uniform((batch, 1, 1), 0.74, 0.86))
    y = (j * c - k * s) / size
    smooth = power_law_field(
        source,
        batch,
        shape,
        exponent=torch.full((batch,), 2.5, device=source.place),
        outer_px=torch.full((batch,), min(shape) / 3, device=source.place),
    )
    return torch.sqrt(x * x + y * y) * (1 + 0.015 * smooth), x, y


def _pair(
    source: RandomSource, batch: int, apart: float, spread: float, width: float, length: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Centres, half axes and angles of two ellipses on either side of the middle."""
    hand = torch.tensor([1.0, -1.0], device=source.place)
    off = apart + spread * source.uniform((batch, 1), -1, 1)
    up = source.uniform((batch, 1), -0.1, 0.1).expand(-1, 2)
    axes = torch.tensor([width, length], device=source.place) * source.uniform((batch, 1, 2), 0.5, 1.3)
    lean = hand * source.uniform((batch, 1), -0.4, 0.1)
    return torch.stack([hand * off, up], -1), axes.expand(-1, 2, -1), lean


def _soften(image: Tensor) -> Tensor:
    """Half a pixel of partial volume: weights 1/4, 1/2, 1/4 along both axes."""
    for axis in (-1, -2):
        image = image / 2 + (image.roll(1, axis) + image.roll(-1, axis)) / 4
    return image


def with_smooth_phase(source: RandomSource, magnitude: Tensor, phase_rad: float) -> Tensor:
    """Return magnitudes (B, H, W) with a smooth random phase and a random constant one.

    Args:
        source: of randomness.
        magnitude: real, not negative.
        phase_rad: greatest standard deviation of the smooth phase, radians; the least is 0.1.
    """
    batch, shape = magnitude.shape[0], (magnitude.shape[1], magnitude.shape[2])
    field = power_law_field(
        source,
        batch,
        shape,
        exponent=torch.full((batch,), 2.5, device=source.place),
        outer_px=source.uniform((batch,), 0.2, 0.6) * min(shape),
    )
    phi = source.uniform((batch, 1, 1), 0.1, phase_rad) * field + source.uniform((batch, 1, 1), 0, 2 * math.pi)
    return torch.polar(magnitude.contiguous(), phi.contiguous())
