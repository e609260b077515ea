"""Towns: blocks between streets, rows of houses that the pixels hardly resolve, and buildings that they do.

Streets cut the scene into blocks, which are built up, green or yards. A built block holds rows of houses at a common pitch; a
row shows, going away from its street, its front (bright), its roof, the shadow or the gardens behind it. Corners of walls and
balconies, lamps, cars and fences are points,

    n per square metre on the fronts, a tenth of that elsewhere in the block;      10 log10 sigma ~ N(mean, 8 dB)

mostly 1 to 30 m^2, and now and then a trihedral of walls and ground 15 dB above the others: few points outshine all, and the
intensity of a town has a heavy tail over a body like that of land. In some towns the points of a front stand in a lattice along
the streets, as windows, posts and stacked containers do. All is in the unit of :mod:`echoform.scene.composed`.

Source: Oliver and Quegan (2004), section 11.6 (towns); Franceschetti et al. (2002), see :mod:`echoform.scene.buildings`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from echoform.scene.buildings import buildings
from echoform.scene.composed import SHADOW_DB
from echoform.scene.frame import Frame, Illumination, draw_illumination
from echoform.scene.point_response import PointResponse, draw_response, unweighted, weighted
from echoform.scene.random_fields import developed_speckle, gamma_texture, metric_field
from echoform.scene.random_source import RandomSource
from echoform.scene.scene import Centres, Scene, SceneClass, before, still_centres

#: sides of blocks, width of streets, pitch of the rows of houses, metres
BLOCK_M, STREET_M, PITCH_M = (40.0, 200.0), (6.0, 16.0), (12.0, 40.0)
#: backscatter of built blocks, gardens and greens, yards and streets, decibels
BUILT_DB, GREEN_DB, BARE_DB = (-10.0, 0.0), (-16.0, -9.0), (-22.0, -14.0)
#: points: number per square metre of front, mean cross section over one square metre in decibels, its spread in decibels
DENSITY_M2, POINT_DB, SPREAD_DB = (0.003, 0.1), (-5.0, 15.0), 8.0
#: share of points that are trihedrals, and by how much they are stronger, decibels
TRIHEDRALS, STRONGER_DB = 0.04, 15.0
#: kinds of block to choose from, and shares of built and green ones; the others are yards
BLOCKS, BUILT, GREEN = 64, 0.7, 0.15
#: share of towns whose fronts are lattices, and their pitch, metres
LATTICE, LATTICE_M = 0.4, (4.0, 20.0)
#: strongest points that are kept as centres
KEPT = 64


def town(
    source: RandomSource,
    frame: Frame,
    *,
    illumination: Illumination | None = None,
    response: PointResponse | None = None,
) -> Scene:
    """Return buildings in a town; masks as in :func:`buildings`, and URBAN, GRASS, BARE and ROAD.

    Args:
        source: of randomness.
        frame: pixels; 0.5 to 5 m show houses or at least rows of them.
        illumination: where the radar is; drawn when absent.
        response: how the image shows it; drawn when absent.
    """
    illumination = illumination or draw_illumination(source, frame.batch)
    street = source.uniform((frame.batch,), 0, math.pi)
    houses = buildings(source, frame, most=4, illumination=illumination, street_rad=street, response=unweighted(source))
    fabric = urban_fabric(source, frame, street)
    scene = before(fabric, houses, shadow=source.decibels((frame.batch,), *SHADOW_DB))
    return weighted(scene, response or draw_response(source, frame.batch))


def urban_fabric(source: RandomSource, frame: Frame, street_rad: Tensor) -> Scene:
    """Return streets, blocks and rows of houses, not weighted, with the strongest ``KEPT`` points as centres.

    Args:
        source: of randomness.
        frame: pixels.
        street_rad: direction of the streets, (B,), radians.
    """
    batch = frame.batch
    y, x = frame.axes_m()
    c, s = torch.cos(street_rad)[:, None, None], torch.sin(street_rad)[:, None, None]
    u, v = x * c + y * s, y * c - x * s
    wide = torch.maximum(source.uniform((batch, 1, 1), *STREET_M), frame.spacing_m.amax(1)[:, None, None])
    number, along, across = _blocks(source, u, v)
    road = (along < wide) | (across < wide)
    row, front, gap = _rows(source, u, v)
    kind = source.uniform((batch, BLOCKS))
    built, green = (t.gather(1, number.flatten(1)).reshape(number.shape) for t in (kind < BUILT, kind < BUILT + GREEN))
    built, green = built & ~road, green & ~built & ~road
    level = source.decibels((batch, BLOCKS), *BUILT_DB).square().gather(1, number.flatten(1)).reshape(number.shape)
    garden, bare = (source.decibels((batch, 1, 1), *levels).square() for levels in (GREEN_DB, BARE_DB))
    house = built & row & ~gap
    shapes = torch.stack([source.log_uniform((batch,), 4, 30), source.log_uniform((batch,), 0.8, 6)], 1)
    texture = gamma_texture(metric_field(source, frame, (2.0, 15.0)), shapes, built.long())
    mean = torch.where(house, level, torch.where(built | green, garden, bare)) * texture
    points = _points(source, frame, house & front, built, (u, v))
    masks = {SceneClass.URBAN: built, SceneClass.GRASS: green, SceneClass.ROAD: road}
    masks[SceneClass.BARE] = ~(built | green | road)
    centres = _strongest(frame, points)
    return Scene((developed_speckle(source, mean) + points)[:, None], centres, None, masks)


def _blocks(source: RandomSource, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Kind of the block of every pixel in 0 to BLOCKS - 1, and how far it is from the block's first sides, metres, (B, H, W)."""
    batch = u.shape[0]
    cells, ways = [], []
    for way in (u, v):
        side = source.log_uniform((batch, 1, 1), *BLOCK_M)
        at = way / side + source.uniform((batch, 1, 1))
        cells.append(at.floor().long())
        ways.append((at - at.floor()) * side)
    # primes far from multiples of BLOCKS: neighbours get different numbers
    return (7919 * cells[0] + 104729 * cells[1]) % BLOCKS, ways[0], ways[1]


