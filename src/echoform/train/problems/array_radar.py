"""Families: MIMO radar in the far field, as range and angle or as range, angle and velocity; FMCW and OFDM.

Pixels are ``fill`` of a range cell c / 2B wide; angles are evenly spaced over the field of view. With M pulses of each
transmitter velocities beyond lambda / 2 T_cycle fold back. Dead elements, lost pulses and interfered samples are rows of the
three factors set to zero; gains of the elements that calibration found are factors of their rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeVar

import torch
from torch import Tensor

from echoform.physics.operator import LinearOperator
from echoform.physics.range_angle_doppler import mimo_radar
from echoform.scene.array import MimoArray, filled_array
from echoform.scene.channel_errors import channel_gains
from echoform.scene.people import CubeAxes, people
from echoform.scene.random_source import RandomSource
from echoform.scene.scene import Scene
from echoform.scene.street import street
from echoform.scene.waveform import FmcwWaveform, OfdmWaveform, RangingWaveform
from echoform.train.problems.missing import draw_kept
from echoform.train.problems.problem import ProblemFamily

#: int or float
Number = TypeVar("Number", int, float)
#: room between elements, in wavelengths
SPACING = 0.5


@dataclass(frozen=True)
class ArrayLayout:
    """What was drawn for a batch.

    Attributes:
        waveform: a carrier and bandwidth for each scene.
        array: elements, scaled with each scene's wavelength.
        axes: what the pixels stand for.
        kept: 0/1 for pulses (B, M), gain or 0 for elements (B, Q), complex, and 0/1 for samples (B, N).
    """

    waveform: RangingWaveform
    array: MimoArray
    axes: CubeAxes
    kept: tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True, kw_only=True)
class ArrayRadar(ProblemFamily[ArrayLayout]):
    """Ranges that both families share.

    Attributes:
        carriers_hz: bands to choose from, lowest and highest frequency of each, hertz.
        bandwidth_hz: range of bandwidths, log-uniform, hertz; a carrier allows a tenth of itself.
        transmitters: numbers to choose from; they take turns where there are several pulses.
        receivers: numbers to choose from.
        samples: samples of a pulse over range pixels, to choose from.
        field_deg: half the field of view, degrees.
        fill: range of pixel over range cell.
        kept: share of elements, pulses and samples that work, in the scenes where some do not.
        faulty: share of scenes in which an axis has faults.
        ofdm: share of batches that are OFDM.
        uneven: share of scenes whose elements have gains of their own, known to the operator.
        gain_db: range of the standard deviation of those gains, decibels.
        phase_deg: and of their phases, degrees.
    """

    name: ClassVar[str] = "range-angle"

    carriers_hz: tuple[tuple[float, float], ...] = ((24e9, 24.25e9), (57e9, 64e9), (76e9, 81e9))
    bandwidth_hz: tuple[float, float] = (0.15e9, 4e9)
    transmitters: tuple[int, ...] = (1, 2, 3, 4, 12)
    receivers: tuple[int, ...] = (8, 12, 16)
    samples: tuple[float, ...] = (1.0, 1.5, 2.0)
    field_deg: tuple[float, float] = (40.0, 70.0)
    fill: tuple[float, float] = (0.7, 0.9)
    kept: tuple[float, float] = (0.4, 1.0)
    faulty: float = 0.4
    ofdm: float = 0.3
    uneven: float = 0.3
    gain_db: tuple[float, float] = (0.5, 3.0)
    phase_deg: tuple[float, float] = (2.0, 30.0)
    #: velocities of the image, pulses of each transmitter to choose from
    velocities: ClassVar[int] = 1
    pulses: tuple[int, ...] = (1,)

    def layout(self, source: RandomSource, batch: int) -> ArrayLayout:
        """Draw waveforms, an array and the axes of the pixels."""
        height, width = self.shape
        transmitters, receivers = _one(source, self.transmitters), _one(source, self.receivers)
        samples, pulses = round(width * _one(source, self.samples)), _one(source, self.pulses)
        band = torch.tensor(self.carriers_hz, dtype=torch.float64, device=source.place)
        low, high = band[source.integers((batch,), 0, len(band))].unbind(1)
        carrier = low + (high - low) * source.uniform((batch,)).double()
        bandwidth = torch.minimum(source.log_uniform((batch,), *self.bandwidth_hz).double(), carrier / 10)
        period = source.log_uniform((batch,), 15e-6, 60e-6).double()
        waveform = self._waveform(source, carrier, bandwidth, period, samples, pulses, transmitters)
        wavelength = waveform.wavelength_m()[:, None, None]
        unit = filled_array(transmitters, receivers, SPACING)
        array = MimoArray(*(m.to(source.place) * wavelength for m in (unit.transmitter_m, unit.receiver_m)))
        cell = waveform.range_resolution_m()[:, None] * source.uniform((batch, 1), *self.fill)
        wide = torch.deg2rad(source.uniform((batch, 1), *self.field_deg)).double()
        rows = (torch.arange(height, device=source.place) - (height - 1) / 2) * (2 / height)
        ranges = (torch.arange(width, device=source.place) + 1) * cell
        axes = CubeAxes(waveform.velocity_axis_m_s(self.velocities), wide * rows, ranges)
        counts = (pulses, transmitters * receivers, samples)
        pulse, element, sample = (self._kept(source, batch, count) for count in counts)
        return ArrayLayout(waveform, array, axes, (pulse, element * self._gains(source, batch, counts[1]), sample))

    def scene(self, source: RandomSource, layout: ArrayLayout) -> Scene:
        """Draw streets, or people indoors where the farthest pixel is near."""
        axes = layout.axes
        small = CubeAxes(axes.velocities_m_s.float(), axes.angles_rad.float(), axes.ranges_m.float())
        indoors = self.velocities > 1 and bool(source.chance((), 0.5))
        return people(source, small) if indoors else street(source, small)

    def operator(self, layout: ArrayLayout) -> LinearOperator:
        """Build the product of three factors, a sensor for each scene."""
        axes = layout.axes
        return mimo_radar(
            layout.waveform,
            layout.array,
            ranges_m=axes.ranges_m,
            angles_rad=axes.angles_rad,
            velocities_m_s=axes.velocities_m_s if self.velocities > 1 else None,
            kept=layout.kept,
        )

    def _waveform(
        self,
        source: RandomSource,
        carrier_hz: Tensor,
        bandwidth_hz: Tensor,
        period_s: Tensor,
        samples: int,
        pulses: int,
        transmitters: int,
    ) -> RangingWaveform:
        slots = tuple(range(transmitters)) if pulses > 1 else (0,) * transmitters
        if bool(source.chance((), self.ofdm)):
            return OfdmWaveform(carrier_hz, bandwidth_hz / samples, samples, period_s, pulses, slots)
        sample_s = 0.8 * period_s / samples
        return FmcwWaveform(carrier_hz, bandwidth_hz / (samples * sample_s), sample_s, samples, period_s, pulses, slots)

    def _gains(self, source: RandomSource, batch: int, elements: int) -> Tensor:
        """Return (B, Q) complex128, one where the elements are alike."""
        spread = source.uniform((batch,), *self.gain_db), torch.deg2rad(source.uniform((batch,), *self.phase_deg))
        gains = channel_gains(elements, *spread, generator=source.generator)
        return torch.where(source.chance((batch, 1), self.uneven), gains, torch.ones_like(gains))

    def _kept(self, source: RandomSource, batch: int, count: int) -> Tensor:
        drawn = draw_kept(source, batch, count, share=self.kept)
        return torch.where(source.chance((batch, 1), self.faulty), drawn, torch.ones_like(drawn))


@dataclass(frozen=True, kw_only=True)
class RangeAngle(ArrayRadar):
    """A frame of one pulse per transmitter: images (1, angles, ranges)."""


@dataclass(frozen=True, kw_only=True)
class RangeAngleDoppler(ArrayRadar):
    """A burst of pulses: images (velocities, angles, ranges); fields as in :class:`ArrayRadar`, ``pulses`` to choose from."""

    name: ClassVar[str] = "range-angle-doppler"
    velocities: ClassVar[int] = 8

    transmitters: tuple[int, ...] = (1, 2, 3)
    receivers: tuple[int, ...] = (4, 8)
    samples: tuple[float, ...] = (1.0,)
    pulses: tuple[int, ...] = (8, 16, 32)


def _one(source: RandomSource, choices: tuple[Number, ...]) -> Number:
    return choices[int(source.integers((), 0, len(choices)))]
