"""The pixel grid of an image on the ground plane."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Grid:
    """A regular grid: pixel (j, k) stands at y = (j - H // 2) dy, x = (k - W // 2) dx, z = 0, about the scene centre.

    Attributes:
        shape: (H, W), pixels.
        spacing_m: (dy, dx), metres.
    """

    shape: tuple[int, int]
    spacing_m: tuple[float, float]

    def axes_m(self) -> tuple[Tensor, Tensor]:
        """Return the row coordinates y (H,) and the column coordinates x (W,), metres, float64."""
        rows, columns = (
            (torch.arange(n, dtype=torch.float64) - n // 2) * d for n, d in zip(self.shape, self.spacing_m, strict=True)
        )
        return rows, columns

    def positions_m(self) -> Tensor:
        """Return the pixel positions (x, y, z), shape (H, W, 3), metres, float64."""
        rows, columns = self.axes_m()
        y, x = torch.meshgrid(rows, columns, indexing="ij")
        return torch.stack([x, y, torch.zeros_like(x)], -1)

    def nearest(self, x_m: float, y_m: float) -> tuple[int, int]:
        """Return (row, column) of the pixel nearest to a ground position; raises ValueError when that is off the grid."""
        (height, width), (dy, dx) = self.shape, self.spacing_m
        row, column = round(y_m / dy) + height // 2, round(x_m / dx) + width // 2
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
