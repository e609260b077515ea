"""Conjugate orthogonal conjugate residuals against a dense solve."""

from __future__ import annotations

import torch
from torch import Tensor

from contracts import distance, randn
from echoform.linalg.cg import Stopping
from echoform.linalg.cocr import cocr

SIZE = 24


def systems() -> tuple[Tensor, Tensor]:
    """Complex symmetric matrices, neither Hermitian nor definite, and right-hand sides; the last is zero."""
    factor = randn((3, SIZE, SIZE), 1)
    rhs = randn((3, 4, 6), 2)
    rhs[2] = 0
    return 0.3 * (factor + factor.mT) + torch.diag_embed(torch.full((3, SIZE), 2.0 - 1j)), rhs


def apply(matrix: Tensor):
    return lambda x: (matrix @ x.flatten(-2)[..., None])[..., 0].reshape(x.shape)


def test_dense_solve() -> None:
    """Every sample to its tolerance, by its own number of steps; what it states as its residual is so."""
    matrix, rhs = systems()
    result = cocr(apply(matrix), rhs, ndim=2, stopping=Stopping(1e-11, 200))
    expected = torch.linalg.solve(matrix, rhs.flatten(1)[..., None]).reshape(rhs.shape)
    assert distance(result.solution, expected) < 1e-8
    assert float(result.residuals[-1].max()) <= 1e-11
    assert distance(apply(matrix)(result.solution), rhs) < 1e-10
    assert result.residuals.shape == (result.iterations + 1, 3)
    assert float(result.solution[2].abs().max()) == 0


def test_too_few_steps_show_in_the_residual() -> None:
    matrix, rhs = systems()
    result = cocr(apply(matrix), rhs, ndim=2, stopping=Stopping(1e-10, 3))
    assert result.iterations == 3
    left = (rhs - apply(matrix)(result.solution)).flatten(1).norm(dim=1)[:2] / rhs.flatten(1).norm(dim=1)[:2]
    assert torch.allclose(result.residuals[-1, :2], left, rtol=1e-10)
    assert float(left.max()) > 1e-3


def test_a_breakdown_ends_the_steps() -> None:
    """q^T q = 0 for q = A b = (1, i): no step can be taken, and the residual says so."""
    matrix, rhs = torch.eye(2, dtype=torch.complex128), torch.tensor([1, 1j], dtype=torch.complex128)
    result = cocr(lambda x: matrix @ x, rhs, ndim=1, stopping=Stopping(1e-10, 50))
    assert result.iterations == 0
    assert float(result.residuals[-1]) == 1
