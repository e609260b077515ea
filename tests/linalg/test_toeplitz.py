"""The Toeplitz form of A^H W A against the dense product."""

from __future__ import annotations

import pytest
import torch
from test_nufft import angles, matrix

from contracts import distance, randn
from echoform.linalg.nufft import toeplitz_apply, toeplitz_spectrum


@pytest.mark.parametrize("shape", [(8, 10), (7, 9), (8, 9), (1, 6)])
def test_dense_product(shape: tuple[int, int]) -> None:
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