def _rows(source: RandomSource, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Where rows of houses stand, where their fronts are, and the gaps between houses, (B, H, W) bool."""
    batch = u.shape[0]

    def share(way: Tensor, period: Tensor) -> Tensor:
        at = way / period + source.uniform((batch, 1, 1))
        return at - at.floor()

    depth = source.uniform((batch, 1, 1), 0.35, 0.8)
    away = share(v, source.log_uniform((batch, 1, 1), *PITCH_M))
    beside = share(u, source.log_uniform((batch, 1, 1), 10, 60))
    return away < depth, away < 0.35 * depth, beside < source.uniform((batch, 1, 1), 0, 0.4)


def _points(source: RandomSource, frame: Frame, front: Tensor, built: Tensor, axes: tuple[Tensor, Tensor]) -> Tensor:
    """Image of points, each a pixel, (B, H, W) complex64; ``axes`` run along the streets, metres."""
    batch, shape = frame.batch, tuple(front.shape)
    area = frame.spacing_m.prod(1)[:, None, None]
    chance = source.log_uniform((batch, 1, 1), *DENSITY_M2) * area
    here = source.uniform(shape) < torch.where(front, chance, 0.1 * chance * built).clamp_max(0.5)
    regular = source.chance((batch, 1, 1), LATTICE) & front
    for way in axes:
        regular = regular & (torch.remainder(way, source.uniform((batch, 1, 1), *LATTICE_M)) < area.sqrt())
    mean = source.uniform((batch, 1, 1), *POINT_DB) + STRONGER_DB * source.chance(shape, TRIHEDRALS)
    decibels = mean + SPREAD_DB * source.normal(shape) * torch.where(regular, 0.5, 1.0)
    strength = (10 ** (decibels / 10) / area).sqrt()
    return strength * (here | regular) * source.phase(shape)


def _strongest(frame: Frame, points: Tensor) -> Centres:
    """The KEPT strongest points as scattering centres of no object."""
    flat = points.flatten(1)
    index = flat.abs().topk(min(KEPT, flat.shape[1]), dim=1).indices
    height, width = frame.shape
    middle = torch.tensor([height // 2, width // 2], device=points.device)
    pixel = torch.stack([index // width, index % width], -1) - middle
    position = (pixel * frame.spacing_m[:, None]).flip(-1)
    return still_centres(position, flat.gather(1, index), torch.full_like(index, -1))
