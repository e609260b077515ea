"""Gain and phase errors of the channels of an array.

g_q = 10^(a_q / 20) exp(i phi_q),     a ~ N(0, s_a^2) decibels,  phi ~ N(0, s_phi^2) radians
"""

from __future__ import annotations

import torch
from torch import Tensor


def channel_gains(
    channels: int, gain_std_db: Tensor, phase_std_rad: Tensor, *, generator: torch.Generator | None = None
) -> Tensor:
    """Return a random complex gain per channel, (B, channels), complex128.

    Args:
        channels: Q.
        gain_std_db: s_a, shape (B,), decibels; uncalibrated arrays have 0.5 to 3 dB.
        phase_std_rad: s_phi, shape (B,), radians; uncalibrated arrays have 2 to 30 degrees.
        generator: source of the draw.
    """
    device = gain_std_db.device if generator is None else generator.device
    shape = (2, len(gain_std_db), channels)
    drawn = torch.randn(shape, generator=generator, dtype=torch.float64, device=device).to(gain_std_db.device)
    amplitude = 10 ** (gain_std_db.double()[:, None] * drawn[0] / 20)
    return torch.polar(amplitude, phase_std_rad.double()[:, None] * drawn[1])
