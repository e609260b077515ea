"""The Toeplitz form of A^H W A against the dense product."""

from __future__ import annotations

import pytest
import torch
from test_nufft import angles, matrix

from contracts import distance, randn
from echoform.linalg.nufft import toeplitz_apply
from echoform.linalg.resample import transfer
from echoform.linalg.toeplitz_lags import ToeplitzLags, toeplitz_lags
from echoform.linalg.toeplitz_norm import toeplitz_norm


def lags(weights: torch.Tensor, points: torch.Tensor, shape: tuple[int, int], *, eps: float = 1e-13) -> ToeplitzLags:
    return toeplitz_lags(weights[None], points[None], shape, factor=4, eps=eps, dtype=torch.float64)


def toeplitz_spectrum(
    weights: torch.Tensor, points: torch.Tensor, shape: tuple[int, int], *, eps: float
) -> torch.Tensor:
    return lags(weights, points, shape, eps=eps).spectrum()[0]


@pytest.mark.parametrize("shape", [(8, 10), (7, 9), (8, 9), (1, 6)])
def test_dense_product(shape: tuple[int, int]) -> None:
    """Against A^H A written out as a matrix."""
    points, weights = angles(40, 2), torch.rand(40, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    direct = matrix(points, shape)
    gram = direct.mH @ (weights[:, None] * direct)
    x = randn((2, 3, *shape), 1)
    spectrum = toeplitz_spectrum(weights, points, shape, eps=1e-13)
    assert spectrum.dtype == torch.float64
    assert spectrum.shape == (2 * shape[0], 2 * shape[1])
    expected = (x.flatten(-2) @ gram.T).reshape(x.shape)
    assert distance(toeplitz_apply(spectrum, x), expected) < 1e-11


def test_hermitian_and_positive() -> None:
    """<x, N y> = <N x, y>, and <x, N x> is |A x|^2, not negative."""
    shape, weights, points = (6, 5), torch.ones(30, dtype=torch.float64), angles(30, 2)
    spectrum = toeplitz_spectrum(weights, points, shape, eps=1e-13)
    x, z = randn(shape, 2), randn(shape, 3)
    left, right = (
        torch.vdot(toeplitz_apply(spectrum, x).flatten(), z.flatten()),
        torch.vdot(x.flatten(), toeplitz_apply(spectrum, z).flatten()),
    )
    assert abs(left - right) < 1e-10 * abs(left)
    assert torch.vdot(x.flatten(), toeplitz_apply(spectrum, x).flatten()).real > 0


def test_accuracy_asked_for_is_reached() -> None:
    shape, weights, points = (16, 16), torch.ones(200, dtype=torch.float64), angles(200, 2)
    fine = toeplitz_spectrum(weights, points, shape, eps=1e-13)
    coarse = toeplitz_spectrum(weights, points, shape, eps=1e-6)
    assert 0 < distance(coarse, fine) < 1e-5


def test_one_kernel_per_sensor() -> None:
    shape, x = (6, 5), randn((2, 1, 6, 5), 4)
    weights = torch.ones(30, dtype=torch.float64)
    kernels = torch.stack([toeplitz_spectrum(weights, angles(30, 2, seed), shape, eps=1e-13) for seed in (1, 2)])
    together = toeplitz_apply(kernels[:, None], x)
    for i in range(2):
        assert distance(together[i], toeplitz_apply(kernels[i], x[i])) < 1e-13


@pytest.mark.parametrize("own", [(3, 1), (1, 1), (3, 2)])
@pytest.mark.parametrize("together", [1, 4 * 6 * 5 * 2, 4 * 6 * 5 * 7])
def test_images_cut_into_parts_are_those_alone(
    monkeypatch: pytest.MonkeyPatch, together: int, own: tuple[int, int]
) -> None:
    """One, two or seven images at a time of 2 x 3 x 2; a kernel for all, for each sensor or for each image of it."""
    x, generator = randn((2, 3, 2, 6, 5), 4), torch.Generator().manual_seed(6)
    spectrum = torch.rand(*own, 12, 10, dtype=torch.float64, generator=generator)
    whole = toeplitz_apply(spectrum, x)
    monkeypatch.setattr("echoform.linalg.nufft.TOGETHER", together)
    assert distance(toeplitz_apply(spectrum, x), whole) < 1e-14


def test_samples_of_weight_zero_and_sensors_without_any() -> None:
    shape, points = (6, 8), torch.stack([angles(30, 2, seed) for seed in (1, 2, 3)])
    weights = torch.rand(3, 30, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    weights[0, ::2] = 0
    weights[1] = 0
    found = toeplitz_lags(weights, points, shape, factor=1, eps=1e-13, dtype=torch.float64).spectrum()
    assert distance(found[0], toeplitz_spectrum(weights[0, 1::2], points[0, :, 1::2], shape, eps=1e-13)) < 1e-12
    assert float(found[1].abs().max()) == 0


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_coarse_lags_are_those_of_samples_weighted_by_the_response(factor: int) -> None:
    """Against the dense Gram matrix of the coarse grid, each sample weighted by the square of U_s's response at it."""
    shape = (16, 24)
    points, weights = angles(80, 2), torch.rand(80, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    if factor == 1:
        response, found = torch.ones_like(weights), lags(weights, points, shape).spectrum()
    else:
        response = transfer(factor, points[0]) * transfer(factor, points[1])
        found = lags(weights, points, shape).coarse_spectrum(factor)
    coarse = (shape[0] // factor, shape[1] // factor)
    direct = matrix(factor * points, coarse)
    gram = direct.mH @ ((weights * response.square())[:, None] * direct)
    x = randn(coarse, 6)
    assert distance(toeplitz_apply(found[0], x), (gram @ x.flatten()).reshape(coarse)) < 1e-11


def test_points_that_are_learned_have_gradients() -> None:
    points, weights = angles(20, 2).requires_grad_(), torch.ones(20, dtype=torch.float64)
    power = randn((12, 12), 7).real

    def seen(at: torch.Tensor) -> torch.Tensor:
        found = toeplitz_lags(weights[None], at[None], (6, 6), factor=1, eps=1e-13, dtype=torch.float64)
        return (found.spectrum()[0] * power).sum()

    assert torch.autograd.gradcheck(seen, (points,), atol=1e-6)


@pytest.mark.parametrize("shape", [(16, 16), (15, 16), (15, 17), (16, 10), (10, 15)])
def test_largest_eigenvalue_of_dense_products(shape: tuple[int, int]) -> None:
    """Crowded samples, where some lie close together: eigenvalues far apart, and a comb, whose largest ones are many."""
    crowded = torch.cat([angles(60, 2), 0.1 * angles(40, 2, 5)], 1)
    steps = torch.arange(-3, 4, dtype=torch.float64) * 0.9
    comb = torch.stack(torch.meshgrid(steps, steps, indexing="ij")).flatten(1)
    for points in (crowded, comb):
        weights = torch.ones(points.shape[1], dtype=torch.float64)
        direct = matrix(points, shape)
        expected = torch.linalg.matrix_norm(direct, ord=2).square()
        found = toeplitz_norm(toeplitz_spectrum(weights, points, shape, eps=1e-13)[None], tolerance=1e-6)
        assert found.shape == (1,)
        assert abs(float(found[0] / expected) - 1) < 1e-5
        rough = toeplitz_norm(toeplitz_spectrum(weights, points, shape, eps=1e-13)[None], tolerance=1.5e-2)
        assert 1 - 5e-3 < float(rough[0] / expected) < 1.015


def test_norm_of_no_samples_is_zero() -> None:
    assert float(toeplitz_norm(torch.zeros(1, 12, 12), tolerance=1e-2)) == 0
