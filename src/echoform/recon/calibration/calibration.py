"""What every calibration has in common: unknown gains along one axis of a measurement.

    y_c = g_c (A x)_c + n,        g_c = m_c exp(i phi_c)

c counts the channels along one axis of the measurement: pulses of a radar (autofocus), elements of an array. Not observable
are the constant of phi and a factor common to all m_c (both belong to the image) and, where channel and spatial frequency
are proportional, as in spotlight radar, the part of phi linear in c: it shifts the image. :func:`residual_rad` compares
phases up to a constant and a linear part.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from echoform.measure.measurement import Measurement
from echoform.physics.noise import GaussianNoise, Noise
from echoform.physics.noise_coloured import ColouredGaussianNoise, DiagonalGaussianNoise

#: axis of the operator's range along which pulses are counted: (channels, pulses, frequencies)
PULSE_AXIS = 1


@dataclass(frozen=True)
class Calibration:
    """What a calibration found.

    Attributes:
        phase_rad: phi, (B, channels), radians, float64; 0 for channels of which nothing was measured.
        magnitude: m, (B, channels), float64; 1 where only phases were sought, and for channels of which nothing was measured.
        measurement: the corrected measurement, y_c / g_c.
        facts: numbers about the run worth reporting.
    """

    phase_rad: Tensor
    magnitude: Tensor
    measurement: Measurement
    facts: dict[str, float] = field(default_factory=dict)

    @property
    def gain(self) -> Tensor:
        """Return g, (B, channels), complex128."""
        return torch.polar(self.magnitude, self.phase_rad)


class Calibrator(ABC):
    """A method that estimates gains along one axis of a measurement."""

    @abstractmethod
    def __call__(self, measurement: Measurement, *, start_rad: Tensor | None = None) -> Calibration:
        """Return gains and the corrected measurement; nothing is drawn at random.

        Args:
            measurement: y = g o A x + noise.
            start_rad: first phases, (B, channels), radians; zero when absent.
        """


@dataclass(frozen=True)
class ChannelAxis:
    """One axis of a measurement and the numbers that stand along it.

    Args:
        measurement: whose samples are (B, *range_shape).
        axis: position in range_shape.

    Raises:
        ValueError: there is no such axis.
    """

    measurement: Measurement
    axis: int

    def __post_init__(self) -> None:
        shape = tuple(self.measurement.operator.range_shape)
        if not 0 <= self.axis < len(shape):
            raise ValueError(f"axis {self.axis} is none of the measurement's {len(shape)} axes {shape}; count from 0")

    @property
    def count(self) -> int:
        """Number of channels."""
        return self.measurement.operator.range_shape[self.axis]

    @property
    def zeros(self) -> Tensor:
        """Zeros, (B, channels), float64."""
        y = self.measurement.y
        return torch.zeros(y.shape[0], self.count, dtype=torch.float64, device=y.device)

    def start(self, phase_rad: Tensor | None) -> Tensor:
        """Return the first phases as (B, channels), float64: zeros when absent; raises ValueError on a misfit."""
        if phase_rad is None:
            return self.zeros
        if phase_rad.shape != self.zeros.shape:
            raise ValueError(
                f"start_rad must be (batch, channels) = {tuple(self.zeros.shape)}, got {tuple(phase_rad.shape)}"
            )
        return phase_rad.to(self.zeros)

    def heard(self) -> Tensor:
        """Return of which channels anything was measured, (B, channels), bool."""
        shape, marks = self.measurement.operator.range_shape, self.measurement.operator.support()
        if marks is None:
            return self.zeros == 0
        return (self.sum(marks.expand(-1, *shape).abs()) > 0).expand(self.zeros.shape)

    def spread(self, values: Tensor) -> Tensor:
        """Return per-channel values (B, channels) in the samples' precision, shaped to multiply them."""
        y = self.measurement.y
        dtype = y.dtype if values.is_complex() else y.real.dtype
        shape = [1] * len(self.measurement.operator.range_shape)
        shape[self.axis] = self.count
        return values.to(dtype).reshape(values.shape[0], *shape)

    def sum(self, samples: Tensor) -> Tensor:
        """Return samples (..., B, *range_shape) summed over every axis but the channels', (..., B, channels), 64 bit."""
        ndim = len(self.measurement.operator.range_shape)
        wide = samples.to(torch.complex128 if samples.is_complex() else torch.float64)
        return wide.movedim(self.axis - ndim, -1).flatten(-ndim, -2).sum(-2) if ndim > 1 else wide

    def rotated(self, phase_rad: Tensor) -> Tensor:
        """Return y_c exp(-i phi_c)."""
        return self.measurement.y * self.spread(torch.polar(torch.ones_like(phase_rad), -phase_rad))

    def corrected(self, phase_rad: Tensor, magnitude: Tensor, facts: dict[str, float]) -> Calibration:
        """Return the calibration with y_c / g_c.

        The noise of channel c is then sigma_c / m_c; of white noise the measurement states its root mean square over the channels
        measured. Noise coloured along the channels has D C D^H with D = diag(1 / g), along another axis the mean of m_c^-2 for a
        factor.

        Raises:
            TypeError: magnitudes were found and the noise is not Gaussian.
        """
        heard = self.heard()
        phase_rad = torch.where(heard, phase_rad, 0.0)
        magnitude = torch.where(heard, magnitude, 1.0)
        y = self.rotated(phase_rad) / self.spread(magnitude)
        noise = self._noise(phase_rad, magnitude, heard)
        return Calibration(phase_rad, magnitude, replace(self.measurement, y=y, noise=noise), facts)

    def _noise(self, phase_rad: Tensor, magnitude: Tensor, heard: Tensor) -> Noise:
        """Return the noise of the corrected samples."""
        factor = ((magnitude**-2 * heard).sum(1) / heard.sum(1).clamp_min(1)).sqrt()
        match self.measurement.noise:
            case GaussianNoise(sigma):
                return GaussianNoise(sigma * factor.to(sigma.dtype))
            case DiagonalGaussianNoise(deviation):
                return DiagonalGaussianNoise(deviation / self.spread(magnitude).to(deviation.dtype))
            case ColouredGaussianNoise(covariance, axis) if axis == self.axis:
                gain = torch.polar(1 / magnitude, -phase_rad)
                found = gain[:, :, None] * covariance * gain[:, None, :].conj()
                return ColouredGaussianNoise((found + found.mH) / 2, axis)
            case ColouredGaussianNoise(covariance, axis):
                return ColouredGaussianNoise(
                    covariance * factor.square()[:, None, None].to(covariance.real.dtype), axis
                )
            case noise if bool((magnitude == 1).all()):
                return noise
            case noise:
                raise TypeError(
                    f"gains are known of Gaussian noise only, got {type(noise).__name__}; state the noise anew"
                )


