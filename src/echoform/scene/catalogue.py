"""Every family of scenes under one name and one call, with pixel sizes that suit it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from echoform.scene.aircraft import aircraft
from echoform.scene.buildings import buildings
from echoform.scene.composed import aircraft_on_apron, ships_at_sea, town, vehicles_on_land
from echoform.scene.computed_tomography import rods, thorax
from echoform.scene.contrast_phantoms import breast, dielectric_cylinders, layered_wall
from echoform.scene.frame import Frame, draw_frame
from echoform.scene.head import brain, shepp_logan_like
from echoform.scene.isolated_points import points
from echoform.scene.land_cover import land
from echoform.scene.people import draw_cube_axes, people
from echoform.scene.random_source import RandomSource
from echoform.scene.scene import Scene
from echoform.scene.sea import sea
from echoform.scene.ships import ships
from echoform.scene.subsurface import subsurface
from echoform.scene.vehicles import vehicles


class Domain(Enum):
    """What senses a family: it decides dtype and axes of its images."""

    RADAR = "radar"
    SUBSURFACE = "subsurface"
    MICROWAVE = "microwave"
    RADAR_CUBE = "radar cube"
    MAGNETIC_RESONANCE = "magnetic resonance"
    TOMOGRAPHY = "tomography"


@dataclass(frozen=True)
class SceneFamily:
    """One kind of scene.

    Attributes:
        name: for people and files.
        domain: what senses it.
        draw: scenes of (source, batch, (H, W)); a radar cube has 16 velocities.
    """

    name: str
    domain: Domain
    draw: Callable[[RandomSource, int, tuple[int, int]], Scene]


def on_ground(
    draw: Callable[[RandomSource, Frame], Scene], spacing_m: tuple[float, float]
) -> Callable[[RandomSource, int, tuple[int, int]], Scene]:
    """Return the family on frames whose pixel is log-uniform in a range, metres."""
    return lambda source, batch, shape: draw(source, draw_frame(source, batch, shape, spacing_m=spacing_m))


def _cube(source: RandomSource, batch: int, shape: tuple[int, int]) -> Scene:
    return people(source, draw_cube_axes(source, batch, (16, *shape)))


FAMILIES = (
    SceneFamily("points", Domain.RADAR, on_ground(points, (0.1, 10.0))),
    SceneFamily("vehicles", Domain.RADAR, on_ground(vehicles, (0.1, 0.5))),
    SceneFamily("ships", Domain.RADAR, on_ground(ships, (1.0, 8.0))),
    SceneFamily("aircraft", Domain.RADAR, on_ground(aircraft, (0.3, 1.5))),
    SceneFamily("buildings", Domain.RADAR, on_ground(buildings, (0.5, 2.0))),
    SceneFamily("land", Domain.RADAR, on_ground(land, (1.0, 20.0))),
    SceneFamily("sea", Domain.RADAR, on_ground(sea, (1.0, 10.0))),
    SceneFamily("vehicles on land", Domain.RADAR, on_ground(vehicles_on_land, (0.15, 0.6))),
    SceneFamily("ships at sea", Domain.RADAR, on_ground(ships_at_sea, (1.0, 8.0))),
    SceneFamily("aircraft on apron", Domain.RADAR, on_ground(aircraft_on_apron, (0.3, 1.5))),
    SceneFamily("town", Domain.RADAR, on_ground(town, (0.5, 2.0))),
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
