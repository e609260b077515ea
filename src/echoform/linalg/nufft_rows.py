"""Many one-dimensional non-uniform sums of one length, each row at angles of its own.

    modes -> points   c_rm = sum_n f_rn exp(+i n' t_rm),    n' = n - N // 2
    points -> modes   f_rn = sum_m c_rm exp(-i n' t_rm)

On a CPU all rows go through one finufft plan: a row then costs its sum, not the planning. On a GPU with cufinufft each row is a
call of :mod:`echoform.linalg.nufft`. No gradients: the two are each other's adjoint, for the caller to say so.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import finufft
import numpy as np
import torch
from torch import Tensor

from echoform.linalg.nufft import accuracy, modes_to_points, place_of_sums, points_to_modes

#: rows with fewer numbers in all than this are done on one thread
SINGLE_THREAD_SIZE = 1 << 18


def rows_to_points(modes: Tensor, points: Tensor) -> Tensor:
    """Return c of shape (..., R, M) from modes (..., R, N) and angles t (R, M) of the matching real dtype."""
    at = place_of_sums(modes)
    if at.type == "cuda":
        return torch.stack([modes_to_points(modes[..., r, :], points[r]) for r in range(points.shape[0])], -2)
    return _planned(modes.to(at), points.to(at), kind=2, count=points.shape[1]).to(modes.device)


def points_to_rows(values: Tensor, points: Tensor, count: int) -> Tensor:
    """Return f of shape (..., R, N), adjoint of :func:`rows_to_points`, from values (..., R, M) at angles t (R, M)."""
    at = place_of_sums(values)
    if at.type == "cuda":
        return torch.stack([points_to_modes(values[..., r, :], points[r], count) for r in range(points.shape[0])], -2)
    return _planned(values.to(at), points.to(at), kind=1, count=count).to(values.device)


def row_tables(points: Tensor, count: int) -> Tensor:
    """Return exp(+i n' t), (..., M, N), complex: what :func:`rows_to_points` sums over, of angles t (..., M).

    Columns come from those before them by doubling: a product each, where an exponential would cost ten.
    """
    one = torch.ones_like(points)
    table, step = torch.polar(one, -(count // 2) * points)[..., None], torch.polar(one, points)[..., None]
    while table.shape[-1] < count:
        table, step = torch.cat([table, table * step], -1), step.square()
    return table[..., :count]


def _planned(values: Tensor, points: Tensor, *, kind: int, count: int) -> Tensor:
    """Return the sums of all rows, (..., R, count), by one plan per thread."""
    lead, rows = values.shape[:-2], values.shape[-2]
    flat = values.detach().reshape(-1, *values.shape[-2:]).transpose(0, 1).resolve_conj().contiguous().numpy()
    at = points.contiguous().numpy()
    out = np.empty((rows, flat.shape[1], count), flat.dtype)

    available = 1 if max(out.size, flat.size) < SINGLE_THREAD_SIZE else torch.get_num_threads()
    workers = min(available, rows)

    def carry_out(first: int, last: int) -> None:
        """Transform the rows from first to last with one plan."""
        modes = count if kind == 1 else flat.shape[2]
        plan = finufft.Plan(
            kind,
            (modes,),
            n_trans=flat.shape[1],
            eps=accuracy(values.dtype),
            isign=-1 if kind == 1 else 1,
            dtype=str(flat.dtype),
            nthreads=max(1, available // workers),
            upsampfac=2.0,
            spread_sort=0,
        )
        for row in range(first, last):
            plan.setpts(at[row])
            # A plan for one transform takes and gives vectors, not stacks of one.
            out[row] = plan.execute(flat[row] if flat.shape[1] > 1 else flat[row, 0])

    edges = [rows * k // workers for k in range(workers + 1)]
    if workers == 1:
        carry_out(0, rows)
    else:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(carry_out, edges[:-1], edges[1:]))
    return torch.from_numpy(out).transpose(0, 1).reshape(*lead, rows, count)
