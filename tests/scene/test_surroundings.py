"""Buildings, land, sea, soil and composition against geometry and the levels they state."""

import math
from dataclasses import replace

import pytest
import torch

from echoform.scene.buildings import buildings, footprints
from echoform.scene.composed import aircraft_on_apron, ships_at_sea, stand_out, vehicles_on_land
from echoform.scene.frame import draw_illumination
from echoform.scene.land_cover import COVERS, cast, land, meander, shore, voronoi
from echoform.scene.outline import to_body
from echoform.scene.point_response import PointResponse, render
from echoform.scene.scene import ObjectKind, Objects, Scene, SceneClass, objects_at_rest
from echoform.scene.sea import LEVEL_DB, sea
from echoform.scene.ships import ships
from echoform.scene.subsurface import subsurface
from echoform.scene.town import KEPT, town, urban_fabric
from echoform.scene.vehicles import vehicles
from echoform.scene.wakes import CUSP, GRAVITY_M_S2, displacement_m, wakes
from echoform.scene.woodland import CANOPY_DB, woodland
from scene.scene_cases import frame, radar, source, span_db

DELTA = PointResponse(torch.zeros(1), torch.ones(1))


def house(height_m: float) -> Objects:
    """20 m along y (across the radar's sight), 12 m along x."""
    kind, on = torch.full((1, 1), ObjectKind.BUILDING.value), torch.ones(1, 1, dtype=torch.bool)
    size = torch.tensor([[[20.0, 12.0, height_m]]])
    return objects_at_rest(kind, on, torch.zeros(1, 1, 2), torch.full((1, 1), math.pi / 2), size)


@pytest.mark.parametrize(("height_m", "grazing_deg"), [(5.0, 30.0), (20.0, 30.0), (9.0, 55.0)])
def test_layover_roof_and_shadow_have_the_lengths_of_the_formula(height_m: float, grazing_deg: float) -> None:
    """Radar towards +x. Roof: x in -6 + lay to 6 + lay; facade: 6 to 6 + lay; shadow: from -6 - dark to the roof."""
    view, objects = frame(1, (128, 512), (0.25, 0.25)), house(height_m)
    grazing = math.radians(grazing_deg)
    lay, dark = height_m * math.tan(grazing), height_m / math.tan(grazing)
    seen = footprints(radar(0.0, grazing), objects, to_body(view, objects.position_m, objects.heading_rad))
    x = view.axes_m()[1].flatten()

    def reach(mask: torch.Tensor) -> tuple[float, float]:
        row = x[mask[0, 0, 64]]
        return float(row.min()), float(row.max())

    assert reach(seen.roof) == pytest.approx((-6 + lay, 6 + lay), abs=0.26)
    assert reach(seen.shadow) == pytest.approx((-6 - dark, min(6, -6 + lay)), abs=0.51)
    assert reach(seen.facade) == pytest.approx((6, 6 + lay), abs=0.26)
    assert not bool((seen.roof & seen.shadow).any() | (seen.facade & seen.shadow).any())
    rows = seen.roof[0, 0].any(1).nonzero()
    assert float(rows.max() - rows.min() + 1) * 0.25 == pytest.approx(20, abs=0.3)


def test_double_bounce_is_the_brightest_line_at_the_foot_of_the_facing_wall() -> None:
    batch = 32
    view = frame(batch, spacing_m=(0.8, 0.8))
    scene = buildings(source(1), view, most=1, illumination=radar(0.0, math.radians(40), batch), response=DELTA)
    assert scene.objects is not None
    u, v = to_body(view, scene.objects.position_m, scene.objects.heading_rad)
    heading = scene.objects.heading_rad[:, 0]
    facing_u, facing_v = torch.cos(heading), -torch.sin(heading)
    bounce = scene.masks[SceneClass.DOUBLE_BOUNCE]
    assert bool(bounce.any((1, 2)).all())
    length, width, _ = (s[:, 0, None, None] for s in scene.objects.size_m.unbind(-1))
    from_u = (u[:, 0] - torch.sign(facing_u)[:, None, None] * length / 2).abs()
    from_v = (v[:, 0] - torch.sign(facing_v)[:, None, None] * width / 2).abs()
    assert float(torch.minimum(from_u, from_v)[bounce].max()) < 0.8
    square = facing_u.abs() > 0.9
    assert float(from_u[square][bounce[square]].max()) < 0.8  # seen square on, only that wall answers


