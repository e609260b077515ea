"""The pixel grid of an image on the sky: direction cosines about the phase centre, as seen from below.

Pixel (j, k) stands at m = (j - H // 2) p towards the north and l = -(k - W // 2) p, so that east (+l) is on the left of a
picture whose row 0 is at the bottom, as astronomers draw it. Position angles are counted from north through east.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

#: one microarcsecond, radians
MICROARCSECOND_RAD = math.radians(1e-6 / 3600)


@dataclass(frozen=True)
class SkyGrid:
    """Square pixels on the sky.

    Attributes:
        shape: (H, W), pixels.
        pixel_rad: p, side of a pixel, radians.

    Raises:
        ValueError: a side is not positive, or the image is wider than a radian, where (l, m) is no small angle.
    """

    shape: tuple[int, int]
    pixel_rad: float

    def __post_init__(self) -> None:
        if min(self.shape) < 1 or not 0 < self.pixel_rad * max(self.shape) <= 1:
            raise ValueError(f"an image of {self.shape} pixels of {self.pixel_rad} rad; expected 0 to 1 rad in all")

    def axes_rad(self) -> tuple[Tensor, Tensor]:
        """Return m of the rows (H,), rising, and l of the columns (W,), falling; radians, float64."""
        (height, width), p = self.shape, self.pixel_rad
        rows = torch.arange(height, dtype=torch.float64) - height // 2
        columns = torch.arange(width, dtype=torch.float64) - width // 2
        return p * rows, -p * columns

    def corner_rad(self) -> float:
        """Return the distance of the farthest pixel from the phase centre, radians."""
        m, l = self.axes_rad()  # noqa: E741 (the field's symbol)
        return math.hypot(float(m.abs().max()), float(l.abs().max()))
