"""Uniform Fourier sums at very many points: a fine table of the sum and its derivatives, and a Taylor series from it.

    modes -> points   c_m = sum_n f_n exp(+i n' t_m),    n' = n - N // 2
    points -> modes   f_n = sum_m c_m exp(-i n' t_m)

With T >= 32 N angles 2 pi g / T, g that nearest to t and d what is left of the angle, |n' d| <= pi / 64 and

    exp(i n' t) = exp(2 pi i n' g / T) sum_k (i n' d)^k / k!,        k = 0 .. K - 1,

within (pi / 64)^K / K!: 3e-7 with K = 4 in single precision, 2e-13 with K = 7 in double. The sums over n are K transforms of
length T; a point then costs K reads and products, a third of what a non-uniform transform of that accuracy takes. With fewer
than T points those of :mod:`echoform.linalg.nufft_rows` are the cheaper. The two sums are exact adjoints of each other. No
gradients: the caller says what they are.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from echoform.linalg.nufft_rows import points_to_rows, rows_to_points

#: angles of the table for each mode, at least
OVERSAMPLING = 32
#: terms of the series in single and in double precision
TERMS = {torch.complex64: 4, torch.complex128: 7}


def table_length(modes: int) -> int:
    """Return T, a power of two."""
    return 2 ** math.ceil(math.log2(OVERSAMPLING * modes))


def rows_at(modes: Tensor, turns: Tensor) -> Tensor:
    """Return c of shape (..., R, M) from modes (..., R, N) and t / 2 pi (R, M), float64, by whichever form is the cheaper."""
    if turns.shape[1] >= table_length(modes.shape[-1]):
        return profile_to_points(modes, turns)
    return rows_to_points(modes, _angles(turns, modes.dtype))


def rows_from(values: Tensor, turns: Tensor, count: int) -> Tensor:
    """Return f of shape (..., R, N), adjoint of :func:`rows_at`, from values (..., R, M)."""
    if turns.shape[1] >= table_length(count):
        return points_to_profile(values, turns, count)
    return points_to_rows(values, _angles(turns, values.dtype), count)


def profile_to_points(modes: Tensor, turns: Tensor) -> Tensor:
    """Return c of shape (..., R, M) from modes (..., R, N) and t / 2 pi (R, M), float64: each row has angles of its own."""
    count, flat = modes.shape[-1], modes.reshape(-1, *modes.shape[-2:])
    index, cells = _nearest(turns, count, modes.dtype)
    padded = modes.new_zeros(TERMS[modes.dtype], *flat.shape[:2], table_length(count))
    padded[..., _bins(count, modes.device)] = _derivatives(count, modes)[:, None, None] * flat
    table = torch.fft.ifft(padded, norm="forward").flatten(-2)
    values = []
    for terms in table.unbind(1):
        value = terms[-1].index_select(0, index)
        for term in terms[:-1].flip(0):
            value = torch.addcmul(term.index_select(0, index), value, cells)
        values.append(value)
    return torch.stack(values).reshape(*modes.shape[:-1], turns.shape[1])


def points_to_profile(values: Tensor, turns: Tensor, count: int) -> Tensor:
    """Return f of shape (..., R, N), adjoint of :func:`profile_to_points`, from values (..., R, M)."""
    rows, flat = values.shape[-2], values.reshape(-1, values.shape[-2] * values.shape[-1])
    index, cells = _nearest(turns, count, values.dtype)
    table = values.new_zeros(TERMS[values.dtype], len(flat), rows * table_length(count))
    for terms, value in zip(table.unbind(1), flat, strict=True):
        for term in terms:
            term.scatter_add_(0, index, value)
            value = value * cells
    modes = torch.fft.fft(table.unflatten(-1, (rows, -1)))[..., _bins(count, values.device)]
    sums = (_derivatives(count, values).conj()[:, None, None] * modes).sum(0)
    return sums.reshape(*values.shape[:-1], count)


def _angles(turns: Tensor, dtype: torch.dtype) -> Tensor:
    return (2 * math.pi * (turns - turns.round())).to(dtype.to_real())


def _nearest(turns: Tensor, count: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return the table's entry nearest to each point, over all rows, and the rest in cells of the table, (R M,) each."""
    length = table_length(count)
    place = turns * length
    nearest = place.round()
    start = length * torch.arange(len(turns), device=turns.device)[:, None]
    index = nearest.long().bitwise_and_(length - 1).add_(start)
    return index.flatten(), place.sub_(nearest).to(dtype.to_real()).to(dtype).flatten()


def _bins(count: int, device: torch.device) -> Tensor:
    """Return where n' stands in a transform of the table's length, (N,)."""
    return (torch.arange(count, device=device) - count // 2) % table_length(count)


def _derivatives(count: int, like: Tensor) -> Tensor:
    """Return (2 pi i n' / T)^k / k!, (K, N)."""
    order = torch.arange(1, TERMS[like.dtype], device=like.device)[:, None]
    index = torch.arange(count, dtype=torch.float64, device=like.device) - count // 2
    angle = 2 * math.pi / table_length(count) * index
    return torch.cat([torch.ones_like(angle)[None], 1j * angle / order]).cumprod(0).to(like.dtype)
