"""Sums at many points by Taylor series against direct sums, as adjoints, and beside the non-uniform transforms."""

import math

import pytest
import torch

from echoform.linalg.taylor_profile import (
    COARSE,
    DOUBLE,
    SINGLE,
    TaylorSeries,
    points_to_profile,
    profile_to_points,
    rounding_series,
    rows_at,
    rows_from,
)

ROWS, POINTS = 3, 400


def turns() -> torch.Tensor:
    """Some beyond one turn, in both directions."""
    return 6 * torch.rand(ROWS, POINTS, dtype=torch.float64, generator=torch.Generator().manual_seed(3)) - 3


def values(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.complex128, generator=torch.Generator().manual_seed(4))


@pytest.mark.parametrize("count", [1, 8, 9])
@pytest.mark.parametrize("lead", [(), (1,), (2, 3)])
@pytest.mark.parametrize(
    ("dtype", "series", "tolerance"),
    [(torch.complex128, DOUBLE, 1e-12), (torch.complex64, SINGLE, 1e-6), (torch.complex64, COARSE, 8e-3)],
)
def test_direct_sums(count, lead, dtype, series, tolerance) -> None:
    """Forward and adjoint against the sums written out as a matrix."""
    index = torch.arange(count, dtype=torch.float64) - count // 2
    matrix = torch.exp(2j * math.pi * turns()[..., None] * index)
    modes, samples = values(*lead, ROWS, count), values(*lead, ROWS, POINTS)
    forward, back = (
        profile_to_points(modes.to(dtype), turns(), series),
        points_to_profile(samples.to(dtype), turns(), count, series),
    )
    expected = torch.einsum("rmn,...rn->...rm", matrix, modes)
    expected_back = torch.einsum("rmn,...rm->...rn", matrix.conj(), samples)
    assert forward.dtype == back.dtype == dtype
    assert float((forward - expected).norm() / expected.norm()) < tolerance
    assert float((back - expected_back).norm() / expected_back.norm()) < tolerance


@pytest.mark.parametrize("series", [SINGLE, DOUBLE, COARSE])
@pytest.mark.parametrize("modes", [1, 16, 101])
def test_no_term_errs_by_more_than_stated(modes, series) -> None:
    """One mode at a time, the worst of them, at the worst of angles: half way between two of the table."""
    length = series.table_length(modes)
    angle = ((torch.arange(length, dtype=torch.float64) + 0.5) / length)[None]
    one = torch.zeros(1, modes, dtype=torch.complex128)
    one[:, 0] = 1
    error = (profile_to_points(one, angle, series) - torch.exp(-2j * math.pi * (modes // 2) * angle)).abs().max()
    stated = (math.pi / (2 * series.oversampling)) ** series.terms / math.factorial(series.terms)
    assert float(error) < stated + 1e-13


@pytest.mark.parametrize("series", [DOUBLE, COARSE])
@pytest.mark.parametrize("count", [7, 20])
def test_the_two_are_exact_adjoints(count, series) -> None:
    modes, samples = values(ROWS, count), values(ROWS, POINTS)
    left = torch.vdot(profile_to_points(modes, turns(), series).flatten(), samples.flatten())
    right = torch.vdot(modes.flatten(), points_to_profile(samples, turns(), count, series).flatten())
    assert abs(complex(left - right)) < 1e-13 * abs(complex(left)) + 1e-11


def test_both_forms_give_the_same_sums() -> None:
    """The table and the non-uniform transform agree within the accuracy of the series."""
    many, few = 20, 4
    assert DOUBLE.pays(few, POINTS)
    assert not DOUBLE.pays(many, POINTS)
    for count in (many, few):
        modes, samples = values(2, ROWS, count), values(2, ROWS, POINTS)
        at, back = rows_at(modes, turns(), DOUBLE), rows_from(samples, turns(), count, DOUBLE)
        assert torch.allclose(at, profile_to_points(modes, turns(), DOUBLE), rtol=1e-10, atol=1e-10)
        assert torch.allclose(back, points_to_profile(samples, turns(), count, DOUBLE), rtol=1e-10, atol=1e-10)


def test_a_short_series_takes_its_table_for_more_modes() -> None:
    """Entries of all tables are counted, four to a point: 69 modes at the pixels of a coarse image of 32 x 32 are a table's."""
    assert COARSE.pays(69, 32 * 32)
    assert not SINGLE.pays(69, 32 * 32)
    series = TaylorSeries(8, 2)
    assert [series.pays(8, points) for points in (31, 32)] == [False, True]


def test_rounding() -> None:
    assert [rounding_series(dtype) for dtype in (torch.complex64, torch.complex128)] == [SINGLE, DOUBLE]


@pytest.mark.parametrize("series", [(0, 3), (8, 0), (300, 3), (8, 17)])
def test_a_series_out_of_range_is_refused(series) -> None:
    with pytest.raises(ValueError, match="Taylor series takes"):
        TaylorSeries(*series)
