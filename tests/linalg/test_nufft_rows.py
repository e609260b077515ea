"""Rows of one-dimensional sums against the direct sums, each row at its own angles."""

import math

import pytest
import torch

from echoform.linalg.nufft_rows import points_to_rows, row_tables, rows_to_points

ROWS, POINTS = 5, 13


def angles() -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return (torch.rand(ROWS, POINTS, dtype=torch.float64, generator=generator) - 0.5) * 2 * math.pi


def values(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.complex128, generator=torch.Generator().manual_seed(4))


def matrices(count: int) -> torch.Tensor:
    """exp(+i n' t), (R, M, N)."""
    index = torch.arange(count, dtype=torch.float64) - count // 2
    return torch.exp(1j * angles()[..., None] * index)


@pytest.mark.parametrize("count", [1, 8, 9])
@pytest.mark.parametrize("lead", [(), (1,), (2, 3)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.complex128, 1e-11), (torch.complex64, 1e-5)])
def test_direct_sums(count, lead, dtype, tolerance) -> None:
    matrix, points = matrices(count), angles().to(dtype.to_real())
    modes, samples = values(*lead, ROWS, count), values(*lead, ROWS, POINTS)
    forward = rows_to_points(modes.to(dtype), points)
    back = points_to_rows(samples.to(dtype), points, count)
    expected = torch.einsum("rmn,...rn->...rm", matrix, modes)
    expected_back = torch.einsum("rmn,...rm->...rn", matrix.conj(), samples)
    assert forward.dtype == back.dtype == dtype
    assert float((forward - expected).norm() / expected.norm()) < tolerance
    assert float((back - expected_back).norm() / expected_back.norm()) < tolerance


@pytest.mark.parametrize("count", [1, 8, 9, 64])
def test_tables(count) -> None:
    assert float((row_tables(angles(), count) - matrices(count)).abs().max()) < 1e-13


def test_several_threads_and_views_change_nothing(monkeypatch) -> None:
    modes = values(2, 7, ROWS).mT.conj()
    expected = rows_to_points(modes.resolve_conj().contiguous(), angles())
    monkeypatch.setattr("echoform.linalg.nufft_rows.SINGLE_THREAD_SIZE", 0)
    monkeypatch.setattr("torch.get_num_threads", lambda: 3)
    assert torch.equal(rows_to_points(modes, angles()), expected)
