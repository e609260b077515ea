"""Calibration by data fit: image and gains of the channels in turn, each the best for the other.

    x <- argmin_x 1/2 |y - g o A x|^2 + lambda |x|_1,        g_c <- argmin_g |y_c - g (A x)_c|^2

The second step is a closed form: the phase arg <(A x)_c, y_c> for gains of modulus one. A dense image could explain any
gains; the image has to be sparse for the samples to know them. lambda is a falling share of max |A^H (conj g o y)|: the brightest
points of the blurred image are fitted first, fainter ones as it focuses. Missing samples are left out of both steps.

Limits. The iteration is local and needs points that stand out of their own blur. The constant of the phases and their line
stay about where they start, since the image follows them.

Source: Onhon and Cetin (2012), IEEE Trans. Image Process. 21(4) (sparsity-driven autofocus).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from echoform.linalg.inner import squared_norm
from echoform.measure.measurement import Measurement
from echoform.recon.calibration.calibration import PULSE_AXIS, Calibration, Calibrator, ChannelAxis
from echoform.recon.classical.sparse import fista

#: share of the rounds over which lambda falls; it stays at its last value for the others
FALL_SHARE = 0.8
#: fixed-point residual at which an image step stops early
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Alternation:
    """The schedule of rounds, each of an image step and a gain step.

    Attributes:
        rounds: of both steps.
        steps: most proximal-gradient steps of an image step, started from the image of the round before.
        first_share: lambda over max |A^H (conj g o y)| in the first round.
        last_share: the same in the last rounds; below it the image begins to fit noise.
    """

    rounds: int = 60
    steps: int = 10
    first_share: float = 0.5
    last_share: float = 0.05

    def __post_init__(self) -> None:
        if self.rounds < 1 or self.steps < 1 or not 0 < self.last_share <= self.first_share < 1:
            raise ValueError(f"expected rounds, steps >= 1 and 0 < last_share <= first_share < 1, got {self}")

    def share(self, index: int) -> float:
        """Return lambda's share in one round: geometric from the first to the last over FALL_SHARE of the rounds."""
        done = min(1.0, index / max(1.0, FALL_SHARE * self.rounds))
        return self.first_share * (self.last_share / self.first_share) ** done


@dataclass(frozen=True)
class Fit:
    """Gains (B, channels), complex128, the image (B, C, H, W), and |y - g o A x|^2 / |y|^2, (B,)."""

    gain: Tensor
    image: Tensor
    residual: Tensor


#: (channels, A x, gains so far) -> gains
GainStep = Callable[[ChannelAxis, Tensor, Tensor], Tensor]


def alternate(channels: ChannelAxis, start: Tensor, gain_step: GainStep, schedule: Alternation) -> Fit:
    """Return gains and image after all rounds, from gains ``start``, (B, channels), complex128.

    Raises:
        ValueError: the operator is zero for at least one sensor.
    """
    operator, y = channels.measurement.operator, channels.measurement.y
    lipschitz = operator.norm().square().to(y.real.dtype)
    if bool((lipschitz <= 0).any()):
        raise ValueError("the operator is zero for at least one sensor: there is nothing to fit")
    ndim = len(operator.range_shape)
    gain, image, model = start, torch.zeros_like(operator.adjoint(y)), torch.zeros_like(y)
    for index in range(schedule.rounds):
        backprojection = operator.adjoint(channels.spread(gain.conj()) * y)
        weight = schedule.share(index) * backprojection.abs().flatten(1).amax(1)
        power = gain.abs().square()
        image = fista(
            _normal(channels, power),
            backprojection,
            weight,
            lipschitz=lipschitz * power.amax(1).to(lipschitz.dtype),
            start=image,
            iterations=schedule.steps,
            tolerance=TOLERANCE,
        ).solution
        model = operator(image)
        gain = gain_step(channels, model, gain)
    residual = squared_norm(y - channels.spread(gain) * model, ndim) / squared_norm(y, ndim)
    return Fit(gain, image, residual)


def _normal(channels: ChannelAxis, power: Tensor) -> Callable[[Tensor], Tensor]:
    """A^H |g|^2 A: the operator's own fast normal where all gains have modulus one."""
    operator = channels.measurement.operator
    if bool(((power - 1).abs() < 1e-12).all()):
        return operator.normal
    weights = channels.spread(power)
    return lambda u: operator.adjoint(weights * operator(u))


def phase_step(channels: ChannelAxis, model: Tensor, gain: Tensor) -> Tensor:
    """Return exp(i arg <(A x)_c, y_c>), and the gain as it was where that product is zero."""
    product = channels.sum(model.conj() * channels.measurement.y)
    size = product.abs()
    return torch.where(size > 0, product / torch.where(size > 0, size, 1.0), gain)


@dataclass(frozen=True)
class DataFit(Calibrator):
    """Per-channel phases by alternation with a sparse image.

    Attributes:
        schedule: rounds and weights.
        axis: of the operator's range along which the channels are counted.
    """

    schedule: Alternation = field(default_factory=Alternation)
    axis: int = PULSE_AXIS

    @torch.no_grad()
    def __call__(self, measurement: Measurement, *, start_rad: Tensor | None = None) -> Calibration:
        """Return the phases, (B, channels), wrapped; fact ``residual``: |y - g o A x|^2 / |y|^2, mean over the batch."""
        channels = ChannelAxis(measurement, self.axis)
        start = channels.start(start_rad)
        fit = alternate(channels, torch.polar(torch.ones_like(start), start), phase_step, self.schedule)
        return channels.corrected(fit.gain.angle(), torch.ones_like(start), {"residual": float(fit.residual.mean())})
