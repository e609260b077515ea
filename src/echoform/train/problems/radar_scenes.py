"""Which radar scenes suit which pixel size, and batches that hold several kinds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from echoform.scene.aircraft import aircraft
from echoform.scene.buildings import buildings
from echoform.scene.clutter_patch import clutter_patch
from echoform.scene.composed import aircraft_on_apron, ships_at_sea, vehicles_on_land
from echoform.scene.frame import Frame, Illumination
from echoform.scene.isolated_points import points
from echoform.scene.joined import joined
from echoform.scene.land_cover import land
from echoform.scene.random_source import RandomSource
from echoform.scene.scene import Scene
from echoform.scene.sea import sea
from echoform.scene.ships import ships
from echoform.scene.town import town
from echoform.scene.vehicles import vehicles
from echoform.scene.woodland import woodland


@dataclass(frozen=True)
class RadarScene:
    """One kind of scene.

    Attributes:
        draw: scenes of (source, frame, illumination).
        spacing_m: pixel sizes that show what it is, metres.
        weight: how often it is drawn.
    """

    draw: Callable[[RandomSource, Frame, Illumination], Scene]
    spacing_m: tuple[float, float]
    weight: float


KINDS = (
    RadarScene(lambda source, frame, _: points(source, frame), (0.1, 10.0), 2.0),
    RadarScene(lambda source, frame, _: sea(source, frame), (1.0, 10.0), 0.4),
    RadarScene(lambda s, f, light: vehicles(s, f, illumination=light), (0.1, 0.5), 1.0),
    RadarScene(lambda s, f, light: ships(s, f, illumination=light), (1.0, 8.0), 0.7),
    RadarScene(lambda s, f, light: aircraft(s, f, illumination=light), (0.3, 1.5), 0.7),
    RadarScene(lambda s, f, light: buildings(s, f, illumination=light), (0.5, 2.0), 0.7),
    RadarScene(lambda s, f, light: land(s, f, illumination=light), (1.0, 20.0), 1.2),
    RadarScene(lambda s, f, light: vehicles_on_land(s, f, illumination=light), (0.15, 0.6), 1.0),
    RadarScene(lambda s, f, light: ships_at_sea(s, f, illumination=light), (1.0, 8.0), 1.2),
    RadarScene(lambda s, f, light: aircraft_on_apron(s, f, illumination=light), (0.3, 1.5), 1.0),
    RadarScene(lambda s, f, light: town(s, f, illumination=light), (0.5, 5.0), 1.2),
    RadarScene(lambda source, frame, _: woodland(source, frame), (1.0, 20.0), 0.3),
    RadarScene(lambda source, frame, _: clutter_patch(source, frame), (0.3, 20.0), 0.5),
)


@dataclass(frozen=True)
class SceneChoice:
    """Kinds of scene of a batch, those alike side by side.

    Attributes:
        kinds: kind and number of its scenes; the numbers sum to the batch.
        spacing_m: a pixel size that suits each, (B,), metres, float32.
    """

    kinds: tuple[tuple[RadarScene, int], ...]
    spacing_m: Tensor


def choose_scenes(source: RandomSource, batch: int, *, spacing_m: tuple[float, float], most: int = 4) -> SceneChoice:
    """Return up to ``most`` kinds of scene with pixel sizes in the range, log-uniform where kind and range agree.

    Args:
        source: of randomness.
        batch: number of scenes.
        spacing_m: sizes the sensor can have, metres.
        most: greatest number of kinds: the fewer, the cheaper a batch.

    Raises:
        ValueError: no kind of scene has pixels of such sizes.
    """
    low, high = spacing_m
    able = [kind for kind in KINDS if kind.spacing_m[0] < high and kind.spacing_m[1] > low]
    if not able:
        raise ValueError(f"no kind of scene has pixels of {low:g} to {high:g} m")
    weights = torch.tensor([kind.weight for kind in able])
    generator = source.generator
    chosen = torch.multinomial(weights.to(generator.device), min(most, len(able), batch), generator=generator).tolist()
    each, rest = divmod(batch, len(chosen))
    kinds = tuple((able[number], each + (place < rest)) for place, number in enumerate(chosen))
    sizes = [
        source.log_uniform((count,), max(low, kind.spacing_m[0]), min(high, kind.spacing_m[1])) for kind, count in kinds
    ]
    return SceneChoice(kinds, torch.cat(sizes))


def radar_scene(source: RandomSource, choice: SceneChoice, frame: Frame, illumination: Illumination) -> Scene:
    """Return scenes of the kinds chosen, each with its frame and illumination."""
    parts, first = [], 0
    for kind, count in choice.kinds:
        rows = slice(first, first + count)
        light = Illumination(illumination.azimuth_rad[rows], illumination.grazing_rad[rows])
        parts.append(kind.draw(source, Frame(frame.shape, frame.spacing_m[rows]), light))
        first += count
    return joined(parts)
