"""Sensors that are a product of three small matrices, one per axis of the image: y = (F_C x F_H x F_W) x.

    y[m, q, n] = sum_chw  channel[m, c]  row[c][q, h]  column[n, w]  x[c, h, w]

The row factor may differ from channel to channel (TDM-MIMO: the array's phase depends on the velocity); the operator is then
no Kronecker product, but still one matrix product per axis. A^H A is applied axis by axis: each axis either by its Gram
matrix, or by the factor and later its adjoint with the Grams of the others in between. The cheapest arrangement by count of
multiplications is chosen at construction; adjoint(forward) is among the candidates, so the choice never costs more.

The coarse version is A U_s exactly: U_s is itself a product of two 1-D interpolations, so that the row and column factors
take them up and the cost falls with the number of coarse pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from math import prod

import torch
from torch import Tensor

from echoform.linalg.resample import upsampling_matrix
from echoform.linalg.spectrum import SpectralDensity, largest_eigenvalue
from echoform.physics.frequency_axis import runs_along_frequency
from echoform.physics.operator import NORM_TOLERANCE, LinearOperator, coarse_shape

CHANNEL, ROW, COLUMN = range(3)
#: most eigenvalues listed one by one in a spectral density
MAX_NODES = 2**16


@dataclass(frozen=True)
class NormalPlan:
    """How A^H A is applied: reduce along some axes, multiply by the Grams of the others, expand again.

    Attributes:
        reduced: axes taken through their factor and back, in the order of the way in.
        multiplications: scalar products per image.
    """

    reduced: tuple[int, ...]
    multiplications: int

    @property
    def grams(self) -> tuple[int, ...]:
        """The axes whose Gram matrix is applied."""
        return tuple(axis for axis in (CHANNEL, ROW, COLUMN) if axis not in self.reduced)


def _reduction(sizes: Sequence[int], targets: Sequence[int], order: Sequence[int]) -> tuple[int, list[int]]:
    """Return the cost of taking axes from ``sizes`` to ``targets`` in this order, and the sizes afterwards."""
    cost, current = 0, list(sizes)
    for axis in order:
        cost += prod(current) * targets[axis]
        current[axis] = targets[axis]
    return cost, current


def _orders(axes: Sequence[int], coupled: bool) -> list[tuple[int, ...]]:
    """Orders in which axes can be reduced: a row factor that differs by channel needs the channels still there."""
    found = list(permutations(axes))
    if coupled and CHANNEL in axes and ROW in axes:
        found = [order for order in found if order.index(ROW) < order.index(CHANNEL)]
    return found


def forward_order(sizes: Sequence[int], targets: Sequence[int], *, coupled: bool) -> tuple[int, ...]:
    """Return the cheapest order of axes for A; its reverse is the cheapest for A^H."""
    return min(_orders((CHANNEL, ROW, COLUMN), coupled), key=lambda order: _reduction(sizes, targets, order)[0])


def normal_plan(sizes: Sequence[int], targets: Sequence[int], *, coupled: bool) -> NormalPlan:
    """Return the cheapest arrangement of A^H A.

    Args:
        sizes: (C, H, W) of the image.
        targets: (M, Q, N) of the measurement.
        coupled: whether the row factor differs from channel to channel; it then has no Gram of its own.
    """
    plans = []
    for count in range(4):
        for axes in combinations((CHANNEL, ROW, COLUMN), count):
            if coupled and ROW not in axes:
                continue
            for order in _orders(axes, coupled):
                cost, current = _reduction(sizes, targets, order)
                grams = sum(prod(current) * current[axis] for axis in (CHANNEL, ROW, COLUMN) if axis not in axes)
                plans.append(NormalPlan(order, 2 * cost + grams))
    return min(plans, key=lambda plan: (plan.multiplications, len(plan.reduced)))


class KroneckerOperator(LinearOperator):
    """A product of one factor per image axis, with images (C, H, W) and measurements (M, Q, N).

    Args:
        channel: (B or 1, M, C), complex.
        row: (B or 1, C or 1, Q, H), complex; one matrix for all channels, or one each.
        column: (B or 1, N, W), complex.

    Raises:
        ValueError: the factors' numbers of axes, channels or dtypes disagree.
    """

    channel: Tensor
    row: Tensor
    column: Tensor
    channel_gram: Tensor | None
    row_gram: Tensor | None
    column_gram: Tensor | None

    def __init__(self, channel: Tensor, row: Tensor, column: Tensor) -> None:
        if (channel.ndim, row.ndim, column.ndim) != (3, 4, 3) or row.shape[1] not in (1, channel.shape[2]):
            raise ValueError(
                "expected factors (batch, M, C), (batch, C or 1, Q, H) and (batch, N, W), "
                f"got {tuple(channel.shape)}, {tuple(row.shape)} and {tuple(column.shape)}"
            )
        if len({channel.dtype, row.dtype, column.dtype}) != 1 or not channel.is_complex():
            raise ValueError(
                f"the factors must share one complex dtype, got {channel.dtype}, {row.dtype}, {column.dtype}"
            )
        if len({len(f) for f in (channel, row, column)} - {1}) > 1:
            raise ValueError(
                f"the factors hold {len(channel)}, {len(row)} and {len(column)} sensors: give one or B each"
            )
        sizes = (channel.shape[2], row.shape[3], column.shape[2])
        targets = (channel.shape[1], row.shape[2], column.shape[1])
        super().__init__(sizes, targets)
        self.coupled = row.shape[1] > 1
        self.order = forward_order(sizes, targets, coupled=self.coupled)
        self.plan = normal_plan(sizes, targets, coupled=self.coupled)
        for name, factor in (("channel", channel), ("row", row), ("column", column)):
            self.register_buffer(name, factor.resolve_conj())
        for axis, name in enumerate(("channel_gram", "row_gram", "column_gram")):
            self.register_buffer(name, _gram(self._factors[axis]) if axis in self.plan.grams else None)

    @property
    def _factors(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.channel, self.row, self.column

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the factors."""
        return self.row.dtype

    def support(self) -> Tensor | None:
        """Return the samples whose row of every factor holds something, (B or 1, M, Q, N), or None when all do."""
        m, q, n = (
            (factor != 0).any(-1).to(self.dtype.to_real())
            for factor in (self.channel, self.row.movedim(1, -1).flatten(-2), self.column)
        )
        marks = m[:, :, None, None] * q[:, None, :, None] * n[:, None, None, :]
        return None if bool(marks.all()) else marks

    def frequency_axes(self, *, of_input: bool = False) -> bool:
        """Return whether rows and columns of the samples do: the phase slope over the pixels runs on from entry to entry."""
        rows = self.row.transpose(1, 2).unbind()
        return all(_runs_along_frequency(factor) for factor in (*rows, *self.column[:, :, None].unbind()))

    def forward(self, x: Tensor) -> Tensor:
        """Return the samples, (..., B, M, Q, N)."""
        self.sensor_indices(x.shape[-4])
        for axis in self.order:
            x = _along(axis, self._factors[axis], x)
        return x

    def adjoint(self, y: Tensor) -> Tensor:
        """Return the matched filter along every axis, (..., B, C, H, W)."""
        self.sensor_indices(y.shape[-4])
        for axis in reversed(self.order):
            y = _along(axis, self._factors[axis].mH, y)
        return y

    def normal(self, x: Tensor) -> Tensor:
        """Return A^H A x by the arrangement of the plan."""
        self.sensor_indices(x.shape[-4])
        for axis in self.plan.reduced:
            x = _along(axis, self._factors[axis], x)
        for axis, gram in enumerate((self.channel_gram, self.row_gram, self.column_gram)):
            if gram is not None:
                x = _along(axis, gram, x)
        for axis in reversed(self.plan.reduced):
            x = _along(axis, self._factors[axis].mH, x)
        return x

    def galerkin(self, factor: int) -> LinearOperator:
        """Return A U_s, exactly and at the cost of the coarse grid: row and column factors times the 1-D interpolations."""
        if factor == 1:
            return self
        _, height, width = self.domain_shape
        coarse_shape(self.domain_shape, factor)  # raises when the sides do not divide
        row, column = (
            (f.to(torch.complex128) @ upsampling_matrix(size, factor, device=f.device).to(torch.complex128)).to(f.dtype)
            for f, size in ((self.row, height), (self.column, width))
        )
        return KroneckerOperator(self.channel, row, column)

    @torch.no_grad()
    def norm(self) -> Tensor:
        """Return the product of the factors' spectral norms; channel and row count as one where the row differs by channel."""
        column = _spectral_norm(self.column)
        if self.coupled:
            one = torch.ones(1, 1, 1, dtype=self.dtype, device=self.device)
            pair = KroneckerOperator(
                self.channel, self.row, one
            )  # |P x Q| = |P| |Q|: columns aside, few pixels are left
            largest = largest_eigenvalue(pair.normal, pair.probe(), ndim=3, tolerance=NORM_TOLERANCE)
            norms = [largest.above.sqrt(), column]
        else:
            norms = [_spectral_norm(self.channel), _spectral_norm(self.row[:, 0]), column]
        return torch.stack(torch.broadcast_tensors(*norms)).prod(0).to(self.dtype.to_real())

    @torch.no_grad()
    def spectrum(self) -> SpectralDensity:
        """Return all products of the Grams' eigenvalues; by Lanczos, its mean put right, when they are too many or coupled."""
        if not self.coupled and prod(self.domain_shape) <= MAX_NODES:
            values = torch.ones(1, 1, dtype=torch.float64, device=self.device)
            for factor in (self.channel, self.row[:, 0], self.column):
                wide = factor.to(torch.complex128)
                found = torch.linalg.eigvalsh(wide.mH @ wide).clamp_min(0)
                values = (values[:, :, None] * found[:, None, :]).flatten(1)
            values = values.to(self.dtype.to_real())
            return SpectralDensity(values, torch.full_like(values, 1 / values.shape[1]))
        by_channel = self.channel.abs().double().square().sum(1) * self.row.abs().double().square().sum((2, 3))
        trace = by_channel.sum(1) * self.column.abs().double().square().sum((1, 2))
        return super().spectrum().with_mean(trace / prod(self.domain_shape))


