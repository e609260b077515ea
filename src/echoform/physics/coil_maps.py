"""Simulated sensitivities of receive coils that stand about the image, for training and tests.

    s_c(r) = exp(i arg(r - r_c)) / sqrt(|r - r_c|^2 + h^2),      S_c = s_c exp(i a_c) / sqrt(sum_c |s_c|^2)

the field of a small loop at r_c, seen from above: it falls as the inverse distance and its phase turns about the loop. r runs
from -1 to 1 along the image's sides, h is the loop's size, a_c the phase of its receiver.

Source: Roemer et al. (1990), Magnetic Resonance in Medicine 16 (arrays of loops); Allison et al. (2013), IEEE Trans. Med. Imaging
32(3), section III (this simplified form).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from echoform.scene.random_source import RandomSource

#: distances of the coils from the middle, and sizes of the loops, half sides of the image
RADIUS, LOOP = (1.15, 1.8), (0.2, 0.6)


def coil_maps(position: Tensor, loop: Tensor, phase_rad: Tensor, shape: tuple[int, int]) -> Tensor:
    """Return sensitivities of unit norm over the coils, (B, coils, H, W) complex64.

    Args:
        position: (x, y) of r_c, (B, coils, 2), half sides of the image; outside the image.
        loop: h, (B, coils), half sides.
        phase_rad: a_c, (B, coils), radians.
        shape: (H, W).
    """
    height, width = shape
    y = (torch.arange(height, device=position.device) - height // 2)[:, None] * (2 / height)
    x = (torch.arange(width, device=position.device) - width // 2) * (2 / width)
    dx, dy = x - position[..., 0, None, None], y - position[..., 1, None, None]
    strength = (dx.square() + dy.square() + loop[..., None, None].square()).rsqrt()
    strength = strength / strength.square().sum(1, keepdim=True).sqrt()
    return torch.polar(strength, torch.atan2(dy, dx) + phase_rad[..., None, None])


def draw_coil_maps(source: RandomSource, batch: int, coils: int, shape: tuple[int, int]) -> Tensor:
    """Return sensitivities of coils spread unevenly on a ring about the image, as :func:`coil_maps`.

    Args:
        source: of randomness.
        batch: number of arrays.
        coils: of each array.
        shape: (H, W).
    """
    spacing = 2 * math.pi / coils
    slots = spacing * (torch.arange(coils, device=source.place) + source.uniform((batch, coils), -0.3, 0.3))
    angle = slots + source.uniform((batch, 1), 0, 2 * math.pi)
    radius = source.uniform((batch, coils), *RADIUS)
    position = torch.stack([radius * torch.cos(angle), radius * torch.sin(angle)], -1)
    loop, phase = source.uniform((batch, coils), *LOOP), source.uniform((batch, coils), 0, 2 * math.pi)
    return coil_maps(position, loop, phase, shape)
