"""What goes wrong with the samples of a sensor, or is left out of them: each function returns the operator that knows of it.

    channel gain      y_q -> g_q y_q                        pulse phase     y_p -> exp(i phi_p) y_p
    range error       y_pf -> exp(-i 4 pi f dR_p / c) y_pf  antenna         x_j -> g_j x_j
    missing pulses, channels or bands of frequency          the entries dropped

An ``axis`` counts the axes of ``operator.range_shape`` from 0: 1 is the pulses of a (C, pulses, frequencies) sensor.
Phases leave the normal operator as it is; other gains go into the operator's weights where it has any.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from echoform.physics.compositions import ComposedOperator
from echoform.physics.masking import apply_gain, restrict
from echoform.physics.operator import LinearOperator
from echoform.physics.sample_gain import SampleGain, along_axis
from echoform.scene.phase_errors import range_offset_phase


def apply_channel_gain(operator: LinearOperator, gain: Tensor, axis: int) -> LinearOperator:
    """Return the sensor whose channels have gains g, complex, (B or 1, channels); raises ValueError when they do not fit."""
    return apply_gain(operator, along_axis(gain, operator.range_shape, axis))


def apply_pulse_phase(operator: LinearOperator, phase_rad: Tensor, axis: int = 1) -> LinearOperator:
    """Return the sensor whose pulses carry exp(i phi), phi (B or 1, pulses), radians; raises ValueError when they do not fit."""
    return apply_gain(operator, _phasor(along_axis(phase_rad, operator.range_shape, axis)))


def apply_range_offset(
    operator: LinearOperator, offset_m: Tensor, frequency_hz: Tensor, *, phase_sign: int = -1, pulse_axis: int = 1
) -> LinearOperator:
    """Return the sensor to which everything is dR further away, in the image too: a point at R shows at R + dR.

    Args:
        operator: with frequencies on the last axis of its samples.
        offset_m: dR, shape (B or 1, pulses) or (B or 1, 1) for all pulses alike, metres.
        frequency_hz: f, shape (B or 1, F), hertz.
        phase_sign: -1 for phase histories and OFDM, +1 for the beat of an FMCW radar.
        pulse_axis: the axis of the samples along which dR runs.

    Raises:
        ValueError: the offsets or frequencies do not fit the samples.
    """
    shape = operator.range_shape
    if offset_m.shape[-1] == 1:
        offset_m = offset_m.expand(-1, shape[pulse_axis])
    phase = range_offset_phase(offset_m, frequency_hz, phase_sign=phase_sign)
    if not 0 <= pulse_axis < len(shape) - 1 or phase.shape[1:] != (shape[pulse_axis], shape[-1]):
        raise ValueError(
            f"samples {shape} with pulses on axis {pulse_axis} need offsets (batch, {shape[pulse_axis]}) and frequencies "
            f"(batch, {shape[-1]}), got {tuple(offset_m.shape)} and {tuple(frequency_hz.shape)}"
        )
    between = [1] * (len(shape) - 2 - pulse_axis)
    full = phase.reshape(phase.shape[0], *[1] * pulse_axis, phase.shape[1], *between, phase.shape[2])
    return apply_gain(operator, _phasor(full))


def apply_image_gain(operator: LinearOperator, gain: Tensor) -> ComposedOperator:
    """Return A G, the sensor that sees pixel j with amplitude g_j: an antenna pattern on the ground, the same for all pulses.

    Args:
        operator: A.
        gain: g, real or complex, broadcasting over (B or 1, C, H, W); the two-way amplitude for a radar.
    """
    return operator @ SampleGain(gain.to(operator.device, operator.dtype), operator.domain_shape)


def keep_along(operator: LinearOperator, kept: Tensor, axis: int) -> LinearOperator:
    """Return the sensor with some pulses or channels missing, ``kept`` (B or 1, n), true where one stays."""
    return restrict(operator, along_axis(kept, operator.range_shape, axis))


def notch(
    operator: LinearOperator, frequency_hz: Tensor, bands_hz: Sequence[tuple[float, float]], axis: int = -1
) -> LinearOperator:
    """Return the sensor without the frequencies inside some bands (spectral notches around other services).

    Args:
        operator: A.
        frequency_hz: f of each sample along the axis, shape (B or 1, F), hertz.
        bands_hz: (lowest, highest) of each band, hertz, both ends dropped.
        axis: of the frequencies, the last by default.

    Raises:
        ValueError: a band ends before it starts, or the frequencies do not fit the axis.
    """
    if any(low > high for low, high in bands_hz):
        raise ValueError(f"bands must be (lowest, highest), got {list(bands_hz)}")
    dropped = torch.zeros_like(frequency_hz, dtype=torch.bool)
    for low, high in bands_hz:
        dropped |= (frequency_hz >= low) & (frequency_hz <= high)
    return keep_along(operator, ~dropped, axis % len(operator.range_shape))


def _phasor(phase_rad: Tensor) -> Tensor:
    return torch.polar(torch.ones_like(phase_rad), phase_rad)
