"""Fully polarimetric radar scenes: what each pixel does to polarisation, from what it shows.

A pixel x becomes the Pauli vector (a, b, c) of surface, dihedral and volume scattering, powers p_a + p_b + p_c = 1 by class,

    HH = (a + b) / sqrt 2,     HV = VH = c / sqrt 2,     VV = (a - b) / sqrt 2

Natural surfaces: a = sqrt(p_a) x, b and c independent speckle over the local mean intensity I of x, sqrt(p I) CN(0, 1), so that
each channel is developed speckle and HH and VV have the coherence (p_a - p_b) / (p_a + p_b). Things made by people: one
scattering mechanism of random powers and phases for every few pixels, a = d_a x, b = d_b x, c = d_c x with |d| = 1.

Source: Cloude and Pottier (1996), IEEE Trans. Geosci. Remote Sens. 34(2) (Pauli vector); Freeman and Durden (1998), IEEE Trans.
Geosci. Remote Sens. 36(3) (the three mechanisms and where they are found).
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from echoform.scene.neighbourhood import mean_intensity
from echoform.scene.random_source import RandomSource
from echoform.scene.scene import Scene, SceneClass

#: shares of surface, dihedral and volume scattering, typical of L to X band
NATURAL = {
    SceneClass.WATER: (0.95, 0.02, 0.03),
    SceneClass.BARE: (0.8, 0.1, 0.1),
    SceneClass.CROP: (0.5, 0.2, 0.3),
    SceneClass.GRASS: (0.65, 0.1, 0.25),
    SceneClass.FOREST: (0.25, 0.2, 0.55),
    SceneClass.ROAD: (0.9, 0.05, 0.05),
    SceneClass.SHADOW: (0.5, 0.2, 0.3),
}
MADE = {
    SceneClass.URBAN: (0.35, 0.5, 0.15),
    SceneClass.VEHICLE: (0.45, 0.45, 0.1),
    SceneClass.SHIP: (0.4, 0.5, 0.1),
    SceneClass.AIRCRAFT: (0.6, 0.3, 0.1),
    SceneClass.BUILDING: (0.5, 0.4, 0.1),
    SceneClass.LAYOVER: (0.6, 0.3, 0.1),
    SceneClass.DOUBLE_BOUNCE: (0.08, 0.87, 0.05),
}
#: of pixels of no class: isolated scatterers of all kinds
OTHER = (0.5, 0.35, 0.15)
#: pixels over which a mechanism of things made by people stays the same
CELL = 4


def polarimetric(source: RandomSource, scene: Scene) -> Scene:
    """Return the scenes in HH, HV, VH, VV, (B, 4, H, W) complex64; their channels hold the power of the one given.

    Args:
        source: of randomness.
        scene: radar scenes of one channel; amplitudes of centres stay those of the whole power.
    """
    x = scene.image
    power, natural = _powers(scene)
    grown = torch.cat([x, mean_intensity(x).sqrt() * source.white((len(x), 2, *x.shape[-2:]))], 1) * power.sqrt()
    pauli = torch.where(natural, grown, x * _mechanism(source, power))
    a, b, c = (pauli * math.sqrt(0.5)).unbind(1)
    return replace(scene, image=torch.stack([a + b, c, c, a - b], 1))


def _powers(scene: Scene) -> tuple[Tensor, Tensor]:
    """Return the shares of every pixel, (B, 3, H, W), and which pixels are natural, (B, 1, H, W); later classes lie on top."""
    image = scene.image
    label = torch.zeros(len(image), *image.shape[-2:], dtype=torch.int32, device=image.device)
    classes = [*NATURAL, *MADE]
    for number, name in enumerate(classes, 1):
        mask = scene.masks.get(name)
        if mask is not None:
            label = torch.where(mask, number, label)
    shares = torch.tensor([OTHER, *NATURAL.values(), *MADE.values()], device=image.device)
    power = torch.stack([share[label] for share in shares.unbind(1)], 1)
    return power, ((label > 0) & (label <= len(NATURAL)))[:, None]


def _mechanism(source: RandomSource, power: Tensor) -> Tensor:
    """Return d of cells of a few pixels, (B, 3, H, W) complex64, |d| = 1; its powers scatter about those given."""
    batch, _, height, width = power.shape
    coarse = (batch, 3, -(-height // CELL), -(-width // CELL))
    weight, phase = (
        part.repeat_interleave(CELL, -2).repeat_interleave(CELL, -1)[..., :height, :width]
        for part in (source.exponential(coarse), source.phase(coarse))
    )
    weight = power * weight
    return (weight / weight.sum(1, keepdim=True).clamp_min(1e-12)).sqrt() * phase
