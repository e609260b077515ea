"""The Born operator on so few pixels that the matrix of A_s is the cheapest form of its normal operator.

A coarse version A_s = A_t V (:mod:`echoform.physics.born`) multiplies fields on the grid that the wave needs, which a short wave
leaves finer than the coarse image. Its K rows on the m coarse pixels, one for every heard sample, are

    C[f r t, :] = m[f, r, t] w_f V^T (G_r[f, r, :] o G_t[f, t, :]),        A_s^H A_s = C^H C.

The normal is two products with C, (K, m), or one with C^H C, (m, m), or the two passes: the form that takes least time over
PRODUCTS products together with what makes it. C and C^H C at once fit ``normal_memory_bytes``; zero holds nothing. Nothing is
held either where gradients reach the fields: the passes carry them on.

What is held is made in :meth:`~echoform.physics.born.BornScattering.coarsen`, not at the first product, since no call changes an
operator. C takes K n_t (FIELD_ENTRY_COST + w / 2) multiply-adds for n_t pixels of the wave's grid and w coarse columns, and C^H C
K m^2 / 2 more. Measured on one core for 2304 samples: the time of 5 to 20 fine normals.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from math import prod
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from echoform.physics.born_products import FIELD_ENTRY_COST, MATRIX_ENTRY_COST, blocks, held_normal
from echoform.physics.compositions import ComposedOperator
from echoform.physics.operator import LinearOperator
from echoform.physics.separable import SeparableOperator

if TYPE_CHECKING:
    from echoform.physics.born import BornScattering

#: products over which what is held must have paid for itself: a network's dozens for a few images, a sampler's hundreds for one
PRODUCTS = 300
#: time per multiply-add of the passes, whose matrices are narrow, in those of wide ones (measured on one core: 1.2 to 1.6)
NARROW_COST = 1.5
#: columns of C^H C made at once, those above the diagonal alone
GRAM_COLUMNS = 256


class Form(enum.Enum):
    """What the normal operator is applied by."""

    PASSES = "forward and adjoint"
    ROWS = "C, then C^H"
    MATRIX = "C^H C"


class CoarseBorn(ComposedOperator):
    """A_s = A_t V, whose normal operator is held as a matrix; forward and adjoint are those of A_t and V.

    Args:
        outer: A_t, the Born operator on the grid that the wave needs.
        inner: V.
        form: which matrix is held.

    Raises:
        ValueError: the form holds nothing.
    """

    matrix: Tensor | None
    rows: Tensor | None

    def __init__(self, outer: BornScattering, inner: SeparableOperator, *, form: Form) -> None:
        super().__init__(outer, inner)
        if form is Form.PASSES:
            raise ValueError("the passes hold no matrix: compose both operators instead")
        rows = coarse_rows(outer, inner)
        self.register_buffer("rows", rows if form is Form.ROWS else None)
        self.register_buffer("matrix", _squared(rows) if form is Form.MATRIX else None)

    def normal(self, x: Tensor) -> Tensor:
        """Return C^H C x."""
        self.sensor_indices(x.shape[-4])  # raises unless there is one sensor, or one per image
        return held_normal(x.flatten(-3), self.matrix, self.rows).unflatten(-1, self.domain_shape)

    def prepared(self) -> LinearOperator:
        """Return the operator itself, whose normal is no product of its parts."""
        return self


def coarse_born(outer: BornScattering, inner: SeparableOperator) -> CoarseBorn | None:
    """Return A_t V with its normal operator held, or None where the passes or a matrix of A_t are cheaper or gradients are asked.

    Args:
        outer: A_t.
        inner: V.
    """
    needed = prod(outer.domain_shape)
    form = form_of(outer, inner.domain_shape, needed=needed, passes=needed * outer.cost_per_pixel())
    return None if form is Form.PASSES else CoarseBorn(outer, inner, form=form)


def form_of(operator: BornScattering, shape: tuple[int, int, int], *, needed: int, passes: float) -> Form:
    """Return the form that the normal operator of a coarse version should have.

    Args:
        operator: A on any grid.
        shape: of the coarse image.
        needed: n_t, pixels on the grid that the wave needs.
        passes: multiply-adds of the two passes, on whichever grids they would be made.
    """
    if operator.matrix is not None or any(buffer.requires_grad for buffer in operator.buffers()):
        return Form.PASSES
    return cheapest(
        _heard(operator.gains()),
        prod(shape),
        passes=passes,
        columns=shape[-1],
        needed=needed,
        most=operator.normal_memory_bytes // (operator.batch * operator.dtype.itemsize),
    )


def cheapest(samples: int, pixels: int, *, passes: float, columns: int, needed: int, most: int) -> Form:
    """Return the form that takes least time over PRODUCTS products and what makes it.

    Args:
        samples: K, rows of C.
        pixels: m, columns of C.
        passes: multiply-adds of the two passes.
        columns: w, of the coarse image.
        needed: n_t, pixels on the grid that the wave needs.
        most: entries that may be held, those that C^H C is made of counted.
    """
    entries, making = samples * pixels, samples * needed * (FIELD_ENTRY_COST + columns / 2)
    costs = {Form.PASSES: PRODUCTS * NARROW_COST * passes}
    if entries <= most:
        costs[Form.ROWS] = making + PRODUCTS * 2 * MATRIX_ENTRY_COST * entries
    if entries + pixels**2 <= most:
        costs[Form.MATRIX] = making + entries * pixels / 2 + PRODUCTS * MATRIX_ENTRY_COST * pixels**2
    return min(costs, key=lambda form: costs[form])


def coarse_rows(outer: BornScattering, inner: SeparableOperator) -> Tensor:
    """Return C, (B, K, m); rows of zeros follow those of sensors that hear fewer samples than another."""
    gains = outer.gains()
    rows = gains.new_zeros(outer.batch, _heard(gains), prod(inner.domain_shape))
    for b, found in enumerate(rows):
        receive, transmit, gain = (part[b % len(part)] for part in (outer.receive, outer.transmit, gains))
        first = 0
        for block in _row_blocks(receive, transmit, gain, inner):
            found[first : first + len(block)] = block
            first += len(block)
    return rows


def _heard(gains: Tensor) -> int:
    """Return K, the most samples that a sensor hears, of (B, F, R, T)."""
    return int((gains != 0).flatten(1).sum(1).max())


def _row_blocks(receive: Tensor, transmit: Tensor, gain: Tensor, inner: SeparableOperator) -> Iterator[Tensor]:
    """Yield the rows of one sensor, (some, m), from fields (F, R, n) and (F, T, n), those of one transmitter at a time."""
    for f, t in torch.nonzero((gain != 0).any(1)).tolist():
        heard = torch.nonzero(gain[f, :, t])[:, 0]
        for part in blocks(len(heard), 4 * receive[0, 0].nbytes):
            some = heard[part]
            images = receive[f, some] * transmit[f, t]
            yield gain[f, some, t, None] * _onto_coarse(images, inner)


def _onto_coarse(images: Tensor, inner: SeparableOperator) -> Tensor:
    """Return V^T of images (some, n), (some, m): their parts apart, along the columns in one product."""
    depth, height, width = inner.range_shape
    found = []
    for piece in (images.real, images.imag):
        along = piece.reshape(-1, width) @ inner.columns[0]
        found.append((inner.rows[0].mT @ along.view(len(images), depth, height, -1)).flatten(1))
    return torch.complex(*found)


def _squared(rows: Tensor) -> Tensor:
    """Return C^H C, (B, m, m): what is above the diagonal, and its mirror image."""
    pixels = rows.shape[-1]
    matrix = rows.new_empty(len(rows), pixels, pixels)
    for first in range(0, pixels, GRAM_COLUMNS):
        last = min(first + GRAM_COLUMNS, pixels)
        matrix[:, :last, first:last] = rows[..., :last].mH @ rows[..., first:last]
        matrix[:, first:last, :first] = matrix[:, :first, first:last].mH
    return matrix
