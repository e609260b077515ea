"""Fourier sums at some bins against the sums written out, in both of their forms."""

from __future__ import annotations

import math

import pytest
import torch

from contracts import distance, randn
from echoform.linalg import bin_sums
from echoform.linalg.bin_sums import BinSums

DOUBLE = torch.complex128


@pytest.mark.parametrize("dense", [0, 20])
@pytest.mark.parametrize("period", [24, 30, 37])
def test_sums_and_their_transpose(period: int, dense: int, monkeypatch) -> None:
    """Two sensors; more bins than the step leaves of the period, so that some are the same."""
    monkeypatch.setattr(bin_sums, "DENSE", dense)
    step, rows, values = 4, 6, randn((3, 6, 5), 1)
    bins = (torch.arange(20) + torch.tensor([[0], [17]])) % period
    turns = torch.tensor([0.0, 0.31], dtype=torch.float64)
    found = BinSums(bins, turns, step=step, period=period, rows=rows, dtype=DOUBLE)
    assert (found.matrix is None) == (dense == 0)
    row = torch.arange(rows, dtype=torch.float64)
    for sensor in (0, 1):
        phase = 2 * math.pi * (bins[sensor, :, None].double() * step / period + turns[sensor]) * row
        matrix = torch.polar(torch.ones_like(phase), -phase)
        sums = found.sums(values, sensor)
        assert distance(sums, matrix @ values) < 1e-12
        assert distance(found.transposed(sums, sensor), matrix.mT @ sums) < 1e-12
