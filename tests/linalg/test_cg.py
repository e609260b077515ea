"""Conjugate gradients against a dense solve."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from contracts import distance, randn
from echoform.linalg.cg import Stopping, cg

SIZE = 24


def systems(batch: int = 3) -> tuple[Tensor, Tensor]:
    factor = randn((batch, SIZE, SIZE), 1)
    matrix = factor.mH @ factor + torch.diag_embed(torch.full((batch, SIZE), 2.0, dtype=torch.float64)).to(factor.dtype)
    return matrix, randn((batch, 4, 6), 2)


def apply(matrix: Tensor):
    return lambda x: (matrix @ x.flatten(-2)[..., None])[..., 0].reshape(x.shape)


def test_dense_solve() -> None:
    matrix, rhs = systems()
    result = cg(apply(matrix), rhs, ndim=2, stopping=Stopping(1e-12, 200))
    expected = torch.linalg.solve(matrix, rhs.flatten(1)[..., None]).reshape(rhs.shape)
    assert distance(result.solution, expected) < 1e-9
    assert float(result.residuals[-1].max()) <= 1e-12


def test_start_at_the_solution_takes_no_step() -> None:
    matrix, rhs = systems()
    solution = torch.linalg.solve(matrix, rhs.flatten(1)[..., None]).reshape(rhs.shape)
    result = cg(apply(matrix), rhs, ndim=2, start=solution, stopping=Stopping(1e-8))
    assert result.iterations == 0
    assert torch.equal(result.solution, solution)
    assert result.residuals.shape == (1, 3)


def test_a_converged_sample_stands_still_while_others_go_on() -> None:
    """One sample starts solved, one has the right-hand side zero, one has everything to do."""
    matrix, rhs = systems()
    rhs[1] = 0
    start = torch.zeros_like(rhs)
    start[0] = torch.linalg.solve(matrix[0], rhs[0].flatten()[:, None]).reshape(rhs[0].shape)
    result = cg(apply(matrix), rhs, ndim=2, start=start, stopping=Stopping(1e-10, 200))
    assert torch.equal(result.solution[0], start[0])
    assert float(result.solution[1].abs().max()) == 0.0
    expected = torch.linalg.solve(matrix[2], rhs[2].flatten()[:, None]).reshape(rhs[2].shape)
    assert distance(result.solution[2], expected) < 1e-8
    assert bool(torch.isfinite(result.residuals).all())


def test_batch_is_a_loop() -> None:
    matrix, rhs = systems()
    together = cg(apply(matrix), rhs, ndim=2, stopping=Stopping(1e-9, 200))
    for i in range(3):
        alone = cg(apply(matrix[i : i + 1]), rhs[i : i + 1], ndim=2, stopping=Stopping(1e-9, 200))
        assert distance(together.solution[i : i + 1], alone.solution) < 1e-10
        assert torch.allclose(together.residuals[:8, i], alone.residuals[:8, 0], rtol=1e-9)


def test_history_holds_the_true_residuals() -> None:
    matrix, rhs = systems()
    for steps in (0, 1, 5):
        result = cg(apply(matrix), rhs, ndim=2, stopping=Stopping(0.0, steps))
        residual = rhs - apply(matrix)(result.solution)
        true = residual.flatten(1).norm(dim=1) / rhs.flatten(1).norm(dim=1)
        assert result.iterations == steps
        assert result.residuals.shape == (steps + 1, 3)
        assert torch.allclose(result.residuals[-1], true, rtol=1e-8)
    assert torch.allclose(result.residuals[0], torch.ones(3, dtype=torch.float64))


def test_steps_never_exceed_the_distinct_eigenvalues() -> None:
    """In exact arithmetic CG ends after as many steps as there are distinct eigenvalues."""
    values = torch.tensor([1.0, 3.0, 10.0], dtype=torch.float64).repeat(8)
    result = cg(lambda x: values * x, randn((2, SIZE), 3), ndim=1, stopping=Stopping(1e-10, 50))
    assert result.iterations == 3


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64])
def test_single_precision_and_real(dtype: torch.dtype) -> None:
    values = torch.linspace(1, 4, SIZE)
    rhs = randn((2, SIZE), 4, dtype)
    result = cg(lambda x: values * x, rhs, ndim=1, stopping=Stopping(1e-5))
    assert result.solution.dtype == dtype
    assert distance(result.solution, rhs / values) < 3e-5


def test_gradient_of_the_solution() -> None:
    values = torch.linspace(1, 4, 6, dtype=torch.float64)
    rhs = randn((1, 6), 5).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda b: cg(lambda x: values * x, b, ndim=1, stopping=Stopping(0.0, 4)).solution, (rhs,)
    )


@pytest.mark.parametrize("spread", [1e-2, 1e-5, 1e-8])
def test_steps_beyond_convergence_leave_the_gradient_what_it_is(spread: float) -> None:
    """A system near the identity is solved in two steps; the six after it, of residuals that underflow, must not spoil b / N."""
    values = 1 + spread * torch.linspace(0, 1, SIZE)
    rhs = randn((2, SIZE), 6, torch.complex64).requires_grad_()
    values.requires_grad_()
    solution = cg(lambda x: values * x, rhs, ndim=1, stopping=Stopping(0.0, 8)).solution
    solution.abs().square().sum().backward()
    assert rhs.grad is not None
    assert values.grad is not None
    assert torch.allclose(rhs.grad, 2 * rhs.detach() / values.detach().square(), rtol=1e-4)
    expected = -2 * rhs.detach().abs().square().sum(0) / values.detach() ** 3
    assert torch.allclose(values.grad, expected, rtol=1e-3)


@pytest.mark.parametrize("unit", [1e-18, 1e-6, 1e12])
def test_the_unit_does_not_matter_in_single_precision(unit: float) -> None:
    """Without its own scale |b|^2 would leave the range of single precision at 1e-18 and 1e12 of the fields alike."""
    matrix, rhs = systems()
    matrix, rhs = matrix.to(torch.complex64), rhs.to(torch.complex64)
    found = cg(apply(matrix), unit * rhs, ndim=2, stopping=Stopping(1e-6, 200)).solution / unit
    assert distance(found, cg(apply(matrix), rhs, ndim=2, stopping=Stopping(1e-6, 200)).solution) < 1e-5


@pytest.mark.parametrize("weight", [1e-8, 1e-10])
@pytest.mark.parametrize("margin", [16, 64])
def test_rounding_is_not_solved_for_where_the_matrix_sees_nothing(weight: float, margin: int) -> None:
    """N = P M P + w of two projections, b = P M x: the solution is no larger than x, while rounding in b over w is."""
    size = 256
    keep = torch.rand(size, generator=torch.Generator().manual_seed(1)) < 0.5
    inside = torch.arange(size) < size - margin

    def seen(x: Tensor) -> Tensor:
        return inside * torch.fft.ifft(keep * torch.fft.fft(inside * x))

    x = inside * randn((1, size), 5).to(torch.complex64)
    found = cg(lambda v: seen(v) + weight * v, seen(x), ndim=1, stopping=Stopping(0.0, 60)).solution
    assert 0.5 < float(found.norm() / x.norm()) < 1.0
