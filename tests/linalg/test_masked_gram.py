"""The stencil of U^T diag(p) U against going up, weighing and coming down again."""

from __future__ import annotations

import pytest
import torch

from contracts import distance, randn
from echoform.linalg.masked_gram import MaskedGram, fits
from echoform.linalg.resample import downsample, upsample


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=["real", "complex"])
@pytest.mark.parametrize(("sensors", "channels"), [(1, 1), (2, 1), (1, 3), (2, 3)])
@pytest.mark.parametrize("factor", [2, 4])
def test_equals_up_weight_and_down(factor: int, sensors: int, channels: int, dtype: torch.dtype) -> None:
    power = randn((sensors, channels, 8 * factor, 7 * factor), 1).abs()
    x = torch.randn(3, 2, 3, 8, 7, dtype=dtype, generator=torch.Generator().manual_seed(2))
    expected = downsample(power * upsample(x, factor), factor)
    assert distance(MaskedGram(power, factor)(x), expected) < 1e-13
    assert distance(MaskedGram(power, factor)(x.conj()), expected.conj()) < 1e-13


def test_single_precision_and_gradient() -> None:
    power, x = randn((1, 1, 64, 56), 1).abs().float(), randn((2, 1, 8, 7), 2, torch.complex64)
    gram = MaskedGram(power, 8)
    assert gram(x).dtype == torch.complex64
    assert distance(gram(x), downsample(power * upsample(x, 8), 8)) < 1e-6
    leaf = randn((1, 1, 8, 7), 3).requires_grad_()
    assert torch.autograd.gradcheck(MaskedGram(power.double(), 8), (leaf,), fast_mode=True)
    assert torch.autograd.gradgradcheck(MaskedGram(power.double(), 8), (leaf,), fast_mode=True)


def test_grids_on_which_a_neighbour_would_count_twice_are_refused() -> None:
    assert fits((16, 14), 2)
    assert not fits((16, 12), 2)
    assert not fits((16, 15), 2)
    with pytest.raises(ValueError, match="7 times or more"):
        MaskedGram(torch.ones(1, 1, 16, 12), 2)
