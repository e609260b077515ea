"""The factorised spotlight sum against the exact one, where the plane wave fails: near, wide, bistatic, on rough tracks."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from test_spotlight import DOUBLE, arc
from torch import Tensor

from contracts import distance, randn
from echoform.physics.aperture_tree import Blocks, Geometry, Nodes, Tree
from echoform.physics.spotlight_exact import ExactSpotlight
from echoform.physics.spotlight_factorised import FactorisedSpotlight
from echoform.physics.spotlight_plane_wave import plane_wave_spotlight
from echoform.scene.collection import SpotlightCollection
from echoform.scene.grid import Grid


def decibels(measured: Tensor, expected: Tensor) -> float:
    return 20 * math.log10(distance(measured.to(DOUBLE), expected))


def near(
    shape: tuple[int, int], *, centre_deg: float = 0.0, radius_m: float = 150.0
) -> tuple[SpotlightCollection, Grid]:
    """X band, 30 degrees up, resolution 0.35 m in both directions, pixels of 0.3 m, as many samples as pixels."""
    collection = arc(
        radius_m=radius_m,
        aperture_deg=math.degrees(0.0312 / 0.7),
        grazing_deg=30,
        bandwidth_hz=428e6 / math.cos(math.radians(30)),
        centre_deg=centre_deg,
        pulses=shape[0],
        frequencies=shape[1],
    )
    return collection, Grid(shape, (0.3, 0.3))


def bistatic(collection: SpotlightCollection) -> SpotlightCollection:
    """The receiver on a track of its own, 35 degrees away and lower."""
    q = collection.antenna_m
    c, s = math.cos(0.6), math.sin(0.6)
    turned = torch.stack([1.2 * (c * q[..., 0] - s * q[..., 1]), s * q[..., 0] + c * q[..., 1], 0.7 * q[..., 2]], -1)
    return SpotlightCollection(q, collection.frequency_hz, collection.kept, turned)


def rough(collection: SpotlightCollection) -> SpotlightCollection:
    """Every pulse displaced at random by some 3 wavelengths in all directions, and a third of the samples missing."""
    generator = torch.Generator().manual_seed(1)
    q = collection.antenna_m
    moved = q + 0.1 * torch.randn(q.shape, generator=generator, dtype=torch.float64)
    dropped = torch.rand(collection.kept.shape, generator=generator) < 0.33
    dropped[:, 5:8] = True
    return SpotlightCollection(moved, collection.frequency_hz, collection.kept).without(dropped)


CASES = {"arc": lambda c: c, "bistatic": bistatic, "rough": rough}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
@pytest.mark.parametrize("shape", [(64, 64), (50, 75)], ids=str)
def test_both_directions_against_the_exact_sum(case, shape: tuple[int, int]) -> None:
    whole, grid = near(shape, centre_deg=35)
    collection = case(whole)
    exact, fast = ExactSpotlight(collection, grid, dtype=DOUBLE), FactorisedSpotlight(collection, grid)
    x, y = randn((1, 1, *shape), 2), randn((1, 1, *shape), 3)
    assert decibels(fast(x.to(torch.complex64)), exact(x)) < -60
    assert decibels(fast.adjoint(y.to(torch.complex64)), exact.adjoint(y)) < -60
    assert float(fast(x.to(torch.complex64))[0, 0][collection.kept[0] == 0].abs().sum()) == 0
    assert decibels(plane_wave_spotlight(collection, grid, dtype=DOUBLE)(x), exact(x)) > 0


@pytest.mark.parametrize("accuracy", [1e-2, 1e-4, 1e-8, 1e-12])
def test_the_error_follows_the_accuracy(accuracy: float) -> None:
    collection, grid = near((64, 64))
    x = randn((1, 1, 64, 64), 2)
    expected = ExactSpotlight(collection, grid, dtype=DOUBLE)(x)
    measured = FactorisedSpotlight(collection, grid, dtype=DOUBLE, accuracy=accuracy)(x)
    assert accuracy / 1e4 < distance(measured, expected) < max(accuracy / 5, 1e-11)


@pytest.mark.parametrize("leaf", [4, 8, 16, 64])
def test_adjoint_at_every_depth(leaf: int) -> None:
    """<A x, y> = <x, A^H y>; at leaf 64 there is no level and the sum is the exact one."""
    collection, grid = near((40, 56))
    fast = FactorisedSpotlight(bistatic(collection), grid, dtype=DOUBLE, leaf=leaf)
    x, y = randn((1, 1, 40, 56), 2), randn((1, 1, 40, 56), 3)
    forward, back = fast(x), fast.adjoint(y)
    gap = torch.vdot(forward.flatten(), y.flatten()) - torch.vdot(x.flatten(), back.flatten())
    assert abs(complex(gap)) < 1e-12 * float(forward.norm() * y.norm())
    if leaf == 64:
        assert distance(forward, ExactSpotlight(bistatic(collection), grid, dtype=DOUBLE)(x)) < 1e-11


@pytest.mark.parametrize(("pulses", "frequencies"), [(3, 200), (200, 3), (1, 2), (37, 129)])
def test_fewer_or_more_samples_than_pixels(pulses: int, frequencies: int) -> None:
    whole, grid = near((pulses, frequencies))[0], Grid((48, 33), (0.3, 0.3))
    exact, fast = ExactSpotlight(whole, grid, dtype=DOUBLE), FactorisedSpotlight(whole, grid, dtype=DOUBLE)
    x, y = randn((1, 1, 48, 33), 2), randn((1, 1, pulses, frequencies), 3)
    assert decibels(fast(x), exact(x)) < -50
    assert decibels(fast.adjoint(y), exact.adjoint(y)) < -50


def test_each_sensor_of_a_batch_has_its_own_geometry() -> None:
    one, grid = near((32, 32))
    other, _ = near((32, 32), centre_deg=60, radius_m=100.0)
    both = SpotlightCollection(torch.cat([one.antenna_m, other.antenna_m]), one.frequency_hz, one.kept)
    x = randn((3, 2, 1, 32, 32), 4)
    measured = FactorisedSpotlight(both, grid, dtype=DOUBLE)(x)
    for i, collection in enumerate((one, other)):
        expected = ExactSpotlight(collection, grid, dtype=DOUBLE)(x[:, i : i + 1])
        assert decibels(measured[:, i : i + 1], expected) < -60


def test_the_work_per_pixel_grows_with_the_depth_only() -> None:
    """Values held at each level per pixel: the same for a scene sixteen times larger."""
    for side in (64, 256):
        collection, grid = near((side, side), radius_m=3000.0)
        tree = FactorisedSpotlight(collection, grid).trees[0]
        assert isinstance(tree, Tree)
        assert len(tree.levels) == math.log2(side / 16)
        blocks = len(tree.pulses.centres) * len(tree.frequencies.centres)
        assert tree.rows_m.numel() * tree.columns_m.numel() * blocks < 2 * side**2


@pytest.mark.parametrize(("pulses", "frequencies"), [(40, 56), (3, 200), (37, 129)])
def test_phases_that_are_held_are_those_of_every_pass(pulses: int, frequencies: int) -> None:
    """To the last bit, on both ways; and what is held is what was counted."""
    collection, grid = near((pulses, frequencies))[0], Grid((40, 56), (0.3, 0.3))
    held, computed = (FactorisedSpotlight(bistatic(collection), grid, leaf=8, held=n) for n in (1 << 24, 0))
    x, y = (randn((1, 1, *shape), 2, torch.complex64) for shape in (grid.shape, (pulses, frequencies)))
    assert torch.equal(held(x), computed(x))
    assert torch.equal(held.adjoint(y), computed.adjoint(y))
    tree, bare = held.trees[0], computed.trees[0]
    assert isinstance(tree, Tree)
    assert isinstance(bare, Tree)
    assert bare.phases is None
    rows = [tree.start, tree.phases, *(level.phases for level in tree.steps())]
    assert sum(row.numel() for row in rows if row is not None) == tree.phase_count() == bare.phase_count()


def test_small_blocks_are_taken_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step asks for its paths once, whether it has one block or sixteen, and the last sum twice."""
    collection, grid = near((32, 32))
    fast, asked = FactorisedSpotlight(collection, grid, leaf=2, held=0), []
    tree, path = fast.trees[0], Geometry.path
    assert isinstance(tree, Tree)
    assert len(tree.pulses.centres) == 16

    def counted(*given: Any) -> Tensor:
        asked.append(given)
        return path(*given)

    monkeypatch.setattr(Geometry, "path", counted)
    fast(randn((1, 1, 32, 32), 2, torch.complex64))
    assert len(asked) == 1 + len(tree.levels) + 2


