"""Pictures of images in decibels, as PNG bytes.

A magnitude is shown as 20 log10(|x| / max |x|), clipped at a stated depth below the peak; axes are metres when the
measurement has a grid, microarcseconds (east on the left) when that is one of the sky. No text from a file enters a picture:
titles are method names given by the program.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from echoform.scene.grid import Grid
from echoform.scene.sky import MICROARCSECOND_RAD, SkyGrid

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas
    from matplotlib.image import AxesImage

#: colour range of a residual map about the noise level, decibels
RESIDUAL_RANGE_DB = 20.0
#: half the side of a zoom window, pixels; where pixels are not square, of pixels of their mean area
ZOOM_HALF_SIDE = 16.0

_DPI = 110
_PANEL_INCHES = 3.7


@dataclass(frozen=True)
class Figure:
    """One picture of a page: PNG bytes, a caption and a text for readers who cannot see it."""

    png: bytes
    caption: str
    alt: str

    def source(self) -> str:
        """Return the picture as a ``data:`` address, which needs no file and no network."""
        return "data:image/png;base64," + base64.b64encode(self.png).decode("ascii")


@dataclass(frozen=True)
class Panel:
    """One image of a picture: its title and its values, (H, W), complex or real."""

    title: str
    image: Tensor


@dataclass(frozen=True)
class Raster:
    """Pixels counted from the upper left, downwards, as photographs, scans of a body and their scanners have them."""


#: where pixels stand: on the ground, on the sky, in a raster, or rows upwards from the lower left where nothing is known
Place = Grid | SkyGrid | Raster | None


@dataclass(frozen=True)
class Window:
    """A rectangle of pixels: rows ``top`` to ``bottom`` and columns ``left`` to ``right``, ends excluded."""

    top: int
    bottom: int
    left: int
    right: int

    def cut(self, image: Tensor) -> Tensor:
        """Return the pixels of ``image`` (H, W) inside the window."""
        return image[self.top : self.bottom, self.left : self.right]


def decibels(image: Tensor, dynamic_range_db: float) -> np.ndarray:
    """Return 20 log10(|x| / max |x|) clipped at -dynamic_range_db, shape (H, W); the floor everywhere if x = 0."""
    magnitude = image.detach().abs().double().cpu().numpy()
    peak = float(magnitude.max())
    floor = 10 ** (-dynamic_range_db / 20)
    relative = magnitude / peak if peak > 0 else magnitude
    return 20 * np.log10(np.maximum(relative, floor))


def strongest(image: Tensor) -> tuple[int, int]:
    """Return (row, column) of the largest magnitude of an image (H, W)."""
    flat = int(image.detach().abs().flatten().argmax())
    return divmod(flat, image.shape[1])


def zoom_window(
    shape: tuple[int, int], centre: tuple[int, int], *, grid: Grid | None, half_side: float = ZOOM_HALF_SIDE
) -> Window:
    """Return a window about ``centre``, square on the ground, moved inside the image and no larger than it."""
    dy, dx = (1.0, 1.0) if grid is None else grid.spacing_m
    bounds: list[int] = []
    for size, middle, stretch in zip(shape, centre, (dx / dy, dy / dx), strict=True):
        half = max(4, round(half_side * math.sqrt(stretch)))
        length = min(size, 2 * half + 1)
        start = min(max(middle - half, 0), size - length)
        bounds += [start, start + length]
    return Window(*bounds)


def magnitude_png(
    panels: Sequence[Panel],
    *,
    grid: Place,
    window: Window | None = None,
    dynamic_range_db: float,
) -> bytes:
    """Return the panels side by side on one decibel scale, 0 dB being the peak of each panel.

    Args:
        panels: images of one common shape.
        grid: where the pixels stand.
        window: part of the images to show, or None for all.
        dynamic_range_db: depth of the colour scale below the peak.
    """
    whole = _whole(panels[0].image)
    shown = window or whole
    canvas, axes = _canvas(len(panels), _extent(grid, shown))
    drawn = None
    for panel, ax in zip(panels, axes, strict=True):
        # The peak of the whole image stays 0 dB in a zoom.
        values = decibels(panel.image, dynamic_range_db)[shown.top : shown.bottom, shown.left : shown.right]
        drawn = _draw(ax, values, grid, shown, title=panel.title, limits=(-dynamic_range_db, 0.0), colours="inferno")
    return _finish(canvas, axes, drawn, grid=grid, label="magnitude below the peak, dB")


def level_png(
    panels: Sequence[Panel], *, grid: Place, label: str, limits: tuple[float, float], diverging: bool
) -> bytes:
    """Return maps that are decibels already, side by side on one scale.

    Args:
        panels: real maps of one common shape.
        grid: where the pixels stand.
        label: what the colour bar says.
        limits: ends of the colour scale, decibels.
        diverging: white in the middle of the scale, for maps about a level, instead of dark to bright.
    """
    shown = _whole(panels[0].image)
    canvas, axes = _canvas(len(panels), _extent(grid, shown))
    colours = "RdBu_r" if diverging else "inferno"
    drawn = None
    for panel, ax in zip(panels, axes, strict=True):
        values = panel.image.detach().double().cpu().numpy()
        drawn = _draw(ax, values, grid, shown, title=panel.title, limits=limits, colours=colours)
    return _finish(canvas, axes, drawn, grid=grid, label=label)


def profile_png(
    panels: Sequence[Panel],
    *,
    grid: Grid | None,
    window: Window,
    centre: tuple[int, int],
    dynamic_range_db: float,
) -> bytes:
    """Return the cuts of every panel along x and along y through one pixel, in decibels below the panel's peak."""
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(8.4, 3.4), dpi=_DPI, layout="constrained")
    axes = canvas.subplots(1, 2, sharey=True)
    left, right, bottom, top = _extent(grid, window)
    unit = "pixel" if grid is None else "m"
    x = _centres(left, right, window.right - window.left)
    y = _centres(bottom, top, window.bottom - window.top)
    for number, panel in enumerate(panels):
        values = decibels(panel.image, dynamic_range_db)
        style = ("-", "--", "-.", ":")[number % 4]
        axes[0].plot(x, values[centre[0], window.left : window.right], style, label=panel.title, linewidth=1.4)
        axes[1].plot(y, values[window.top : window.bottom, centre[1]], style, label=panel.title, linewidth=1.4)
    for ax, name in zip(axes, ("x", "y"), strict=True):
        ax.set(xlabel=f"{name}, {unit}", ylim=(-dynamic_range_db, 2))
        ax.grid(alpha=0.3)
    axes[0].set_ylabel("magnitude below the peak, dB")
    axes[1].legend(fontsize=8, loc="upper right")
    return _png(canvas)


