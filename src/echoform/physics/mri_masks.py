"""Which phase-encoding lines of Cartesian k-space are measured: the masks of fastMRI.

Every mask is a fully sampled centre joined with a pattern outside it; only the pattern differs. With W lines of which n are
the centre, acceleration a, k the line counted from zero frequency (index W // 2):

    random                 every line with probability (W / a - n) / (W - n): W / a lines on average
    equispaced             lines o, o + a, o + 2a, ...: the centre comes on top, so fewer than a-fold in all
    equispaced fraction    spacing a (W - n) / (W - n a), rounded to lines: about W / a lines in all, not quite equally spaced
    magic                  spacing a on either side of k = 0, shifted so that lines at +k and -k complete each other: the
                           spectrum of a nearly real image is nearly Hermitian, so each line tells about its mirror image too

Offsets o are uniform over one period. A mask has shape (B, 1, 1, W): 0/1 weights for every row and coil; ``line_weights`` spreads
it over the rows for :class:`FourierMask`.

Source: Zbontar et al. (2018), arXiv:1811.08839, section 4.3; Defazio (2019), arXiv:1912.01101 (magic); the numbering of lines
follows the package fastmri 0.3, so that equal offsets give equal masks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class Centre(Protocol):
    """How many lines about zero frequency are measured whatever the pattern."""

    def count(self, width: int) -> int:
        """Return their number among ``width`` lines."""
        ...


@dataclass(frozen=True)
class CentreFraction:
    """A share of all lines, rounded; fastMRI takes 0.08 at acceleration 4 and 0.04 at 8.

    Attributes:
        fraction: between 0 and 1.
    """

    fraction: float

    def count(self, width: int) -> int:
        """Return the rounded share of ``width``."""
        return round(width * self.fraction)


@dataclass(frozen=True)
class CentreLines:
    """A fixed number of lines, whatever their total; CMRxRecon takes 24.

    Attributes:
        lines: the number.
    """

    lines: int

    def count(self, width: int) -> int:
        """Return the number; raises ValueError when there are fewer lines in all."""
        if not 0 <= self.lines <= width:
            raise ValueError(f"{self.lines} centre lines do not fit {width} lines in all; choose fewer")
        return self.lines


def centre_mask(width: int, count: int) -> Tensor:
    """Return ones on ``count`` lines about index width // 2, shape (W,); an odd one out lies at the higher frequency."""
    mask = torch.zeros(width)
    start = (width - count + 1) // 2
    mask[start : start + count] = 1
    return mask


def line_weights(mask: Tensor, height: int) -> Tensor:
    """Return a mask (B, 1, 1, W) as weights of a FourierMask of ``height`` rows, (B, 1, H, W)."""
    return mask.expand(-1, -1, height, -1).contiguous()


@dataclass(frozen=True)
class LineMask(ABC):
    """A kind of mask, from which masks are drawn.

    Attributes:
        acceleration: a.
        centre: which lines are measured in any case.

    Raises:
        ValueError: an acceleration below one.
    """

    acceleration: int
    centre: Centre

    def __post_init__(self) -> None:
        if self.acceleration < 1:
            raise ValueError(f"acceleration must be 1 or more, got {self.acceleration}")

    def draw(self, generator: torch.Generator, batch: int, width: int) -> Tensor:
        """Return ``batch`` masks of ``width`` lines, (B, 1, 1, W) float32, on the generator's device.

        Raises:
            ValueError: the centre alone has more lines than the acceleration leaves.
        """
        count = self.centre.count(width)
        pattern = self._draw_pattern(generator, batch, width, count)
        return torch.maximum(pattern, centre_mask(width, count).to(pattern.device))[:, None, None]

    @abstractmethod
    def _draw_pattern(self, generator: torch.Generator, batch: int, width: int, count: int) -> Tensor:
        """Return the pattern that is joined with ``count`` centre lines, (B, W) float32."""