def test_voronoi_cells_are_nearest_in_some_metric_and_all_there() -> None:
    label = voronoi(source(2), frame(8), 20)
    assert int(label.min()) >= 0
    assert int(label.max()) < 20
    assert all(len(torch.unique(each)) >= 5 for each in label)
    # convex cells: between two pixels of a cell in one row there is no other
    for row in label[:, 32].tolist():
        changes = [a for a, b in zip(row, [*row[1:], None], strict=True) if a != b]
        assert len(changes) == len(set(changes))


def test_straight_meander_has_its_width() -> None:
    view = frame(64, (96, 96))
    strip = meander(source(3), view, width_m=torch.full((64,), 6.0), bend=torch.zeros(64))
    # within a circle of radius 40 about the middle, a strip at distance t from it is 2 sqrt(40^2 - t^2) long
    y, x = view.axes_m()
    inside = (x.square() + y.square() <= 40**2) & strip
    area = inside.sum((1, 2)).float()
    assert float(area.max()) == pytest.approx(6 * 80, rel=0.03)
    assert bool((strip.sum((1, 2)) > 0).all())


def test_cast_moves_a_mask_along_the_direction() -> None:
    mask = torch.zeros(1, 64, 64, dtype=torch.bool)
    mask[0, 32, 32] = True
    moved = cast(mask, frame(1), torch.tensor([[1.0, 0.0]]), torch.tensor([4.0]))
    assert moved[0].nonzero().tolist() == [[32, k] for k in range(32, 37)]


def test_shores_drown_the_share_stated() -> None:
    share = shore(source(4), frame(300)).float().mean((1, 2))
    assert float(share.quantile(0.05)) > 0.05
    assert float(share.quantile(0.95)) < 0.7


def test_land_covers_every_pixel_once_with_levels_of_its_class() -> None:
    view = frame(64, spacing_m=(4.0, 4.0))
    scene = land(source(5), view, response=DELTA)
    assert scene.centres is not None
    covered = torch.stack([scene.masks[cover.label] for cover in COVERS]).sum(0)
    assert bool((covered == 1).all())
    power = (scene.image - render(scene.centres, view, DELTA))[:, 0].abs().square()
    for cover in COVERS:
        mask = scene.masks[cover.label]
        counts = mask.sum((1, 2))
        mean_db = 10 * torch.log10((power * mask).sum((1, 2)) / counts)[counts > 400]
        low, high = cover.level_db
        # regions of a class differ within its range; the mean over some hundred pixels strays the more the spikier they are
        slack = 1.5 + 1.5 / cover.texture[0]
        assert bool(((mean_db > low - slack) & (mean_db < high + slack)).all()), cover.label
    assert float(span_db(scene.image).median()) > 60


def test_sea_is_k_distributed_about_its_backscatter() -> None:
    power = sea(source(6), frame(64), response=DELTA).image.abs().square().flatten(1)
    level = 10 * torch.log10(power.mean(1))
    assert LEVEL_DB[0] - 1.5 < float(level.min())
    assert float(level.max()) < LEVEL_DB[1] + 1.5
    contrast = power.var(1) / power.mean(1).square()
    assert float(contrast.min()) > 0.8  # speckle alone has 1
    assert 1 < float(contrast.median()) < 2  # most seas are nearly that
    assert float(contrast.max()) > 3  # spiky scenes are among them


