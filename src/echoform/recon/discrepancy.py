"""Choosing a regularisation weight by the discrepancy principle.

A weight is right when the image explains the measurement as well as the noise allows, and no better:

    |A x_w - y|^2 = E |n|^2 = M s^2

for M measured entries, complex of total variance s^2 or real of variance s^2. The residual of a regularised solution
grows with its weight, so the equation has one root, found here in log weight for every sample of a batch by itself.

Source: Morozov (1966), Soviet Math. Dokl. 7; Engl, Hanke and Neubauer, Regularization of Inverse Problems, section 4.3.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from echoform.linalg.inner import expand
from echoform.measure.measurement import Measurement
from echoform.physics.noise import GaussianNoise, PoissonGaussianNoise
from echoform.physics.noise_coloured import ColouredGaussianNoise, DiagonalGaussianNoise
from echoform.physics.noise_speckle import SpeckleNoise


def energy(y: Tensor) -> Tensor:
    """Return |y|^2 of every sample of a batch (B, ...), shape (B,), float64."""
    return y.abs().double().square().flatten(1).sum(1)


def residual_energy(measurement: Measurement, image: Tensor) -> Tensor:
    """Return |A x - y|^2 per sample, shape (B,), float64, for images (B, C, H, W)."""
    return energy(measurement.operator(image) - measurement.y)


def relative_residual(measurement: Measurement, image: Tensor) -> float:
    """Return |A x - y|^2 / |y|^2, the median over the batch; zero where y is zero and so is A x."""
    scale = energy(measurement.y).clamp_min(torch.finfo(torch.float64).tiny)
    return float((residual_energy(measurement, image) / scale).median())


def expected_noise_energy(measurement: Measurement) -> Tensor:
    """Return E |n|^2 per sample, shape (B,), float64.

    M sigma^2 for white noise, the sum of the samples' variances for other Gaussian noise; M sigma^2 + gain sum(y) for
    Poisson-Gaussian noise, whose clean sum is estimated by that of y; sum(y^2) / (L + 1) for speckle of L looks, whose mean is
    that of sum((A x)^2) / L.

    Raises:
        TypeError: the noise model states no energy; give the reconstructor a weight instead.
    """
    y, noise = measurement.y, measurement.noise
    level = measurement.operator.samples() * noise.sigma.double().square()
    level = level.expand(y.shape[0])
    if isinstance(noise, GaussianNoise):
        return level
    if isinstance(noise, PoissonGaussianNoise):
        return level + noise.gain.double() * y.double().flatten(1).sum(1).clamp_min(0)
    if isinstance(noise, DiagonalGaussianNoise | ColouredGaussianNoise):
        marks = measurement.operator.support()
        variance = noise.variance(measurement.operator.range_shape).double()
        return (variance if marks is None else marks * variance).flatten(1).sum(1).expand(y.shape[0])
    if isinstance(noise, SpeckleNoise):
        return energy(y) / (noise.looks.double() + 1)
    raise TypeError(
        f"the discrepancy principle needs the noise energy, which {type(noise).__name__} does not state; pass a weight"
    )


def per_sample_weight(weight: float | Tensor, like: Tensor) -> Tensor:
    """Return a weight as a tensor of shape (B,), of the real dtype and on the device of the images ``like``.

    Raises:
        ValueError: the weight is negative, not finite, or its length is neither 1 nor B.
    """
    value = torch.as_tensor(weight, dtype=like.real.dtype, device=like.device).reshape(-1)
    if value.shape[0] not in (1, like.shape[0]) or not bool((torch.isfinite(value) & (value >= 0)).all()):
        raise ValueError(
            f"weight must be finite, non-negative and one number or one per image ({like.shape[0]}), got {weight}"
        )
    return value.expand(like.shape[0])


def first_weight(measurement: Measurement) -> Tensor:
    """Return the rms of A^H n per pixel, (B,), float64: the scale at which a penalty of slope one meets the noise."""
    operator = measurement.operator
    variance = expected_noise_energy(measurement) / operator.samples().clamp_min(1)
    return (variance * operator.mean_eigenvalue().double()).sqrt()


@dataclass(frozen=True)
class Choice:
    """What the search found, per sample.

    Attributes:
        weight: chosen weights, (B,), float64.
        image: the solutions at those weights, (B, C, H, W).
        ratio: |A x - y|^2 / E |n|^2, (B,), float64; one when the principle is met.
        reached: whether the principle could be met; where not, the weight stands at an end of its bracket, or the
            solutions are too inaccurate for their residual to settle within the tolerance.
        solves: how many times the regularised problem was solved.
    """

    weight: Tensor
    image: Tensor
    ratio: Tensor
    reached: Tensor
    solves: int

    def facts(self) -> dict[str, float]:
        """Return the choice as numbers for a report: medians over the batch, and how many samples met no root."""
        return {
            "weight": float(self.weight.median()),
            "discrepancy": float(self.ratio.median()),
            "unreached": float((~self.reached).sum()),
            "solves": float(self.solves),
        }


@dataclass
class _Bracket:
    """Ends of the interval in log weight and g = log(|A x - y|^2 / E |n|^2) there; NaN while an end is unseen."""

    low: Tensor
    high: Tensor
    low_value: Tensor
    high_value: Tensor

    def narrow(self, position: Tensor, value: Tensor) -> None:
        below = value <= 0
        self.low = torch.where(below, position, self.low)
        self.low_value = torch.where(below, value, self.low_value)
        self.high = torch.where(below, self.high, position)
        self.high_value = torch.where(below, self.high_value, value)

    def propose(self, position: Tensor, value: Tensor, stride: float) -> Tensor:
        """Return the secant through both ends, kept off them; while they are far apart or unseen, a bounded step."""
        width = self.high - self.low
        share = (-self.low_value / (self.high_value - self.low_value)).clamp(0.1, 0.9)
        step = (2 * value.abs() + 0.1).clamp_max(stride) * -torch.sign(value)
        outward = torch.minimum(torch.maximum(position + step, self.low), self.high)
        return torch.where(torch.isfinite(share) & (width <= 3 * stride), self.low + share * width, outward)


def choose_weight(
    solve: Callable[[Tensor, Tensor], Tensor],
    measurement: Measurement,
    *,
    first: Tensor,
    lowest: Tensor,
    highest: Tensor,
    start: Tensor,
    stride: float = math.log(10),
    tolerance: float = 0.005,
    max_solves: int = 40,
) -> Choice:
    """Return the weight at which |A x_w - y|^2 = E |n|^2, and the solution there.

    Where even x = 0 fits the noise the highest weight is taken, and where the lowest weight leaves more than the noise
    the lowest: ``reached`` is false for both, and when unfinished solutions keep the residual from its target.

    Args:
        solve: (weight (B,) float64, image to start from) -> x_w, (B, C, H, W).
        measurement: y, operator and noise.
        first: weight to try first, (B,), float64.
        lowest: lower end of the bracket, (B,), float64, positive.
        highest: upper end, (B,), at which x = 0 or nearly so.
        start: images from which the first solution starts, (B, C, H, W); each solution starts the next.
        stride: longest step in log weight while the root is not yet enclosed.
        tolerance: relative error of the residual at which to stop.
        max_solves: bound on the number of solutions.
    """
    target = expected_noise_energy(measurement).clamp_min(torch.finfo(torch.float64).tiny)
    at_zero = torch.log(energy(measurement.y) / target)
    unseen = torch.full_like(at_zero, torch.nan)
    floor, ceiling = lowest.log(), highest.log()
    bracket = _Bracket(floor.clone(), ceiling.clone(), unseen, torch.where(at_zero > 0, at_zero, unseen))
    position = torch.where(at_zero > 0, first.log(), ceiling)
    image, value = start, at_zero
    reached = torch.zeros_like(at_zero, dtype=torch.bool)
    done = reached.clone()
    solves = 0
    while solves < max_solves:
        trial = solve(position.exp(), image)
        solves += 1
        image = torch.where(expand(done, 3), image, trial)
        seen = torch.log(residual_energy(measurement, image) / target)
        value = torch.where(done, value, seen)
        bracket.narrow(position, value)
        reached = value.abs() <= tolerance
        at_end = ((position <= floor) & (value > 0)) | ((position >= ceiling) & (value < 0))
        done = reached | at_end | (bracket.high - bracket.low < 1e-6)
        if bool(done.all()):
            break
        position = torch.where(done, position, bracket.propose(position, value, stride))
    return Choice(position.exp(), image, value.exp(), reached, solves)
