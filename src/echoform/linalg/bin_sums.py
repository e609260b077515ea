"""Fourier sums along the rows of an image at some bins of a period.

    v[b] = sum_m exp(-2 pi i (k_b s / M + t) m) u[m]

Up to DENSE bins the matrix itself takes less time; beyond them an FFT, of length M / g with g the common divisor of s and M, of
which the bins are picked.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from echoform.linalg.toeplitz_axis import DENSE


class BinSums(nn.Module):
    """The sums of R sensors.

    Args:
        bins: k, (R, B), whole numbers.
        turns: t, (R,), turns per row, float64; gradients reach it.
        step: s.
        period: M.
        rows: H, values that are summed.
        dtype: complex64 or complex128.
    """

    matrix: Tensor | None
    places: Tensor | None
    phasor: Tensor | None

    def __init__(self, bins: Tensor, turns: Tensor, *, step: int, period: int, rows: int, dtype: torch.dtype) -> None:
        super().__init__()
        common = math.gcd(step, period)
        self._rows, self._length = rows, period // common
        index = torch.arange(rows, device=bins.device)
        places = (bins * (step // common)) % self._length
        shift = turns[:, None] * index
        dense = bins.shape[1] <= DENSE
        if dense:
            whole = ((places[..., None] * index) % self._length).double()
            shift = whole / self._length + shift[:, None]
        phase = -2 * math.pi * shift
        table = torch.polar(torch.ones_like(phase), phase).to(dtype)
        self.register_buffer("matrix", table if dense else None)
        self.register_buffer("places", None if dense else places)
        self.register_buffer("phasor", None if dense else table[..., None])

    def sums(self, values: Tensor, sensor: int) -> Tensor:
        """Return v, (..., B, N), of values (..., H, N)."""
        if self.matrix is not None:
            return self.matrix[sensor] @ values
        places, phasor = self._of(sensor)
        return torch.fft.fft(values * phasor, n=self._length, dim=-2).index_select(-2, places)

    def transposed(self, sums: Tensor, sensor: int) -> Tensor:
        """Return the transpose of :meth:`sums`, without conjugates, (..., H, N), of (..., B, N)."""
        if self.matrix is not None:
            return self.matrix[sensor].mT @ sums
        places, phasor = self._of(sensor)
        spectrum = sums.new_zeros(*sums.shape[:-2], self._length, sums.shape[-1]).index_add(-2, places, sums)
        return torch.fft.fft(spectrum, dim=-2)[..., : self._rows, :] * phasor

    def _of(self, sensor: int) -> tuple[Tensor, Tensor]:
        assert self.places is not None  # either the matrix is held or these two
        assert self.phasor is not None
        return self.places[sensor], self.phasor[sensor]
