"""Calibration by data fit: image and gains of the channels in turn, each the best for the other.

    x <- argmin_x 1/2 |y - g o A x|^2 + lambda |x|_1,        g_c <- argmin |y_c - g_c (A x)_c|^2

The second step is a closed form: the phase arg <(A x)_c, y_c> for gains of modulus one, <(A x)_c, y_c> / |(A x)_c|^2 for complex
ones. A dense image could explain any gains; the image has to be sparse for the fit to know them. lambda is a falling share of
max |A^H (conj g o y)|: the brightest points of the blurred image are fitted first, and fainter ones as it focuses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from echoform.linalg.inner import squared_norm
from echoform.measure.measurement import Measurement
from echoform.recon.calibration.calibration import PULSE_AXIS, Calibration, Calibrator, ChannelAxis
from echoform.recon.classical.sparse import fista


@dataclass(frozen=True)
class SparseFit:
    rounds: int = 60
    steps: int = 10
    first_share: float = 0.5
    last_share: float = 0.05


def alternate(channels, start, update, config):
    operator, y = channels.measurement.operator, channels.measurement.y
    lipschitz = operator.norm().square().to(y.real.dtype)
    gain = start
    image = None
    for k in range(config.rounds):
        share = config.first_share*(config.last_share/config.first_share)**(min(1., k/(0.8*config.rounds)))
        factor = channels.spread(gain)
        power = channels.spread(gain.abs().square())
        back = operator.adjoint(factor.conj()*y)
        lam = share*back.abs().flatten(1).amax(1)
        unit = bool((gain.abs()-1).abs().max()<1e-9)
        normal = operator.normal if unit else (lambda u: operator.adjoint(power*operator(u)))
        L = lipschitz*float(gain.abs().square().max())
        if image is None: image = torch.zeros_like(back)
        image = fista(normal, back, lam, lipschitz=L, start=image, iterations=config.steps, tolerance=1e-4).solution
        gain = update(channels, operator(image), gain)
    return gain, image

def phase_only(channels, model, gain):
    c = channels.sum(model.conj()*channels.measurement.y)
    return torch.where(c.abs()>0, c/c.abs().clamp_min(1e-300), gain)


@dataclass(frozen=True)
class DataFit(Calibrator):
    fit: SparseFit = SparseFit()
    start_rad: Tensor | None = None
    axis: int = PULSE_AXIS

    @torch.no_grad()
    def __call__(self, measurement):
        channels = ChannelAxis(measurement, self.axis)
        start = channels.zeros if self.start_rad is None else self.start_rad
        gain, image = alternate(channels, torch.polar(torch.ones_like(start), start), phase_only, self.fit)
        return channels.corrected(gain.angle(), torch.ones_like(start), {})
