"""Centred orthonormal transforms against the sum they stand for, and circulants against a convolution."""

from __future__ import annotations

import math

import pytest
import torch

from contracts import distance, randn
from echoform.linalg.fft import circulant, fft2c, ifft2c

SIDES = [(6, 8), (5, 8), (5, 7)]


def centred_matrix(n: int) -> torch.Tensor:
    j = torch.arange(n, dtype=torch.float64) - n // 2
    return torch.exp(-2j * math.pi * j[:, None] * j[None, :] / n) / math.sqrt(n)


@pytest.mark.parametrize("shape", SIDES)
def test_centred_sum(shape: tuple[int, int]) -> None:
    x = randn((2, *shape), 1)
    expected = centred_matrix(shape[0]) @ x @ centred_matrix(shape[1])
    assert distance(fft2c(x), expected) < 1e-13


@pytest.mark.parametrize("shape", SIDES)
def test_unitary(shape: tuple[int, int]) -> None:
    x, y = randn(shape, 2), randn(shape, 3)
    assert distance(ifft2c(fft2c(x)), x) < 1e-13
    assert abs(torch.vdot(fft2c(x).flatten(), y.flatten()) - torch.vdot(x.flatten(), ifft2c(y).flatten())) < 1e-12


@pytest.mark.parametrize("shape", SIDES)
def test_a_centred_impulse_has_a_flat_spectrum(shape: tuple[int, int]) -> None:
    x = torch.zeros(shape, dtype=torch.complex128)
    x[shape[0] // 2, shape[1] // 2] = 1
    flat = torch.full(shape, 1 / math.sqrt(shape[0] * shape[1]), dtype=torch.complex128)
    assert distance(fft2c(x), flat) < 1e-13


def test_circulant_is_a_cyclic_convolution() -> None:
    kernel, x = randn((4, 5), 4), randn((4, 5), 5)
    expected = torch.zeros_like(x)
    for row in range(4):
        for column in range(5):
            expected += kernel[row, column] * torch.roll(x, (row, column), (0, 1))
    assert distance(circulant(torch.fft.fft2(kernel), x), expected) < 1e-13