def test_woods_are_even_and_as_bright_as_canopies() -> None:
    scene = woodland(source(15), frame(64, spacing_m=(4.0, 4.0)), response=DELTA)
    power, wood = scene.image[:, 0].abs().square(), scene.masks[SceneClass.FOREST]
    assert torch.equal(wood, ~scene.masks[SceneClass.GRASS])
    level = 10 * torch.log10((power * wood).sum((1, 2)) / wood.sum((1, 2)))
    assert CANOPY_DB[0] - 0.5 < float(level.min())
    assert float(level.max()) < CANOPY_DB[1] + 0.5
    whole = wood.all((1, 2))
    contrast = power[whole].flatten(1).var(1) / power[whole].flatten(1).mean(1).square()
    assert float(contrast.max()) < 2  # 1 + 2 / nu with nu of 4 and more


def test_speckle_of_a_weighted_scene_fills_the_same_band_as_its_points() -> None:
    half = PointResponse(torch.tensor([3.0]), torch.tensor([0.5]))
    for scene in (
        land(source(16), frame(4), response=half),
        town(source(17), frame(4), response=half),
        ships_at_sea(source(18), frame(4), response=half),
    ):
        k = torch.fft.fftfreq(64).abs()
        outside = (k[:, None] > 0.26) | (k > 0.26)
        power = torch.fft.fft2(scene.image).abs().square()
        assert float((power * outside).sum() / power.sum()) < 1e-10


@pytest.mark.parametrize("family", [vehicles_on_land, ships_at_sea, aircraft_on_apron, town])
def test_composed_scenes_span_more_than_sixty_decibels(family) -> None:
    spacing = 0.4 if family is vehicles_on_land else 1.0
    scene = family(source(7), frame(64, spacing_m=(spacing, spacing)))
    span = span_db(scene.image)
    assert float(span.median()) > 60
    assert float(span.min()) > 40


def test_targets_have_the_cross_section_asked_for_and_shadows_are_dark() -> None:
    """sum |a|^2 dx dy of the centres, whatever the pixel, and nothing else of the background is changed."""
    view = frame(48, spacing_m=(0.3, 0.2))
    light = draw_illumination(source(8), 48)
    ground = land(source(9), view, illumination=light, response=DELTA)
    cars = vehicles(source(10), view, illumination=light, response=DELTA)
    asked = torch.logspace(0, 3, 48)
    scene = stand_out(source(11), view, ground, cars, asked)
    assert scene.centres is not None
    assert cars.centres is not None
    own = scene.centres.amplitude[:, -cars.centres.amplitude.shape[1] :]  # those of the land stand before them
    assert torch.allclose(own.abs().square().sum(1) * 0.06, asked, rtol=1e-4)
    factor = own.abs().amax(1) / cars.centres.amplitude.abs().amax(1)
    left = (scene.image - cars.scaled(factor).image)[:, 0].abs()
    dark = cars.masks[SceneClass.SHADOW]
    assert torch.allclose(
        left[~dark], ground.image[:, 0].abs()[~dark], rtol=1e-2, atol=1e-4 * float(scene.image.abs().max())
    )
    # where enough is in shadow, and what the cars add there does not drown in rounding
    shaded = dark.sum((1, 2)) > 50
    assert int(shaded.sum()) > 20
    energy = [(image * dark).square().sum((1, 2))[shaded] for image in (left, ground.image[:, 0].abs())]
    assert float((energy[0] / energy[1]).max()) < 10 ** (-14 / 10)


def test_longer_ships_have_the_cross_sections_of_their_law() -> None:
    """0.08 l^(7/3) of each, within 5 dB."""
    scene = ships_at_sea(source(19), frame(200, spacing_m=(8.0, 5.0)), response=DELTA)
    assert scene.centres is not None
    assert scene.objects is not None
    law = (0.08 * scene.objects.size_m[..., 0] ** (7 / 3) * scene.objects.present).sum(1)
    ratio = 10 * torch.log10(scene.centres.amplitude.abs().square().sum(1) * 40 / law)
    assert float(ratio.abs().max()) <= 5.01
    assert float(ratio.std()) > 1.5