def without_linear(phase_rad: Tensor, heard: Tensor) -> Tensor:
    """Return phases less their constant and linear part, the least-squares line over the channels measured.

    Args:
        phase_rad: unwrapped, (B, channels), radians, float64.
        heard: channels measured, (B, channels), bool; the others become 0.
    """
    weight = heard.to(phase_rad.dtype)
    count = weight.sum(1, keepdim=True).clamp_min(1)
    index = torch.arange(phase_rad.shape[1], dtype=phase_rad.dtype, device=phase_rad.device)
    offset = (index - (weight * index).sum(1, keepdim=True) / count) * weight
    centred = (phase_rad - (weight * phase_rad).sum(1, keepdim=True) / count) * weight
    power = offset.square().sum(1, keepdim=True)
    slope = (offset * centred).sum(1, keepdim=True) / torch.where(power > 0, power, torch.ones_like(power))
    return centred - slope * offset


def residual_rad(estimate_rad: Tensor, truth_rad: Tensor, heard: Tensor) -> Tensor:
    """Return estimate - truth less a constant and a linear part, wrapped to [-pi, pi), (B, channels), radians.

    The line is the one that turns exp(i difference) into the strongest sum, found on a fine grid of slopes and refined by
    least squares, so that neither phase need be unwrapped.

    Args:
        estimate_rad: (B, channels), radians.
        truth_rad: (B, channels), radians.
        heard: channels to compare, (B, channels), bool; the others become 0.
    """
    count = truth_rad.shape[1]
    turn = torch.polar(heard.double(), (estimate_rad - truth_rad).double())
    spectrum = torch.fft.fft(turn, n=16 * count)
    slope = 2 * torch.pi * spectrum.abs().argmax(1, keepdim=True).double() / (16 * count)
    line = torch.exp(-1j * slope * torch.arange(count, device=truth_rad.device))
    return without_linear((turn * line * (turn * line).sum(1, keepdim=True).conj()).angle(), heard)


def rmse_rad(estimate_rad: Tensor, truth_rad: Tensor, heard: Tensor) -> Tensor:
    """Return the root mean square of :func:`residual_rad` over the channels compared, (B,), radians."""
    error = residual_rad(estimate_rad, truth_rad, heard)
    return (error.square().sum(1) / heard.sum(1).clamp_min(1)).sqrt()
