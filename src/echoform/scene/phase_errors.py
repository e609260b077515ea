"""Phase errors of a synthetic aperture: y_p exp(i phi_p), one phase per pulse, and the phase of a range error.

All return radians in float64. Positions along the aperture are u_p = (p - (P - 1) / 2) / ((P - 1) / 2), -1 to 1.

Source: Carrara, Goodman and Majewski, Spotlight Synthetic Aperture Radar (1995), chapter 5 (the kinds, and paired echoes).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from echoform.scene.collection import SPEED_OF_LIGHT_M_S


def quadratic_phase(pulses: int, edge_rad: Tensor) -> Tensor:
    """Return phi = edge u^2: pi / 4 at the edge is the usual tolerance, some pi defocus the image.

    Args:
        pulses: P, at least 2.
        edge_rad: phase at both ends of the aperture, shape (B,), radians.

    Returns:
        (B, P), radians.
    """
    u = torch.linspace(-1, 1, pulses, dtype=torch.float64, device=edge_rad.device)
    return edge_rad.double()[:, None] * u.square()


def sinusoidal_phase(pulses: int, amplitude_rad: Tensor, cycles: Tensor, start_rad: Tensor) -> Tensor:
    """Return phi = phi_0 sin(2 pi n p / P + start): a small one puts paired echoes of amplitude phi_0 / 2 at n resolutions.

    Args:
        pulses: P.
        amplitude_rad: phi_0, shape (B,), radians.
        cycles: n, oscillations within the aperture, shape (B,).
        start_rad: phase of the oscillation at the first pulse, shape (B,), radians.

    Returns:
        (B, P), radians.
    """
    p = torch.arange(pulses, dtype=torch.float64, device=amplitude_rad.device) / pulses
    turn = 2 * math.pi * cycles.double()[:, None] * p + start_rad.double()[:, None]
    return amplitude_rad.double()[:, None] * torch.sin(turn)


def random_walk_phase(pulses: int, step_rad: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    """Return phi_0 = 0, phi_p = phi_{p-1} + N(0, step^2): an oscillator whose frequency is noisy.

    Args:
        pulses: P.
        step_rad: standard deviation of a step, shape (B,), radians.
        generator: source of the draw.

    Returns:
        (B, P), radians, of variance p step^2.
    """
    steps = white_phase(pulses, step_rad, generator=generator)
    return steps.cumsum(1) - steps[:, :1]


def white_phase(pulses: int, std_rad: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    """Return independent phases N(0, std^2), (B, P), radians.

    Args:
        pulses: P.
        std_rad: shape (B,), radians.
        generator: source of the draw.
    """
    device = std_rad.device if generator is None else generator.device
    drawn = torch.randn(len(std_rad), pulses, generator=generator, dtype=torch.float64, device=device)
    return std_rad.double()[:, None] * drawn.to(std_rad.device)


def range_offset_phase(offset_m: Tensor, frequency_hz: Tensor, *, phase_sign: int = -1) -> Tensor:
    """Return -4 pi f dR / c: the echo of everything comes from dR further away.

    Args:
        offset_m: dR, shape (B or 1, P), metres; P = 1 for all pulses alike.
        frequency_hz: f, shape (B or 1, F), hertz.
        phase_sign: -1 for phase histories and OFDM, +1 for the beat of an FMCW radar (``FmcwWaveform.phase_sign``).

    Returns:
        (B, P, F), radians.
    """
    wavenumber = 4 * math.pi * frequency_hz.double() / SPEED_OF_LIGHT_M_S
    return phase_sign * offset_m.double()[:, :, None] * wavenumber[:, None, :]