def test_towns_keep_their_strongest_points_as_centres() -> None:
    view = frame(8, spacing_m=(3.0, 3.0))
    scene = urban_fabric(source(20), view, torch.rand(8, generator=torch.Generator().manual_seed(1)))
    assert scene.centres is not None
    assert scene.centres.amplitude.shape == (8, KEPT)
    pixel = view.pixels(scene.centres.position_m).round().long()
    index = pixel[..., 0] * 64 + pixel[..., 1]
    there = scene.image[:, 0].flatten(1).gather(1, index)
    bright = scene.centres.amplitude.abs() > 10 * scene.image.abs().flatten(1).median(1).values[:, None]
    assert int(bright.sum()) > 50
    off = (there - scene.centres.amplitude)[bright].abs() / scene.centres.amplitude[bright].abs()
    assert float(off.median()) < 0.3  # the speckle about them
    assert float(off.max()) < 1.5
    classes = (SceneClass.URBAN, SceneClass.GRASS, SceneClass.BARE, SceneClass.ROAD)
    assert bool((torch.stack([scene.masks[c] for c in classes]).sum(0) == 1).all())


def one_ship(speed_m_s: float, *, view_px: int = 128) -> tuple:
    """A ship of 40 m in the middle under way towards +x, seen from +y so that nothing is displaced; pixels of 4 m."""
    view = frame(64, (view_px, view_px), (4.0, 4.0))
    fleet = ships(source(21), view, most=1)
    assert fleet.objects is not None
    velocity = torch.tensor([speed_m_s, 0.0]).expand(64, 1, 2)
    size = torch.tensor([40.0, 8.0, 3.0]).expand(64, 1, 3)
    middle = torch.tensor([150.0, 0.0]).expand(64, 1, 2)
    moved = replace(
        fleet.objects, position_m=middle, heading_rad=torch.zeros(64, 1), size_m=size, velocity_m_s=velocity
    )
    return view, radar(math.pi / 2, 0.6, 64), moved


def test_wakes_lie_astern_within_the_angle_of_kelvin_and_have_his_wavelength() -> None:
    speed = 8.0
    view, light, ship = one_ship(speed)
    factor, mask = wakes(source(22), view, light, ship)
    y, x = view.axes_m()
    astern = (130.0 - x).clamp_min(0)
    beyond = y.abs() > astern * math.tan(CUSP) + 3 * (4.0 + 0.03 * astern) + 20.0
    assert bool((factor > 0).all())
    assert float((factor - 1).abs()[(x > 130).expand_as(factor)].max()) == 0
    assert float((factor - 1).abs()[beyond].max()) < 0.05
    assert not bool((mask & beyond).any())
    assert bool(mask.any())
    # crests along the track, where neither cusps nor strip are: the mean of many ships repeats every 2 pi U^2 / g
    line = torch.log(factor[:, (y[0, :, 0] > 8) & (y[0, :, 0] < 18)]).mean((0, 1))
    line = (line - line.mean())[(x[0, 0] < 60) & (x[0, 0] > -200)]
    spectrum = torch.fft.rfft(line, 4096).abs()
    spectrum[:100] = 0  # the slow fading
    wavelength = 4096 * 4.0 / int(spectrum.argmax())
    assert wavelength == pytest.approx(2 * math.pi * speed**2 / GRAVITY_M_S2, rel=0.1)


def test_ships_that_do_not_move_have_no_wake_and_those_that_recede_are_displaced_by_it() -> None:
    view, light, ship = one_ship(0.0)
    factor, mask = wakes(source(23), view, light, ship)
    assert bool((factor == 1).all())
    assert not bool(mask.any())
    view, _, ship = one_ship(6.0)
    away = displacement_m(source(24), radar(math.pi, 0.5, 64), ship)  # the radar stands at -x: all recede
    assert float(away[..., 0].abs().max()) < 1e-3
    seconds = away[..., 1].abs() / 6.0
    assert float(seconds.min()) >= 5
    assert float(seconds.max()) <= 120
    assert float(displacement_m(source(24), light, ship).abs().max()) < 1e-3