def _columns(count: int) -> int:
    """Three panels to a row at most; four stand two by two."""
    return 2 if count == 4 else min(count, 3)


def _canvas(count: int, extent: tuple[float, float, float, float]) -> tuple[Canvas, list[Axes]]:
    from matplotlib.figure import Figure as Canvas

    columns = _columns(count)
    rows = math.ceil(count / columns)
    panel = _PANEL_INCHES if count > 1 else 1.5 * _PANEL_INCHES
    left, right, bottom, top = extent
    aspect = min(max(abs((top - bottom) / (right - left)), 0.4), 2.5)
    canvas = Canvas(figsize=(columns * panel + 0.9, rows * (panel * aspect + 0.35)), dpi=_DPI, layout="compressed")
    axes = list(canvas.subplots(rows, columns, squeeze=False).flat)
    for ax in axes[count:]:
        ax.set_axis_off()
    return canvas, axes[:count]


def _draw(
    ax: Axes,
    values: np.ndarray,
    grid: Place,
    window: Window,
    *,
    title: str,
    limits: tuple[float, float],
    colours: str,
) -> AxesImage:
    drawn = ax.imshow(
        values,
        origin="upper" if isinstance(grid, Raster) else "lower",
        extent=_extent(grid, window),
        vmin=limits[0],
        vmax=limits[1],
        cmap=colours,
    )
    ax.set_title(title, fontsize=10)
    return drawn


def _finish(canvas: Canvas, axes: list[Axes], drawn: AxesImage | None, *, grid: Place, label: str) -> bytes:
    """Label the outer axes only, since all panels show the same ground, add the colour bar and encode."""
    across, up = _axis_labels(grid)
    columns = _columns(len(axes))
    for number, ax in enumerate(axes):
        first, last = number % columns == 0, number + columns >= len(axes)
        ax.tick_params(labelleft=first, labelbottom=last)
        ax.set(xlabel=across if last else "", ylabel=up if first else "")
    if drawn is not None:
        canvas.colorbar(drawn, ax=axes, label=label, shrink=0.9, pad=0.02)
    return _png(canvas)


def _png(canvas: Canvas) -> bytes:
    buffer = io.BytesIO()
    canvas.savefig(buffer, format="png", bbox_inches="tight")
    return buffer.getvalue()


def _whole(image: Tensor) -> Window:
    return Window(0, image.shape[0], 0, image.shape[1])


def _axis_labels(grid: Place) -> tuple[str, str]:
    """Return what the horizontal and the vertical axis say."""
    if isinstance(grid, SkyGrid):
        return "east offset, µas", "north offset, µas"
    unit = "m" if isinstance(grid, Grid) else "pixel"
    return f"x, {unit}", f"y, {unit}"


def _extent(grid: Place, window: Window) -> tuple[float, float, float, float]:
    """Return (left, right, bottom, top) of the window's pixel edges: metres, microarcseconds (falling to the right) or pixels."""
    if isinstance(grid, SkyGrid):
        step, (height, width) = grid.pixel_rad / MICROARCSECOND_RAD, grid.shape
        columns, rows = width // 2 + 0.5, height // 2 + 0.5
        east = (columns - window.left) * step, (columns - window.right) * step
        return *east, (window.top - rows) * step, (window.bottom - rows) * step
    if grid is None:
        return window.left - 0.5, window.right - 0.5, window.top - 0.5, window.bottom - 0.5
    if isinstance(grid, Raster):
        return window.left - 0.5, window.right - 0.5, window.bottom - 0.5, window.top - 0.5
    left, _, bottom, _ = grid.extent_m()
    dy, dx = grid.spacing_m
    return left + window.left * dx, left + window.right * dx, bottom + window.top * dy, bottom + window.bottom * dy


def _centres(low: float, high: float, count: int) -> np.ndarray:
    step = (high - low) / count
    return low + step * (np.arange(count) + 0.5)
