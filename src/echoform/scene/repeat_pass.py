"""Scenes seen from two passes: what has changed between them, and the phase that heights and tracks leave.

    x_2 = (g x_1 + sqrt(1 - g^2) sqrt(I) n) exp(i phi),     n ~ CN(0, 1),  I the local mean intensity of x_1

so that E x_2 conj(x_1) = g exp(i phi) I and both passes have one power. The coherence g is drawn by class: water moves, leaves
do, stone and steel stay, and so do things of no class. The phase is a ramp, as a difference of the tracks leaves it, and a smooth
field, as heights, motion of the ground and air do.

Source: Zebker and Villasenor (1992), IEEE Trans. Geosci. Remote Sens. 30(5) (decorrelation with time); Bamler and Hartl (1998),
Inverse Problems 14(4) (statistics of pairs).
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from echoform.scene.neighbourhood import mean_intensity
from echoform.scene.random_fields import power_law_field
from echoform.scene.random_source import RandomSource
from echoform.scene.scene import Scene, SceneClass

#: ranges of the coherence, typical of days to weeks at L to X band
COHERENCE = {
    SceneClass.WATER: (0.0, 0.1),
    SceneClass.SHADOW: (0.0, 0.1),
    SceneClass.WAKE: (0.0, 0.1),
    SceneClass.FOREST: (0.05, 0.5),
    SceneClass.CROP: (0.1, 0.8),
    SceneClass.GRASS: (0.2, 0.9),
    SceneClass.BARE: (0.5, 0.98),
    SceneClass.ROAD: (0.3, 0.9),
    SceneClass.URBAN: (0.8, 0.99),
    SceneClass.SHIP: (0.0, 0.1),
}
#: of all else: buildings, parked things, isolated points
STILL = (0.9, 0.999)
#: greatest ramp, radians per pixel along each axis, and standard deviation of the smooth phase, radians
RAMP_RAD, ROUGHNESS_RAD = 0.4, (0.2, 4.0)


def repeat_pass(source: RandomSource, scene: Scene) -> Scene:
    """Return the scenes in both passes, (B, 2, H, W) complex64, with their interferogram; centres are those of the first pass.

    Args:
        source: of randomness.
        scene: radar scenes of one channel.
    """
    first = scene.image
    phase, coherence = _phase(source, len(first), (first.shape[-2], first.shape[-1])), _coherence(source, scene)
    drawn = mean_intensity(first).sqrt() * source.white(tuple(first.shape))
    pair = torch.polar(coherence, phase)
    second = first * pair[:, None] + drawn * ((1 - coherence.square()).sqrt() * torch.exp(1j * phase))[:, None]
    return replace(scene, image=torch.cat([first, second], 1), interferogram=pair)


def _coherence(source: RandomSource, scene: Scene) -> Tensor:
    """Return g of every pixel, (B, H, W): one number a class in each scene; later classes lie on top."""
    batch, (height, width) = scene.batch, scene.image.shape[-2:]
    coherence = source.uniform((batch, 1, 1), *STILL).expand(-1, height, width)
    for label, bounds in COHERENCE.items():
        drawn, mask = source.uniform((batch, 1, 1), *bounds), scene.masks.get(label)
        if mask is not None:
            coherence = torch.where(mask, drawn, coherence)
    return coherence


def _phase(source: RandomSource, batch: int, shape: tuple[int, int]) -> Tensor:
    """Return phi, (B, H, W), radians."""
    j, k = (torch.arange(n, device=source.place) - n // 2 for n in shape)
    slope = source.uniform((batch, 2, 1, 1), -RAMP_RAD, RAMP_RAD)
    outer = source.log_uniform((batch,), min(shape) / 4, min(shape))
    field = power_law_field(source, batch, shape, exponent=source.uniform((batch,), 2.0, 3.0), outer_px=outer)
    rough = source.log_uniform((batch, 1, 1), *ROUGHNESS_RAD) * field
    turn = source.uniform((batch, 1, 1), 0, 2 * math.pi)
    return turn + slope[:, 0] * j[:, None] + slope[:, 1] * k + rough
