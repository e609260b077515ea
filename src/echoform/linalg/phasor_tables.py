"""Uniform Fourier sums of few modes at very many points, for many values at once, or for one many times over.

    values -> rows    y[r, n] = sum_m x_m e_rm exp(-i n' t_rm),       n' = n - N // 2
    rows -> values    x_m = sum_rn y[r, n] conj(e_rm) exp(+i n' t_rm)

Each row r has phasors e and angles t of its own. With n = l + L g the phasor of a mode is a product of two short tables,

    near[r, l, m] = e_rm exp(-i (l - N // 2) t_rm),      far[r, g, m] = exp(-i L g t_rm),      L ~ sqrt N,

sqrt N exponentials a point in the place of N. For few values a row is one product of matrices, (G x M)(M x L). For as many values
as there are groups g the tables are multiplied out, a few rows at a time, and all values are one product (N x M)(M x T): the work
is M N for each of them and goes at the speed of matrix products. A Taylor series (:mod:`echoform.linalg.taylor_profile`), whose
work does not grow with N, reads and writes memory at random instead and takes as long as some 500 modes do. The two sums are
exact adjoints of each other. Where angles ask for gradients the tables are taken, which autograd keeps; to values the gradient is
the other sum, which the caller says.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from echoform.linalg.taylor_profile import TaylorSeries, rows_at, rows_from

#: phasors made at a time: what stays in a processor's cache
CHUNK = 2**18
#: fewest values at once, and most modes, for which tables made for one pass take less time than a Taylor series
FEWEST_VALUES, MOST_MODES = 8, 256
#: largest tables that are held for many passes, complex numbers
HELD = 2**24


def row_sums(values: Tensor, start: Tensor, turns: Tensor, modes: int, series: TaylorSeries) -> Tensor:
    """Return y, (..., R, N), of values (..., M), by tables or by a Taylor series, whichever is the quicker.

    Args:
        values: x, complex.
        start: e, complex, (R, M).
        turns: t / 2 pi, (R, M), float64.
        modes: N.
        series: the Taylor series.
    """
    if not _pays(values.shape[:-1], turns, modes):
        return rows_from(values[..., None, :] * start, turns, modes, series)
    parts = [phasor_tables(*rows, modes).sums(values) for rows in _chunks(start, turns, modes)]
    return torch.cat(parts, -2)


def conjugate_row_sums(rows: Tensor, start: Tensor, turns: Tensor, series: TaylorSeries) -> Tensor:
    """Return x, (..., M), of rows (..., R, N), adjoint of :func:`row_sums`."""
    modes = rows.shape[-1]
    if not _pays(rows.shape[:-2], turns, modes):
        return (rows_at(rows, turns, series) * start.conj()).sum(-2)
    result, first = rows.new_zeros(*rows.shape[:-2], turns.shape[1]), 0
    for part in _chunks(start, turns, modes):
        end = first + len(part[0])
        result += phasor_tables(*part, modes).conjugate_sums(rows[..., first:end, :])
        first = end
    return result


def _pays(values: torch.Size, turns: Tensor, modes: int) -> bool:
    return turns.requires_grad or (values.numel() >= FEWEST_VALUES and modes <= MOST_MODES)


def _chunks(start: Tensor, turns: Tensor, modes: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield phasors and angles of so many rows that their tables stay in the cache."""
    size = max(1, CHUNK // (sum(split(modes)) * turns.shape[1]))
    return zip(start.split(size), turns.split(size), strict=True)


def can_be_held(rows: int, modes: int, points: int) -> bool:
    """Whether the tables of so many rows are small enough to be kept for many passes."""
    return rows * sum(split(modes)) * points <= HELD


def held_tables(parts: Iterable[tuple[Tensor, Tensor]], modes: int) -> PhasorTables:
    """Return the tables of all rows of parts, each of phasors e and angles t / 2 pi, (R, M)."""
    tables = [phasor_tables(*rows, modes) for part in parts for rows in _chunks(*part, modes)]
    near, far = (torch.cat([getattr(table, name) for table in tables]) for name in ("near", "far"))
    return PhasorTables(near, far, modes)


def split(modes: int) -> tuple[int, int]:
    """Return L and G with L G >= N, both near sqrt N."""
    length = math.isqrt(modes - 1) + 1
    return length, -(-modes // length)


def phasor(turns: Tensor, dtype: torch.dtype) -> Tensor:
    """Return exp(2 pi i turns): turns folded in float64, then cast to the complex dtype."""
    phase = (turns - turns.round()).to(dtype.to_real()).mul_(2 * math.pi)
    return torch.complex(phase.cos(), phase.sin())


def phasor_tables(start: Tensor, turns: Tensor, modes: int) -> PhasorTables:
    """Return the tables of rows.

    Args:
        start: e, complex, (R, M).
        turns: t / 2 pi, (R, M), float64.
        modes: N.
    """
    length, groups = split(modes)
    n1, n2 = (torch.arange(count, dtype=torch.float64, device=turns.device)[:, None] for count in (length, groups))
    near = phasor((modes // 2 - n1) * turns[:, None], start.dtype).mul_(start[:, None])
    return PhasorTables(near, phasor(-length * n2 * turns[:, None], start.dtype), modes)


@dataclass(frozen=True)
class PhasorTables:
    """Two tables of R rows, from which the phasors of all modes are products.

    Attributes:
        near: (R, L, M), complex.
        far: (R, G, M), complex.
        modes: N.
    """

    near: Tensor
    far: Tensor
    modes: int

    def sums(self, values: Tensor) -> Tensor:
        """Return y, (..., R, N), of values (..., M)."""
        if not self._many(values.shape[:-1]):
            parts = self.far @ (values[..., None, None, :] * self.near).mT
            return parts.flatten(-2)[..., : self.modes]
        flat = values.reshape(-1, values.shape[-1])
        parts = [(flat @ rows.mT).unflatten(-1, (count, -1)) for count, rows in self._chunks()]
        sums = torch.cat(parts, 1)[..., : self.modes]
        return sums.reshape(*values.shape[:-1], *sums.shape[1:])

    def conjugate_sums(self, rows: Tensor) -> Tensor:
        """Return x, (..., M), of rows (..., R, N), adjoint of :meth:`sums`."""
        length, groups = self.near.shape[1], self.far.shape[1]
        padded = torch.nn.functional.pad(rows.conj(), (0, length * groups - self.modes))
        if not self._many(rows.shape[:-2]):
            parts = (padded.unflatten(-1, (groups, length)).mT @ self.far).mul_(self.near)
            return parts.sum((-3, -2)).conj_physical()
        flat, first = padded.reshape(-1, *padded.shape[-2:]), 0
        result = rows.new_zeros(len(flat), self.near.shape[-1])
        for count, phasors in self._chunks():
            result += flat[:, first : first + count].flatten(1) @ phasors
            first += count
        return result.conj_physical().reshape(*rows.shape[:-2], -1)

    def _many(self, values: torch.Size) -> bool:
        """Whether so many values share the tables that multiplying them out pays."""
        return values.numel() >= self.far.shape[1]

    def _chunks(self) -> Iterator[tuple[int, Tensor]]:
        """Yield how many rows, and their phasors (rows L G, M), modes beyond the last included."""
        each = self.near.shape[1] * self.far.shape[1] * self.near.shape[2]
        size = max(1, CHUNK // each)
        for near, far in zip(self.near.split(size), self.far.split(size), strict=True):
            yield len(near), (far[:, :, None] * near[:, None]).flatten(0, 2)
