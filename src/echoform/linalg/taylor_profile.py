"""Uniform Fourier sums at very many points: a fine table of the sum and its derivatives, and a Taylor series from it.

    modes -> points   c_m = sum_n f_n exp(+i n' t_m),    n' = n - N // 2
    points -> modes   f_n = sum_m c_m exp(-i n' t_m)

With T >= S N angles 2 pi g / T, g that nearest to t and d what is left of the angle, |n' d| <= pi / 2 S and

    exp(i n' t) = exp(2 pi i n' g / T) sum_k (i n' d)^k / k!,        k = 0 .. K - 1,

within (pi / 2 S)^K / K!: 3e-7 with S = 32 and K = 4 in single precision, 2e-13 with K = 7 in double, 2e-2 with S = 8 and K = 2
for sums that need not be truer (0.4 % rms over modes and angles). The sums over n are K transforms of length T; a point then
costs K reads and products, a third of what a non-uniform transform of that accuracy takes. With fewer than K T / 4 points those
of :mod:`echoform.linalg.nufft_rows` are the cheaper. The two sums are exact adjoints of each other. No gradients: the caller says
what they are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from echoform.linalg.nufft_rows import points_to_rows, rows_to_points

#: bounds on S and K, beyond which nothing is gained in double precision
MOST_OVERSAMPLING, MOST_TERMS = 256, 16


@dataclass(frozen=True)
class TaylorSeries:
    """How fine the table is and how long the series: the largest error of a term of the sums is (pi / 2 S)^K / K!.

    Attributes:
        oversampling: S, angles of the table for each mode, at least.
        terms: K.

    Raises:
        ValueError: S is not in 1 .. MOST_OVERSAMPLING or K not in 1 .. MOST_TERMS.
    """

    oversampling: int
    terms: int

    def __post_init__(self) -> None:
        if not (1 <= self.oversampling <= MOST_OVERSAMPLING and 1 <= self.terms <= MOST_TERMS):
            raise ValueError(
                f"a Taylor series takes an oversampling of 1 to {MOST_OVERSAMPLING} and 1 to {MOST_TERMS} terms, got "
                f"{self.oversampling} and {self.terms}"
            )

    def table_length(self, modes: int) -> int:
        """Return T, a power of two."""
        return 2 ** math.ceil(math.log2(self.oversampling * modes))

    def pays(self, modes: int, points: int) -> bool:
        """Whether so many points share a table that it is cheaper than a non-uniform transform."""
        return self.terms * self.table_length(modes) <= ENTRIES_A_POINT * points


#: entries of all tables that take as long as a point more in a non-uniform transform
ENTRIES_A_POINT = 4
#: errors of 3e-7, 2e-13 and 2e-2
SINGLE, DOUBLE, COARSE = TaylorSeries(32, 4), TaylorSeries(32, 7), TaylorSeries(8, 2)


def rounding_series(dtype: torch.dtype) -> TaylorSeries:
    """Return the series whose error is that of rounding in a complex dtype."""
    return SINGLE if dtype == torch.complex64 else DOUBLE


def rows_at(modes: Tensor, turns: Tensor, series: TaylorSeries) -> Tensor:
    """Return c of shape (..., R, M) from modes (..., R, N) and t / 2 pi (R, M), float64, by whichever form is the cheaper."""
    if series.pays(modes.shape[-1], turns.shape[1]):
        return profile_to_points(modes, turns, series)
    return rows_to_points(modes, _angles(turns, modes.dtype))


def rows_from(values: Tensor, turns: Tensor, count: int, series: TaylorSeries) -> Tensor:
    """Return f of shape (..., R, N), adjoint of :func:`rows_at`, from values (..., R, M)."""
    if series.pays(count, turns.shape[1]):
        return points_to_profile(values, turns, count, series)
    return points_to_rows(values, _angles(turns, values.dtype), count)


def profile_to_points(modes: Tensor, turns: Tensor, series: TaylorSeries) -> Tensor:
    """Return c of shape (..., R, M) from modes (..., R, N) and t / 2 pi (R, M), float64: each row has angles of its own."""
    count, flat, length = modes.shape[-1], modes.reshape(-1, *modes.shape[-2:]), series.table_length(modes.shape[-1])
    index, cells = _nearest(turns, length, modes.dtype)
    padded = modes.new_zeros(series.terms, *flat.shape[:2], length)
    padded[..., _bins(count, length, modes.device)] = _derivatives(count, series, modes)[:, None, None] * flat
    table = torch.fft.ifft(padded, norm="forward").flatten(-2)
    values = []
    for terms in table.unbind(1):
        value = terms[-1].index_select(0, index)
        for term in terms[:-1].flip(0):
            value = torch.addcmul(term.index_select(0, index), value, cells)
        values.append(value)
    return torch.stack(values).reshape(*modes.shape[:-1], turns.shape[1])


def points_to_profile(values: Tensor, turns: Tensor, count: int, series: TaylorSeries) -> Tensor:
    """Return f of shape (..., R, N), adjoint of :func:`profile_to_points`, from values (..., R, M)."""
    rows, flat = values.shape[-2], values.reshape(-1, values.shape[-2] * values.shape[-1])
    length = series.table_length(count)
    index, cells = _nearest(turns, length, values.dtype)
    table = values.new_zeros(series.terms, len(flat), rows * length)
    for terms, value in zip(table.unbind(1), flat, strict=True):
        for term in terms:
            term.scatter_add_(0, index, value)
            value = value * cells
    modes = torch.fft.fft(table.unflatten(-1, (rows, -1)))[..., _bins(count, length, values.device)]
    sums = (_derivatives(count, series, values).conj()[:, None, None] * modes).sum(0)
    return sums.reshape(*values.shape[:-1], count)


def _angles(turns: Tensor, dtype: torch.dtype) -> Tensor:
    return (2 * math.pi * (turns - turns.round())).to(dtype.to_real())


def _nearest(turns: Tensor, length: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return the table's entry nearest to each point, over all rows, and the rest in cells of the table, (R M,) each."""
    place = turns * length
    nearest = place.round()
    start = length * torch.arange(len(turns), device=turns.device)[:, None]
    index = nearest.long().bitwise_and_(length - 1).add_(start)
    return index.flatten(), place.sub_(nearest).to(dtype.to_real()).to(dtype).flatten()


def _bins(count: int, length: int, device: torch.device) -> Tensor:
    """Return where n' stands in a transform of the table's length, (N,)."""
    return (torch.arange(count, device=device) - count // 2) % length


def _derivatives(count: int, series: TaylorSeries, like: Tensor) -> Tensor:
    """Return (2 pi i n' / T)^k / k!, (K, N)."""
    order = torch.arange(1, series.terms, device=like.device)[:, None]
    index = torch.arange(count, dtype=torch.float64, device=like.device) - count // 2
    angle = 2 * math.pi / series.table_length(count) * index
    return torch.cat([torch.ones_like(angle)[None], 1j * angle / order]).cumprod(0).to(like.dtype)
