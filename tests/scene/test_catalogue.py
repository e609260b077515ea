"""Every family: reproducible from a seed, finite, of the right type, with truth that fits its image; tracks and arrays."""

import math

import pytest
import torch

from echoform.scene.array import uniform_plane
from echoform.scene.catalogue import FAMILIES, Domain, SceneFamily
from echoform.scene.frame import Frame, frame_of
from echoform.scene.grid import Grid
from echoform.scene.phase_errors import range_offset_phase
from echoform.scene.random_source import RandomSource
from echoform.scene.trajectory import (
    circular_track,
    collection_along,
    sight_error_m,
    straight_track,
    vibration_m,
    wander_m,
)
from pretended_gpu import pretended_gpu
from scene.scene_cases import source, span_db

families = pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.name)


@families
def test_scenes_are_reproducible_finite_and_typed(family: SceneFamily) -> None:
    """The same seed gives the same finite scene, of the type its family states."""
    first, again, other = (family.draw(source(seed), 6, (32, 48)) for seed in (1, 1, 2))
    channels = 16 if family.domain is Domain.RADAR_CUBE else 1
    assert first.image.shape == (6, channels, 32, 48)
    assert first.image.dtype == (torch.float32 if family.domain is Domain.TOMOGRAPHY else torch.complex64)
    assert bool(torch.isfinite(first.image.abs()).all())
    assert torch.equal(first.image, again.image)
    assert not torch.equal(first.image, other.image)
    assert bool((first.image.abs().flatten(1).amax(1) > 0).all())
    for mask in first.masks.values():
        assert mask.shape == (6, 32, 48)
        assert mask.dtype == torch.bool


@families
def test_scenes_of_a_batch_differ(family: SceneFamily) -> None:
    """No two scenes of one batch are the same."""
    image = family.draw(source(3), 12, (32, 32)).image.flatten(1)
    flat = torch.nn.functional.normalize(image - image.mean(1, keepdim=True), dim=1)
    alike = (flat @ flat.mH).abs() - torch.eye(12)
    assert float(alike.max()) < 0.98
    assert float(alike.median()) < 0.95


#: the open sea, woods and clutter alone span some 50 dB: what stands out of them is another family
EVEN = ("sea", "woodland", "clutter")
WIDE = [f for f in FAMILIES if f.domain in (Domain.RADAR, Domain.SUBSURFACE, Domain.RADAR_CUBE) and f.name not in EVEN]


@pytest.mark.parametrize("family", WIDE, ids=lambda f: f.name)
def test_radar_scenes_span_sixty_decibels(family: SceneFamily) -> None:
    assert float(span_db(family.draw(source(4), 32, (64, 64)).image).median()) > 60


@families
def test_scenes_leave_the_global_generator_alone(family: SceneFamily) -> None:
    before = torch.get_rng_state()
    family.draw(source(5), 2, (24, 24))
    assert torch.equal(torch.get_rng_state(), before)


@families
@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_scenes_of_a_seed_are_the_same_on_the_device(family: SceneFamily) -> None:
    """A GPU's scenes are those of the host, from the same seed."""
    device = torch.device("cuda")
    here = family.draw(source(6), 4, (32, 32))
    there = family.draw(RandomSource(torch.Generator().manual_seed(6), device), 4, (32, 32))
    assert there.image.device.type == "cuda"
    assert all(mask.device.type == "cuda" for mask in there.masks.values())
    error = (there.to(torch.device("cpu")).image - here.image).norm() / here.image.norm()
    assert float(error) < 1e-2  # a pixel on a border may fall on the other side
    own = family.draw(RandomSource(torch.Generator(device).manual_seed(6)), 4, (32, 32))
    assert own.image.device.type == "cuda"


