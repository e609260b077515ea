"""Simulated scenes have the statistics they claim."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from echoform.scene.collection import SpotlightCollection
from echoform.scene.fields import smooth, smooth_phase, white
from echoform.scene.grid import Grid
from echoform.scene.scatterers import place, points, targets
from echoform.scene.textures import clutter, regions
from echoform.train.problems.fourier import draw_fourier_mask
from echoform.train.problems.scenes import Chips, SceneKind, draw_scene


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_white_field_is_developed_speckle():
    intensity = white(generator(), (20000,)).abs().square().numpy()
    assert stats.kstest(intensity, "expon").pvalue > 0.01


def test_smooth_fields_are_centred_of_unit_variance_and_correlated():
    fields = smooth(generator(), 200, (32, 32))
    assert float(fields.mean((-2, -1)).abs().max()) < 1e-4
    assert torch.allclose(fields.square().mean((-2, -1)), torch.ones(200), atol=1e-4)
    assert float((fields[:, 1:] * fields[:, :-1]).mean()) > 0.6
    assert torch.allclose(smooth_phase(generator(), 3, (16, 16)).abs(), torch.ones(3, 16, 16), atol=1e-5)


def test_a_placed_point_is_the_hamming_weighted_response_at_its_position():
    image = place(torch.tensor([[[5.0, 9.0]]]), torch.ones(1, 1, dtype=torch.complex64), (16, 16))[0]
    assert int(image.abs().argmax()) == 5 * 16 + 9
    assert float(image[5, 9].real) == pytest.approx(0.54**2, abs=1e-5)
    shifted = place(torch.tensor([[[5.5, 9.0]]]), torch.ones(1, 1, dtype=torch.complex64), (16, 16))[0]
    assert float(shifted[5, 9].abs()) == pytest.approx(float(shifted[6, 9].abs()), rel=1e-4)


def test_points_on_the_grid_are_single_pixels():
    image = points(generator(), 4, (32, 32), on_grid=True)
    count = (image != 0).flatten(1).sum(1)
    assert int(count.min()) >= 1
    assert int(count.max()) <= 16
    magnitude = image.abs()[image != 0]
    assert float(magnitude.min()) >= 0.0099


def test_targets_are_extended_and_confined():
    image = targets(generator(), 8, (64, 64))
    energy = image.abs().square().flatten(1).sort(1, descending=True).values
    half = (energy.cumsum(1) < 0.99 * energy.sum(1, keepdim=True)).sum(1)
    assert bool(((half > 4) & (half < 64 * 64 // 4)).all())


def test_clutter_without_texture_would_have_unit_contrast_and_regions_span_levels():
    image = clutter(generator(), 40, (32, 32)).abs().square().flatten(1)
    contrast = image.std(1) / image.mean(1)
    assert float(contrast.min()) > 0.9
    levels = regions(generator(), 1, (32, 32))
    assert len(torch.unique(levels)) <= 4
    assert float(levels.min()) > 0


@pytest.mark.parametrize("kind", [k for k in SceneKind if k is not SceneKind.CHIP])
def test_scenes_have_unit_rms_and_are_reproducible(kind: SceneKind):
    a, b = (draw_scene(kind, generator(3), 5, (24, 32)) for _ in range(2))
    assert a.shape == (5, 1, 24, 32)
    assert a.dtype == torch.complex64
    assert torch.equal(a, b)
    assert torch.allclose(a.abs().square().mean((1, 2, 3)), torch.ones(5), atol=1e-4)


def test_point_scenes_span_more_than_sixty_decibels():
    x = draw_scene(SceneKind.POINTS, generator(1), 20, (64, 64)).abs().flatten(1)
    span_db = 20 * torch.log10(x.amax(1) / x.median(1).values)
    assert float(span_db.max()) > 60


def test_chips_are_cropped_and_missing_ones_asked_for_clearly(tmp_path: Path):
    iq = np.random.default_rng(0).integers(-100, 100, (3, 64, 64, 2)).astype(np.int16)
    iq[1] = 0
    np.savez(tmp_path / "chips.npz", iq=iq)
    chips = Chips.load([tmp_path / "chips.npz"])
    assert len(chips.images) == 2
    assert draw_scene(SceneKind.CHIP, generator(), 4, (32, 32), chips=chips).shape == (4, 1, 32, 32)
    with pytest.raises(ValueError, match="none were loaded"):
        draw_scene(SceneKind.CHIP, generator(), 4, (32, 32))


def test_masks_keep_the_share_asked_for():
    masks = draw_fourier_mask(generator(), 400, (16, 16), share=(0.3, 0.300001)).support()
    assert float(masks.mean()) == pytest.approx(0.3, abs=0.02)


def test_grid_axes_and_collection_checks():
    grid = Grid((4, 6), (0.5, 2.0))
    rows, columns = grid.axes_m()
    assert rows.tolist() == [-1.0, -0.5, 0.0, 0.5]
    assert columns.tolist() == [-6.0, -4.0, -2.0, 0.0, 2.0, 4.0]
    assert grid.extent_m() == (-7.0, 5.0, -1.25, 0.75)
    assert grid.positions_m()[0, 5].tolist() == [4.0, -1.0, 0.0]
    assert grid.nearest(1.9, 0.6) == (3, 4)
    with pytest.raises(ValueError, match="outside"):
        grid.nearest(7.0, 0.0)
    antenna = torch.tensor([[[1000.0, 0, 0], [1000.0, 10, 0]]], dtype=torch.float64)
    frequency = torch.tensor([[1e9, 1.1e9, 1.2e9]], dtype=torch.float64)
    collection = SpotlightCollection(antenna, frequency, torch.ones(1, 2, 3))
    assert collection.wavenumber().shape == (1, 2, 3, 2)
    assert float(collection.wavenumber()[0, 0, 0, 0]) == pytest.approx(4 * np.pi * 1e9 / 299_792_458)
    with pytest.raises(ValueError, match="kept"):
        SpotlightCollection(antenna, frequency, torch.ones(1, 3, 3))
    with pytest.raises(ValueError, match="finite"):
        SpotlightCollection(antenna * float("nan"), frequency, torch.ones(1, 2, 3))
