"""Points and extended targets: the truth is where the image is, and aspect, layover and shadow follow their formulas."""

import math

import pytest
import torch

from echoform.scene.aircraft import aircraft
from echoform.scene.isolated_points import PowerLaw, magnitudes, points
from echoform.scene.outline import box, perimeter, swept_box, to_body, to_ground
from echoform.scene.point_response import PointResponse, draw_response, render
from echoform.scene.scattering_parts import FLOOR, aspect_gain, assemble, parts
from echoform.scene.scene import ObjectKind, SceneClass, objects_at_rest, still_centres
from echoform.scene.ships import hull_profile, ships
from echoform.scene.vehicles import vehicles
from scene.scene_cases import frame, radar, source

DELTA = PointResponse(torch.zeros(1), torch.ones(1))
TARGETS = {"vehicles": vehicles, "ships": ships, "aircraft": aircraft}


def test_a_point_is_one_at_its_peak_and_on_a_pixel_that_pixel_alone() -> None:
    place = torch.tensor([[[3.0, -5.0], [8.0, 9.0]]])
    centres = still_centres(place, torch.tensor([[2.0 + 0j, 0.5j]]), torch.full((1, 2), -1))
    image = render(centres, frame(1), DELTA)[0, 0]
    expected = torch.zeros(64, 64, dtype=torch.complex64)
    expected[27, 35], expected[41, 40] = 2.0, 0.5j
    assert torch.allclose(image, expected, atol=1e-5)
    soft = render(centres, frame(1), draw_response(source(), 1))[0, 0]
    assert abs(complex(soft[27, 35])) == pytest.approx(2.0, abs=2e-2)


@pytest.mark.parametrize("shape", [(64, 64), (24, 16), (8, 9)])
def test_no_point_falls_beyond_the_border(shape: tuple[int, int]) -> None:
    """A scene of one point only would be empty, and its noise without a level."""
    scene = points(source(2), frame(400, shape))
    assert scene.centres is not None
    drawn = scene.centres.amplitude.abs() > 0
    assert bool(drawn.any(1).all())
    assert bool(frame(400, shape).inside(scene.centres.position_m)[drawn].all())
    assert bool((scene.image.abs().amax((1, 2, 3)) > 0).all())


@pytest.mark.parametrize(("shape", "lobe_db"), [(0.0, -13.26), (5.44, -40.0), (8.16, -60.0)])
def test_side_lobes_are_those_of_kaisers_window(shape: float, lobe_db: float) -> None:
    centres = still_centres(torch.zeros(1, 1, 2), torch.ones(1, 1) + 0j, torch.zeros(1, 1, dtype=torch.int64))
    # 1/16 of the band oversamples the response 16 times
    wide = render(centres, frame(1, (8, 4096)), PointResponse(torch.tensor([shape]), torch.tensor([1 / 16])))
    cut = wide[0, 0, 4].abs()[2048:]
    falling = (cut[1:] > cut[:-1]).nonzero()[0, 0]
    assert 20 * math.log10(float(cut[falling:].max() / cut[0])) == pytest.approx(lobe_db, abs=1.0)


