"""Sums over all samples and pixels take what a block takes: four times the pulses need no more memory on the way.

Born's bound and that of its matrix: test_born.py; tomography: test_tomography.py.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from stripmap_truth import airborne
from test_array_radar import chirps, filled_array
from test_born import peak_bytes
from test_ground_penetrating import survey
from test_spotlight import arc

from contracts import randn
from echoform.physics.ground_penetrating import GroundPenetratingRadar
from echoform.physics.near_range_array import near_range_array
from echoform.physics.operator import LinearOperator
from echoform.physics.spotlight_exact import ExactSpotlight
from echoform.physics.spotlight_factorised import FactorisedSpotlight
from echoform.physics.stripmap_range_doppler import StripmapRangeDoppler
from echoform.scene.array import polar_positions_m
from echoform.scene.grid import Grid
from echoform.scene.soil import Section

SIDE, FREQUENCIES = 64, 64


def spotlight(pulses: int) -> LinearOperator:
    return ExactSpotlight(arc(pulses=pulses, frequencies=FREQUENCIES), Grid((SIDE, SIDE), (0.2, 0.2)))


def factorised(pulses: int) -> LinearOperator:
    return FactorisedSpotlight(arc(pulses=pulses, frequencies=FREQUENCIES), Grid((SIDE, SIDE), (0.2, 0.2)))


def near_range(elements: int) -> LinearOperator:
    array = filled_array(1, elements, 0.002)
    ranges, angles = torch.linspace(0.3, 2, SIDE).double()[None], torch.linspace(-0.6, 0.6, SIDE).double()[None]
    places = polar_positions_m(array, ranges_m=ranges, angles_rad=angles)
    return near_range_array(chirps(1, FREQUENCIES), array, positions_m=places)


def ground(traces: int) -> LinearOperator:
    return GroundPenetratingRadar(survey(0.2, traces=traces), Section(Grid((SIDE, SIDE), (0.02, 0.03)), 0.2))


def stripmap(pulses: int) -> LinearOperator:
    """More pulses a second of the same track."""
    collection = airborne(centroid_hz=-2500.0, pulses=pulses)
    return StripmapRangeDoppler(collection, (SIDE, SIDE), range_spacing_m=0.75, frequencies=FREQUENCIES)


SENSORS: dict[str, Callable[[int], LinearOperator]] = {
    "spotlight": spotlight,
    "factorised": factorised,
    "near range": near_range,
    "ground": ground,
    "stripmap": stripmap,
}
#: pulses with which a block is full; the factorised sum takes the small ones of few pulses together
FULL = {"factorised": 256}


@pytest.mark.parametrize("name", SENSORS)
def test_memory_does_not_grow_with_the_pulses(name: str) -> None:
    """Beyond image and samples, which are counted: in one piece the phases of 128 pulses are 33 MB and more."""
    peaks = []
    fewest = FULL.get(name, 32)
    for pulses in (fewest, 4 * fewest):
        operator = SENSORS[name](pulses)
        x = randn((1, *operator.domain_shape), 1, operator.dtype)
        y = operator(x)
        for run in (lambda o=operator, x=x: o(x), lambda o=operator, y=y: o.adjoint(y)):
            peaks.append((peak_bytes(run), y.nbytes))
    for (few, small), (many, large) in zip(peaks[:2], peaks[2:], strict=True):
        assert many - 3 * large < 1.1 * few + 3 * small
        assert many < 16e6
