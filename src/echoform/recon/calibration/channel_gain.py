"""Self-calibration of complex channel gains: the elements of an array, or the pulses of a radar.

    x <- argmin_x 1/2 |y - g o A x|^2 + lambda |x|_1,        g_c <- <(A x)_c, y_c> / |(A x)_c|^2

Alternation as in :mod:`echoform.recon.calibration.data_fit`, with the least-squares gain of each channel. A factor common to
all channels belongs to the image: the gains returned have mean log magnitude 0 and phase 0 at the reference channel. Where
channel and spatial frequency are proportional (a uniform array and a grid in sin theta) a linear phase shifts the image and
cannot be known either; nor can a taper over the channels be told from a spread that all targets share, so the targets must
be points.

Source: Salvini and Wijnholds (2014), Astron. Astrophys. 571, A97 (the gain step, there for gains of baselines);
Ling and Strohmer (2015), Inverse Problems 31(11) (what sparsity makes of the problem).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from echoform.measure.measurement import Measurement
from echoform.recon.calibration.calibration import PULSE_AXIS, Calibration, Calibrator, ChannelAxis
from echoform.recon.calibration.data_fit import Alternation, alternate


@dataclass(frozen=True)
class ChannelGain(Calibrator):
    """Complex gains of the channels along one axis, by alternation with a sparse image.

    Attributes:
        schedule: rounds and weights.
        axis: of the operator's range along which the channels are counted; the elements of a MIMO radar are axis 1.
        reference: channel whose phase is zero.
    """

    schedule: Alternation = field(default_factory=Alternation)
    axis: int = PULSE_AXIS
    reference: int = 0

    @torch.no_grad()
    def __call__(self, measurement: Measurement, *, start_rad: Tensor | None = None) -> Calibration:
        """Return the gains, (B, channels); fact ``residual``: |y - g o A x|^2 / |y|^2, mean over the batch.

        Raises:
            ValueError: nothing was measured of the reference channel.
        """
        channels = ChannelAxis(measurement, self.axis)
        if not 0 <= self.reference < channels.count or not bool(channels.heard()[:, self.reference].all()):
            raise ValueError(
                f"reference channel {self.reference} of {channels.count} was not measured in every scene; choose another"
            )
        start = channels.start(start_rad)
        fit = alternate(channels, torch.polar(torch.ones_like(start), start), gain_step, self.schedule)
        gain = fit.gain * fit.gain[:, self.reference, None].conj()
        return channels.corrected(gain.angle(), fit.gain.abs(), {"residual": float(fit.residual.mean())})


def gain_step(channels: ChannelAxis, model: Tensor, gain: Tensor) -> Tensor:
    """Return the least-squares gains with geometric mean one over the channels; the gain as it was where (A x)_c is zero."""
    power = channels.sum(model.abs().square())
    product = channels.sum(model.conj() * channels.measurement.y)
    usable = channels.heard() & (power > 0) & (product.abs() > 0)
    found = torch.where(usable, product / torch.where(power > 0, power, 1.0), gain)
    level = torch.where(usable, found.abs().log(), 0.0).sum(1, keepdim=True) / usable.sum(1, keepdim=True).clamp_min(1)
    return torch.where(usable, found / level.exp(), gain)
