"""Sums at many points by Taylor series against direct sums, as adjoints, and beside the non-uniform transforms."""

import math

import pytest
import torch

from echoform.linalg.taylor_profile import (
    points_to_profile,
    profile_to_points,
    rows_at,
    rows_from,
    table_length,
)

ROWS, POINTS = 3, 400


def turns() -> torch.Tensor:
    """Some beyond one turn, in both directions."""
    return 6 * torch.rand(ROWS, POINTS, dtype=torch.float64, generator=torch.Generator().manual_seed(3)) - 3


def values(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.complex128, generator=torch.Generator().manual_seed(4))


@pytest.mark.parametrize("count", [1, 8, 9])
@pytest.mark.parametrize("lead", [(), (1,), (2, 3)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.complex128, 1e-12), (torch.complex64, 1e-6)])
def test_direct_sums(count, lead, dtype, tolerance) -> None:
    index = torch.arange(count, dtype=torch.float64) - count // 2
    matrix = torch.exp(2j * math.pi * turns()[..., None] * index)
    modes, samples = values(*lead, ROWS, count), values(*lead, ROWS, POINTS)
    forward, back = (
        profile_to_points(modes.to(dtype), turns()),
        points_to_profile(samples.to(dtype), turns(), count),
    )
    expected = torch.einsum("rmn,...rn->...rm", matrix, modes)
    expected_back = torch.einsum("rmn,...rm->...rn", matrix.conj(), samples)
    assert forward.dtype == back.dtype == dtype
    assert float((forward - expected).norm() / expected.norm()) < tolerance
    assert float((back - expected_back).norm() / expected_back.norm()) < tolerance


@pytest.mark.parametrize("count", [7, 20])
def test_the_two_are_exact_adjoints(count) -> None:
    modes, samples = values(ROWS, count), values(ROWS, POINTS)
    left = torch.vdot(profile_to_points(modes, turns()).flatten(), samples.flatten())
    right = torch.vdot(modes.flatten(), points_to_profile(samples, turns(), count).flatten())
    assert abs(complex(left - right)) < 1e-13 * abs(complex(left)) + 1e-11


def test_both_forms_give_the_same_sums() -> None:
    few, many = 20, 8
    assert table_length(few) > POINTS >= table_length(many)
    for count in (few, many):
        modes, samples = values(2, ROWS, count), values(2, ROWS, POINTS)
        assert torch.allclose(rows_at(modes, turns()), profile_to_points(modes, turns()), rtol=1e-10, atol=1e-10)
        back = points_to_profile(samples, turns(), count)
        assert torch.allclose(rows_from(samples, turns(), count), back, rtol=1e-10, atol=1e-10)
