"""Blur against SciPy's convolutions and against deepinv's: the same kernel origin, borders and closed prox."""

from __future__ import annotations

import pytest
import torch
from scipy.ndimage import convolve
from scipy.signal import convolve2d
from torch import Tensor

from contracts import distance
from echoform.physics.compositions import GalerkinOperator
from echoform.physics.convolution import circular_blur, valid_blur
from echoform.physics.deepinv_bridge import from_deepinv

SHAPE = (3, 20, 18)
EXACT = 1e-12


def drawn(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.rand(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("size", [(3, 3), (4, 5), (1, 2)])
def test_valid_blur_is_scipys(size: tuple[int, int]) -> None:
    kernel, x = drawn(2, 3, *size), drawn(2, *SHAPE, seed=1)
    y = valid_blur(kernel, SHAPE)(x)
    for b in range(2):
        for c in range(3):
            expected = convolve2d(x[b, c].numpy(), kernel[b, c].numpy(), mode="valid")
            assert distance(y[b, c], torch.from_numpy(expected)) < EXACT


@pytest.mark.parametrize("size", [(3, 5), (7, 1)])
def test_circular_blur_is_scipys(size: tuple[int, int]) -> None:
    kernel, x = drawn(1, 1, *size), drawn(2, *SHAPE, seed=1)
    expected = convolve(x.numpy(), kernel.numpy(), mode="wrap")
    assert distance(circular_blur(kernel, SHAPE)(x), torch.from_numpy(expected)) < EXACT


def test_a_kernel_larger_than_the_image_wraps_around() -> None:
    kernel, x = drawn(1, 1, 9, 11), drawn(1, 1, 4, 6, seed=1)
    wide = circular_blur(kernel, (1, 12, 12))(x.repeat(1, 1, 3, 2))
    assert distance(circular_blur(kernel, (1, 4, 6))(x), wide[..., :4, :6]) < EXACT
    with pytest.raises(ValueError, match="leaves nothing"):
        valid_blur(kernel, (1, 4, 12))


def test_complex_images_are_blurred_part_by_part() -> None:
    kernel, x = drawn(1, 1, 3, 4), torch.complex(drawn(2, *SHAPE, seed=1), drawn(2, *SHAPE, seed=2))
    y = circular_blur(kernel, SHAPE, complex_image=True)(x)
    real = circular_blur(kernel, SHAPE)
    assert real.dtype == torch.float64
    assert distance(y, torch.complex(real(x.real), real(x.imag))) < EXACT


@pytest.mark.parametrize("factor", [2, 4])
def test_coarse_real_images_and_their_gradients(factor: int) -> None:
    fine = circular_blur(drawn(1, 3, 5, 4), (3, 16, 24))
    coarse, galerkin = fine.coarsen(factor), GalerkinOperator(fine, factor)
    x, y = drawn(2, *coarse.domain_shape, seed=1), drawn(2, *fine.range_shape, seed=2)
    assert distance(coarse(x), galerkin(x)) < EXACT
    assert distance(coarse.adjoint(y), galerkin.adjoint(y)) < EXACT
    assert distance(coarse.normal(x), galerkin.normal(x)) < EXACT
    again = fine.coarsen(2).coarsen(2) if factor == 4 else coarse
    assert again.domain_shape == coarse.domain_shape
    assert torch.autograd.gradcheck(coarse.forward, (x.requires_grad_(),), fast_mode=True)
    assert torch.autograd.gradcheck(coarse.adjoint, (y.requires_grad_(),), fast_mode=True)
    assert torch.autograd.gradcheck(coarse.normal, (x,), fast_mode=True)


def test_gradients_reach_the_kernel() -> None:
    kernel, x = drawn(1, 1, 3, 3).requires_grad_(), drawn(1, *SHAPE, seed=1)
    assert torch.autograd.gradcheck(lambda k: valid_blur(k, SHAPE)(x), (kernel,), fast_mode=True)


def test_prox_of_a_weak_prior_is_free_of_the_rounding_of_unseen_frequencies() -> None:
    """Single precision against double where |H| falls to 1e-9 and w is 1e-6: A^H y made first would err by eps / w."""
    place = torch.arange(31, dtype=torch.float64) - 15
    taps = torch.exp(-place.square() / 18)
    kernel = (taps[:, None] * taps)[None, None] / taps.sum() ** 2
    x, weight = drawn(1, 1, 64, 64, seed=1), torch.tensor([1e-6], dtype=torch.float64)
    wide = circular_blur(kernel, (1, 64, 64))
    single = circular_blur(kernel.float(), (1, 64, 64))
    y = wide(x).float()
    expected = wide.prox(y.double(), torch.zeros_like(x), weight)
    found = single.prox(y, torch.zeros(1, 1, 64, 64), weight.float())
    assert distance(found.double(), expected) < 2e-4
    detour = single.prox_from_backprojection(single.adjoint(y), torch.zeros(1, 1, 64, 64), weight.float())
    assert distance(detour.double(), expected) > 2e-3


@pytest.mark.parametrize("size", [(5, 5), (4, 6)])
@pytest.mark.parametrize("padding", ["valid", "circular", "FFT"])
def test_deepinv_blurs_alike(size: tuple[int, int], padding: str) -> None:
    physics = pytest.importorskip("deepinv", reason="deepinv is not installed: pip install 'echoform[deepinv]'").physics
    kernel, x = drawn(1, 1, *size), drawn(2, *SHAPE, seed=1)
    ours = valid_blur(kernel, SHAPE) if padding == "valid" else circular_blur(kernel, SHAPE)
    model = physics.BlurFFT(SHAPE, filter=kernel) if padding == "FFT" else physics.Blur(kernel, padding=padding)
    theirs = from_deepinv(model, SHAPE, dtype=torch.float64)
    y = drawn(2, *ours.range_shape, seed=2)
    assert theirs.range_shape == ours.range_shape
    assert distance(ours(x), theirs(x)) < EXACT
    assert distance(ours.adjoint(y), theirs.adjoint(y)) < EXACT
    if padding == "FFT":
        expected = model.prox_l2(x, y, gamma=3.0)
        assert distance(ours.prox(y, x, torch.tensor([1 / 3], dtype=torch.float64)), expected) < 1e-6
