"""Non-uniform Fourier sums against the sums written out, in one and two dimensions, and their gradients."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from contracts import distance, randn
from echoform.linalg.nufft import (
    accuracy,
    image_to_samples,
    modes_to_points,
    points_to_modes,
    samples_to_image,
    toeplitz_apply_pairs,
    wrap,
)

SHAPES = [(8, 10), (7, 9), (8, 9)]
PRECISIONS = [(torch.complex128, 1e-11), (torch.complex64, 1e-5)]


def angles(count: int, dimensions: int, seed: int = 7) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(dimensions, count, generator=generator, dtype=torch.float64) - 0.5) * 2 * math.pi


def matrix(points: Tensor, shape: tuple[int, ...]) -> Tensor:
    """exp(+i points . index), (M, prod(shape)), pixel indices counted from n // 2."""
    axes = [torch.arange(n, dtype=torch.float64) - n // 2 for n in shape]
    index = torch.stack(torch.meshgrid(*axes, indexing="ij")).flatten(1)
    return torch.exp(1j * (points.T @ index))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("dtype", "bound"), PRECISIONS)
def test_two_dimensions(shape: tuple[int, int], dtype: torch.dtype, bound: float) -> None:
    points, x, c = angles(50, 2), randn((3, *shape), 1, dtype), randn((3, 50), 2, dtype)
    direct = matrix(points, shape)
    cast = points.to(dtype.to_real())
    assert distance(image_to_samples(x, cast).to(direct.dtype), x.flatten(1).to(direct.dtype) @ direct.T) < bound
    back = (c.to(direct.dtype) @ direct.conj()).reshape(3, *shape)
    assert distance(samples_to_image(c, cast, shape).to(direct.dtype), back) < bound


@pytest.mark.parametrize("count", [8, 9])
@pytest.mark.parametrize(("dtype", "bound"), PRECISIONS)
def test_one_dimension(count: int, dtype: torch.dtype, bound: float) -> None:
    points, c, f = angles(50, 1), randn((3, 50), 1, dtype), randn((3, count), 2, dtype)
    direct = matrix(points, (count,))
    cast = points[0].to(dtype.to_real())
    assert distance(points_to_modes(c, cast, count).to(direct.dtype), c.to(direct.dtype) @ direct.conj()) < bound
    assert distance(modes_to_points(f, cast).to(direct.dtype), f.to(direct.dtype) @ direct.T) < bound


def test_wrap() -> None:
    points = torch.tensor([-math.pi, 0.0, math.pi, 3.5, 100.0, -1e4], dtype=torch.float64)
    folded = wrap(points)
    assert bool(((folded >= -math.pi) & (folded < math.pi)).all())
    assert torch.allclose(torch.polar(torch.ones_like(points), points), torch.polar(torch.ones_like(points), folded))


def test_accuracy_by_precision() -> None:
    assert accuracy(torch.complex64) == 1e-6
    assert accuracy(torch.complex128) == 1e-13


def test_gradients_to_values_and_points() -> None:
    points, x = angles(6, 2).requires_grad_(), randn((2, 5, 4), 3).requires_grad_()
    c = randn((2, 6), 4).requires_grad_()
    assert torch.autograd.gradcheck(image_to_samples, (x, points))
    assert torch.autograd.gradcheck(lambda c, p: samples_to_image(c, p, (5, 4)), (c, points))
    line = points[0].detach().requires_grad_()
    assert torch.autograd.gradcheck(lambda c, p: points_to_modes(c, p, 5), (c, line))
    assert torch.autograd.gradcheck(modes_to_points, (randn((2, 5), 5).requires_grad_(), line))


def test_conjugate_views_are_resolved() -> None:
    """numpy, inside pytorch-finufft, refuses a lazily conjugated tensor: as a value and as an incoming gradient."""
    points, x = angles(20, 2), randn((5, 4), 6).requires_grad_()
    assert distance(image_to_samples(x.conj(), points), image_to_samples(x.conj().resolve_conj(), points)) == 0
    upstream = randn((20,), 7)
    (lazy,) = torch.autograd.grad(image_to_samples(x, points), x, upstream.conj())
    (plain,) = torch.autograd.grad(image_to_samples(x, points), x, upstream.conj().resolve_conj())
    assert torch.equal(lazy, plain)


@pytest.mark.parametrize("size", [(40, 30), (260, 270)])
def test_one_thread_or_a_team_give_the_same_sum(size: tuple[int, int]) -> None:
    """Sizes on both sides of SINGLE_THREAD_SIZE against one sum over a few pixels."""
    points, x = angles(9, 2), torch.zeros(size, dtype=torch.complex128)
    for row, column, value in ((0, 0, 1.0), (3, 7, -2.0j), (size[0] - 1, size[1] - 1, 0.5)):
        x[row, column] = value
    rows, columns = torch.nonzero(x, as_tuple=True)
    offsets = torch.stack([rows - size[0] // 2, columns - size[1] // 2]).double()
    expected = torch.exp(1j * (points.T @ offsets)) @ x[rows, columns]
    assert distance(image_to_samples(x, points), expected) < 1e-11


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("together", [1, 2 * 8 * 12, 6 * 8 * 12])
def test_images_transformed_together_are_those_alone(
    monkeypatch: pytest.MonkeyPatch, together: int, parts: int
) -> None:
    """One at a time, two, all: z_q = sum_q' T_qq' x_q' with T_q'q = T_qq'^H, written out over the padded spectrum."""
    monkeypatch.setattr("echoform.linalg.nufft.PAIRS_TOGETHER", together)
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(3, 2, 1, 4, 6, generator=generator, dtype=torch.complex128, requires_grad=True)
    spectra = torch.randn(parts, 6, 1, 1, 8, 12, generator=generator, dtype=torch.float64)
    place = {(0, 0): 0, (0, 1): 1, (0, 2): 2, (1, 1): 3, (1, 2): 4, (2, 2): 5}
    padded = torch.fft.fft2(x, s=(8, 12))
    z = toeplitz_apply_pairs(spectra, x)
    for q, found in enumerate(z):
        total = torch.zeros_like(padded[0])
        for p in range(3):
            pair = place[min(p, q), max(p, q)]
            sign = 0 if parts == 1 or p == q else 1 if q < p else -1
            total += torch.complex(spectra[0, pair], sign * spectra[-1, pair]) * padded[p]
        assert torch.allclose(found, torch.fft.ifft2(total)[..., :4, :6], rtol=1e-12, atol=1e-12)
    (gradient,) = torch.autograd.grad(z, x, grad_outputs=z.detach())
    assert distance(gradient, toeplitz_apply_pairs(spectra, z.detach())) < 1e-12  # the sum over pairs is Hermitian
