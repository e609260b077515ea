"""The Kaiser-sinc resampling: its filter, its two directions, where its pixels stand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.signal
import torch

from contracts import distance, randn
from echoform.linalg.resample import (
    COARSE_ORIGIN,
    downsample,
    kaiser_sinc,
    resampling_gram,
    transfer,
    upsample,
    upsampling_matrix,
)

FACTORS = [2, 4, 8]


@pytest.mark.parametrize("factor", FACTORS)
def test_filter_sums_to_one_and_is_symmetric(factor: int) -> None:
    taps = kaiser_sinc(factor)
    assert len(taps) == 4 * factor
    assert abs(taps.sum() - 1) < 1e-14
    assert np.allclose(taps, taps[::-1], atol=1e-15)


@pytest.mark.parametrize("factor", FACTORS)
def test_filter_is_the_windowed_sinc_of_scipy(factor: int) -> None:
    """The same low pass designed by scipy from the transition width 2 (2 - sqrt 2) / factor."""
    width = 2 * (2 - math.sqrt(2)) / factor
    attenuation = 2.285 * (4 * factor - 1) * math.pi * width + 7.95
    beta = scipy.signal.kaiser_beta(attenuation)
    expected = scipy.signal.firwin(4 * factor, 1 / factor, window=("kaiser", beta), scale=True)
    assert np.allclose(kaiser_sinc(factor), expected, atol=1e-12)


@pytest.mark.parametrize("factor", FACTORS)
def test_upsampling_is_the_transpose(factor: int) -> None:
    fine, coarse = randn((2, 1, 32, 48), 1), randn((2, 1, 32 // factor, 48 // factor), 2)
    left = torch.vdot(downsample(fine, factor).flatten(), coarse.flatten())
    right = torch.vdot(fine.flatten(), upsample(coarse, factor).flatten())
    assert abs(left - right) < 1e-12 * abs(left)


@pytest.mark.parametrize("factor", FACTORS)
def test_downsampling_is_a_circular_convolution_and_decimation(factor: int) -> None:
    x, taps = randn((5 * factor,), 3).real, kaiser_sinc(factor)
    n = x.numel()
    expected = [
        sum(taps[k] * float(x[(factor * m + k - 2 * factor + 1) % n]) for k in range(4 * factor)) for m in range(5)
    ]
    square = x[:, None].expand(n, n)
    assert torch.allclose(downsample(square, factor)[:, 0], torch.tensor(expected, dtype=torch.float64), atol=1e-12)


@pytest.mark.parametrize("factor", FACTORS)
def test_constants_stay_constant(factor: int) -> None:
    ones = torch.ones(1, 1, 32, 32, dtype=torch.float64)
    assert torch.allclose(downsample(ones, factor), torch.ones(1, 1, 32 // factor, 32 // factor, dtype=torch.float64))


@pytest.mark.parametrize("factor", FACTORS)
def test_coarse_pixels_stand_half_a_fine_pixel_past_a_multiple(factor: int) -> None:
    """A unit coarse pixel m spreads symmetrically about the fine position s m + COARSE_ORIGIN."""
    coarse = torch.zeros(1, 1, 12, 12, dtype=torch.float64)
    coarse[..., 5, 7] = 1
    fine = upsample(coarse, factor)[0, 0]
    rows = torch.arange(12 * factor, dtype=torch.float64)
    assert abs(float((fine.sum(1) * rows).sum() / fine.sum()) - (5 * factor + COARSE_ORIGIN)) < 1e-12
    assert abs(float((fine.sum(0) * rows).sum() / fine.sum()) - (7 * factor + COARSE_ORIGIN)) < 1e-12


@pytest.mark.parametrize("factor", FACTORS)
def test_transfer_is_the_filter_response_about_the_coarse_pixel(factor: int) -> None:
    frequency = torch.linspace(-math.pi, math.pi, 33, dtype=torch.float64)
    offsets = torch.arange(4 * factor) - 2 * factor + 1 - COARSE_ORIGIN
    taps = torch.from_numpy(kaiser_sinc(factor))
    expected = (taps * torch.exp(1j * frequency[:, None] * offsets)).sum(1)
    assert float(expected.imag.abs().max()) < 1e-12
    assert torch.allclose(transfer(factor, frequency), expected.real, atol=1e-12)


def test_factor_one_changes_nothing() -> None:
    x = randn((1, 1, 5, 7), 4)
    assert torch.equal(downsample(x, 1), x)
    assert torch.equal(upsample(x, 1), x)


def test_sides_that_are_no_multiple_are_refused() -> None:
    with pytest.raises(ValueError, match="not a multiple"):
        downsample(randn((1, 1, 6, 8), 5), 4)


def test_complex_is_real_and_imaginary_apart_also_for_conjugate_views() -> None:
    x = randn((2, 1, 16, 8), 6)
    expected = torch.complex(downsample(x.real, 2), downsample(x.imag, 2))
    assert distance(downsample(x, 2), expected) < 1e-14
    assert distance(downsample(x.conj(), 2), expected.conj()) < 1e-14


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_upsampling_matrix_is_upsample_axis_by_axis(factor) -> None:
    x = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    rows, columns = (upsampling_matrix(factor * n, factor) for n in x.shape)
    assert rows.shape == (3 * factor, 3)
    assert torch.allclose(rows @ x @ columns.mT, upsample(x, factor), atol=1e-14)
    with pytest.raises(ValueError, match="7"):
        upsampling_matrix(7, 2)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=["real", "complex"])
@pytest.mark.parametrize("factor", [1, 2, 4])
def test_gram_is_up_then_down(factor: int, dtype: torch.dtype) -> None:
    x = torch.randn(2, 1, 8, 7, dtype=dtype, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(resampling_gram(x, factor), downsample(upsample(x, factor), factor), rtol=0, atol=1e-12)
