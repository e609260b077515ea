"""Multilook backprojection: speckle is averaged over sub-apertures, at the price of resolution.

    I = 1/L sum_l |x_l|^2,      x_l = matched filter of the samples in look l

A look is an interval of pulses and an interval of frequencies, the intervals equally long and spread over the measured band.
On fully developed speckle the looks' images are jointly Gaussian, so with windows w_l over the samples

    ENL = (E I)^2 / var I = L^2 / sum_lm |r_lm|^2,      r_lm = sum w_l w_m / sqrt(sum w_l^2 sum w_m^2),

which is L for looks that do not overlap. Exact where each sample sees another spatial frequency and the spectrum of speckle and
noise is flat.

Source: Oliver and Quegan, Understanding Synthetic Aperture Radar Images (2004), section 4.4; Cumming and Wong (2005),
section 6.5.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from echoform.measure.measurement import Measurement
from echoform.physics.masking import restrict
from echoform.recon.classical.matched_filter import MatchedFilter
from echoform.recon.classical.window import Window, measured_entries, separable
from echoform.recon.reconstructor import Estimate, Reconstructor


@dataclass(frozen=True)
class Looks:
    """How the samples are divided.

    Attributes:
        pulses: number of looks along the last axis but one.
        frequencies: number of looks along the last axis.
        overlap: share of a look that the next one along the same axis holds too, at least 0 and less than 1.

    Raises:
        ValueError: a number is out of range.
    """

    pulses: int = 2
    frequencies: int = 2
    overlap: float = 0.0

    def __post_init__(self) -> None:
        if min(self.pulses, self.frequencies) < 1 or not 0 <= self.overlap < 1:
            raise ValueError(
                f"looks must be at least 1 per axis and overlap in [0, 1), got {self.pulses} x {self.frequencies}, {self.overlap}"
            )

    @property
    def count(self) -> int:
        """Number of looks."""
        return self.pulses * self.frequencies


def intervals(marks: Tensor, looks: int, overlap: float) -> Tensor:
    """Return 0/1 intervals (L, N) that cover what is marked along one axis (N,), from the first mark to the last.

    Raises:
        ValueError: an interval would be shorter than one sample.
    """
    measured = torch.nonzero(marks).squeeze(-1)
    first, span = int(measured[0]), int(measured[-1] - measured[0]) + 1
    length = span / (1 + (looks - 1) * (1 - overlap))
    if length < 1:
        raise ValueError(f"{span} samples cannot be divided into {looks} looks; ask for fewer")
    index = torch.arange(marks.shape[0], device=marks.device)
    starts = [round(k * length * (1 - overlap)) for k in range(looks)]
    return torch.stack([(index >= first + a) & (index < first + a + round(length)) for a in starts])


class MultilookMatchedFilter(Reconstructor):
    """The root of the mean intensity of sub-aperture images: complex dtype with zero phase, for it holds no phase.

    The level of a point target is kept, as by :class:`echoform.recon.classical.matched_filter.MatchedFilter`; its main lobe is as
    many times wider as there are looks along the axis. Residuals and errors that need a phase say nothing of such an image.

    Args:
        looks: how the samples are divided.
        window: separable weighting of each look against side lobes, or None.
    """

    def __init__(self, looks: Looks | None = None, *, window: Window | None = None) -> None:
        super().__init__()
        self.looks = looks or Looks()
        self.single = MatchedFilter(window)

    @torch.no_grad()
    def forward(self, measurement: Measurement, *, generator: torch.Generator | None = None) -> Estimate:
        """Return sqrt(I); facts: ``looks`` (L) and ``expected_enl`` (of the first scene).

        Raises:
            ValueError: the samples lie not along two spatial frequencies, or a look holds no sample.
        """
        marks = measured_entries(measurement.operator)
        intensity = torch.zeros_like(measurement.operator.adjoint(measurement.y).real)
        weights = []
        for kept in self._divide(marks):
            if not bool((marks * kept).flatten(1).any(1).all()):
                raise ValueError("a look holds no sample; ask for fewer looks")
            part = measurement.without(restrict(measurement.operator, kept[None].expand(1, *marks.shape[1:])))
            intensity = intensity + self.single(part).mean.abs().square()
            window = self.single.window
            held = (marks * kept)[:1]
            weights.append((held.double() if window is None else separable(window, held, held.double())).flatten())
        facts = {"looks": float(self.looks.count), "expected_enl": expected_looks(torch.stack(weights))}
        image = (intensity / self.looks.count).sqrt()
        return Estimate(torch.complex(image, torch.zeros_like(image)), facts=facts)

    def _divide(self, marks: Tensor) -> list[Tensor]:
        """The boolean (P, F) of each look, common to all sensors of the batch."""
        plane = marks.flatten(0, -3).amax(0)
        rows = intervals(plane.amax(1), self.looks.pulses, self.looks.overlap)
        columns = intervals(plane.amax(0), self.looks.frequencies, self.looks.overlap)
        return [row[:, None] & column[None, :] for row in rows for column in columns]


def expected_looks(weights: Tensor) -> float:
    """Return L^2 / sum_lm |r_lm|^2 of the windows w_l, (L, M)."""
    unit = weights / torch.linalg.vector_norm(weights, dim=1, keepdim=True)
    return float(weights.shape[0] ** 2 / (unit @ unit.mH).square().sum())
