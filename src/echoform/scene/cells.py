"""Pixels as cells of an integral: a sheet in the plane z = 0, lines through it, or the slices of a volume."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import torch
from torch import Tensor

from echoform.linalg.resample import COARSE_ORIGIN
from echoform.scene.grid import Grid


@dataclass(frozen=True)
class Cells:
    """Cells on D copies of one pixel grid, one above the other.

    Attributes:
        grid: pixel grid of a slice about its own centre: its offset is zero.
        offset_m: (y, x) of that centre, metres.
        area_m2: area of a cell in the plane; that of a fine cell in a coarse version.
        heights_m: z of the slices, metres; the image's channel axis runs along them.
        thickness_m: height of a cell; None for a sheet or for lines, where the area alone is the cell's measure.

    Raises:
        ValueError: no slice, a thickness that is not positive, or a grid that is displaced itself.
    """

    grid: Grid
    offset_m: tuple[float, float]
    area_m2: float
    heights_m: tuple[float, ...] = (0.0,)
    thickness_m: float | None = None

    def __post_init__(self) -> None:
        if any(self.grid.offset_m):
            raise ValueError(
                f"the grid of cells stands about its own centre, got one displaced by {self.grid.offset_m} m: "
                "give that as offset_m, as cells_of and volume_of do"
            )
        if not self.heights_m:
            raise ValueError("heights_m must name at least one slice")
        if self.thickness_m is not None and not self.thickness_m > 0:
            raise ValueError(f"thickness_m must be positive, got {self.thickness_m:g}")

    @property
    def shape(self) -> tuple[int, int, int]:
        """(D, H, W)."""
        return len(self.heights_m), *self.grid.shape

    @property
    def measure(self) -> float:
        """What a cell counts in the integral: its area (m^2), or its volume (m^3) where it has a thickness."""
        return self.area_m2 * (1.0 if self.thickness_m is None else self.thickness_m)

    def positions_m(self) -> Tensor:
        """Return (x, y, z) of the cells in the order (D, H, W), (n, 3), metres, float64."""
        y, x = self.offset_m
        plane = (self.grid.positions_m() + torch.tensor([x, y, 0.0], dtype=torch.float64)).flatten(0, 1)
        lift = torch.zeros(len(self.heights_m), 1, 3, dtype=torch.float64)
        lift[:, 0, 2] = torch.tensor(self.heights_m, dtype=torch.float64)
        return (plane + lift).flatten(0, 1)

    def coarser(self, factor: int | Fraction) -> Cells:
        """Return the cells ``factor`` times larger in the plane at the places where U_s puts them, measure and slices kept.

        Args:
            factor: above 1; it need not be whole, but both sides are a whole number of the larger cells.
        """
        (height, width), (dy, dx), step = self.grid.shape, self.grid.spacing_m, float(factor)
        coarse = Grid((round(height / step), round(width / step)), (step * dy, step * dx))
        shift = [
            o + (step * (c // 2) + COARSE_ORIGIN - n // 2) * d
            for o, c, n, d in zip(self.offset_m, coarse.shape, (height, width), (dy, dx), strict=True)
        ]
        return Cells(coarse, (shift[0], shift[1]), self.area_m2, self.heights_m, self.thickness_m)


def cells_of(grid: Grid) -> Cells:
    """Return the cells of a grid: displaced as it is, area dy dx, one sheet at z = 0."""
    return Cells(replace(grid, offset_m=(0.0, 0.0)), grid.offset_m, grid.spacing_m[0] * grid.spacing_m[1])


def share_of_disc(grid: Grid, radius_m: float) -> Tensor:
    """Return the share of each pixel that a disc about the origin covers, (H, W), float64, from 8 x 8 points each."""
    rows, columns = (_eighths(a, d) for a, d in zip(grid.axes_m(), grid.spacing_m, strict=True))
    inside = (rows[:, None].square() + columns.square() < radius_m**2).double()
    return inside.reshape(grid.shape[0], 8, grid.shape[1], 8).mean((1, 3))


def share_of_ball(cells: Cells, radius_m: float) -> Tensor:
    """Return the share of each cell of a volume that a ball about the origin covers, (D, H, W), float64, from 8^3 points each.

    Raises:
        ValueError: the cells have no thickness.
    """
    if cells.thickness_m is None:
        raise ValueError("a ball covers cells with a thickness; volume_of gives them one")
    (y, x), (dy, dx) = cells.grid.axes_m(), cells.grid.spacing_m
    rows, columns = (_eighths(a + o, d) for a, o, d in zip((y, x), cells.offset_m, (dy, dx), strict=True))
    plane = rows[:, None].square() + columns.square()
    lifts = _eighths(torch.tensor(cells.heights_m, dtype=torch.float64), cells.thickness_m).reshape(-1, 8)
    slices = [(lift[:, None, None].square() + plane < radius_m**2).double().mean(0) for lift in lifts]
    _, height, width = cells.shape
    return torch.stack(slices).reshape(-1, height, 8, width, 8).mean((2, 4))


def _eighths(centres: Tensor, spacing: float) -> Tensor:
    """Return eight points of equal weight in each cell along an axis, in order."""
    return (centres[:, None] + (torch.arange(8, dtype=torch.float64) - 3.5) / 8 * spacing).flatten()


def volume_of(grid: Grid, slices: int, spacing_m: float, *, middle_m: float = 0.0) -> Cells:
    """Return the cells of a volume: slice d stands at z = middle_m + (d - D // 2) spacing_m, and is as thick as that.

    Args:
        grid: pixel grid of each slice; the cells are displaced as it is.
        slices: D, the image's channels.
        spacing_m: distance from slice to slice, metres.
        middle_m: z of slice D // 2, metres.
    """
    heights = tuple(middle_m + (d - slices // 2) * spacing_m for d in range(slices))
    return replace(cells_of(grid), heights_m=heights, thickness_m=spacing_m)
