"""A stripmap collection: a platform on a straight path that sends pulses at a steady rate, beside a scene in slant range."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from echoform.scene.collection import SPEED_OF_LIGHT_M_S


@dataclass(frozen=True)
class StripmapCollection:
    """Path, pulses and beam, about a scene centre at closest-approach range r_c; one row per sensor of a batch.

    Pulse n is sent at along-track position (n - P // 2) v / PRF. The middle pulse sees the scene centre in the middle of its
    beam, so with squint the scene centre lies r_c tan(theta) along the track from that pulse, sin(theta) = lambda f_dc / 2 v.

    Attributes:
        speed_m_s: v, effective speed, (B or 1,), metres per second.
        carrier_hz: f_0, (B or 1,), hertz.
        sample_rate_hz: F_s, complex samples of the echo per second, (B or 1,), hertz.
        prf_hz: pulses per second, (B or 1,), hertz.
        centre_range_m: r_c, closest-approach slant range of the scene centre, (B or 1,), metres.
        doppler_centroid_hz: f_dc, Doppler frequency at the middle of the beam with its ambiguities counted, negative for a
            beam that looks back, (B or 1,), hertz.
        antenna_m: L, length of the uniformly lit antenna whose two-way pattern weights the echoes, zero for a beam that covers
            the whole Doppler band alike, (B or 1,), metres.
        kept: 0/1, (B or 1, P); 0 marks a pulse that was not measured.

    Raises:
        ValueError: a shape is wrong, a value not finite or not positive, or the beam looks along the track.
    """

    speed_m_s: Tensor
    carrier_hz: Tensor
    sample_rate_hz: Tensor
    prf_hz: Tensor
    centre_range_m: Tensor
    doppler_centroid_hz: Tensor
    antenna_m: Tensor
    kept: Tensor

    def __post_init__(self) -> None:
        if self.kept.ndim != 2 or self.kept.shape[1] < 1:
            raise ValueError(f"kept must be (batch, pulses), got {tuple(self.kept.shape)}")
        for name in PARAMETERS:
            value = getattr(self, name)
            if value.ndim != 1 or not bool(torch.isfinite(value).all()):
                raise ValueError(f"{name} must be finite numbers (batch,), got {value.tolist()}")
        for name in PARAMETERS[:5]:
            if not bool((getattr(self, name) > 0).all()):
                raise ValueError(f"{name} must be positive, got {getattr(self, name).tolist()}")
        if not bool((self.antenna_m >= 0).all()):
            raise ValueError(f"antenna_m must be zero or positive, got {self.antenna_m.tolist()}")
        if not bool((self.edge_sine().abs() < 1).all()):
            raise ValueError(
                f"Doppler frequencies up to {self.doppler_centroid_hz.tolist()} +- PRF / 2 exceed 2 v / lambda; "
                "check centroid, speed and carrier"
            )

    @property
    def batch(self) -> int:
        """Number of sensors."""
        return max(getattr(self, name).shape[0] for name in (*PARAMETERS, "kept"))

    @property
    def pulses(self) -> int:
        """P, with those not measured."""
        return self.kept.shape[1]

    def pulse_spacing_m(self) -> Tensor:
        """Return v / PRF, the distance between pulses and the height of a pixel, (B,)."""
        return self.speed_m_s / self.prf_hz

    def range_cell_m(self) -> Tensor:
        """Return c / 2 F_s, slant range per sample of the echo, (B,)."""
        return SPEED_OF_LIGHT_M_S / (2 * self.sample_rate_hz)

    def squint_sine(self) -> Tensor:
        """Return sin(theta) = lambda f_dc / 2 v at the middle of the beam, (B,)."""
        return SPEED_OF_LIGHT_M_S * self.doppler_centroid_hz / (2 * self.speed_m_s * self.carrier_hz)

    def edge_sine(self) -> Tensor:
        """Return sin(theta) at the two edges of the Doppler band f_dc +- PRF / 2, the lowest and the highest, (2, B)."""
        half = SPEED_OF_LIGHT_M_S * self.prf_hz / (4 * self.speed_m_s * self.carrier_hz)
        return torch.stack([self.squint_sine() - half, self.squint_sine() + half])

    def without(self, dropped: Tensor) -> StripmapCollection:
        """Return the collection with more pulses missing, where the boolean ``dropped`` (broadcasting) is true."""
        return replace(self, kept=self.kept * (~dropped).to(self.kept.dtype))


#: the attributes that are one number per sensor, those that must be positive first
PARAMETERS = (
    "speed_m_s",
    "carrier_hz",
    "sample_rate_hz",
    "prf_hz",
    "centre_range_m",
    "doppler_centroid_hz",
    "antenna_m",
)


def linear_chirp(rate_hz_s: float, duration_s: float, sample_rate_hz: float) -> Tensor:
    """Return p(n / F_s) = exp(i pi K_r (n / F_s - T_r / 2)^2) for 0 <= n / F_s < T_r, complex128.

    Args:
        rate_hz_s: K_r, negative for a falling frequency, hertz per second.
        duration_s: T_r, seconds.
        sample_rate_hz: F_s, hertz.
    """
    count = math.ceil(duration_s * sample_rate_hz - 1e-9)
    t = torch.arange(count, dtype=torch.float64) / sample_rate_hz - duration_s / 2
    return torch.polar(torch.ones_like(t), math.pi * rate_hz_s * t.square())
