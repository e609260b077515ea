"""Woodland: closed canopy with crowns, here and there a ride or a clearing.

    intensity = sigma_0 x gamma texture

Crowns of 3 to 12 m are hardly wider than a pixel of 2 to 4 m, so that a wood looks as even as speckle there, and grainy below.

Source: Ulaby and Dobson, Handbook of Radar Scattering Statistics for Terrain (1989) (levels, trees).
"""

from __future__ import annotations

import torch

from echoform.scene.frame import Frame
from echoform.scene.land_cover import meander
from echoform.scene.point_response import PointResponse, draw_response, weighted
from echoform.scene.random_fields import developed_speckle, gamma_texture, metric_field
from echoform.scene.random_source import RandomSource
from echoform.scene.scene import Scene, SceneClass

#: backscatter of the canopy and of a ride or clearing, decibels
CANOPY_DB, CLEARING_DB = (-13.0, -5.0), (-19.0, -10.0)
#: size of crowns, metres, and shape of their texture
CROWN_M, TEXTURE = (3.0, 12.0), (4.0, 20.0)
#: shares of scenes with a ride and with clearings
RIDE, CLEARED = 0.15, 0.15


def woodland(source: RandomSource, frame: Frame, *, response: PointResponse | None = None) -> Scene:
    """Return woods with the masks FOREST and GRASS (rides and clearings).

    Args:
        source: of randomness.
        frame: pixels; 1 to 20 m are usual.
        response: how the image shows it; drawn when absent.
    """
    batch = frame.batch
    ride = meander(source, frame, width_m=source.uniform((batch,), 4, 12), bend=source.uniform((batch,), 0, 0.4))
    bare = metric_field(source, frame, (30.0, 150.0)) > source.uniform((batch, 1, 1), 1.0, 2.0)
    open_ = (ride & source.chance((batch, 1, 1), RIDE)) | (bare & source.chance((batch, 1, 1), CLEARED))
    canopy, clearing = (source.decibels((batch, 1, 1), *levels).square() for levels in (CANOPY_DB, CLEARING_DB))
    texture = gamma_texture(metric_field(source, frame, CROWN_M), source.log_uniform((batch, 1), *TEXTURE))
    image = developed_speckle(source, torch.where(open_, clearing, canopy * texture))
    scene = Scene(image[:, None], masks={SceneClass.FOREST: ~open_, SceneClass.GRASS: open_})
    return weighted(scene, response or draw_response(source, batch))
