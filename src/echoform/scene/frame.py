"""Where the pixels of a batch of scenes stand, and where the radar is that looks at them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from echoform.scene.grid import Grid
from echoform.scene.random_source import RandomSource


@dataclass(frozen=True)
class Frame:
    """Pixel (j, k) of scene b stands at y = (j - H // 2) dy_b, x = (k - W // 2) dx_b, metres, as in :class:`Grid`.

    Attributes:
        shape: (H, W), pixels.
        spacing_m: (dy, dx) of each scene, (B, 2), metres.

    Raises:
        ValueError: ``spacing_m`` is not (B, 2) or not positive.
    """

    shape: tuple[int, int]
    spacing_m: Tensor

    def __post_init__(self) -> None:
        if self.spacing_m.ndim != 2 or self.spacing_m.shape[1] != 2 or not bool((self.spacing_m > 0).all()):
            raise ValueError(f"spacing_m must be positive, (batch, 2), got {tuple(self.spacing_m.shape)}")

    @property
    def batch(self) -> int:
        """Number of scenes."""
        return self.spacing_m.shape[0]

    def extent_m(self) -> Tensor:
        """Return (height, width) of each scene, (B, 2), metres."""
        return self.spacing_m * torch.tensor(self.shape, dtype=self.spacing_m.dtype, device=self.spacing_m.device)

    def side_m(self) -> Tensor:
        """Return the shorter side of each scene, (B,), metres."""
        return self.extent_m().amin(1)

    def axes_m(self) -> tuple[Tensor, Tensor]:
        """Return y of the rows (B, H, 1) and x of the columns (B, 1, W), metres."""
        height, width = self.shape
        dy, dx = self.spacing_m[:, :1], self.spacing_m[:, 1:]
        device = self.spacing_m.device
        rows = (torch.arange(height, device=device) - height // 2) * dy
        columns = (torch.arange(width, device=device) - width // 2) * dx
        return rows[:, :, None], columns[:, None, :]

    def pixels(self, position_m: Tensor) -> Tensor:
        """Return (row, column), fractions kept, of positions (x, y), (B, ..., 2), metres."""
        lead = (self.batch, *[1] * (position_m.ndim - 2), 2)
        middle = torch.tensor([n // 2 for n in self.shape], dtype=position_m.dtype, device=position_m.device)
        return position_m.flip(-1) / self.spacing_m.reshape(lead) + middle

    def inside(self, position_m: Tensor) -> Tensor:
        """Return whether positions (x, y), (B, ..., 2), metres, lie between the first and the last pixel, (B, ...)."""
        pixel = self.pixels(position_m)
        last = torch.tensor([n - 1 for n in self.shape], dtype=pixel.dtype, device=pixel.device)
        return ((pixel >= 0) & (pixel <= last)).all(-1)

    def anywhere_m(self, source: RandomSource, count: int, *, share: float = 0.9) -> Tensor:
        """Return uniform positions (x, y) in the middle ``share`` of each scene, (B, count, 2), metres."""
        half = share / 2
        return source.uniform((self.batch, count, 2), -half, half) * self.extent_m().flip(1)[:, None]


def frame_of(grid: Grid, batch: int, *, device: torch.device | None = None) -> Frame:
    """Return the frame of ``batch`` scenes on one grid."""
    spacing = torch.tensor([grid.spacing_m], dtype=torch.float32, device=device)
    return Frame(grid.shape, spacing.expand(batch, 2))


def draw_frame(
    source: RandomSource,
    batch: int,
    shape: tuple[int, int],
    *,
    spacing_m: tuple[float, float] = (0.15, 3.0),
    aspect: tuple[float, float] = (1.0, 1.0),
) -> Frame:
    """Return a frame of pixels whose dx is log-uniform in the range given, metres, and so is dy / dx in ``aspect``."""
    dx = source.log_uniform((batch, 1), *spacing_m)
    return Frame(shape, torch.cat([dx * source.log_uniform((batch, 1), *aspect), dx], 1))


@dataclass(frozen=True)
class Illumination:
    """Where the radar stands, as seen from the scene, far away.

    In an image of ground range what stands at height h appears h tan(g) nearer to the radar, and hides the ground behind it
    over h / tan(g).

    Attributes:
        azimuth_rad: direction towards the radar, from +x towards +y, (B,), radians.
        grazing_rad: g, elevation of the radar over the ground, (B,), radians.

    Source: Ulaby and Long, Microwave Radar and Radiometric Remote Sensing (2014), section 14-6 (layover and shadow).
    """

    azimuth_rad: Tensor
    grazing_rad: Tensor

    def towards(self) -> Tensor:
        """Return the unit vector (x, y) on the ground towards the radar, (B, 2)."""
        return torch.stack([torch.cos(self.azimuth_rad), torch.sin(self.azimuth_rad)], -1)

    def layover_m(self, height_m: Tensor) -> Tensor:
        """Return h tan(g) of heights (B, ...), metres."""
        return height_m * torch.tan(self.grazing_rad).reshape(-1, *[1] * (height_m.ndim - 1))

    def shadow_m(self, height_m: Tensor) -> Tensor:
        """Return h / tan(g) of heights (B, ...), metres."""
        return height_m / torch.tan(self.grazing_rad).reshape(-1, *[1] * (height_m.ndim - 1))

    def apparent_m(self, position_m: Tensor, height_m: Tensor) -> Tensor:
        """Return where points (x, y), (B, ..., 2), at heights (B, ...) appear in the image, (B, ..., 2), metres."""
        towards = self.towards().reshape(-1, *[1] * (height_m.ndim - 1), 2)
        return position_m + self.layover_m(height_m)[..., None] * towards


def draw_illumination(
    source: RandomSource, batch: int, *, grazing_deg: tuple[float, float] = (15.0, 60.0), spread_deg: float = 0.0
) -> Illumination:
    """Return a radar on the +x side, as the spotlight family has it, at a uniform grazing angle.

    Args:
        source: of randomness.
        batch: number of scenes.
        grazing_deg: range, degrees.
        spread_deg: half-width of the range of azimuths about +x, degrees.
    """
    azimuth = source.uniform((batch,), -1, 1) * math.radians(spread_deg)
    return Illumination(azimuth, torch.deg2rad(source.uniform((batch,), *grazing_deg)))
