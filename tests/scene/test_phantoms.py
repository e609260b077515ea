"""Dielectric bodies, heads, chests, people and photographs against what they state."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from echoform.scene.computed_tomography import rods, thorax
from echoform.scene.contrast_phantoms import FAT, TUMOUR, breast, dielectric_cylinders, layered_wall
from echoform.scene.ellipses import coverage, painted
from echoform.scene.head import TISSUES, brain, shepp_logan, shepp_logan_like
from echoform.scene.people import BODY, CubeAxes, draw_cube_axes, people, render_cube
from echoform.scene.photographs import read_knee_magnitudes, read_photographs
from echoform.scene.scene import Centres, ObjectKind, SceneClass
from echoform.scene.street import OUTLINE, WHEELS, street
from scene.scene_cases import frame, source, span_db

DATA = Path(__file__).parents[3] / "shared" / "data"


def test_an_ellipse_covers_its_area() -> None:
    axes = torch.tensor([[[0.5, 0.3], [0.1, 0.1]]])
    cover = coverage(torch.tensor([[[0.1, -0.2], [0.0, 0.0]]]), axes, torch.tensor([[0.7, 0.0]]), (64, 64))
    area = cover.sum((2, 3))[0] * (2 / 64) ** 2
    assert area.tolist() == pytest.approx([math.pi * 0.15, math.pi * 0.01], rel=0.02)
    assert float(cover[0, 0, 32 - round(0.2 * 32), 32 + round(0.1 * 32)]) == 1


def test_what_is_painted_last_is_on_top() -> None:
    covers = torch.tensor([1.0, 0.5, 0.0])[None, :, None, None]
    assert float(painted(torch.tensor([[2.0, 4.0, 9.0]]), covers)) == 3.0


def test_shepp_logan_has_the_values_of_its_table() -> None:
    image = shepp_logan((256, 256))

    def at(x: float, y: float) -> float:
        return float(image[128 + round(128 * y), 128 + round(128 * x)])

    # skull, brain, both dark ellipses, the bright one above the middle, outside
    found = [at(0.0, 0.9), at(0.0, 0.0), at(0.22, 0.0), at(-0.22, 0.0), at(0.0, 0.45), at(0.9, 0.9)]
    assert found == pytest.approx([1.0, 0.2, 0.0, 0.0, 0.3, 0.0], abs=1e-5)


def test_heads_have_smooth_phase_and_variants_differ() -> None:
    for scene in (shepp_logan_like(source(), 16, (64, 64)), brain(source(), 16, (64, 64))):
        assert scene.image.dtype == torch.complex64
        magnitude = scene.image.abs()[:, 0]
        lit = magnitude > 0.1 * magnitude.amax((1, 2), keepdim=True)
        step = torch.angle(scene.image[:, 0, :, 1:] * scene.image[:, 0, :, :-1].conj()).abs()
        assert float(step[lit[:, :, 1:] & lit[:, :, :-1]].mean()) < 0.3
        assert len({round(float(m), 4) for m in magnitude.mean((1, 2))}) == 16


def test_brain_tissues_do_not_overlap_and_are_nested() -> None:
    scene = brain(source(1), 16, (64, 64))
    total = torch.stack([scene.masks[label] for label, _, _ in TISSUES]).sum(0)
    assert int(total.max()) == 1
    share = {label: float(scene.masks[label].float().mean()) for label, _, _ in TISSUES}
    assert share[SceneClass.GREY_MATTER] > 0.03
    assert share[SceneClass.WHITE_MATTER] > 0.08
    assert share[SceneClass.SKULL] > 0.03
    assert share[SceneClass.FLUID] > 0.01


def test_breast_contrast_is_that_of_its_tissue() -> None:
    scene = breast(source(2), frame(48, spacing_m=(0.002, 0.002)))
    assert float(scene.image.imag.max()) <= 1e-6  # time convention exp(+i w t): losses are negative
    # eps' / eps_b - 1 with eps_b in 5 to 25: the ratio of (1 + chi) of two tissues is free of eps_b
    for i in range(48):
        tumour, fat = (scene.masks[label][i] for label in (SceneClass.TUMOUR, SceneClass.FAT))
        if int(tumour.sum()) < 30 or int(fat.sum()) < 100:
            continue
        ratio = (1 + scene.image[i, 0].real[tumour].amax()) / (1 + scene.image[i, 0].real[fat].median())
        assert TUMOUR[0][0] / FAT[1][0] * 0.85 < float(ratio) < TUMOUR[1][0] / FAT[0][0] * 1.15
    assert bool(scene.masks[SceneClass.TUMOUR].any())


def test_cylinders_span_sixty_decibels_and_objects_match_masks() -> None:
    scene = dielectric_cylinders(source(3), frame(64, spacing_m=(0.002, 0.002)), most=1)
    assert scene.objects is not None
    length, width, _ = scene.objects.size_m[:, 0].unbind(-1)
    area = scene.masks[SceneClass.DIELECTRIC].sum((1, 2)) * 0.002**2
    inside = (scene.objects.position_m[:, 0].abs().amax(1) + length / 2) < 0.06
    assert torch.allclose(area[inside], (math.pi / 4 * length * width)[inside], rtol=0.25, atol=2e-5)
    assert float(span_db(scene.image).median()) > 60
    assert float(span_db(layered_wall(source(4), frame(32)).image).median()) > 60


def test_tomography_phantoms_are_real_and_never_negative() -> None:
    for family in (thorax, rods):
        scene = family(source(5), 24, (64, 64))
        assert scene.image.dtype == torch.float32
        assert float(scene.image.min()) >= 0
        assert float(scene.image[:, 0, 0, 0].max()) < 1e-3  # air in the corner
    chest = thorax(source(6), 24, (64, 64))
    lung, bone, tissue = (
        chest.image[:, 0][chest.masks[label]].mean() for label in (SceneClass.LUNG, SceneClass.BONE, SceneClass.TISSUE)
    )
    assert float(lung) < 0.5 < float(tissue) < 1.2 < float(bone)


def test_a_centre_of_the_cube_is_at_its_velocity_angle_and_range() -> None:
    axes = CubeAxes(
        torch.linspace(-4, 3.5, 16)[None], torch.linspace(-0.75, 0.75, 31)[None], torch.linspace(0.5, 16, 32)[None]
    )
    place = 5.0 * torch.tensor([[[math.sin(0.3), math.cos(0.3)]]])
    centres = Centres(place, torch.full((1, 1), 2j), torch.zeros(1, 1, dtype=torch.int64), torch.tensor([[1.5]]))
    cube = render_cube(centres, axes)[0]
    assert tuple(cube.shape) == (16, 31, 32)
    peak = np.unravel_index(int(cube.abs().argmax()), cube.shape)
    assert peak == (11, 21, 9)
    assert complex(cube[peak]) == pytest.approx(2j, abs=1e-3)
    # one extent (8 m/s) faster folds onto the same place
    fast = Centres(place, centres.amplitude, centres.owner, torch.tensor([[9.5]]))
    assert torch.allclose(render_cube(fast, axes)[0], cube, atol=1e-4)


def test_people_move_as_stated() -> None:
    axes = draw_cube_axes(source(7), 64, (16, 32, 32))
    scene = people(source(8), axes)
    assert scene.objects is not None
    assert scene.centres is not None
    speed = scene.objects.velocity_m_s.norm(dim=-1)
    sight = torch.nn.functional.normalize(scene.objects.position_m, dim=-1)
    radial = (scene.objects.velocity_m_s * sight).sum(-1)
    limbs = scene.centres.velocity_m_s[:, : 4 * 12].unflatten(1, (4, 12))
    chest = limbs[..., 0]
    assert bool(((chest - radial).abs() <= 0.06 * speed + 0.06).all())  # the chest swings by 5 %, or breathes
    assert bool((limbs.abs().amax(-1) <= 2.35 * speed + 0.06).all())
    walking = speed.gt(0) & radial.abs().gt(0.3)
    assert float((limbs.amax(-1) - limbs.amin(-1))[walking].mean()) > 0.5  # micro-Doppler
    assert float(span_db(scene.image).median()) > 60


def test_on_a_street_limbs_swing_and_wheels_turn() -> None:
    axes = draw_cube_axes(source(7), 128, (16, 16, 32))
    far = CubeAxes(axes.velocities_m_s, axes.angles_rad, 4 * axes.ranges_m)
    scene = street(source(8), far)
    assert scene.objects is not None
    assert scene.centres is not None
    count = scene.objects.present.shape[1]
    velocity, amplitude = (
        t[:, : count * OUTLINE].unflatten(1, (count, OUTLINE))
        for t in (scene.centres.velocity_m_s, scene.centres.amplitude)
    )
    position = scene.centres.position_m[:, : count * OUTLINE].unflatten(1, (count, OUTLINE))
    sight = torch.nn.functional.normalize(position, dim=-1)
    body = (scene.objects.velocity_m_s[:, :, None] * sight).sum(-1)
    person = scene.objects.kind == ObjectKind.PERSON.value
    car = ~person & scene.objects.present
    assert torch.allclose(velocity[car][:, WHEELS:], body[car][:, WHEELS:], atol=1e-4)
    turning = velocity[car][:, :WHEELS] / body[car][:, :WHEELS]
    turning = turning[body[car][:, :WHEELS].abs() > 1]
    assert 0 <= float(turning.min()) < 0.05
    assert 1.95 < float(turning.max()) <= 2.001
    walking = person & scene.objects.present & (body[..., 0].abs() > 0.3)
    assert int(walking.sum()) > 20
    spread = (velocity[..., : len(BODY)].amax(-1) - velocity[..., : len(BODY)].amin(-1))[walking]
    assert float(spread.mean()) > 0.5
    assert float(amplitude[person][:, len(BODY) :].abs().max()) == 0  # a person has no more centres than limbs
    absent = amplitude[~scene.objects.present]
    assert float(absent.abs().max()) == 0


def test_photographs_are_cropped_flipped_and_scaled(tmp_path: Path) -> None:
    rows, columns = np.mgrid[:80, :120]
    for i in range(3):
        Image.fromarray(np.stack([rows * 2, columns * 2, 0 * rows + 80 * i], -1).astype(np.uint8)).save(
            tmp_path / f"{i}_mean.png"
        )
    grey = read_photographs(tmp_path).draw(source(9), 8, (64, 64))
    assert grey.image.shape == (8, 1, 64, 64)
    colour = read_photographs(tmp_path, colour=True, ending="_mean").draw(source(10), 64, (32, 32))
    assert colour.image.shape == (64, 3, 32, 32)
    assert 0 <= float(colour.image.min()) <= float(colour.image.max()) <= 1
    slope = (
        (colour.image[:, 0, 1:] - colour.image[:, 0, :-1]).mean((1, 2)) * 255 / 2
    )  # rows of the file per row of the crop
    assert bool((slope < 0).any() & (slope > 0).any())
    assert 0.95 < float(slope.abs().min()) < float(slope.abs().max()) <= 80 / 32 * 1.1
    assert torch.equal(colour.image, read_photographs(tmp_path, colour=True).draw(source(10), 64, (32, 32)).image)
    with pytest.raises(FileNotFoundError, match="no photograph"):
        read_photographs(tmp_path / "none")


@pytest.mark.skipif(not DATA.exists(), reason="the folder ../shared/data is absent")
def test_knee_magnitudes_are_read() -> None:
    pictures = read_knee_magnitudes(DATA / "mri_knee_stanford")
    scene = pictures.draw(source(11), 4, (64, 64))
    assert len(pictures.pictures) == 14
    assert 0 <= float(scene.image.min()) <= float(scene.image.max()) <= 1.0001
