"""The sea: swell, gusts and spiky texture under developed speckle.

    intensity = level (1 + m cos(k . r + phi + distortion)) x gamma texture

Small texture shapes make the spikes that a radar sees at low grazing angles and fine resolution (Ward, Tough and Watts, Sea
Clutter (2013), chapter 2).
"""

from __future__ import annotations

import math

import torch

from echoform.scene.frame import Frame
from echoform.scene.random_fields import developed_speckle, gamma_texture, lognormal_texture, rough_field
from echoform.scene.random_source import RandomSource
from echoform.scene.scene import Scene, SceneClass


def sea(source: RandomSource, frame: Frame) -> Scene:
    """Return open water of mean intensity near one, with the mask WATER everywhere.

    Args:
        source: of randomness.
        frame: pixels.
    """
    batch, shape = frame.batch, frame.shape
    j, k = (torch.arange(n, device=source.place) for n in shape)
    period, turn = source.log_uniform((batch, 1, 1), 4, 30), source.uniform((batch, 1, 1), 0, math.pi)
    rate = 2 * math.pi / period
    crooked = source.uniform((batch, 1, 1), 0.2, 1.5) * rough_field(source, batch, shape)
    crest = torch.cos(rate * (torch.sin(turn) * j[:, None] + torch.cos(turn) * k) + crooked)
    swell = 1 + source.uniform((batch, 1, 1), 0, 0.8) * crest
    gusts = lognormal_texture(rough_field(source, batch, shape), source.uniform((batch,), 0, 0.5))
    spikes = gamma_texture(rough_field(source, batch, shape), source.log_uniform((batch, 1), 0.5, 20))
    image = developed_speckle(source, swell * gusts * spikes)
    water = torch.ones((batch, *shape), dtype=torch.bool, device=source.place)
    return Scene(image[:, None], masks={SceneClass.WATER: water})