def test_positions_in_truth_are_the_peaks_of_the_image() -> None:
    scene = points(source(1), frame(64), most=1)
    assert scene.centres is not None
    row, column = frame(64).pixels(scene.centres.position_m)[:, 0].unbind(-1)
    peak = scene.image.abs().flatten(1).argmax(1)
    assert float((peak // 64 - row).abs().max()) <= 0.51
    assert float((peak % 64 - column).abs().max()) <= 0.51
    value = scene.image.abs().flatten(1).amax(1) / scene.centres.amplitude[:, 0].abs()
    assert float(value.max()) < 1.001
    assert float(value.min()) > 0.35  # two axes of half a pixel off at most


@pytest.mark.parametrize("law", PowerLaw)
def test_magnitudes_span_the_range_asked_for(law: PowerLaw) -> None:
    level = 20 * torch.log10(magnitudes(source(2), (100_000,), law, range_db=80.0))
    assert float(level.max()) <= 0
    assert float(level.min()) >= -80.001
    assert float(level.max() - level.min()) > 50
    if law is PowerLaw.LOG_UNIFORM:
        assert float(level.mean()) == pytest.approx(-40, abs=0.3)
    elif law is PowerLaw.PARETO:
        assert float((level > -70).float().mean()) == pytest.approx(0.1, abs=0.005)


def test_aspect_gain_is_a_power_of_the_cosine() -> None:
    body = torch.zeros(1, 1, 3, 2)
    normal = torch.tensor([[[[1.0, 0], [0, 1], [0, 0]]]])
    made = parts(body, torch.ones(3), height_m=torch.zeros(3), normal=normal, sharpness=4.0)
    towards = torch.tensor([[[math.cos(0.5), -math.sin(0.5)]]])
    assert aspect_gain(made, towards)[0, 0].tolist() == pytest.approx([math.cos(0.5) ** 4, FLOOR, 1.0])


def test_a_raised_centre_is_laid_over_and_a_box_casts_its_shadow() -> None:
    """A mast 10 m high on a target at (4, -6), heading 30 degrees, radar at azimuth 200 degrees, 35 degrees up."""
    azimuth, grazing, heading = math.radians(200), math.radians(35), math.radians(30)
    kind = torch.full((1, 1), ObjectKind.SHIP.value)
    place, turn = torch.tensor([[[4.0, -6.0]]]), torch.full((1, 1), heading)
    objects = objects_at_rest(kind, torch.ones(1, 1, dtype=torch.bool), place, turn, torch.tensor([[[8.0, 3.0, 5.0]]]))
    made = parts(torch.tensor([[[[2.0, 1.0]]]]), torch.ones(1), height_m=torch.full((1,), 10.0))
    view = frame(1, (256, 256), (0.25, 0.25))
    axes = to_body(view, objects.position_m, objects.heading_rad)
    mask = {SceneClass.SHIP: box(*axes, objects.size_m[..., 0], objects.size_m[..., 1]).any(1)}
    light = radar(azimuth, grazing)
    scene = assemble(source(3), view, light, objects, made, mask, axes=axes)
    assert scene.centres is not None
    lay = 10 * math.tan(grazing)
    x = 4 + 2 * math.cos(heading) - math.sin(heading) + lay * math.cos(azimuth)
    y = -6 + 2 * math.sin(heading) + math.cos(heading) + lay * math.sin(azimuth)
    assert scene.centres.position_m[0, 0].tolist() == pytest.approx([x, y], abs=1e-4)
    peak = int(scene.image.abs().flatten().argmax())
    assert (peak // 256, peak % 256) == (round(y / 0.25) + 128, round(x / 0.25) + 128)
    # the box swept over L = h / tan g covers length * width + L * (its extent across the direction); the box itself is not shadow
    shade = 5 / math.tan(grazing)
    across = 8 * abs(math.sin(azimuth - heading)) + 3 * abs(math.cos(azimuth - heading))
    area = float(scene.masks[SceneClass.SHADOW].sum()) * 0.25**2
    assert area == pytest.approx(shade * across, rel=0.03)


def test_swept_box_is_the_union_of_moved_boxes() -> None:
    view = frame(1)
    u, v = to_body(view, torch.zeros(1, 1, 2), torch.full((1, 1), 0.4))
    length, width, far = torch.full((1, 1), 20.0), torch.full((1, 1), 6.0), torch.full((1, 1), 13.0)
    direction = torch.tensor([[[0.6, -0.8]]])
    moved = [box(u - 0.6 * t, v + 0.8 * t, length, width) for t in torch.linspace(0, 13, 400).tolist()]
    swept = swept_box(u, v, length, width, direction=direction, distance_m=far)
    assert torch.equal(swept, torch.stack(moved).any(0)) or int((swept ^ torch.stack(moved).any(0)).sum()) <= 2


def test_perimeter_lies_on_the_box_with_outward_normals() -> None:
    share = torch.arange(1000) / 1000
    edge, normal = perimeter(share, torch.tensor(5.0), torch.tensor(2.0))
    u, v = edge.unbind(-1)
    assert torch.allclose(torch.maximum(u.abs() / 2.5, v.abs()), torch.ones(1000), atol=1e-5)
    assert torch.allclose((edge * normal).sum(-1), torch.where(normal[:, 0] != 0, 2.5, 1.0), atol=1e-5)
    step = (edge.roll(-1, 0) - edge).norm(dim=-1)
    assert float(step.max()) == pytest.approx(14 / 1000, abs=1e-4)


@pytest.mark.parametrize("family", TARGETS.values(), ids=TARGETS)
def test_targets_lie_on_their_masks(family) -> None:
    """With the radar low, so that nothing is laid over, nearly all the energy is within a pixel or two of the outline."""
    size = 0.3 if family is vehicles else 1.0
    view = frame(24, spacing_m=(size, size))
    scene = family(source(4), view, illumination=radar(0.3, 0.01, 24), response=DELTA)
    assert scene.objects is not None
    assert scene.centres is not None
    label = {vehicles: SceneClass.VEHICLE, ships: SceneClass.SHIP, aircraft: SceneClass.AIRCRAFT}[family]
    mask = scene.masks[label].float()[:, None]
    near = torch.nn.functional.max_pool2d(mask, 7, 1, 3)[:, 0] > 0
    power = scene.image[:, 0].abs().square()
    assert float((power * near).sum((1, 2)).div(power.sum((1, 2))).min()) > 0.85
    assert bool((power.amax((1, 2)) > 0).all())
    owner = scene.centres.owner
    assert bool(((owner >= 0) & (owner < scene.objects.present.shape[1])).all())
    absent = ~scene.objects.present.gather(1, owner)
    assert bool((scene.centres.amplitude[absent] == 0).all())


def test_ground_and_body_axes_are_inverse() -> None:
    place, turn = torch.tensor([[[3.0, -2.0]]]), torch.full((1, 1), 1.1)
    where = to_ground(place, turn, torch.tensor([[[[7.0, 4.0]]]]))[0, 0, 0]
    view = frame(1, (65, 65), (0.5, 0.5))
    u, v = to_body(view, place, turn)
    pixel = view.pixels(where[None, None])[0, 0].round().int()
    assert float(u[0, 0, pixel[0], pixel[1]]) == pytest.approx(7, abs=0.4)
    assert float(v[0, 0, pixel[0], pixel[1]]) == pytest.approx(4, abs=0.4)


def test_hull_is_full_abaft_the_shoulder_and_pointed_at_the_bow() -> None:
    assert hull_profile(torch.tensor([-0.5, 0.0, 0.22, 0.5])).tolist() == pytest.approx([1, 1, 1, 0])
