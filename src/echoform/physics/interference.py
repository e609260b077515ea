"""Interference: signals of other transmitters, added to the samples of ours.

    y + a i,    a^2 = r mean |y|^2,  E mean |i|^2 = 1,  r the interference-to-signal ratio

The last axis of the samples is fast: time t = 0 .. N - 1 within a line, or the frequencies of a line, which then holds the
orthonormal transform of the signal in time, zero frequency at N // 2. On the other axes (pulses, channels) the phase of an
emitter advances by a step of its own from entry to entry: one that is coherent, far away and not locked to our pulses.

    tones     exp(2 pi i f t)                          f uniform over the band
    chirps    exp(2 pi i (f t +- b t^2 / 2 N))         sweeps a share b of the band in a line, within the band
    pulses    exp(2 pi i f t) / sqrt(d) while on       on for a share d of the time, again and again at an interval of T samples

Interference has no density that could be computed, so it is no noise model: a method that is to cope with it is trained on
it, or finds and removes it first.

Source: Tao et al. (2019), IEEE Access 7 (kinds of radio interference in SAR and their models).
"""

from __future__ import annotations

import enum
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from echoform.linalg.inner import expand


class FastAxis(enum.Enum):
    """What the last axis of the samples is."""

    TIME = enum.auto()
    FREQUENCY = enum.auto()


@dataclass(frozen=True)
class Interference(ABC):
    """Random interference of a known mean power.

    Attributes:
        ratio_db: r, mean power of the interference over that of the samples, decibels, (B,) or (1,).
        fast: what the last axis of the samples is.
    """

    ratio_db: Tensor
    fast: FastAxis

    def sample(self, y: Tensor, generator: torch.Generator | None = None, *, support: Tensor | None = None) -> Tensor:
        """Return a i, of the shape and precision of ``y``, to be added to it.

        Args:
            y: samples without the interference, complex, (B, ..., N): their mean power is what the ratio refers to.
            generator: source of the draw.
            support: 1 where samples were taken, broadcasting over y, or None for everywhere; the interference is zero elsewhere
                and powers are means over the support.

        Raises:
            TypeError: y is real.
        """
        if not y.is_complex() or y.ndim < 2:
            raise TypeError(
                f"interference needs complex samples (batch, ..., fast), got {y.dtype} of shape {tuple(y.shape)}"
            )
        device = y.device if generator is None else generator.device
        drawn = self._waveform(_Draw(y.shape, device, generator))
        if self.fast is FastAxis.FREQUENCY:
            drawn = torch.fft.fftshift(torch.fft.fft(drawn, norm="ortho"), dim=-1)
        drawn = drawn.to(y.device, y.dtype)
        power = y.abs().double().square().flatten(1)
        level = power.mean(1)
        if support is not None:
            marks = (support != 0).expand(y.shape)
            drawn = drawn * marks
            level = power.sum(1) / marks.flatten(1).sum(1).clamp_min(1)
        amplitude = (level * 10 ** (self.ratio_db.to(level) / 10)).sqrt()
        return expand(amplitude.to(y.real.dtype), y.ndim - 1) * drawn

    @abstractmethod
    def _waveform(self, draw: _Draw) -> Tensor:
        """i in time, complex128, (B, ..., N), of mean power one over the draws."""


@dataclass(frozen=True)
class Tones(Interference):
    """Narrow-band transmitters: continuous tones of equal power.

    Attributes:
        count: number of tones, at least one.

    Raises:
        ValueError: there is no tone.
    """

    count: int = 1

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"count must be at least 1, got {self.count}")

    def _waveform(self, draw: _Draw) -> Tensor:
        parts = [draw.turning(draw.uniform() * draw.time) for _ in range(self.count)]
        return torch.stack(parts).sum(0) / math.sqrt(self.count)


@dataclass(frozen=True)
class Chirps(Interference):
    """A wide-band transmitter, another radar say: a linear sweep up or down in every line.

    Attributes:
        bandwidth: b, share of the band swept in a line, in (0, 1], (B,) or (1,).

    Raises:
        ValueError: the bandwidth is out of range.
    """

    bandwidth: Tensor

    def __post_init__(self) -> None:
        _check_share("bandwidth", self.bandwidth)

    def _waveform(self, draw: _Draw) -> Tensor:
        b = draw.laid(self.bandwidth)
        up = (draw.uniform() < 0.5).double() * 2 - 1
        centre = (draw.uniform() - 0.5) * (1 - b)
        since = draw.time - (draw.length - 1) / 2
        return draw.turning(centre * since + up * b * since.square() / (2 * draw.length))


@dataclass(frozen=True)
class Pulses(Interference):
    """A pulsed transmitter: bursts of a carrier at an interval of its own, which drift through the lines.

    Time runs on from line to line, so that a pulse may start in one and end in the next.

    Attributes:
        duty: d, share of the time that it is on, in (0, 1], (B,) or (1,).
        interval: T, from pulse to pulse, samples, positive, (B,) or (1,); whole or not.

    Raises:
        ValueError: duty or interval are out of range.
    """

    duty: Tensor
    interval: Tensor

    def __post_init__(self) -> None:
        _check_share("duty", self.duty)
        if self.interval.ndim != 1 or not bool((torch.isfinite(self.interval) & (self.interval > 0)).all()):
            raise ValueError(f"interval must be positive and of shape (batch,) or (1,), got {self.interval}")

    def _waveform(self, draw: _Draw) -> Tensor:
        duty = draw.laid(self.duty)
        clock = draw.running_time / draw.laid(self.interval) + draw.uniform()
        on = (clock - clock.floor() < duty).double()
        return on / duty.sqrt() * draw.turning(draw.uniform() * draw.time)


@dataclass(frozen=True)
class _Draw:
    """One draw for samples of a shape: its random numbers and its axes, float64, on the generator's device."""

    shape: torch.Size
    device: torch.device
    generator: torch.Generator | None

    @property
    def length(self) -> int:
        """N."""
        return self.shape[-1]

    @property
    def time(self) -> Tensor:
        """t within a line, (N,)."""
        return torch.arange(self.length, dtype=torch.float64, device=self.device)

    @property
    def running_time(self) -> Tensor:
        """t counted on from line to line of a scene, (1, ..., N)."""
        count = math.prod(self.shape[1:])
        return torch.arange(count, dtype=torch.float64, device=self.device).reshape(1, *self.shape[1:])

    def laid(self, values: Tensor) -> Tensor:
        """Per-scene values (B,) or (1,) as (B or 1, 1, .., 1)."""
        return expand(values.to(self.device, torch.float64), len(self.shape) - 1)

    def uniform(self) -> Tensor:
        """A uniform number in [0, 1) per scene, (B, 1, .., 1)."""
        drawn = torch.rand(self.shape[0], generator=self.generator, dtype=torch.float64, device=self.device)
        return self.laid(drawn)

    def turning(self, cycles: Tensor) -> Tensor:
        """exp(2 pi i (cycles + start + steps along the axes before the last))."""
        total = cycles + self.uniform()
        for axis, count in enumerate(self.shape[1:-1], start=1):
            index = torch.arange(count, dtype=torch.float64, device=self.device)
            total = total + self.uniform() * index.reshape(-1, *[1] * (len(self.shape) - 1 - axis))
        angle = 2 * math.pi * (total - total.floor())
        return torch.polar(torch.ones_like(angle), angle)


def _check_share(name: str, value: Tensor) -> None:
    if value.ndim != 1 or not bool(((value > 0) & (value <= 1)).all()):
        raise ValueError(f"{name} must lie in (0, 1] and have shape (batch,) or (1,), got {value}")
