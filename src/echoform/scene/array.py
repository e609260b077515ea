"""Transmitter and receiver arrays, and the virtual array they form.

The frame is the radar's own: x to the right, y ahead (boresight), z up. An angle is measured from y towards x, so a target on
the right has a positive angle and a positive x. Far away the path by transmitter t and receiver r is 2 R - u . (t + r), with
u = (sin theta, cos theta, 0): the pair acts like one element at d = t + r.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class MimoArray:
    """Every transmitter heard by every receiver; virtual element q = i R + j is transmitter i with receiver j.

    Attributes:
        transmitter_m: positions (x, y, z), shape (B or 1, T, 3), metres, float64.
        receiver_m: positions (x, y, z), shape (B or 1, R, 3), metres, float64.

    Raises:
        ValueError: an array has the wrong shape or a value that is not finite.
    """

    transmitter_m: Tensor
    receiver_m: Tensor

    def __post_init__(self) -> None:
        for name, value in (("transmitter_m", self.transmitter_m), ("receiver_m", self.receiver_m)):
            if value.ndim != 3 or value.shape[-1] != 3 or not value.numel():
                raise ValueError(f"{name} must be (batch, elements, 3), got {tuple(value.shape)}")
            if not bool(torch.isfinite(value.detach()).all()):
                raise ValueError(f"{name} holds a value that is not finite")

    @property
    def elements(self) -> int:
        """Number Q of virtual elements."""
        return self.transmitter_m.shape[1] * self.receiver_m.shape[1]

    def transmitter_of(self) -> Tensor:
        """Return the index of the transmitter of each virtual element, (Q,), int64."""
        count, repeats = self.transmitter_m.shape[1], self.receiver_m.shape[1]
        return torch.arange(count, device=self.transmitter_m.device).repeat_interleave(repeats)

    def virtual_m(self) -> Tensor:
        """Return d = t + r of each virtual element, (B, Q, 3), metres, float64."""
        return (self.transmitter_m.double()[:, :, None] + self.receiver_m.double()[:, None]).flatten(1, 2)

    def centre_m(self) -> Tensor:
        """Return the point that ranges are measured from, half the mean of d, (B, 3), metres."""
        return self.virtual_m().mean(1) / 2

    def path_offset_m(self, angles_rad: Tensor) -> Tensor:
        """Return -(d_q - mean d) . u(theta), the path beyond 2 R in the far field, (B, Q, H), metres.

        Args:
            angles_rad: theta, shape (B or 1, H), radians, positive to the right.
        """
        offset = self.virtual_m()
        offset = offset - offset.mean(1, keepdim=True)
        angles = angles_rad.double()[:, None]
        return -(offset[..., 0, None] * torch.sin(angles) + offset[..., 1, None] * torch.cos(angles))


def uniform_line(count: int, spacing_m: float, *, device: torch.device | None = None) -> Tensor:
    """Return ``count`` elements along x, left to right from x = 0, shape (1, count, 3), metres, float64."""
    positions = torch.zeros(1, count, 3, dtype=torch.float64, device=device)
    positions[0, :, 0] = spacing_m * torch.arange(count, dtype=torch.float64, device=device)
    return positions


def uniform_plane(
    shape: tuple[int, int], spacing_m: tuple[float, float], *, device: torch.device | None = None
) -> Tensor:
    """Return a planar array in the aperture plane y = 0, centred, shape (1, rows * columns, 3), metres, float64.

    Args:
        shape: (rows, columns); rows are stacked along z, columns run along x, and columns count fastest.
        spacing_m: (dz, dx), metres.
        device: of the result.
    """
    z, x = (
        (torch.arange(n, dtype=torch.float64, device=device) - (n - 1) / 2) * d
        for n, d in zip(shape, spacing_m, strict=True)
    )
    grid = torch.meshgrid(z, x, indexing="ij")
    return torch.stack([grid[1], torch.zeros_like(grid[0]), grid[0]], -1).flatten(0, 1)[None]


def filled_array(transmitters: int, receivers: int, spacing_m: float) -> MimoArray:
    """Return the array whose virtual elements are a uniform line: receivers ``spacing_m`` apart, transmitters R times that."""
    return MimoArray(uniform_line(transmitters, receivers * spacing_m), uniform_line(receivers, spacing_m))


def polar_positions_m(array: MimoArray, *, ranges_m: Tensor, angles_rad: Tensor) -> Tensor:
    """Return pixel positions about the array's centre: c + R (sin theta, cos theta, 0), (B or 1, H, W, 3), metres, float64.

    Args:
        array: whose centre ranges and angles are measured from.
        ranges_m: R, shape (B or 1, W), metres.
        angles_rad: theta, shape (B or 1, H), radians.
    """
    r, theta = ranges_m.double()[:, None, :], angles_rad.double()[:, :, None]
    x, y = r * torch.sin(theta), r * torch.cos(theta)
    return torch.stack([x, y, torch.zeros_like(x)], -1) + array.centre_m()[:, None, None]