def test_addition_keeps_both_truths_apart() -> None:
    a, b = (vehicles(source(seed), frame(3, spacing_m=(0.3, 0.3))) for seed in (12, 13))
    total = a + b
    assert torch.equal(total.image, a.image + b.image)
    assert total.objects is not None
    assert total.centres is not None
    assert total.objects.present.shape[1] == 12
    assert total.centres.owner[0, 0] == 0
    assert total.centres.owner[0, -1] == 11
    assert torch.equal(total.masks[SceneClass.VEHICLE], a.masks[SceneClass.VEHICLE] | b.masks[SceneClass.VEHICLE])
    double = a.scaled(torch.tensor([2.0, 1.0, 0.5]))
    assert double.centres is not None
    assert a.centres is not None
    assert torch.allclose(double.centres.amplitude[0], 2 * a.centres.amplitude[0])
    assert (Scene(a.image) + b).centres is b.centres


def test_pipes_answer_at_their_tops_and_bottoms_shallower() -> None:
    """The top's apex is at z + r; the bottom shows at z + r - 2 r q with q between 0.3 and 1."""
    batch = 64
    view = frame(batch, spacing_m=(0.02, 0.02))
    scene = subsurface(source(14), view, most=1, response=DELTA)
    assert scene.objects is not None
    assert scene.centres is not None
    pipe = scene.objects.kind[:, 0] == ObjectKind.PIPE.value
    x, y = scene.objects.position_m[pipe, 0].unbind(-1)
    radius = scene.objects.size_m[pipe, 0, 0] / 2
    top, bottom = scene.centres.position_m[pipe, :20], scene.centres.position_m[pipe, 20:32]
    assert torch.allclose(
        (top - torch.stack([x, y], -1)[:, None]).norm(dim=-1), radius[:, None].expand(-1, 20), atol=1e-5
    )
    deep = (y + radius)[:, None] - bottom[..., 1]
    assert bool((deep > 0.3 * 0.69 * 2 * radius[:, None]).all())
    assert bool((deep <= 2 * radius[:, None] + 1e-6).all())
    apex, nadir = scene.centres.amplitude[pipe, 9], scene.centres.amplitude[pipe, 25]
    assert bool(((apex * nadir.conj()).real < 0).all())  # opposite sign
    area = scene.masks[SceneClass.PIPE].sum((1, 2))[pipe] * 0.02**2
    wide = radius > 0.08
    assert torch.allclose(area[wide], math.pi * radius[wide].square(), rtol=0.15)
    assert float(span_db(scene.image).median()) > 60


def test_voids_are_flat_and_rougher_than_pipes() -> None:
    """Masks have the area of their ellipses; along a top the phase of a pipe hardly turns, that of a void is torn."""
    scene = subsurface(source(25), frame(200, spacing_m=(0.02, 0.02)), most=1, response=DELTA)
    assert scene.objects is not None
    assert scene.centres is not None
    void = scene.objects.present[:, 0] & (scene.objects.kind[:, 0] == ObjectKind.VOID.value)
    pipe = scene.objects.present[:, 0] & ~void
    assert int(void.sum()) > 20
    long, _, high = scene.objects.size_m[:, 0].unbind(-1)
    assert bool((high[void] <= 0.8 * long[void] + 1e-6).all())
    x, y = scene.objects.position_m[:, 0].unbind(-1)
    whole = void & (x.abs() + long / 2 < 0.62) & (y.abs() + high / 2 < 0.62)
    area = scene.masks[SceneClass.VOID].sum((1, 2)) * 0.02**2
    assert int(whole.sum()) > 5
    assert torch.allclose(area[whole], (math.pi / 4 * long * high)[whole], rtol=0.15)
    assert not bool(scene.masks[SceneClass.VOID][pipe].any())
    top = scene.centres.amplitude[:, :20]
    step = (top[:, 1:] * top[:, :-1].conj()).angle().abs().mean(1)
    assert float(step[pipe].max()) < 0.3
    assert float(step[void].min()) > 0.6
