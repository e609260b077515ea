"""The pixel grid of an image on the ground plane."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from echoform.linalg.resample import COARSE_ORIGIN


@dataclass(frozen=True)
class Grid:
    """A regular grid: pixel (j, k) stands at y = (j - H // 2) dy + o_y, x = (k - W // 2) dx + o_x, z = 0.

    Attributes:
        shape: (H, W), pixels.
        spacing_m: (dy, dx), metres.
        offset_m: (o_y, o_x), metres: zero about the scene centre, not so in a coarse version.
    """

    shape: tuple[int, int]
    spacing_m: tuple[float, float]
    offset_m: tuple[float, float] = (0.0, 0.0)

    def axes_m(self) -> tuple[Tensor, Tensor]:
        """Return the row coordinates y (H,) and the column coordinates x (W,), metres, float64."""
        rows, columns = (
            (torch.arange(n, dtype=torch.float64) - n // 2) * d + o
            for n, d, o in zip(self.shape, self.spacing_m, self.offset_m, strict=True)
        )
        return rows, columns

    def coarser(self, factor: int) -> Grid:
        """Return the grid of pixels ``factor`` times larger, at the places where U_s of ``linalg/resample.py`` puts them."""
        height, width = (n // factor for n in self.shape)
        y, x = (
            o + (factor * (c // 2) + COARSE_ORIGIN - n // 2) * d
            for o, c, n, d in zip(self.offset_m, (height, width), self.shape, self.spacing_m, strict=True)
        )
        dy, dx = self.spacing_m
        return Grid((height, width), (factor * dy, factor * dx), (y, x))

    def positions_m(self) -> Tensor:
        """Return the pixel positions (x, y, z), shape (H, W, 3), metres, float64."""
        rows, columns = self.axes_m()
        y, x = torch.meshgrid(rows, columns, indexing="ij")
        return torch.stack([x, y, torch.zeros_like(x)], -1)

    def nearest(self, x_m: float, y_m: float) -> tuple[int, int]:
        """Return (row, column) of the pixel nearest to a ground position; raises ValueError when that is off the grid."""
        (height, width), (dy, dx), (oy, ox) = self.shape, self.spacing_m, self.offset_m
        row, column = round((y_m - oy) / dy) + height // 2, round((x_m - ox) / dx) + width // 2
        if not (0 <= row < height and 0 <= column < width):
            left, right, bottom, top = self.extent_m()
            raise ValueError(
                f"({x_m:g}, {y_m:g}) m lies outside the image, x {left:.1f} to {right:.1f} m, y {bottom:.1f} to {top:.1f} m"
            )
        return row, column

    def extent_m(self) -> tuple[float, float, float, float]:
        """Return (left, right, bottom, top) of the pixel edges, metres, as plotting libraries want it."""
        rows, columns = self.axes_m()
        dy, dx = self.spacing_m
        return (
            float(columns[0]) - dx / 2,
            float(columns[-1]) + dx / 2,
            float(rows[0]) - dy / 2,
            float(rows[-1]) + dy / 2,
        )
