"""Pictures: the decibel scale, the zoom window, and which way up an image is drawn."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from matplotlib.image import imread

from echoform.report.figures import (
    Figure,
    Panel,
    Raster,
    Window,
    _axis_labels,
    _extent,
    decibels,
    level_png,
    magnitude_png,
    profile_png,
    strongest,
    zoom_window,
)
from echoform.scene.grid import Grid
from echoform.scene.sky import MICROARCSECOND_RAD, SkyGrid


def decoded(png: bytes) -> np.ndarray:
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    return imread(io.BytesIO(png), format="png")


def test_decibels_are_relative_to_the_peak_and_clipped() -> None:
    image = torch.tensor([[10j, 1.0, -0.1], [1e-9, 0.0, 3 - 4j]], dtype=torch.complex64)
    expected = [[0, -20, -40], [-50, -50, 20 * np.log10(0.5)]]
    np.testing.assert_allclose(decibels(image, 50), expected, atol=1e-5)


def test_an_empty_image_is_at_the_floor() -> None:
    assert (decibels(torch.zeros(3, 4), 60) == -60).all()


def test_strongest_is_the_largest_magnitude() -> None:
    image = torch.zeros(5, 7, dtype=torch.complex64)
    image[1, 2], image[4, 5] = 2.0, -3j
    assert strongest(image) == (4, 5)


def test_zoom_window_stays_inside() -> None:
    window = zoom_window((100, 60), (2, 58), grid=None, half_side=16)
    assert (window.top, window.bottom, window.left, window.right) == (0, 33, 27, 60)
    assert window.cut(torch.zeros(100, 60)).shape == (33, 33)
    whole = zoom_window((8, 9), (4, 4), grid=None, half_side=16)
    assert (whole.top, whole.bottom, whole.left, whole.right) == (0, 8, 0, 9)


def test_zoom_window_is_square_on_the_ground() -> None:
    grid = Grid((400, 400), (1.0, 0.25))
    window = zoom_window(grid.shape, (200, 200), grid=grid, half_side=16)
    height_m, width_m = (window.bottom - window.top) * 1.0, (window.right - window.left) * 0.25
    assert height_m == pytest.approx(width_m, rel=0.06)


def test_rows_grow_upwards_and_columns_to_the_right() -> None:
    image = torch.zeros(8, 8)
    image[7, 6] = 1.0  # y > 0, x > 0
    picture = decoded(magnitude_png([Panel("", image)], grid=Grid((8, 8), (1.0, 1.0)), dynamic_range_db=40))
    height, width = picture.shape[:2]
    plot = picture[:, : int(0.8 * width)]  # without the colour bar
    yellow = (plot[..., 0] > 0.95) & (plot[..., 1] > 0.95) & (plot[..., 2] < 0.75)
    rows, columns = np.nonzero(yellow)
    assert len(rows) > 100
    assert rows.mean() < 0.3 * height
    assert columns.mean() > 0.5 * width


def test_a_raster_has_its_first_row_at_the_top() -> None:
    """A head that is drawn upside down is mirrored: left and right of a body are told by it."""
    image = torch.zeros(8, 12)
    image[1, 10] = 1.0
    picture = decoded(magnitude_png([Panel("", image)], grid=Raster(), dynamic_range_db=40))
    height, width = picture.shape[:2]
    plot = picture[:, : int(0.8 * width)]
    rows, columns = np.nonzero((plot[..., 0] > 0.95) & (plot[..., 1] > 0.95) & (plot[..., 2] < 0.75))
    assert rows.mean() < 0.4 * height
    assert columns.mean() > 0.5 * width
    assert _extent(Raster(), Window(2, 6, 1, 5)) == (0.5, 4.5, 5.5, 1.5)
    assert _axis_labels(Raster()) == ("x, pixel", "y, pixel")


def test_the_sky_is_drawn_north_up_and_east_left_in_microarcseconds() -> None:
    grid = SkyGrid((16, 16), 2 * MICROARCSECOND_RAD)
    m, l = grid.axes_rad()  # noqa: E741 (the field's symbol)
    left, right, bottom, top = _extent(grid, Window(0, 16, 0, 16))
    centres = [left + (right - left) * (k + 0.5) / 16 for k in range(16)]
    np.testing.assert_allclose(centres, (l / MICROARCSECOND_RAD).numpy(), atol=1e-9)
    assert (bottom, top) == pytest.approx((float(m[0]) / MICROARCSECOND_RAD - 1, float(m[-1]) / MICROARCSECOND_RAD + 1))
    assert _axis_labels(grid) == ("east offset, µas", "north offset, µas")
    image = torch.zeros(16, 16)
    image[13, 2] = 1.0  # north-east
    picture = decoded(magnitude_png([Panel("", image)], grid=grid, dynamic_range_db=40))
    height, width = picture.shape[:2]
    plot = picture[:, : int(0.8 * width)]
    rows, columns = np.nonzero((plot[..., 0] > 0.95) & (plot[..., 1] > 0.95) & (plot[..., 2] < 0.75))
    assert rows.mean() < 0.4 * height
    assert columns.mean() < 0.4 * width


def test_zoom_keeps_the_peak_of_the_whole_image_at_zero() -> None:
    image = torch.full((40, 40), 0.1)
    image[0, 0] = 1.0
    window = zoom_window((40, 40), (30, 30), grid=None, half_side=4)
    picture = decoded(magnitude_png([Panel("", image)], grid=None, window=window, dynamic_range_db=40))
    centre = picture[picture.shape[0] // 2, picture.shape[1] // 3, :3]
    from matplotlib import colormaps

    np.testing.assert_allclose(centre, colormaps["inferno"](0.5)[:3], atol=0.02)  # -20 dB of 40


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7])
def test_any_number_of_panels(count: int) -> None:
    panels = [Panel(f"method {k}", torch.rand(6, 9)) for k in range(count)]
    grid = Grid((6, 9), (0.5, 0.25))
    window = zoom_window((6, 9), (3, 3), grid=grid)
    decoded(magnitude_png(panels, grid=grid, dynamic_range_db=50))
    decoded(profile_png(panels, grid=grid, window=window, centre=(3, 3), dynamic_range_db=50))
    decoded(level_png(panels, grid=None, label="dB", limits=(-20, 20), diverging=True))


def test_source_is_inside_the_page() -> None:
    assert Figure(b"\x89PNG", "", "").source() == "data:image/png;base64,iVBORw=="
