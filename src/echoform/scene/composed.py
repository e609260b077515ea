"""Targets in their surroundings: vehicles on land, ships at sea, aircraft on an airfield.

Images are in one unit: the intensity of surroundings is their backscatter sigma_0, and a point of cross section sigma shows
sigma / (dx dy). How far targets stand out thus follows from what they are and from the pixel, as it does for a radar:

    ships       sigma = 0.08 l^(7/3) m^2, l the length in metres, within 5 dB either way
    vehicles    10 to 200 m^2 (a car or a lorry seen from any side)
    aircraft    0.02 l^2 m^2 (1 m^2 for a small one, 100 m^2 for a large airliner), up to 10 dB more through the ground

all centres of an object together; an object's brightest pixel is some 10 dB weaker. Peaks come out 15 to 60 dB over the mean of
their surroundings. With the fading of speckle below its mean and the shadows, scenes span more than 60 dB from their strongest
to their weakest pixel.

Source: Vachon et al. (1997), Can. J. Remote Sens. 23(1) (ships); Skolnik (2001), table 2.2 (the others).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from echoform.scene.aircraft import aircraft
from echoform.scene.frame import Frame, Illumination, draw_illumination
from echoform.scene.land_cover import land, shore
from echoform.scene.point_response import PointResponse, draw_response, unweighted, weighted
from echoform.scene.random_fields import developed_speckle, gamma_texture, lognormal_texture, metric_field
from echoform.scene.random_source import RandomSource
from echoform.scene.scene import Scene, SceneClass, before
from echoform.scene.sea import sea_intensity
from echoform.scene.ships import LENGTH_M, ships
from echoform.scene.vehicles import vehicles
from echoform.scene.wakes import wakes

#: amplitude left in shadow, decibels: multiple paths and ambiguities fill real ones
SHADOW_DB = (-45.0, -15.0)
#: backscatter of tarmac, decibels
TARMAC_DB = (-32.0, -20.0)


def stand_out(source: RandomSource, frame: Frame, background: Scene, targets: Scene, cross_section_m2: Tensor) -> Scene:
    """Return targets before a background whose intensity is sigma_0.

    Args:
        source: of randomness.
        frame: pixels.
        background: surroundings, not weighted.
        targets: their scattering centres get the cross section together; not weighted.
        cross_section_m2: (B,), square metres.

    Raises:
        ValueError: the targets have no centres.
    """
    if targets.centres is None:
        raise ValueError("targets must have scattering centres: their cross section is scaled")
    own = targets.centres.amplitude.abs().square().sum(1).clamp_min(1e-12)
    factor = (cross_section_m2 / (frame.spacing_m.prod(1) * own)).sqrt()
    return before(background, targets.scaled(factor), shadow=source.decibels((frame.batch,), *SHADOW_DB))


def vehicles_on_land(
    source: RandomSource,
    frame: Frame,
    *,
    illumination: Illumination | None = None,
    response: PointResponse | None = None,
) -> Scene:
    """Return vehicles on countryside; arguments as in :func:`vehicles`."""
    illumination = illumination or draw_illumination(source, frame.batch)
    ground = land(source, frame, illumination=illumination, response=unweighted(source))
    cars = vehicles(source, frame, illumination=illumination, response=unweighted(source))
    each = source.decibels((frame.batch,), 10, 23).square()
    scene = stand_out(source, frame, ground, cars, each * _number(cars))
    return weighted(scene, response or draw_response(source, frame.batch))


def ships_at_sea(
    source: RandomSource,
    frame: Frame,
    *,
    length_m: tuple[float, float] = LENGTH_M,
    illumination: Illumination | None = None,
    response: PointResponse | None = None,
) -> Scene:
    """Return ships at sea with their wakes, at times before a coast; masks WATER, WAKE and FOREST (ashore) beside the ships'.

    Arguments as in :func:`ships`.
    """
    illumination = illumination or draw_illumination(source, frame.batch)
    fleet = ships(source, frame, length_m=length_m, illumination=illumination, response=unweighted(source))
    objects = fleet.objects
    assert objects is not None
    factor, wake = wakes(source, frame, illumination, objects)
    ashore = shore(source, frame) & source.chance((frame.batch, 1, 1), 0.2)
    texture = gamma_texture(metric_field(source, frame, (3, 30)), source.log_uniform((frame.batch, 1), 1.5, 6))
    coast = source.decibels((frame.batch, 1, 1), -14, -5).square() * texture
    image = developed_speckle(source, torch.where(ashore, coast, factor * sea_intensity(source, frame)))
    masks = {SceneClass.WATER: ~ashore, SceneClass.FOREST: ashore, SceneClass.WAKE: wake & ~ashore}
    law = 0.08 * objects.size_m[..., 0].pow(7 / 3) * source.decibels((frame.batch, 1), -5, 5).square()
    scene = stand_out(source, frame, Scene(image[:, None], masks=masks), fleet, (law * objects.present).sum(1))
    return weighted(scene, response or draw_response(source, frame.batch))


def aircraft_on_apron(
    source: RandomSource,
    frame: Frame,
    *,
    illumination: Illumination | None = None,
    response: PointResponse | None = None,
) -> Scene:
    """Return aircraft on smooth tarmac beside grass; arguments as in :func:`aircraft`."""
    illumination = illumination or draw_illumination(source, frame.batch)
    parked = aircraft(source, frame, illumination=illumination, response=unweighted(source))
    objects = parked.objects
    assert objects is not None
    law = 0.02 * objects.size_m[..., 0].square() * source.decibels((frame.batch, 1), 0, 10).square()
    scene = stand_out(source, frame, apron(source, frame), parked, (law * objects.present).sum(1))
    return weighted(scene, response or draw_response(source, frame.batch))


def apron(source: RandomSource, frame: Frame) -> Scene:
    """Return tarmac, and grass 6 to 16 dB brighter beyond straight borders, not weighted; masks ROAD and GRASS."""
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
    level = torch.where(grass, source.decibels((batch, 1, 1), 6, 16).square(), 1.0)
    level = level * source.decibels((batch, 1, 1), *TARMAC_DB).square()
    texture = lognormal_texture(metric_field(source, frame, (1, 30)), source.uniform((batch,), 0, 0.6))
    image = developed_speckle(source, level * texture)
    return Scene(image[:, None], masks={SceneClass.GRASS: grass, SceneClass.ROAD: ~grass})


def _number(targets: Scene) -> Tensor:
    """How many objects are there, (B,)."""
    assert targets.objects is not None
    return targets.objects.present.sum(1)
