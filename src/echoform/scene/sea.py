"""The sea: swell, gusts and spiky texture under developed speckle.

    intensity = sigma_0 (1 + m cos(k . r + phi + distortion)) x gusts x gamma texture

sigma_0 is the backscatter of a unit area: -28 dB for light winds far from the vertical to -6 dB for strong ones near it. Spikes
are uncorrelated or a few metres long, and rare (texture shapes of 3 and more) but where waves break or the radar looks from low
down; gusts are hundreds of metres long and so mostly a slope across the scene. Swell is 40 to 300 m long.

Source: Ward, Tough and Watts, Sea Clutter (2013), chapter 2 (texture); Ulaby and Long (2014), section 16-3 (levels).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from echoform.scene.frame import Frame
from echoform.scene.point_response import PointResponse, draw_response, weighted
from echoform.scene.random_fields import developed_speckle, gamma_texture, lognormal_texture, metric_field
from echoform.scene.random_source import RandomSource
from echoform.scene.scene import Scene, SceneClass

#: backscatter, decibels
LEVEL_DB = (-28.0, -6.0)
#: length of swell, of gusts and of spikes, metres
SWELL_M, GUST_M, SPIKE_M = (40.0, 300.0), (100.0, 1000.0), (1.0, 12.0)
#: shape of the spikes' texture; in a share SPIKY of the scenes the lower one
CALM, ROUGH, SPIKY = (3.0, 60.0), (0.5, 3.0), 0.15


def sea(source: RandomSource, frame: Frame, *, response: PointResponse | None = None) -> Scene:
    """Return open water of intensity sigma_0, with the mask WATER everywhere.

    Args:
        source: of randomness.
        frame: pixels.
        response: how the image shows it; drawn when absent.
    """
    image = developed_speckle(source, sea_intensity(source, frame))
    water = torch.ones(image.shape, dtype=torch.bool, device=source.place)
    return weighted(
        Scene(image[:, None], masks={SceneClass.WATER: water}), response or draw_response(source, frame.batch)
    )


def sea_intensity(source: RandomSource, frame: Frame) -> Tensor:
    """Return the mean intensity of every pixel before speckle, (B, H, W)."""
    batch = frame.batch
    y, x = frame.axes_m()
    rate = 2 * math.pi / source.log_uniform((batch, 1, 1), *SWELL_M)
    turn = source.uniform((batch, 1, 1), 0, 2 * math.pi)
    crooked = source.uniform((batch, 1, 1), 0.2, 1.5) * metric_field(source, frame, SWELL_M)
    phase = source.uniform((batch, 1, 1), 0, 2 * math.pi)
    crest = torch.cos(rate * (torch.sin(turn) * y + torch.cos(turn) * x) + phase + crooked)
    swell = 1 + source.uniform((batch, 1, 1), 0, 0.6) * source.chance((batch, 1, 1), 0.5) * crest
    gusts = lognormal_texture(metric_field(source, frame, GUST_M), source.uniform((batch,), 0, 0.3))
    shape = torch.where(
        source.chance((batch, 1), SPIKY),
        source.log_uniform((batch, 1), *ROUGH),
        source.log_uniform((batch, 1), *CALM),
    )
    spikes = gamma_texture(metric_field(source, frame, SPIKE_M), shape)
    return source.decibels((batch, 1, 1), *LEVEL_DB).square() * swell * gusts * spikes