def test_a_level_that_spares_few_nodes_is_left_out() -> None:
    """Where samples reach far beyond the pixels' band two levels would keep all pixels as nodes, and the third is the first."""
    collection, _ = near((64, 64))
    coarse = FactorisedSpotlight(collection, Grid((16, 16), (1.2, 1.2)), leaf=4, accuracy=0.1)
    tree = coarse.trees[0]
    assert isinstance(tree, Tree)
    first = tree.steps()[0]
    assert [len(blocks.centres) for blocks in first.pulses] == [1, 8]
    x = randn((1, 1, 16, 16), 3)
    exact = ExactSpotlight(collection, coarse.grid, dtype=DOUBLE)
    assert distance(coarse(x.to(torch.complex64)).to(DOUBLE), exact(x)) < 0.02


def test_pulses_in_random_order_are_refused() -> None:
    collection, grid = near((256, 256))
    order = torch.randperm(256, generator=torch.Generator().manual_seed(1))
    shuffled = SpotlightCollection(collection.antenna_m[:, order], collection.frequency_hz, collection.kept)
    with pytest.raises(ValueError, match="order the pulses"):
        FactorisedSpotlight(shuffled, grid)


@pytest.mark.parametrize("wrong", [{"leaf": 0}, {"leaf": 1000}, {"accuracy": 1e-14}, {"accuracy": 1.0}], ids=str)
def test_arguments_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    collection, grid = near((8, 8))
    with pytest.raises(ValueError, match="leaf"):
        FactorisedSpotlight(collection, grid, **wrong)  # pyright: ignore[reportArgumentType]


def test_blocks_and_nodes() -> None:
    assert Blocks.halved(7, 2).bounds == (0, 1, 3, 5, 7)
    assert Blocks.halved(3, 5).bounds == (0, 1, 3)
    nodes = Nodes.of_pixels(21, 0.5, 8)
    assert torch.allclose(nodes.positions_m(), (torch.arange(24, dtype=torch.float64) - 10) * 0.5, atol=1e-12)
    assert torch.allclose(nodes.merged().positions_m(), nodes.positions_m())
