"""Weightings of the sample domain that trade resolution for lower side lobes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor


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


def separable(window: Window, support: Tensor) -> Tensor:
    """Return w(p) w(f) over the last two axes of a 0/1 ``support`` (B, ..., P, F), float64, with mean one over its ones.

    Each axis of the window spans the measured band, from the first to the last index at which anything was measured.
    The level of a point target is then kept and its side lobes are those of the window.
    """
    samples = [_one(window, marks) for marks in support]
    return torch.stack(samples)


def _one(window: Window, marks: Tensor) -> Tensor:
    plane = marks.flatten(0, -3).amax(0)
    weights = _axis(window, plane.amax(1))[:, None] * _axis(window, plane.amax(0))[None, :]
    weights = weights * marks.double()
    return weights * marks.sum(dtype=torch.float64) / weights.sum()


def _axis(window: Window, marks: Tensor) -> Tensor:
    indices = torch.nonzero(marks).squeeze(-1)
    first, last = int(indices[0]), int(indices[-1])
    full = torch.zeros(marks.shape[0], dtype=torch.float64, device=marks.device)
    full[first : last + 1] = window.taps(last - first + 1).to(full)
    return full
