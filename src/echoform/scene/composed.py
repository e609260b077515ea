"""Targets in their surroundings: vehicles on land, ships at sea, aircraft on an airfield, buildings in a town.

The strongest pixel of the targets stands 30 to 80 dB above the mean intensity of the surroundings. With the fading of speckle
below its mean and the shadows, every scene spans more than 60 dB from its strongest to its weakest pixel.
"""

from __future__ import annotations

import math

import torch

from echoform.scene.aircraft import aircraft
from echoform.scene.buildings import buildings
from echoform.scene.frame import Frame, Illumination, draw_illumination
from echoform.scene.land_cover import land, shore
from echoform.scene.random_fields import developed_speckle, gamma_texture, lognormal_texture, rough_field
from echoform.scene.random_source import RandomSource
from echoform.scene.scene import Scene, SceneClass, before
from echoform.scene.sea import sea
from echoform.scene.ships import ships
from echoform.scene.vehicles import vehicles

#: strongest pixel of the targets over the mean intensity of the surroundings, decibels
PEAK_DB = (30.0, 80.0)
#: amplitude left in shadow, decibels: multiple paths and ambiguities fill real ones
SHADOW_DB = (-60.0, -20.0)


def stand_out(
    source: RandomSource, background: Scene, targets: Scene, *, peak_db: tuple[float, float] = PEAK_DB
) -> Scene:
    """Return targets before a background, with the strongest pixel of the targets ``peak_db`` over its mean intensity."""
    mean = background.image.abs().square().mean((1, 2, 3)).sqrt()
    peak = targets.image.abs().amax((1, 2, 3)).clamp_min(1e-12)
    factor = source.decibels((background.batch,), *peak_db) * mean / peak
    return before(background, targets.scaled(factor), shadow=source.decibels((background.batch,), *SHADOW_DB))


def vehicles_on_land(source: RandomSource, frame: Frame, *, illumination: Illumination | None = None) -> Scene:
    """Return vehicles on countryside; arguments as in :func:`vehicles`."""
    illumination = illumination or draw_illumination(source, frame.batch)
    ground = land(source, frame, illumination=illumination)
    return stand_out(source, ground, vehicles(source, frame, illumination=illumination))


def ships_at_sea(source: RandomSource, frame: Frame, *, illumination: Illumination | None = None) -> Scene:
    """Return ships on the sea, at times before a coast; arguments as in :func:`ships`."""
    illumination = illumination or draw_illumination(source, frame.batch)
    water = sea(source, frame)
    coastal = source.chance((frame.batch, 1, 1), 0.3)
    ashore = shore(source, frame) & coastal
    brighter = source.decibels((frame.batch, 1, 1), 6, 20).square()
    texture = gamma_texture(rough_field(source, frame.batch, frame.shape), source.log_uniform((frame.batch, 1), 0.6, 5))
    coast = developed_speckle(source, brighter * texture)[:, None]
    masks = {SceneClass.WATER: ~ashore, SceneClass.FOREST: ashore}
    background = Scene(torch.where(ashore[:, None], coast, water.image), masks=masks)
    return stand_out(source, background, ships(source, frame, illumination=illumination))


def aircraft_on_apron(source: RandomSource, frame: Frame, *, illumination: Illumination | None = None) -> Scene:
    """Return aircraft on smooth tarmac beside grass; arguments as in :func:`aircraft`."""
    illumination = illumination or draw_illumination(source, frame.batch)
    ground = _ground(source, frame, grass_db=(6.0, 16.0))
    return stand_out(source, ground, aircraft(source, frame, illumination=illumination))


def town(source: RandomSource, frame: Frame, *, illumination: Illumination | None = None) -> Scene:
    """Return buildings on streets and lawns; arguments as in :func:`buildings`."""
    illumination = illumination or draw_illumination(source, frame.batch)
    ground = _ground(source, frame, grass_db=(3.0, 10.0))
    return stand_out(source, ground, buildings(source, frame, illumination=illumination), peak_db=(25.0, 55.0))


def _ground(source: RandomSource, frame: Frame, *, grass_db: tuple[float, float]) -> Scene:
    """Tarmac of intensity one, and grass that much brighter beyond straight borders."""
    batch = frame.batch
    y, x = frame.axes_m()
    grass = torch.zeros((batch, *frame.shape), dtype=torch.bool, device=source.place)
    for share in (0.8, 0.6):
        turn = source.uniform((batch, 1, 1), 0, math.tau)
        beyond = (
            x * torch.cos(turn) + y * torch.sin(turn)
            > source.uniform((batch, 1, 1), 0.1, 0.5) * frame.side_m()[:, None, None]
        )
        grass = grass | (beyond & source.chance((batch, 1, 1), share))
    level = torch.where(grass, source.decibels((batch, 1, 1), *grass_db).square(), 1.0)
    texture = lognormal_texture(rough_field(source, batch, frame.shape), source.uniform((batch,), 0, 0.6))
    image = developed_speckle(source, level * texture)
    return Scene(image[:, None], masks={SceneClass.GRASS: grass, SceneClass.ROAD: ~grass})