@families
def test_a_gpu_gets_the_scenes_of_the_cpu(family: SceneFamily) -> None:
    """Drawn by a generator of the CPU, a scene and its masks lie on the pretended GPU and are the CPU's to the bit."""
    here = family.draw(source(6), 4, (32, 32))
    with pretended_gpu() as device:
        there = family.draw(RandomSource(torch.Generator().manual_seed(6), device), 4, (32, 32))
        assert all(tensor.device == device for tensor in (there.image, *there.masks.values()))
        back = there.image.cpu()
    assert torch.equal(back, here.image)


def test_frame_agrees_with_grid() -> None:
    """A frame's pixels lie where the grid has them."""
    grid = Grid((6, 9), (0.5, 2.0))
    view = frame_of(grid, 2)
    y, x = view.axes_m()
    assert torch.allclose(y[1].flatten().double(), grid.axes_m()[0])
    assert torch.allclose(x[0].flatten().double(), grid.axes_m()[1])
    pixel = view.pixels(grid.positions_m()[None, :, :, :2].float().expand(2, -1, -1, -1))
    assert pixel[1, 4, 7].tolist() == [4, 7]
    inside = view.inside(torch.tensor([[[-8.0, -1.5], [-8.1, 0.0]], [[8.0, 1.0], [8.0, 1.1]]]))
    assert inside.tolist() == [[True, False], [True, False]]
    with pytest.raises(ValueError, match="spacing_m"):
        Frame((4, 4), torch.zeros(2, 2))


def test_tracks_are_where_they_should_be() -> None:
    """Lines and circles pass through the points of their definitions."""
    two = torch.tensor([3.0, 4.0])
    line = straight_track(
        torch.tensor([[100.0, 0, 50], [0, 200, 70]]), 5, spacing_m=two, direction_rad=torch.tensor([0.0, math.pi / 2])
    )
    assert line[0].tolist() == [[94, 0, 50], [97, 0, 50], [100, 0, 50], [103, 0, 50], [106, 0, 50]]
    assert torch.allclose(line[1, :, 1], 200 + 4.0 * torch.arange(-2, 3).double())
    one = torch.ones(1)
    ring = circular_track(
        8, radius_m=300 * one, height_m=400 * one, middle_rad=0 * one, aperture_rad=2 * math.pi * one.double()
    )
    assert torch.allclose(ring.norm(dim=-1), torch.full((1, 8), 500.0, dtype=torch.float64))
    assert float(ring.mean((0, 1))[:2].abs().max()) < 1e-9
    assert collection_along(ring, torch.tensor([[1e9, 1.1e9]])).kept.shape == (1, 8, 2)


def test_motion_errors_have_their_size_and_defocus_by_their_part_along_the_sight() -> None:
    """Errors have the RMS asked for; only what lies along the line of sight defocuses."""
    error = wander_m(source(7), 64, torch.full((2000,), 0.05))
    assert error.std(0).flatten().tolist() == pytest.approx([0.05] * 192, rel=0.1)
    shake = vibration_m(source(8), 256, torch.full((3,), 0.01), torch.full((3,), 4.0))
    assert shake.norm(dim=-1).amax(1).tolist() == pytest.approx([0.01] * 3, rel=1e-2)
    # against the exact change of distance
    antenna = straight_track(
        torch.tensor([[8000.0, 0, 6000]]), 64, spacing_m=torch.ones(1), direction_rad=torch.tensor([math.pi / 2])
    )
    point = torch.tensor([[20.0, -30.0, 0.0]])
    exact = (antenna + error[:1] - point).norm(dim=-1) - (antenna - point).norm(dim=-1)
    along = sight_error_m(antenna, error[:1], point)
    assert torch.allclose(along, exact, atol=1e-6)
    assert range_offset_phase(along, torch.tensor([[9.6e9]])).shape == (1, 64, 1)


def test_planar_array_is_centred_rows_along_z() -> None:
    plane = uniform_plane((2, 3), (0.1, 0.2))
    assert plane.shape == (1, 6, 3)
    assert torch.allclose(plane[0, 0], torch.tensor([-0.2, 0, -0.05], dtype=torch.float64))
    assert torch.allclose(plane[0, 5], torch.tensor([0.2, 0, 0.05], dtype=torch.float64))
