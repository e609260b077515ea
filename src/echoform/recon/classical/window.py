"""Weightings of the sample domain that trade resolution for lower side lobes.

They mean that only where samples lie along spatial frequencies: over the pulses of a stripmap they would shade the strip, over
baselines, receivers or traces they weigh one against another.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from echoform.physics.operator import LinearOperator


class Window(ABC):
    """A symmetric weighting of one axis of the measurement."""

    @abstractmethod
    def taps(self, length: int) -> Tensor:
        """Return the weights of ``length`` samples, float64, positive."""


@dataclass(frozen=True)
class Taylor(Window):
    """Taylor's weighting: ``nbar`` - 1 nearly equal side lobes on either side, then decay as 1 / distance.

    Attributes:
        side_lobe_db: level of the highest side lobe below the peak, decibels, negative.
        nbar: number of nearly equal side lobes, plus one.

    Source: Taylor (1955), IRE Trans. Antennas Propag. 3; Carrara, Goodman and Majewski (1995), appendix D.
    """

    side_lobe_db: float = -35.0
    nbar: int = 4

    def __post_init__(self) -> None:
        if self.side_lobe_db >= 0 or self.nbar < 1:
            raise ValueError(
                f"side_lobe_db must be negative and nbar at least 1, got {self.side_lobe_db} and {self.nbar}"
            )

    def taps(self, length: int) -> Tensor:
        """Return the Taylor weights."""
        from scipy.signal.windows import taylor

        level = -self.side_lobe_db
        return torch.from_numpy(taylor(length, nbar=self.nbar, sll=level, norm=False))  # pyright: ignore[reportArgumentType]


@dataclass(frozen=True)
class Hamming(Window):
    """Hamming's weighting 0.54 - 0.46 cos(2 pi n / (N - 1)): highest side lobe about -42.7 dB.

    Source: Harris (1978), Proc. IEEE 66(1), section V.C.
    """

    def taps(self, length: int) -> Tensor:
        """Return the Hamming weights."""
        from scipy.signal.windows import hamming

        return torch.from_numpy(hamming(length))


def measured_entries(operator: LinearOperator) -> Tensor:
    """Return the 0/1 support of samples that a window or looks may be laid over, (B or 1, *range_shape).

    Raises:
        ValueError: the samples' last two axes are not spatial frequencies: a weighting would shade the image or do nothing to
            side lobes.
    """
    shape = operator.range_shape
    if len(shape) < 3:
        raise ValueError(
            f"a window or looks need samples on two axes, this operator's range is {shape}; give sample_shape two axes"
        )
    if not operator.frequency_axes():
        raise ValueError(
            f"a window or looks need samples along two spatial frequencies (pulses and frequencies of a spotlight collection, a "
            f"Fourier mask); the last two axes of {shape} of this {type(operator).__name__} are none: leave the window and the "
            "looks out"
        )
    marks = operator.support()
    if marks is None:
        marks = torch.ones(1, device=operator.device)
    return marks.expand(marks.shape[0], *shape)


def point_energy(operator: LinearOperator) -> Tensor:
    """Return g^2, the energy in each sample of a point that every channel holds, (B or 1, *range_shape), float64.

    The point stands where the sensor sees most of white noise: not where a coil is deaf.
    """
    seen = operator.normal(operator.probe()).abs().sum(1).flatten(1)
    point = torch.zeros_like(seen).scatter(1, seen.argmax(1, keepdim=True), 1.0).to(operator.dtype)
    point = point.unflatten(1, (1, *operator.domain_shape[1:])).expand(-1, *operator.domain_shape)
    return operator(point).abs().double().square()


def separable(window: Window, support: Tensor, energy: Tensor) -> Tensor:
    """Return w(p) w(f) over the last two axes of a 0/1 ``support``, (B, ..., P, F), float64, with mean one under an energy.

    Each axis of the window spans the measured band, from the first to the last index at which anything was measured.
    With sum w g^2 = sum g^2 the level of a point target is kept and its side lobes are those of the window.

    Args:
        window: of one axis.
        support: (B or 1, ..., P, F).
        energy: g^2 of each sample, (B or 1, ..., P, F), float64; zero outside the support.
    """
    rows = max(len(support), len(energy))
    pairs = zip(support.expand(rows, *support.shape[1:]), energy.expand(rows, *energy.shape[1:]), strict=True)
    return torch.stack([_one(window, marks, each) for marks, each in pairs])


def _one(window: Window, marks: Tensor, energy: Tensor) -> Tensor:
    plane = marks.flatten(0, -3).amax(0)
    weights = _axis(window, plane.amax(1))[:, None] * _axis(window, plane.amax(0))[None, :]
    weights = weights * marks.double()
    return weights * energy.sum() / (weights * energy).sum()


def _axis(window: Window, marks: Tensor) -> Tensor:
    indices = torch.nonzero(marks).squeeze(-1)
    first, last = int(indices[0]), int(indices[-1])
    full = torch.zeros(marks.shape[0], dtype=torch.float64, device=marks.device)
    full[first : last + 1] = window.taps(last - first + 1).to(full)
    return full
