"""A spotlight collection: where the antennas were at each pulse and which frequencies were heard."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

#: speed of light in vacuum, metres per second (exact, SI)
SPEED_OF_LIGHT_M_S = 299_792_458.0


@dataclass(frozen=True)
class SpotlightCollection:
    """Antenna phase centres and frequencies about a scene centre at the origin.

    The path of a point r at pulse p is |q_t - r| + |q_r - r| - (|q_t| + |q_r|); one antenna that transmits and receives
    (monostatic) has q_r = q_t = q.

    Attributes:
        antenna_m: q, or the transmitter's q_t, positions (x, y, z), shape (B or 1, P, 3), metres, float64.
        frequency_hz: f, hertz, float64: shape (B or 1, F) where all pulses share them, (B or 1, P, F) where they change from
            pulse to pulse.
        kept: 0/1, shape (B or 1, P, F); 0 marks a sample that was not measured.
        receiver_m: q_r, shape (B or 1, P, 3), metres, float64; None when the transmitter receives.

    Raises:
        ValueError: an array has the wrong number of axes or a value that is not finite.
    """

    antenna_m: Tensor
    frequency_hz: Tensor
    kept: Tensor
    receiver_m: Tensor | None = None

    def __post_init__(self) -> None:
        if self.antenna_m.ndim != 3 or self.antenna_m.shape[-1] != 3:
            raise ValueError(f"antenna_m must be (batch, pulses, 3), got {tuple(self.antenna_m.shape)}")
        if self.frequency_hz.ndim not in (2, 3):
            raise ValueError(
                f"frequency_hz must be (batch, frequencies) or (batch, pulses, frequencies), got {tuple(self.frequency_hz.shape)}"
            )
        expected = (self.antenna_m.shape[1], self.frequency_hz.shape[-1])
        if self.frequencies().shape[1] not in (1, expected[0]):
            raise ValueError(
                f"frequency_hz must hold {expected[0]} pulses, as antenna_m, got {tuple(self.frequency_hz.shape)}"
            )
        if self.kept.shape[1:] != expected:
            raise ValueError(f"kept must be (batch, {expected[0]}, {expected[1]}), got {tuple(self.kept.shape)}")
        finite = [("antenna_m", self.antenna_m), ("frequency_hz", self.frequency_hz)]
        if self.receiver_m is not None:
            if self.receiver_m.ndim != 3 or self.receiver_m.shape[1:] != self.antenna_m.shape[1:]:
                raise ValueError(
                    f"receiver_m must be (batch, {expected[0]}, 3), one position per pulse, got {tuple(self.receiver_m.shape)}"
                )
            finite.append(("receiver_m", self.receiver_m))
        for name, value in finite:
            if not bool(torch.isfinite(value.detach()).all()):
                raise ValueError(f"{name} holds a value that is not finite")

    def frequencies(self) -> Tensor:
        """Return f with an axis of pulses, (B or 1, P or 1, F), hertz."""
        return self.frequency_hz if self.frequency_hz.ndim == 3 else self.frequency_hz[:, None]

    def look(self) -> Tensor:
        """Return u, the unit vectors from the scene centre to the antenna, (B, P, 3).

        Of a bistatic pair it is half the sum of the two: along the bisector of the angle beta between them, cos(beta / 2) long.
        """
        to_transmitter = self.antenna_m / self.antenna_m.norm(dim=-1, keepdim=True)
        if self.receiver_m is None:
            return to_transmitter
        return (to_transmitter + self.receiver_m / self.receiver_m.norm(dim=-1, keepdim=True)) / 2

    def wavenumber(self) -> Tensor:
        """Return K = (4 pi f / c) u on the ground plane, (B, P, F, 2) as (x, y), radians per metre."""
        k = 4 * torch.pi * self.frequencies() / SPEED_OF_LIGHT_M_S
        return k[..., None] * self.look()[:, :, None, :2]

    def carrier(self) -> Tensor:
        """Return k_c, the image's phase reference: the mean of K over all samples, (B, 2) as (x, y), radians per metre."""
        return self.wavenumber().mean((1, 2))

    def without(self, dropped: Tensor) -> SpotlightCollection:
        """Return the collection with more samples missing, where the boolean ``dropped`` (broadcasting) is true."""
        return replace(self, kept=self.kept * (~dropped).to(self.kept.dtype))
