"""Land and water as a radar sees them: fields, woods, towns, roads, rivers and coasts, each with its own backscatter.

Every region has a mean backscatter (decibels, drawn within the range of its class) and a gamma texture of the class's shape,
so that its speckle is K distributed. Parcels are cells of a Voronoi diagram drawn out along a common direction, 40 to 400 m
across, so that a small scene may hold a single one; textures are clumps of 2 to 20 m. Woods and coasts are level sets of rough
fields; roads and rivers run along smooth random curves t = f(s),

    distance  |t - f(s)| / sqrt(1 + f'(s)^2),      f(s) = sum_m a_m sin(w_m s + phi_m).

Pylons, poles, sheds and fences stand out of the land as points of 1 to 1000 m^2, in the unit of :mod:`echoform.scene.composed`.

The ranges are those of X and C band at middling incidence, rounded, after Ulaby and Dobson, Handbook of Radar Scattering
Statistics for Terrain (1989).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from echoform.scene.frame import Frame, Illumination, draw_illumination
from echoform.scene.point_response import PointResponse, draw_response, render, unweighted, weighted
from echoform.scene.random_fields import developed_speckle, gamma_texture, metric_field, power_law_field, rough_field
from echoform.scene.random_source import RandomSource
from echoform.scene.scene import Centres, Scene, SceneClass, still_centres


@dataclass(frozen=True)
class Cover:
    """Ranges of a class: mean backscatter in decibels and shape of the gamma texture."""

    label: SceneClass
    level_db: tuple[float, float]
    texture: tuple[float, float]


#: what the land is made of; the order is that of the labels in :func:`land`
COVERS = (
    Cover(SceneClass.BARE, (-20.0, -9.0), (5.0, 30.0)),
    Cover(SceneClass.CROP, (-15.0, -6.0), (5.0, 30.0)),
    Cover(SceneClass.GRASS, (-17.0, -9.0), (5.0, 20.0)),
    Cover(SceneClass.FOREST, (-11.0, -5.0), (1.5, 6.0)),
    Cover(SceneClass.URBAN, (-6.0, 4.0), (0.4, 1.2)),
    Cover(SceneClass.WATER, (-32.0, -18.0), (8.0, 40.0)),
    Cover(SceneClass.ROAD, (-26.0, -18.0), (8.0, 30.0)),
    Cover(SceneClass.SHADOW, (-50.0, -40.0), (40.0, 50.0)),
)
_CLASS = {cover.label: i for i, cover in enumerate(COVERS)}
#: shares of the first five classes among parcels
PARCEL_SHARES = (0.25, 0.3, 0.25, 0.12, 0.08)
#: greatest number of things that stand out, share of scenes without any, and their cross sections over 1 m^2, decibels
THINGS, EMPTY, THING_DB = 8, 0.2, (0.0, 30.0)
#: ground that each of them has to itself at least, square metres
PLOT_M2 = 500.0
#: sizes of parcels and of the clumps of textures, metres
PARCEL_M, CLUMP_M = (40.0, 400.0), (2.0, 20.0)
#: parcels of a scene, and the regions that come after them
PARCELS = 20
_EXTRA = (SceneClass.FOREST, SceneClass.WATER, SceneClass.ROAD, SceneClass.SHADOW)
_WOOD, _WATER, _ROAD, _SHADOW = (PARCELS + i for i in range(len(_EXTRA)))


def land(
    source: RandomSource,
    frame: Frame,
    *,
    illumination: Illumination | None = None,
    response: PointResponse | None = None,
) -> Scene:
    """Return countryside: parcels with woods, roads, rivers and coasts, and a mask for every class of :data:`COVERS`.

    Args:
        source: of randomness.
        frame: pixels; 1 to 20 m suit the widths of roads and rivers.
        illumination: where the radar is, for the shadows of woods; drawn when absent.
        response: how the image shows it; drawn when absent.
    """
    illumination = illumination or draw_illumination(source, frame.batch)
    region = _regions(source, frame, illumination)
    kinds = _kinds(source, frame.batch)
    backscatter, texture = _tables(source, kinds)
    intensity = backscatter.gather(1, region.flatten(1)).reshape(region.shape)
    intensity = intensity * _furrows(source, frame, region, kinds)
    fine = metric_field(source, frame, CLUMP_M)
    labels = kinds.gather(1, region.flatten(1)).reshape(region.shape)
    intensity = intensity * gamma_texture(fine, texture, labels)
    small = labels.to(torch.uint8)  # eight comparisons of an eighth of the bytes
    masks = {cover.label: small == i for i, cover in enumerate(COVERS)}
    things = _things(source, frame)
    image = developed_speckle(source, intensity)[:, None] + render(things, frame, unweighted(source))
    scene = Scene(image, things, None, masks)
    return weighted(scene, response or draw_response(source, frame.batch))


def voronoi(source: RandomSource, frame: Frame, cells: int, *, reach_m: Tensor | None = None) -> Tensor:
    """Return the number of the nearest of ``cells`` random seeds, in a metric drawn out up to four times, (B, H, W) int64.

    Args:
        source: of randomness.
        frame: pixels.
        cells: number of seeds.
        reach_m: seeds stand in a square of this side about the middle, (B,), metres; 1.2 times the scene when absent or smaller.
    """
    batch, (height, width) = frame.batch, frame.shape
    y, x = frame.axes_m()
    size = frame.extent_m()[:, :, None]
    turn, long = source.uniform((batch, 1, 1), 0, math.pi), source.uniform((batch, 1, 1), 1.0, 4.0)
    c, s = torch.cos(turn), torch.sin(turn)
    least = 1.2 * size
    side = least if reach_m is None else torch.maximum(least, reach_m[:, None, None])
    seed = source.uniform((batch, 2, cells), -0.5, 0.5) * side

    def metric(at_y: Tensor, at_x: Tensor) -> Tensor:
        """Return the coordinates in that metric, and a one, (B, 3, rows, columns)."""
        return torch.stack([(at_x * c + at_y * s) / long, at_y * c - at_x * s, torch.ones_like(at_x + at_y)], 1)

    pixels, seeds = metric(y, x).flatten(2), metric(seed[:, 0, None], seed[:, 1, None]).flatten(2)
    # |p - s|^2 without |p|^2, which no seed changes
    distance = torch.cat([-2 * seeds[:, :2], seeds[:, :2].square().sum(1, keepdim=True)], 1).mT @ pixels
    # of two as near the later one; far faster than argmin over seeds
    nearest = distance == distance.amin(1, keepdim=True)
    number = torch.arange(cells, dtype=torch.int16, device=distance.device)[:, None]
    return (nearest * number).amax(1).long().reshape(batch, height, width)


def meander(source: RandomSource, frame: Frame, *, width_m: Tensor, bend: Tensor) -> Tensor:
    """Return the pixels within half a width of a random curve across the scene, at least one pixel wide, (B, H, W) bool.

    Args:
        source: of randomness.
        frame: pixels.
        width_m: (B,), metres.
        bend: greatest slope of the curve, (B,); 0 is straight.
    """
    batch, modes = frame.batch, 3
    y, x = frame.axes_m()
    side = frame.side_m()[:, None, None]
    turn = source.uniform((batch, 1, 1), 0, math.pi)
    c, s = torch.cos(turn), torch.sin(turn)
    shift = source.uniform((batch, 1, 1), -0.35, 0.35) * side
    cycles = source.uniform((batch, modes, 1), 0.3, 2.5)
    share = source.uniform((batch, modes, 1), 0.2, 1.0)
    rate = 2 * math.pi * cycles / side
    slope = bend[:, None, None] * share / share.sum(1, keepdim=True)
    # w s + phi is a sum of a row's part and a column's: sines of it are sums of products of both parts' sines and cosines
    down = rate * (y * s).mT + source.uniform((batch, modes, 1), 0, 2 * math.pi)
    over = rate * (x * c)
    of_columns = torch.cat([over.cos(), over.sin()], 1)
    sine, cosine = down.sin(), down.cos()
    offset = torch.cat([sine, cosine], 1) * (slope / rate).repeat(1, 2, 1)
    steep = torch.cat([cosine, -sine], 1) * slope.repeat(1, 2, 1)
    away = (y * c - shift - x * s) - offset.mT @ of_columns
    half = torch.maximum(width_m, frame.spacing_m.amax(1))[:, None, None] / 2
    return away.square() <= half.square() * (1 + (steep.mT @ of_columns).square())


def shore(source: RandomSource, frame: Frame) -> Tensor:
    """Return the water of a random coast: where a rough field lies below a level that drowns 10 to 60 %, (B, H, W) bool."""
    batch = frame.batch
    exponent = source.uniform((batch,), 1.3, 1.9)
    outer = torch.full((batch,), min(frame.shape) / 1.5, device=source.place)
    field = power_law_field(source, batch, frame.shape, exponent=exponent, outer_px=outer)
    share = source.uniform((batch, 1, 1), -1.2, 0.25)
    return field / field.std((1, 2), keepdim=True) < share


def cast(mask: Tensor, frame: Frame, direction: Tensor, length_m: Tensor, *, steps: int = 4) -> Tensor:
    """Return the pixels that a mask covers while it moves ``length_m`` along ``direction``, in ``steps`` steps, (B, H, W) bool.

    Args:
        mask: (B, H, W) bool.
        frame: pixels.
        direction: unit vector (x, y), (B, 2).
        length_m: (B,), metres.
        steps: pixels further apart than length / steps may be missed.
    """
    height, width = frame.shape
    j, k = (torch.arange(n, device=mask.device) for n in frame.shape)
    covered = mask
    for step in range(1, steps + 1):
        moved = (direction * (length_m * step / steps)[:, None]).flip(1) / frame.spacing_m
        rows = (j - moved[:, :1].round().long()).clamp(0, height - 1)
        columns = (k - moved[:, 1:].round().long()).clamp(0, width - 1)
        index = (rows[:, :, None] * width + columns[:, None, :]).flatten(1)
        covered = covered | mask.flatten(1).gather(1, index).reshape(mask.shape)
    return covered


def _regions(source: RandomSource, frame: Frame, illumination: Illumination) -> Tensor:
    """Which region every pixel belongs to: parcels 0 to PARCELS - 1, then the extra ones, each painted over the last."""
    reach = source.log_uniform((frame.batch,), *PARCEL_M) * math.sqrt(PARCELS)
    region = voronoi(source, frame, PARCELS, reach_m=reach)
    hedges = _borders(region) & source.chance((frame.batch, 1, 1), 0.3)
    region = torch.where(hedges, _WOOD, region)
    for share, paint in ((0.5, _wood), (0.35, _river), (0.35, _coast), (0.7, _road), (0.4, _road), (0.3, _road)):
        rows = torch.nonzero(source.chance((frame.batch,), share)).flatten()
        if len(rows):
            light = Illumination(illumination.azimuth_rad[rows], illumination.grazing_rad[rows])
            region[rows] = paint(source, Frame(frame.shape, frame.spacing_m[rows]), light, region[rows])
    return region


def _wood(source: RandomSource, frame: Frame, illumination: Illumination, region: Tensor) -> Tensor:
    """Paint woods, and before them the shadows that they cast over all but hedges."""
    wood = rough_field(source, frame.batch, frame.shape) > source.uniform((frame.batch, 1, 1), 0.5, 1.5)
    tall = illumination.shadow_m(source.uniform((frame.batch,), 6, 25))
    shadow = cast(wood, frame, -illumination.towards(), tall) & (region != _WOOD)
    return torch.where(wood, _WOOD, torch.where(shadow, _SHADOW, region))


def _river(source: RandomSource, frame: Frame, _: Illumination, region: Tensor) -> Tensor:
    """Paint a river."""
    width, bend = source.log_uniform((frame.batch,), 5, 80), source.uniform((frame.batch,), 0.2, 2.0)
    return torch.where(meander(source, frame, width_m=width, bend=bend), _WATER, region)


def _coast(source: RandomSource, frame: Frame, _: Illumination, region: Tensor) -> Tensor:
    """Paint the water of a coast."""
    return torch.where(shore(source, frame), _WATER, region)


def _road(source: RandomSource, frame: Frame, _: Illumination, region: Tensor) -> Tensor:
    """Paint a road, which ends at the water."""
    width, bend = source.uniform((frame.batch,), 4, 20), source.uniform((frame.batch,), 0, 0.6)
    road = meander(source, frame, width_m=width, bend=bend)
    return torch.where(road & (region != _WATER), _ROAD, region)


def _things(source: RandomSource, frame: Frame) -> Centres:
    """Points of no object anywhere in the scene."""
    shape = (frame.batch, THINGS)
    room = frame.extent_m().prod(1, keepdim=True) / (THINGS * PLOT_M2)
    there = source.present(*shape) & ~source.chance((frame.batch, 1), EMPTY) & (source.uniform(shape) < room)
    strength = source.decibels(shape, *THING_DB) / frame.spacing_m.prod(1).sqrt()[:, None]
    owner = torch.full(shape, -1, device=source.place)
    return still_centres(frame.anywhere_m(source, THINGS), strength * source.phase(shape) * there, owner)


def _borders(region: Tensor) -> Tensor:
    """Pixels whose neighbour in the next row or column belongs to another region."""
    border = torch.zeros_like(region, dtype=torch.bool)
    border[:, :-1] |= region[:, :-1] != region[:, 1:]
    border[:, :, :-1] |= region[:, :, :-1] != region[:, :, 1:]
    return border


def _kinds(source: RandomSource, batch: int) -> Tensor:
    """Class of every region, as its index in COVERS, (B, PARCELS + extras)."""
    edges = torch.tensor(PARCEL_SHARES, device=source.place).cumsum(0)[:-1]
    parcels = torch.bucketize(source.uniform((batch, PARCELS)), edges)
    extra = torch.tensor([_CLASS[label] for label in _EXTRA], device=source.place)
    return torch.cat([parcels, extra.expand(batch, -1)], 1)


def _tables(source: RandomSource, kinds: Tensor) -> tuple[Tensor, Tensor]:
    """Backscatter of every region, (B, regions), and texture of every class, (B, classes)."""
    bounds = torch.tensor([cover.level_db for cover in COVERS], device=source.place)
    low, high = bounds[:, 0][kinds], bounds[:, 1][kinds]
    level = low + (high - low) * source.uniform(tuple(kinds.shape))
    shapes = torch.log(torch.tensor([cover.texture for cover in COVERS], device=source.place))
    share = source.uniform((kinds.shape[0], len(COVERS)))
    return 10 ** (level / 10), torch.exp(shapes[:, 0] + (shapes[:, 1] - shapes[:, 0]) * share)


def _furrows(source: RandomSource, frame: Frame, region: Tensor, kinds: Tensor) -> Tensor:
    """Rows of crops: 1 + m cos(k . r) in some parcels, with periods of 3 to 12 pixels, (B, H, W)."""
    shape = tuple(kinds.shape)
    crop = (kinds == _CLASS[SceneClass.CROP]) & source.chance(shape, 0.6)
    depth = crop * source.uniform(shape, 0.1, 0.7)
    rate = 2 * math.pi / source.log_uniform(shape, 3, 12)
    turn = source.uniform(shape, 0, math.pi)
    flat = region.flatten(1)
    m, ky, kx = (
        t.gather(1, flat).reshape(region.shape) for t in (depth, rate * torch.sin(turn), rate * torch.cos(turn))
    )
    j, k = (torch.arange(n, device=region.device) for n in frame.shape)
    return 1 + m * torch.cos(ky * j[:, None] + kx * k)
