"""Reflectivity of natural surfaces: speckled textures, fields with borders and shadows, smooth objects."""

from __future__ import annotations

import torch
from torch import Tensor

from echoform.scene.fields import smooth, smooth_phase, uniform, white


def clutter(generator: torch.Generator, batch: int, shape: tuple[int, int]) -> Tensor:
    """Return developed speckle over a log-normal texture of random smoothness and contrast (0 to 6 dB), (B, H, W)."""
    contrast = uniform(generator, (batch, 1, 1), 0.0, 0.7)
    texture = torch.exp(contrast * smooth(generator, batch, shape))
    return texture.sqrt() * white(generator, (batch, *shape))


def regions(generator: torch.Generator, batch: int, shape: tuple[int, int]) -> Tensor:
    """Return a piecewise-constant positive mean intensity with up to 30 dB between regions, (B, H, W).

    The borders are level sets of two smooth fields: coastlines, fields, roads and shadows in outline.
    """
    first, second = smooth(generator, batch, shape), smooth(generator, batch, shape)
    cuts = uniform(generator, (batch, 2, 1, 1), -1.0, 1.0)
    label = (first > cuts[:, 0]).long() + 2 * (second > cuts[:, 1]).long()
    levels = 10 ** (uniform(generator, (batch, 4), -30, 0) / 10)
    return torch.gather(levels, 1, label.flatten(1)).reshape(batch, *shape)


def speckled_regions(generator: torch.Generator, batch: int, shape: tuple[int, int]) -> Tensor:
    """Return developed speckle whose mean intensity is :func:`regions`, (B, H, W)."""
    return regions(generator, batch, shape).sqrt() * white(generator, (batch, *shape))


def coherent_objects(generator: torch.Generator, batch: int, shape: tuple[int, int]) -> Tensor:
    """Return objects of smooth phase whose magnitude is :func:`regions`, softly shaded: specular surfaces, (B, H, W)."""
    shade = torch.exp(0.3 * smooth(generator, batch, shape))
    return regions(generator, batch, shape).sqrt() * shade * smooth_phase(generator, batch, shape)
