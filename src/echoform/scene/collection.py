"""A spotlight collection: where the antenna was at each pulse and which frequencies were heard."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

#: speed of light in vacuum, metres per second (exact, SI)
SPEED_OF_LIGHT_M_S = 299_792_458.0


@dataclass(frozen=True)
class SpotlightCollection:
    """Antenna phase centres and frequencies about a scene centre at the origin.

    Attributes:
        antenna_m: q, positions (x, y, z), shape (B or 1, P, 3), metres, float64.
        frequency_hz: f, shape (B or 1, F), hertz, float64.
        kept: 0/1, shape (B or 1, P, F); 0 marks a sample that was not measured.

    Raises:
        ValueError: an array has the wrong number of axes or a value that is not finite.
    """

    antenna_m: Tensor
    frequency_hz: Tensor
    kept: Tensor

    def __post_init__(self) -> None:
        if self.antenna_m.ndim != 3 or self.antenna_m.shape[-1] != 3:
            raise ValueError(f"antenna_m must be (batch, pulses, 3), got {tuple(self.antenna_m.shape)}")
        if self.frequency_hz.ndim != 2:
            raise ValueError(f"frequency_hz must be (batch, frequencies), got {tuple(self.frequency_hz.shape)}")
        expected = (self.antenna_m.shape[1], self.frequency_hz.shape[1])
        if self.kept.shape[1:] != expected:
            raise ValueError(f"kept must be (batch, {expected[0]}, {expected[1]}), got {tuple(self.kept.shape)}")
        for name, value in (("antenna_m", self.antenna_m), ("frequency_hz", self.frequency_hz)):
            if not bool(torch.isfinite(value.detach()).all()):
                raise ValueError(f"{name} holds a value that is not finite")

    def look(self) -> Tensor:
        """Return u = q / |q|, the unit vectors from the scene centre to the antenna, (B, P, 3)."""
        return self.antenna_m / self.antenna_m.norm(dim=-1, keepdim=True)

    def wavenumber(self) -> Tensor:
        """Return K = (4 pi f / c) u on the ground plane, (B, P, F, 2) as (x, y), radians per metre."""
        k = 4 * torch.pi * self.frequency_hz / SPEED_OF_LIGHT_M_S
        return k[:, None, :, None] * self.look()[:, :, None, :2]

    def carrier(self) -> Tensor:
        """Return k_c, the image's phase reference: the mean of K over all samples, (B, 2) as (x, y), radians per metre."""
        return self.wavenumber().mean((1, 2))

    def without(self, dropped: Tensor) -> SpotlightCollection:
        """Return the collection with more samples missing, where the boolean ``dropped`` (broadcasting) is true."""
        return replace(self, kept=self.kept * (~dropped).to(self.kept.dtype))