def _lines_outside_centre(acceleration: int, width: int, count: int) -> float:
    """W / a - n, how many lines the pattern adds to the centre."""
    wanted = width / acceleration - count
    if wanted < 0:
        raise ValueError(
            f"acceleration {acceleration} leaves {width / acceleration:g} of {width} lines, fewer than the {count} of the "
            "centre; choose a smaller centre or acceleration"
        )
    return wanted


@dataclass(frozen=True)
class RandomLines(LineMask):
    """Lines drawn independently; see the top of this file."""

    def _draw_pattern(self, generator: torch.Generator, batch: int, width: int, count: int) -> Tensor:
        wanted = _lines_outside_centre(self.acceleration, width, count)
        probability = wanted / max(width - count, 1)
        return (torch.rand((batch, width), generator=generator, device=generator.device) < probability).float()


@dataclass(frozen=True)
class OffsetMask(LineMask, ABC):
    """A mask that is fixed by an offset, drawn uniformly from 0 to ``period`` - 1."""

    @abstractmethod
    def period(self, width: int) -> int:
        """Return the number of offsets."""

    @abstractmethod
    def pattern(self, width: int, offset: int) -> Tensor:
        """Return the lines without the centre, (W,) float32.

        Args:
            width: W.
            offset: o, from 0 to ``period`` - 1.
        """

    def _draw_pattern(self, generator: torch.Generator, batch: int, width: int, count: int) -> Tensor:
        place = generator.device
        offsets = torch.randint(0, self.period(width), (batch,), generator=generator, device=place)
        return torch.stack([self.pattern(width, offset) for offset in offsets.tolist()]).to(place)


@dataclass(frozen=True)
class EquispacedLines(OffsetMask):
    """Every a-th line; see the top of this file."""

    def period(self, width: int) -> int:
        """Return a."""
        return self.acceleration

    def pattern(self, width: int, offset: int) -> Tensor:
        """Return lines o, o + a, ...; arguments as in :meth:`OffsetMask.pattern`."""
        mask = torch.zeros(width)
        mask[offset :: self.acceleration] = 1
        return mask


@dataclass(frozen=True)
class EquispacedFractionLines(OffsetMask):
    """Lines so spaced that all together are W / a; see the top of this file."""

    def spacing(self, width: int) -> float:
        """Return a (W - n) / (W - n a), lines; infinite when the centre is all there is."""
        count = self.centre.count(width)
        wanted = _lines_outside_centre(self.acceleration, width, count)
        return (width - count) / wanted if wanted > 0 else float("inf")

    def period(self, width: int) -> int:
        """Return the spacing, rounded; 1 when the centre is all there is."""
        spacing = self.spacing(width)
        return round(spacing) if spacing < width else 1

    def pattern(self, width: int, offset: int) -> Tensor:
        """Return lines round(o + m spacing) before the last one; arguments as in :meth:`OffsetMask.pattern`."""
        mask, spacing = torch.zeros(width), self.spacing(width)
        if spacing < width:
            mask[torch.arange(offset, width - 1, spacing, dtype=torch.float64).round().long()] = 1
        return mask


@dataclass(frozen=True)
class MagicLines(OffsetMask):
    """Every a-th line on either side of zero frequency, shifted against each other; see the top of this file."""

    def period(self, width: int) -> int:
        """Return a."""
        return self.acceleration

    def pattern(self, width: int, offset: int) -> Tensor:
        """Return lines k = p + m a and k = -(q + m a), m = 0, 1, ...; arguments as in :meth:`OffsetMask.pattern`.

        (p, q) = (o + 1, o + 3) for even offsets and (o + 2, o) for odd ones; all these lines are odd when a is even, so that a
        = 4 has two different masks.
        """
        p, q = (offset + 1, offset + 3) if offset % 2 == 0 else (offset + 2, offset)
        k = torch.arange(width) - width // 2
        positive = (k >= p) & ((k - p) % self.acceleration == 0)
        negative = (-k >= q) & ((-k - q) % self.acceleration == 0)
        return (positive | negative).float()
