"""Toeplitz products along an axis against the matrix written out, in both of their forms."""

from __future__ import annotations

import pytest
import torch

from contracts import distance, randn
from echoform.linalg import toeplitz_axis
from echoform.linalg.toeplitz_axis import ToeplitzAxis

DOUBLE, PERIOD = torch.complex128, 20


@pytest.mark.parametrize("dense", [0, PERIOD])
@pytest.mark.parametrize("count", [1, 5, 15, 20])
def test_products_along_either_axis(count: int, dense: int, monkeypatch) -> None:
    """Two sensors with a mask each; circles of 2 B - 1 entries and, where that is longer, of the period."""
    monkeypatch.setattr(toeplitz_axis, "DENSE", dense)
    masks = (torch.rand(2, PERIOD, generator=torch.Generator().manual_seed(4)) < 0.6).double()
    kernels, values = torch.fft.fft(masks), randn((2, count, 3), 6)
    lags = torch.arange(count)[:, None] - torch.arange(count)
    found = ToeplitzAxis(kernels, count, DOUBLE)
    assert (found.matrix is None) == (dense == 0)
    for sensor, kernel in enumerate(kernels):
        expected = kernel[lags % PERIOD] @ values
        assert distance(found.along_rows(values, sensor), expected) < 1e-12
        assert distance(found.along_columns(values.mT, sensor), expected.mT) < 1e-12
