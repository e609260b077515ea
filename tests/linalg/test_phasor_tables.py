"""Sums by tables of phasors against direct sums in complex128: made for one pass, held for many, and left to a Taylor series."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from contracts import distance, randn
from echoform.linalg.phasor_tables import (
    CHUNK,
    FEWEST_VALUES,
    MOST_MODES,
    PhasorTables,
    can_be_held,
    conjugate_row_sums,
    held_tables,
    phasor_tables,
    row_sums,
    split,
)
from echoform.linalg.taylor_profile import DOUBLE

ROWS, POINTS = 3, 50
#: one value; fewer than tables made for one pass need; as many; several axes
LEADS = [(), (1,), (FEWEST_VALUES - 1,), (FEWEST_VALUES,), (3, 5)]


def turns(rows: int = ROWS, points: int = POINTS) -> Tensor:
    """Thousands of turns, in both directions, as paths of kilometres give."""
    return 6e3 * torch.rand(rows, points, dtype=torch.float64, generator=torch.Generator().manual_seed(3)) - 3e3


def direct(start: Tensor, turned: Tensor, modes: int) -> Tensor:
    """Return e_rm exp(-i n' t_rm), (R, N, M)."""
    index = torch.arange(modes, dtype=torch.float64)[:, None] - modes // 2
    phase = -index * turned[:, None]
    return start[:, None] * torch.exp(2j * math.pi * (phase - phase.round()))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.complex128, 1e-10), (torch.complex64, 4e-7)])
@pytest.mark.parametrize("modes", [1, 2, 7, 16, 45])
@pytest.mark.parametrize("lead", LEADS)
def test_direct_sums(lead, modes, dtype, tolerance) -> None:
    """Each form, both ways: every number of values meets both branches of the tables as the modes grow.

    Without tables a non-uniform transform takes angles in single precision, off by n' times their rounding.
    """
    start, values, rows = randn((ROWS, POINTS), 1), randn((*lead, POINTS), 2), randn((*lead, ROWS, modes), 4)
    matrix = direct(start, turns(), modes)
    expected = torch.einsum("rnm,...m->...rn", matrix, values)
    expected_back = torch.einsum("rnm,...rn->...m", matrix.conj(), rows)
    start, values, rows = (v.to(dtype) for v in (start, values, rows))
    tables = phasor_tables(start, turns(), modes)
    found, found_back = tables.sums(values), tables.conjugate_sums(rows)
    assert found.dtype == found_back.dtype == dtype
    assert distance(found, expected) < tolerance
    assert distance(found_back, expected_back) < tolerance
    looser = tolerance if math.prod(lead) >= FEWEST_VALUES else 10 * tolerance
    assert distance(row_sums(values, start, turns(), modes, DOUBLE), expected) < looser
    assert distance(conjugate_row_sums(rows, start, turns(), DOUBLE), expected_back) < looser


def test_the_two_are_exact_adjoints() -> None:
    for count, modes in ((1, 20), (2, 20), (9, 20), (9, MOST_MODES + 1)):
        start, values, rows = randn((ROWS, POINTS), 1), randn((count, POINTS), 2), randn((count, ROWS, modes), 4)
        left = torch.vdot(row_sums(values, start, turns(), modes, DOUBLE).flatten(), rows.flatten())
        right = torch.vdot(values.flatten(), conjugate_row_sums(rows, start, turns(), DOUBLE).flatten())
        assert abs(complex(left - right)) < 1e-12 * float(values.norm() * rows.norm()) * math.sqrt(ROWS * modes)


def test_more_rows_than_the_cache_holds_are_taken_in_parts() -> None:
    """The parts meet: so many rows that tables and their products are made several times, the last of them a short one."""
    modes, points, rows = 30, 900, 53
    assert rows * sum(split(modes)) * points > 2 * CHUNK
    start, angles = randn((rows, points), 1), turns(rows, points)
    values, samples = randn((FEWEST_VALUES, points), 2), randn((FEWEST_VALUES, rows, modes), 4)
    matrix = direct(start, angles, modes)
    expected = torch.einsum("rnm,bm->brn", matrix, values)
    expected_back = torch.einsum("rnm,brn->bm", matrix.conj(), samples)
    held = held_tables([(start[:20], angles[:20]), (start[20:], angles[20:])], modes)
    assert held.near.shape[0] == held.far.shape[0] == rows
    for forward, back in (
        (row_sums(values, start, angles, modes, DOUBLE), conjugate_row_sums(samples, start, angles, DOUBLE)),
        (held.sums(values), held.conjugate_sums(samples)),
    ):
        assert distance(forward, expected) < 1e-10
        assert distance(back, expected_back) < 1e-10


def test_the_two_tables_hold_all_modes_and_are_short() -> None:
    for modes in range(1, 300):
        length, groups = split(modes)
        assert length * groups >= modes
        assert length * (groups - 1) < modes  # no empty group
        assert max(length, groups) <= math.sqrt(modes) + 1
    tables = phasor_tables(randn((ROWS, POINTS), 1), turns(), 10)
    assert tables.near.shape == (ROWS, 4, POINTS)
    assert tables.far.shape == (ROWS, 3, POINTS)
    assert can_be_held(100, 64, 10_000)
    assert not can_be_held(1000, 64, 10_000)


@pytest.mark.parametrize("count", [1, 9])
def test_gradients_of_values_are_the_adjoint(count) -> None:
    """Through tables that are held, in one product a row and multiplied out."""
    tables: PhasorTables = phasor_tables(randn((2, 6), 1), turns(2, 6), 5)
    values, rows = randn((count, 6), 2).requires_grad_(), randn((count, 2, 5), 4).requires_grad_()
    assert torch.autograd.gradcheck(tables.sums, (values,))
    assert torch.autograd.gradcheck(tables.conjugate_sums, (rows,))
