"""Waveforms of radars that measure range by frequency: dechirped FMCW and OFDM channel estimates.

A sample belongs to a frequency f_n = f_c + D_n and a time t. With the two-way path L(t) = 2 R + 2 v t its phase is

    FMCW  (beat tx rx*)             + 2 pi f_n L / c,      D_n = S (n - N // 2) T_s
    OFDM  (channel rx / tx)         - 2 pi f_n L / c,      D_n = (n - N // 2) df

so one is the other's conjugate. The velocity v = dR/dt is positive for a target that recedes and negative for one that
approaches. Times count from the middle pulse (index M // 2) and its first slot. Transmitters that take turns (TDM-MIMO) each
have a slot of the cycle: the sample of transmitter i in cycle m stands at t = (m - M // 2) T_cycle + slot_i T_pulse.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from echoform.scene.collection import SPEED_OF_LIGHT_M_S


@dataclass(frozen=True)
class _Pulses:
    """What both waveforms share; the public classes add their names for it."""

    #: sign of the phase of a delayed echo
    phase_sign: ClassVar[int]

    carrier_hz: Tensor

    def _steps(self) -> tuple[Tensor, int]:
        raise NotImplementedError

    def _timing(self) -> tuple[Tensor, int, tuple[int, ...]]:
        raise NotImplementedError

    def _check(self) -> None:
        step, count = self._steps()
        period, cycles, slots = self._timing()
        for name, value in (("carrier_hz", self.carrier_hz), ("the frequency step", step), ("the period", period)):
            if value.ndim != 1 or not bool((torch.isfinite(value) & (value != 0)).all()):
                raise ValueError(f"{name} must be finite, not zero and of shape (batch,), got {value}")
        if min(count, cycles) < 1 or not slots or min(slots) < 0:
            raise ValueError(f"at least one sample, one pulse and one slot from 0: got {count}, {cycles} and {slots}")

    @property
    def step_hz(self) -> Tensor:
        """Frequency step from sample to sample, (B,), hertz, float64."""
        return self._steps()[0].double()

    @property
    def frequencies(self) -> int:
        """Number N of frequency samples of a pulse."""
        return self._steps()[1]

    @property
    def cycles(self) -> int:
        """Number M of pulses of each transmitter."""
        return self._timing()[1]

    @property
    def slots(self) -> tuple[int, ...]:
        """Slot of each transmitter in the cycle."""
        return self._timing()[2]

    def offset_hz(self) -> Tensor:
        """Return D_n = (n - N // 2) step, (B, N), hertz, float64."""
        n = torch.arange(self.frequencies, dtype=torch.float64, device=self.carrier_hz.device) - self.frequencies // 2
        return self.step_hz[:, None] * n

    def wavelength_m(self) -> Tensor:
        """Return lambda = c / f_c, (B,), metres."""
        return SPEED_OF_LIGHT_M_S / self.carrier_hz.double()

    def bandwidth_hz(self) -> Tensor:
        """Return B = N |step|, (B,), hertz."""
        return self.frequencies * self.step_hz.abs()

    def slot_s(self) -> Tensor:
        """Return the time of each transmitter's slot in the cycle, (B, T), seconds."""
        return self._timing()[0].double()[:, None] * torch.tensor(
            self.slots, dtype=torch.float64, device=self.carrier_hz.device
        )

    def cycle_s(self) -> Tensor:
        """Return T_cycle, the time from one pulse of a transmitter to its next, (B,), seconds."""
        return self._timing()[0].double() * (max(self.slots) + 1)

    def time_s(self) -> Tensor:
        """Return (m - M // 2) T_cycle, (B, M), seconds, float64."""
        m = torch.arange(self.cycles, dtype=torch.float64, device=self.carrier_hz.device) - self.cycles // 2
        return self.cycle_s()[:, None] * m

    def range_resolution_m(self) -> Tensor:
        """Return c / 2B, (B,), metres: the -3 dB width of a point is 0.886 of it."""
        return SPEED_OF_LIGHT_M_S / (2 * self.bandwidth_hz())

    def range_extent_m(self) -> Tensor:
        """Return c / (2 |step|), the distance at which range repeats, (B,), metres."""
        return SPEED_OF_LIGHT_M_S / (2 * self.step_hz.abs())

    def velocity_resolution_m_s(self) -> Tensor:
        """Return lambda / (2 M T_cycle), (B,), metres per second."""
        return self.wavelength_m() / (2 * self.cycles * self.cycle_s())

    def velocity_extent_m_s(self) -> Tensor:
        """Return lambda / (2 T_cycle), the velocity at which Doppler repeats, (B,), metres per second."""
        return self.wavelength_m() / (2 * self.cycle_s())

    def range_axis_m(self, count: int | None = None) -> Tensor:
        """Return ranges 0, c / 2B, 2 c / 2B, ..., shape (B, count), metres; N of them cover the unambiguous extent."""
        count = self.frequencies if count is None else count
        index = torch.arange(count, dtype=torch.float64, device=self.carrier_hz.device)
        return self.range_resolution_m()[:, None] * index

    def velocity_axis_m_s(self, count: int | None = None) -> Tensor:
        """Return velocities one resolution apart with zero at index count // 2, (B, count), metres per second."""
        count = self.cycles if count is None else count
        index = torch.arange(count, dtype=torch.float64, device=self.carrier_hz.device) - count // 2
        return self.velocity_resolution_m_s()[:, None] * index


@dataclass(frozen=True)
class FmcwWaveform(_Pulses):
    """Linear chirps, mixed with what is sent (beat = tx rx*): y ~ exp(+i 2 pi f_n L / c).

    The residual video phase, pi S tau^2, is left out; so is the motion within a chirp, which displaces a target by
    f_c v / S in range.

    Attributes:
        carrier_hz: frequency at the middle sample (index samples // 2), shape (B or 1,), hertz, float64.
        slope_hz_per_s: S, shape (B or 1,), hertz per second; negative for falling chirps.
        sample_period_s: T_s, shape (B or 1,), seconds.
        samples: N, samples of a chirp.
        chirp_period_s: from one chirp to the next, of whichever transmitter, shape (B or 1,), seconds.
        chirps: M, chirps of each transmitter.
        transmitter_slots: slot of each transmitter in the TDM cycle, such as (0, 1); equal slots mean that they send at once
            and are told apart by a code.

    Raises:
        ValueError: a count is below one, or a number is zero or not finite.
    """

    phase_sign: ClassVar[int] = 1

    slope_hz_per_s: Tensor
    sample_period_s: Tensor
    samples: int
    chirp_period_s: Tensor
    chirps: int = 1
    transmitter_slots: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        self._check()

    def _steps(self) -> tuple[Tensor, int]:
        return self.slope_hz_per_s * self.sample_period_s, self.samples

    def _timing(self) -> tuple[Tensor, int, tuple[int, ...]]:
        return self.chirp_period_s, self.chirps, self.transmitter_slots


@dataclass(frozen=True)
class OfdmWaveform(_Pulses):
    """OFDM symbols divided by what was sent: y ~ exp(-i 2 pi f_k L / c) on subcarriers k and symbols s.

    The echo must come back within the cyclic prefix, and the Doppler shift must stay well below the subcarrier spacing.

    Attributes:
        carrier_hz: frequency of the middle subcarrier (index subcarriers // 2), shape (B or 1,), hertz, float64.
        subcarrier_spacing_hz: df, shape (B or 1,), hertz.
        subcarriers: K.
        symbol_period_s: T_s with its cyclic prefix, shape (B or 1,), seconds.
        symbols: M, symbols of each transmitter.
        transmitter_slots: slot of each transmitter in the cycle; equal slots mean interleaved or coded symbols.

    Raises:
        ValueError: a count is below one, or a number is zero or not finite.

    Source: Sturm and Wiesbeck (2011), Proc. IEEE 99(7).
    """

    phase_sign: ClassVar[int] = -1

    subcarrier_spacing_hz: Tensor
    subcarriers: int
    symbol_period_s: Tensor
    symbols: int = 1
    transmitter_slots: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        self._check()

    def _steps(self) -> tuple[Tensor, int]:
        return self.subcarrier_spacing_hz, self.subcarriers

    def _timing(self) -> tuple[Tensor, int, tuple[int, ...]]:
        return self.symbol_period_s, self.symbols, self.transmitter_slots


#: either waveform
RangingWaveform = FmcwWaveform | OfdmWaveform