def _gram(factor: Tensor) -> Tensor:
    """F^H F, computed in double precision."""
    wide = factor.to(torch.complex128)
    return (wide.mH @ wide).to(factor.dtype)


def _runs_along_frequency(factor: Tensor) -> bool:
    """Whether the entries of a factor (N, C, pixels) do; their spatial frequencies are phase slopes, radians per pixel."""
    slopes = (factor[..., 1:] * factor[..., :-1].conj()).angle().double().flatten(1)
    return runs_along_frequency(slopes.T[:, None], (factor != 0).flatten(1).any(1))


def _spectral_norm(factor: Tensor) -> Tensor:
    """|F|_2 from the smaller of its two Grams, (batch,): rounding moves it by no more than the factor's own."""
    small = factor.mH @ factor if factor.shape[1] >= factor.shape[2] else factor @ factor.mH
    return torch.linalg.eigvalsh(small)[:, -1].clamp_min(0).sqrt()


def _along(axis: int, matrix: Tensor, x: Tensor) -> Tensor:
    """Multiply (..., B, C, H, W) by a matrix along one axis; all others but the batch ride along."""
    if axis == ROW:
        return matrix @ x
    if axis == CHANNEL:
        return (matrix @ x.flatten(-2)).unflatten(-1, x.shape[-2:])
    return (x.flatten(-3, -2) @ matrix.mT).unflatten(-2, x.shape[-3:-1])
