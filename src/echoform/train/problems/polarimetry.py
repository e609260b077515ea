"""Family: fully polarimetric spotlight SAR, HH, HV, VH and VV, mixed by the antennas' crosstalk.

    O = R S T,     R = [1 d_1; d_2 f],  T = [1 d_3; d_4 f']

Radars, paths and errors are those of :class:`FarFieldSpotlight`, one for each scene; fewer pulses are heard, since the
transmitter sends H and V in turn. Crosstalk d of -35 to -15 dB and imbalance f are known to the operator, as after calibration.

Source: van Zyl (1990), IEEE Trans. Geosci. Remote Sens. 28(3).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor

from echoform.physics.channelwise import ChannelwiseOperator
from echoform.physics.operator import LinearOperator
from echoform.physics.polarimetry import apply_crosstalk, distortion_matrix
from echoform.scene.channel_errors import channel_gains
from echoform.scene.grid import Grid
from echoform.scene.polarimetric import polarimetric
from echoform.scene.random_source import RandomSource
from echoform.scene.scene import Scene
from echoform.train.problems.far_field_spotlight import FarFieldSpotlight, SpotlightLayout
from echoform.train.problems.problem import ProblemFamily


@dataclass(frozen=True)
class PolarimetricLayout:
    """What was drawn for a batch.

    Attributes:
        radar: radars, paths and kinds of scene.
        mixing: R (x) T^T, (B, 4, 4), complex; None where there is no crosstalk.
    """

    radar: SpotlightLayout
    mixing: Tensor | None


@dataclass(frozen=True, kw_only=True)
class Polarimetry(ProblemFamily[PolarimetricLayout]):
    """Ranges of the family.

    Attributes:
        radar: everything but the polarisations; its shape is not used.
        mixed: share of batches with crosstalk and imbalance.
        crosstalk_db: range of the mean square of d, decibels.
        imbalance_db: standard deviation of |f|, decibels.
        imbalance_deg: and of its phase, degrees.
    """

    name: ClassVar[str] = "polarimetry"

    radar: FarFieldSpotlight = field(
        default_factory=lambda: FarFieldSpotlight(defocused=0.0, drifting=0.0, narrow=0.0, kept_pulses=(0.2, 0.6))
    )
    mixed: float = 0.5
    crosstalk_db: tuple[float, float] = (-35.0, -15.0)
    imbalance_db: float = 0.5
    imbalance_deg: float = 10.0

    def layout(self, source: RandomSource, batch: int) -> PolarimetricLayout:
        """Draw radars and antennas."""
        antennas = [self._antenna(source, batch) for _ in range(2)]
        mixing = distortion_matrix(*antennas) if bool(source.chance((), self.mixed)) else None
        return PolarimetricLayout(self._radar().layout(source, batch), mixing)

    def scene(self, source: RandomSource, layout: PolarimetricLayout) -> Scene:
        """Draw radar scenes and what they do to polarisation."""
        return polarimetric(source, self._radar().scene(source, layout.radar))

    def operator(self, layout: PolarimetricLayout) -> LinearOperator:
        """Build the radar for every channel, and the mixing after it."""
        channels = ChannelwiseOperator(self._radar().operator(layout.radar), 4)
        return channels if layout.mixing is None else apply_crosstalk(channels, layout.mixing)

    def grid(self, layout: PolarimetricLayout) -> Grid:
        """Return the first scene's pixels."""
        return self._radar().grid(layout.radar)

    def _radar(self) -> FarFieldSpotlight:
        return replace(self.radar, shape=self.shape)

    def _antenna(self, source: RandomSource, batch: int) -> Tensor:
        """Return R or T, (B, 2, 2), complex128."""
        leak = source.decibels((batch, 1), *self.crosstalk_db) * source.white((batch, 2))
        spread = (torch.full((batch,), value, device=source.place) for value in (self.imbalance_db, self.imbalance_deg))
        gain_db, angle_deg = spread
        balance = channel_gains(1, gain_db, torch.deg2rad(angle_deg), generator=source.generator)
        rows = [torch.ones_like(balance), leak[:, :1], leak[:, 1:], balance]
        return torch.cat([row.to(balance.dtype) for row in rows], 1).unflatten(1, (2, 2))
