"""Every family of scenes under one name and one call, with pixel sizes that suit it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from echoform.scene.aircraft import aircraft
from echoform.scene.buildings import buildings
from echoform.scene.clutter_patch import clutter_patch
from echoform.scene.composed import aircraft_on_apron, ships_at_sea, vehicles_on_land
from echoform.scene.computed_tomography import rods, thorax
from echoform.scene.contrast_phantoms import breast, dielectric_cylinders, layered_wall
from echoform.scene.frame import Frame, draw_frame
from echoform.scene.head import brain, shepp_logan_like
from echoform.scene.isolated_points import points
from echoform.scene.land_cover import land
from echoform.scene.people import draw_cube_axes, people
from echoform.scene.point_response import PointResponse
from echoform.scene.random_source import RandomSource
from echoform.scene.scene import Scene
from echoform.scene.sea import sea
from echoform.scene.ships import ships
from echoform.scene.subsurface import subsurface
from echoform.scene.town import town
from echoform.scene.vehicles import vehicles
from echoform.scene.woodland import woodland


class Domain(Enum):
    """What senses a family: it decides dtype and axes of its images."""

    RADAR = "radar"
    SUBSURFACE = "subsurface"
    MICROWAVE = "microwave"
    RADAR_CUBE = "radar cube"
    MAGNETIC_RESONANCE = "magnetic resonance"
    TOMOGRAPHY = "tomography"


class RadarDraw(Protocol):
    """Scenes on any frame, as an image of any response shows them."""

    def __call__(self, source: RandomSource, frame: Frame, *, response: PointResponse | None = None) -> Scene:
        """Return a batch of scenes; the response is drawn when absent."""
        ...


@dataclass(frozen=True)
class SceneFamily:
    """One kind of scene.

    Attributes:
        name: for people and files.
        domain: what senses it.
        draw: scenes of (source, batch, (H, W)); a radar cube has 16 velocities.
        on_frame: the same on a frame of one's own; for families of ``Domain.RADAR`` only.
    """

    name: str
    domain: Domain
    draw: Callable[[RandomSource, int, tuple[int, int]], Scene]
    on_frame: RadarDraw | None = None


def on_ground(
    draw: Callable[[RandomSource, Frame], Scene],
    spacing_m: tuple[float, float],
    aspect: tuple[float, float] = (1.0, 1.0),
) -> Callable[[RandomSource, int, tuple[int, int]], Scene]:
    """Return the family on frames whose pixel is log-uniform in a range, metres, and its dy / dx in another."""
    return lambda source, batch, shape: draw(
        source, draw_frame(source, batch, shape, spacing_m=spacing_m, aspect=aspect)
    )


def radar(
    name: str, draw: RadarDraw, spacing_m: tuple[float, float], aspect: tuple[float, float] = (1.0, 1.0)
) -> SceneFamily:
    """Return a family of radar scenes; arguments as in :func:`on_ground`."""
    return SceneFamily(name, Domain.RADAR, on_ground(draw, spacing_m, aspect), draw)


def _cube(source: RandomSource, batch: int, shape: tuple[int, int]) -> Scene:
    return people(source, draw_cube_axes(source, batch, (16, *shape)))


FAMILIES = (
    radar("points", points, (0.1, 10.0)),
    radar("vehicles", vehicles, (0.1, 0.5)),
    radar("ships", ships, (1.0, 8.0), (0.5, 6.0)),
    radar("aircraft", aircraft, (0.3, 1.5)),
    radar("buildings", buildings, (0.5, 2.0)),
    radar("land", land, (1.0, 20.0), (0.5, 6.0)),
    radar("sea", sea, (1.0, 10.0), (0.5, 6.0)),
    radar("woodland", woodland, (1.0, 20.0), (0.5, 6.0)),
    radar("clutter", clutter_patch, (0.3, 20.0), (0.5, 6.0)),
    radar("vehicles on land", vehicles_on_land, (0.15, 0.6)),
    radar("ships at sea", ships_at_sea, (1.0, 8.0), (0.5, 6.0)),
    radar("aircraft on apron", aircraft_on_apron, (0.3, 1.5)),
    radar("town", town, (0.5, 5.0), (0.5, 2.0)),
    SceneFamily("subsurface", Domain.SUBSURFACE, on_ground(subsurface, (0.01, 0.05))),
    SceneFamily("dielectric cylinders", Domain.MICROWAVE, on_ground(dielectric_cylinders, (0.001, 0.005))),
    SceneFamily("breast", Domain.MICROWAVE, on_ground(breast, (0.001, 0.003))),
    SceneFamily("layered wall", Domain.MICROWAVE, on_ground(layered_wall, (0.005, 0.02))),
    SceneFamily("people", Domain.RADAR_CUBE, _cube),
    SceneFamily("Shepp-Logan variants", Domain.MAGNETIC_RESONANCE, shepp_logan_like),
    SceneFamily("brain", Domain.MAGNETIC_RESONANCE, brain),
    SceneFamily("thorax", Domain.TOMOGRAPHY, thorax),
    SceneFamily("rods", Domain.TOMOGRAPHY, rods),
)
