"""Gradients of samples and backprojection with respect to geometry, where a sensor promises them, against finite differences.

The exact spotlight and its coarse version, Born and MIMO radars have theirs in test_spotlight.py, test_spotlight_bistatic.py,
test_local_transfer.py, test_born.py and test_array_radar.py. Of stripmap the range-Doppler form promises them; omega-K refuses
(test_stripmap.py).
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from test_array_radar import chirps, filled_array
from test_ground_penetrating import survey
from test_interferometry import EARTH, GRID, baselines
from test_spotlight import arc
from test_spotlight_factorised import bistatic, near
from torch import Tensor

from contracts import data_for, distance, image_for, randn
from echoform.physics.ground_homogeneous import HomogeneousGround
from echoform.physics.ground_penetrating import GroundPenetratingRadar
from echoform.physics.interferometry import interferometer
from echoform.physics.near_range_array import near_range_array
from echoform.physics.operator import LinearOperator
from echoform.physics.spotlight_exact import ExactSpotlight
from echoform.physics.spotlight_factorised import FactorisedSpotlight
from echoform.physics.spotlight_plane_wave import plane_wave_spotlight
from echoform.physics.stripmap_range_doppler import StripmapRangeDoppler
from echoform.scene.array import MimoArray, polar_positions_m
from echoform.scene.collection import SpotlightCollection
from echoform.scene.grid import Grid
from echoform.scene.soil import GroundSurvey, Section
from echoform.scene.stripmap import StripmapCollection

DOUBLE = torch.complex128
ARRAY, AIR, GROUND = filled_array(2, 2, 0.006), survey(0.2, traces=2), survey(0.0, traces=2)
PLACES_M = polar_positions_m(
    ARRAY, ranges_m=torch.tensor([[0.3, 0.5]]).double(), angles_rad=torch.tensor([[0.1, 0.4]]).double()
)
SECTION = Section(Grid((3, 2), (0.05, 0.1)), 0.2)
FLIGHT = tuple(torch.tensor([v]).double() for v in (100.0, 1e10, 2e8, 400.0, 300.0, -2512.3, 1.0))
TRACK = arc(pulses=3, frequencies=4, radius_m=60.0, grazing_deg=20)


def near_range(transmitter_m: Tensor, receiver_m: Tensor, places_m: Tensor) -> LinearOperator:
    return near_range_array(chirps(1, 5), MimoArray(transmitter_m, receiver_m), positions_m=places_m, dtype=DOUBLE)


def plane_wave(antenna_m: Tensor) -> LinearOperator:
    collection = SpotlightCollection(antenna_m, TRACK.frequency_hz, TRACK.kept)
    return plane_wave_spotlight(collection, Grid((4, 4), (0.3, 0.3)), dtype=DOUBLE)


def plane_wave_aside(transmitter_m: Tensor, receiver_m: Tensor) -> LinearOperator:
    """Of a displaced grid, whose place is in the weights."""
    collection = SpotlightCollection(transmitter_m, TRACK.frequency_hz, TRACK.kept, receiver_m)
    return plane_wave_spotlight(collection, Grid((4, 4), (0.3, 0.3), (2.0, -3.0)), dtype=DOUBLE)


def factorised(transmitter_m: Tensor, receiver_m: Tensor) -> LinearOperator:
    """With an error far below the steps of finite differences; of two levels in one step."""
    collection = SpotlightCollection(transmitter_m, TRACK.frequency_hz, TRACK.kept, receiver_m)
    operator = FactorisedSpotlight(collection, Grid((9, 8), (0.3, 0.3)), dtype=DOUBLE, leaf=3, accuracy=1e-12)
    assert [len(blocks.centres) for blocks in operator.trees[0].steps()[0].frequencies] == [1, 4]  # pyright: ignore
    return operator


def sky(scale: Tensor) -> LinearOperator:
    return interferometer(baselines(4) * scale, torch.ones(1, 4), GRID, largest_w_wavelengths=EARTH, dtype=DOUBLE)


def refracted(antenna_x_m: Tensor, height_m: Tensor, permittivity: Tensor) -> LinearOperator:
    taken = GroundSurvey(antenna_x_m, height_m, permittivity, AIR.start_hz, AIR.step_hz, AIR.spectrum)
    return GroundPenetratingRadar(taken, SECTION, dtype=DOUBLE)


def homogeneous(antenna_x_m: Tensor, permittivity: Tensor) -> LinearOperator:
    taken = GroundSurvey(antenna_x_m, GROUND.height_m, permittivity, GROUND.start_hz, GROUND.step_hz, GROUND.spectrum)
    return HomogeneousGround(taken, SECTION, dtype=DOUBLE)


def stripmap(*relative: Tensor) -> LinearOperator:
    """22 degrees of squint, a pulse missing; each number of FLIGHT in parts of 1e-4, for the phase is 1e5 radians."""
    numbers = ((1 + 1e-4 * part) * value for part, value in zip(relative, FLIGHT, strict=True))
    kept = torch.tensor([[1.0, 1, 0, 1, 1]], dtype=torch.float64)
    collection = StripmapCollection(*numbers, kept=kept)
    return StripmapRangeDoppler(collection, (4, 4), range_spacing_m=0.7, frequencies=5, azimuth_length=32, dtype=DOUBLE)


def stripmap_coarse(*relative: Tensor) -> LinearOperator:
    return stripmap(*relative).coarsen(2)


SENSORS: dict[str, tuple[Callable[..., LinearOperator], tuple[Tensor, ...]]] = {
    "near-range array": (near_range, (ARRAY.transmitter_m, ARRAY.receiver_m, PLACES_M)),
    "spotlight, plane wave": (plane_wave, (TRACK.antenna_m,)),
    "spotlight, plane wave, displaced": (plane_wave_aside, (TRACK.antenna_m, 1.1 * TRACK.antenna_m.flip(1))),
    "spotlight, factorised": (factorised, (TRACK.antenna_m, 1.1 * TRACK.antenna_m.flip(1))),
    "interferometer": (sky, (torch.ones(1, 4, 2, dtype=torch.float64),)),
    "ground radar, raised": (refracted, (AIR.antenna_x_m, AIR.height_m, AIR.permittivity)),
    "stripmap, range-Doppler": (stripmap, tuple(torch.zeros(1, dtype=torch.float64) for _ in FLIGHT)),
    "stripmap, coarse": (stripmap_coarse, tuple(torch.zeros(1, dtype=torch.float64) for _ in FLIGHT)),
    "ground radar, homogeneous": (homogeneous, (GROUND.antenna_x_m, GROUND.permittivity)),
}


@pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad")
@pytest.mark.parametrize("name", SENSORS)
@pytest.mark.parametrize("images", [1, 9])
def test_against_finite_differences(name: str, images: int) -> None:
    """Of one image and of as many as go by other sums."""
    build, geometry = SENSORS[name]
    leaves = [values.detach().clone().requires_grad_() for values in geometry]
    x, y = image_for(build(*geometry), batch=1, lead=(images,)), data_for(build(*geometry), batch=1, lead=(images,))
    for value, back in ((x, False), (y, True)):

        def found(*moved: Tensor, value: Tensor = value, back: bool = back) -> Tensor:
            operator = build(*moved)
            return operator.adjoint(value) if back else operator(value)

        assert torch.autograd.gradcheck(found, leaves, eps=1e-6, atol=1e-4, rtol=1e-3, fast_mode=True)


@pytest.mark.parametrize("pair", [False, True], ids=["one antenna", "bistatic"])
@pytest.mark.parametrize("back", [False, True], ids=["samples", "backprojection"])
def test_the_factorised_spotlight_s_are_those_of_the_exact_one(pair: bool, back: bool) -> None:
    """Of a misfit, at the default accuracy: to image or samples and to the antennas, k_c moving with them."""
    collection, grid = near((40, 40))
    collection = bistatic(collection) if pair else collection
    value, target = randn((2, 1, 1, 40, 40), 2), randn((2, 1, 1, 40, 40), 3)
    found = []
    for kind in (ExactSpotlight, FactorisedSpotlight):
        places = [
            None if q is None else q.clone().requires_grad_() for q in (collection.antenna_m, collection.receiver_m)
        ]
        antenna_m, receiver_m = places
        assert antenna_m is not None
        moved = SpotlightCollection(antenna_m, collection.frequency_hz, collection.kept, receiver_m)
        operator, x = kind(moved, grid, dtype=DOUBLE), value.clone().requires_grad_()
        misfit = ((operator.adjoint(x) if back else operator(x)) - target).abs().square().sum()
        found.append(torch.autograd.grad(misfit, [x, *(q for q in places if q is not None)]))
    assert len(found[0]) == (3 if pair else 2)
    for expected, measured in zip(*found, strict=True):
        assert distance(measured, expected) < 2e-3


def test_the_factorised_spotlight_keeps_no_value_where_no_antenna_moves() -> None:
    """What the backward pass to the image needs is the geometry alone."""
    collection, grid = near((16, 16))
    x = randn((1, 1, 16, 16), 2).requires_grad_()
    for moves in (False, True):
        still = SpotlightCollection(
            collection.antenna_m.clone().requires_grad_(moves), collection.frequency_hz, collection.kept
        )
        kept: list[Tensor] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, kept=kept: kept.append(t) or t, lambda t: t):
            FactorisedSpotlight(still, grid, dtype=DOUBLE)(x)
        assert any(t.numel() == x.numel() and t.is_complex() for t in kept) == moves
