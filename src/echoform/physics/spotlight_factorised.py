"""Spotlight SAR with spherical wavefronts at a cost of N log N: the exact sum, factorised over image and aperture.

    y[p, n] = sum_j x_j exp(-i k_c . r_j) exp(-i kappa_n d_p(r_j)),     kappa_n = 4 pi f_n / c,

with d_p(r) half the path beyond that to the scene centre, as in :mod:`echoform.physics.spotlight_exact`. The image is cut into
small squares, the aperture is one block. At each level four squares become one and each block of pulses and frequencies four.
In a square B, for a block s with centre (kappa_s, d_s), a few nodes g stand for what the square holds,

    sum_{j in B} x_j exp(-i kappa_n d_p(r_j)) ~ sum_g v[s, B, g] exp(-i (kappa_n d_p(r_g) - kappa_s d_s(r_g))),
    v'[s', B', g'] = sum_{B in B'} sum_g W[g, g'] v[s, B, g] exp(-i (kappa_s' d_s'(r_g) - kappa_s d_s(r_g))),

W being the prolate interpolation of :mod:`echoform.physics.aperture_tree`. In the end the image is one square and each block
is summed sample by sample. All phases are those of spherical wavefronts from where the antennas were, in float64: only W
approximates. They are held where there are few of them. With some 16 pixels, pulses and frequencies to the smallest
squares and blocks all of log N levels cost O(N).
The adjoint runs the same levels backwards with conjugate phases and is exact; A^H A is adjoint(forward). The coarse version is
that of :mod:`echoform.physics.spotlight_coarse`, its sums factorised again: over a pulse and a block of frequencies the response
H_s ~ w[p, n] h[p, block, r], and h multiplies the phases of the last nodes, so that no sum is done twice; but where one such
product would not be true, or positions ask for gradients, which are those of the exact sum.

Source: the butterfly scheme of Demanet et al. (2012), SIAM J. Imaging Sci. 5, section 3, with other nodes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from echoform.linalg.taylor_profile import rounding_series
from echoform.physics.aperture_tree import Geometry, Level, NothingGainedError, Tree
from echoform.physics.local_transfer import TransferWeights, linear_interpolation
from echoform.physics.operator import LinearOperator
from echoform.physics.spotlight_coarse import CoarseSpotlight, coarse_spotlight
from echoform.physics.spotlight_exact import ExactSums, exact_sums
from echoform.physics.spotlight_spherical import SphericalSpotlight, of_sensor
from echoform.scene.collection import SPEED_OF_LIGHT_M_S, SpotlightCollection
from echoform.scene.grid import Grid

#: sides of the smallest squares, in pixels, and about the lengths of the smallest blocks
LEAF = 16
#: the largest side that may be asked for: the work in a square grows as its fourth power
MAX_LEAF = 64
#: largest error of one interpolation
ACCURACY = 1e-2
#: phases computed at a time: what fits in a processor's cache
CHUNK = 1 << 17
#: phases of one sensor that are held: 16 MB in single precision, those of some 200 x 200 pixels
HELD = 1 << 21
#: the accuracy of a coarse version, whose local response is no truer than a few per cent, and its smallest squares: blocks of
#: fewer samples leave less of the response out
COARSE_ACCURACY, COARSE_LEAF = 1e-1, 12
#: what one term a block may leave out of a coarse version's response; where it is more, whole sums are weighted
MOST_LOST = 4e-2


def _turn(phase: Tensor, dtype: torch.dtype) -> Tensor:
    """Return exp(-i phase): folded in float64, then cast. The phase is overwritten."""
    turns = phase.mul_(-0.5 / math.pi)
    angle = turns.sub_(turns.round()).to(dtype.to_real()).mul_(2 * math.pi)
    return torch.polar(torch.ones_like(angle), angle)


def _pieces(count: int, each: int) -> Iterator[slice]:
    """Yield slices of about CHUNK / each of ``count`` things."""
    size = max(1, CHUNK // each)
    yield from (slice(first, min(first + size, count)) for first in range(0, count, size))


class _Reader:
    """Phases held in a row, (1, N), taken one piece after the other."""

    def __init__(self, row: Tensor) -> None:
        self.row, self.at = row[0], 0

    def take(self, *shape: int) -> Tensor:
        """Return the next piece."""
        start, self.at = self.at, self.at + math.prod(shape)
        return self.row[start : self.at].view(shape)


class _Factorised:
    """One sensor: the sums of the module's text, level by level; values are (..., pulse blocks, frequency blocks, Y, X)."""

    def __init__(self, tree: Tree, geometry: Geometry, exact: ExactSums, shape: tuple[int, int]) -> None:
        self.tree, self.geometry, self.exact, self.shape = tree, geometry, exact, shape
        self.carrier, self.kept = exact.carrier, exact.kept

    def hold(self, dtype: torch.dtype) -> None:
        """Compute all phases once, into the tree."""
        for level in self.tree.steps():
            level.phases = torch.cat([turn.flatten() for *_, turn in self._turns(level, dtype)])[None]
        self.tree.phases = torch.cat([p.flatten() for *_, a, b in self._last(dtype) for p in (a, b)])[None]
        self.tree.start = self._start(dtype)[None]

    def samples(self, image: Tensor) -> Tensor:
        """Return the samples (..., P, F) of the pixels (..., H, W)."""
        margin = [n - m for n, m in zip(self.tree.padded_shape, self.shape, strict=True)]
        value = nn.functional.pad(image, (0, margin[1], 0, margin[0]))
        value = (value * self._start(image.dtype))[..., None, None, :, :]
        for level in self.tree.steps():
            value = self._merge(level, value)
        return self.kept * self._sum(value)

    def backprojection(self, spectra: Tensor) -> Tensor:
        """Return the pixels (..., H, W) of the samples (..., P, F): A^H y as the conjugate of A^T conj(y)."""
        value = self._spread(self.kept * spectra.conj())
        for level in reversed(self.tree.steps()):
            value = self._split(level, value)
        image = value[..., 0, 0, :, :] * self._start(spectra.dtype)
        return image[..., : self.shape[0], : self.shape[1]].conj_physical()

    def gradient(self, image: Tensor, spectra: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the gradient of the exact sum, :meth:`ExactSums.gradient`."""
        return self.exact.gradient(image, spectra)

    def _start(self, dtype: torch.dtype) -> Tensor:
        """Return exp(-i (k_c . r + kappa_s d_s(r))) at the pixels, s the whole aperture."""
        if self.tree.start is not None:
            return self.tree.start[0]
        rows, columns = self.tree.pixels_m()
        pulse, frequency = (count // 2 for count in self.kept.shape)
        phase = self.geometry.wavenumber([frequency]) * self.geometry.path([pulse], rows, columns)[0]
        return _turn(phase + self.carrier[1] * rows[:, None] + self.carrier[0] * columns, dtype)

    def _turns(self, level: Level, dtype: torch.dtype) -> Iterator[tuple[slice, Tensor, slice, slice, Tensor]]:
        """Yield blocks after, theirs before, rows before and after, and the phases (blocks, frequencies before, halves, Y, X).

        Small blocks are taken several at a time.
        """
        (before, after), (wide, narrow) = (
            [len(blocks.centres) for blocks in pair] for pair in (level.pulses, level.frequencies)
        )
        high, low = level.row_weights.shape[1:]
        intervals, width = level.rows_m.shape[1] // high, level.columns_m.shape[1]
        parents = torch.arange(after, device=level.rows_m.device) * before // after
        held = None if level.phases is None else _Reader(level.phases)
        row = narrow * high * width
        for blocks in _pieces(after, row * intervals):
            count = blocks.stop - blocks.start
            for piece in _pieces(intervals, row * count):
                rows = slice(piece.start * high, piece.stop * high)
                if held is None:
                    turn = self._turn_of(level, blocks, parents[blocks], rows, dtype)
                else:
                    turn = held.take(count, wide, narrow // wide, rows.stop - rows.start, width)
                yield blocks, parents[blocks], rows, slice(piece.start * low, piece.stop * low), turn

    def _turn_of(self, level: Level, blocks: slice, parents: Tensor, rows: slice, dtype: torch.dtype) -> Tensor:
        """Return the phases of some blocks and rows, (blocks, frequencies before, halves, Y, X)."""
        (before, after), (wide, narrow) = level.pulses, level.frequencies
        here, there = self.geometry.wavenumber(narrow.centres), self.geometry.wavenumber(wide.centres)
        pulses = [*after.centres[blocks], *(before.centres[parent] for parent in parents.tolist())]
        d = self.geometry.path(pulses, level.rows_m[0, rows], level.columns_m[0]).unflatten(0, (2, -1, 1, 1))
        return _turn(here.view(len(there), -1, 1, 1) * d[0] - there.view(-1, 1, 1, 1) * d[1], dtype)

    def _merge(self, level: Level, value: Tensor) -> Tensor:
        """Return v' of v."""
        rows_w, columns_w = level.row_weights[0].mT, level.column_weights[0]
        high, wide = rows_w.shape[1], columns_w.shape[0]
        y, x = (
            n // m * k
            for n, m, k in zip(value.shape[-2:], (high, wide), (len(rows_w), columns_w.shape[1]), strict=True)
        )
        result = value.new_empty(
            *value.shape[:-4], len(level.pulses[1].centres), len(level.frequencies[1].centres), y, x
        )
        for blocks, parents, rows, target, turn in self._turns(level, value.dtype):
            part = value[..., rows, :].index_select(-4, parents)[..., None, :, :]
            part = (part * turn).flatten(-4, -3).unflatten(-1, (-1, wide))
            part = (part @ columns_w).flatten(-2).unflatten(-2, (-1, high))
            result[..., blocks, :, target, :] = (rows_w @ part).flatten(-3, -2)
        return result

    def _split(self, level: Level, value: Tensor) -> Tensor:
        """Return the transpose of :meth:`_merge`."""
        rows_w, columns_w = level.row_weights[0], level.column_weights[0].mT
        low, narrow = rows_w.shape[1], columns_w.shape[0]
        before = [len(blocks[0].centres) for blocks in (level.pulses, level.frequencies)]
        result = value.new_zeros(*value.shape[:-4], *before, level.rows_m.shape[1], level.columns_m.shape[1])
        for blocks, parents, rows, source, turn in self._turns(level, value.dtype):
            part = value[..., blocks, :, source, :].unflatten(-2, (-1, low))
            part = (rows_w @ part).flatten(-3, -2).unflatten(-1, (-1, narrow))
            part = (part @ columns_w).flatten(-2).unflatten(-3, turn.shape[1:3])
            result[..., rows, :].index_add_(-4, parents, (part * turn).sum(-3))
        return result

    def _last(self, dtype: torch.dtype) -> Iterator[tuple[Tensor, slice, Tensor, Tensor]]:
        """Yield blocks, their pulses, the phases (pulses, frequency blocks, nodes) and those within (pulses, nodes, offsets)."""
        tree = self.tree
        nodes, count, width = tree.rows_m.shape[1] * tree.columns_m.shape[1], *tree.frequencies.shape
        blocks = torch.tensor(tree.pulses.block_of_each, device=self.kept.device)
        held = None if tree.phases is None else _Reader(tree.phases)
        for pulses in _pieces(len(blocks), nodes * (width + count)):
            if held is None:
                turn, within = self._last_of(pulses, blocks[pulses], dtype)
            else:
                each = pulses.stop - pulses.start
                turn, within = held.take(each, count, nodes), held.take(each, nodes, width)
            yield blocks[pulses], pulses, turn, within

    def _last_of(self, pulses: slice, blocks: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Return those of some pulses."""
        tree, geometry = self.tree, self.geometry
        nodes, (first, end) = (tree.rows_m[0], tree.columns_m[0]), blocks[[0, -1]].tolist()
        here = geometry.path(tree.pulses.centres[first : end + 1], *nodes).flatten(1)[blocks - first]
        d = geometry.path(list(range(pulses.start, pulses.stop)), *nodes).flatten(1)
        turn = _turn(geometry.wavenumber(tree.frequencies.centres)[:, None] * (d - here)[:, None], dtype)
        turn = turn if tree.mixtures is None else turn * tree.response(pulses)
        _, width = tree.frequencies.shape
        offsets = (torch.arange(width, device=d.device) - width // 2) * geometry.step
        return turn, _turn(d[..., None] * offsets, dtype)

    def _columns(self) -> Tensor:
        """Return where each frequency stands among the frequency blocks, all taken as long as the longest, (F,)."""
        blocks, (_, width) = self.tree.frequencies, self.tree.frequencies.shape
        of_each = enumerate(zip(blocks.block_of_each, blocks.centre_of_each, strict=True))
        return torch.tensor([i * width + width // 2 + n - c for n, (i, c) in of_each], device=self.kept.device)

    def _sum(self, value: Tensor) -> Tensor:
        """Return the samples (..., P, F) of the last nodes."""
        nodes, columns = value.flatten(-2), self._columns()
        result = value.new_empty(*value.shape[:-4], *self.kept.shape)
        for blocks, pulses, turn, within in self._last(value.dtype):
            part = (nodes.index_select(-3, blocks) * turn) @ within
            result[..., pulses, :] = part.flatten(-2)[..., columns]
        return result

    def _spread(self, spectra: Tensor) -> Tensor:
        """Return the transpose of :meth:`_sum`."""
        tree, columns = self.tree, self._columns()
        count, width = tree.frequencies.shape
        y, x = tree.rows_m.shape[1], tree.columns_m.shape[1]
        heard = spectra.new_zeros(*spectra.shape[:-1], count * width).index_copy(-1, columns, spectra)
        heard = heard.unflatten(-1, (count, width))
        result = spectra.new_zeros(*spectra.shape[:-2], len(tree.pulses.centres), count, y * x)
        for blocks, pulses, turn, within in self._last(spectra.dtype):
            result.index_add_(-3, blocks, (heard[..., pulses, :, :] @ within.mT) * turn)
        return result.unflatten(-1, (y, x))


@dataclass(frozen=True)
class Left:
    """What the last nodes leave of a response: one weight for each sample, (B, 1, P, F), and the share that is in neither."""

    weights: TransferWeights
    lost: float


class FactorisedSpotlight(SphericalSpotlight):
    """The spotlight operator with spherical wavefronts at a cost of N log N.

    Gradients reach the image at the cost of another such sum, and the positions of transmitter and receiver when the
    collection's require them (k_c moves with them). The latter are those of the exact sum, which this one equals to -65 dB by
    default, and are computed by it, pulse by pulse: O(P (H W + F log F)), as two to three passes of :class:`ExactSpotlight`. The
    interpolations and the phases held are those of the positions given at construction: build it anew after every step. None
    reach the frequencies.

    Args:
        collection: antenna positions (bistatic too), uniformly spaced frequencies alike for all pulses, and the mask of measured
            samples. The trajectory may have any form, but nearby pulses should be neighbours: the cost rises with what a block
            spans.
        grid: image grid.
        dtype: complex64 or complex128.
        leaf: side of the smallest squares, pixels.
        accuracy: largest error of one interpolation relative to the amplitude, at least 1e-12. Few scatterers are at the end of
            an interval in every level: the NMSE of the samples is some 25 dB below (-65 to -70 dB by default).
        held: most phases that are held for a sensor, 8 or 16 bytes each; some 50 a pixel are needed. Where there are more they
            are computed at every pass, which then takes several times as long.
        response: of a coarse version, at the collection's samples and the grid's pixels: h is in the sums, ``left`` says w.

    Raises:
        ValueError: the frequencies are not uniformly spaced or change from pulse to pulse, ``leaf`` or ``accuracy`` are out of
            range, or neighbouring pulses see the scene so differently that nothing would be gained.
    """

    def __init__(
        self,
        collection: SpotlightCollection,
        grid: Grid,
        *,
        dtype: torch.dtype = torch.complex64,
        leaf: int = LEAF,
        accuracy: float = ACCURACY,
        held: int = HELD,
        response: TransferWeights | None = None,
    ) -> None:
        if not 1 <= leaf <= MAX_LEAF or not 1e-12 <= accuracy < 1:
            raise ValueError(f"leaf must be in [1, {MAX_LEAF}], accuracy in [1e-12, 1), got {leaf} and {accuracy:g}")
        super().__init__(collection, grid, dtype=dtype)
        self.leaf, self.accuracy, self.held = leaf, accuracy, held
        sensors = range(self.batch)
        plans = [Tree(self._geometry(b), grid, leaf=leaf, accuracy=accuracy, dtype=dtype) for b in sensors]
        self.trees = nn.ModuleList(plans)
        self.response, self.left = response, None if response is None else self._respond(response)
        for sensor, tree in enumerate(plans):
            if tree.phase_count() <= held:
                self._sums(sensor).hold(dtype)

    def _geometry(self, sensor: int) -> Geometry:
        wavenumber = 4 * math.pi / SPEED_OF_LIGHT_M_S
        return Geometry(
            antenna_m=of_sensor(self.antenna_m, sensor).detach(),
            receiver_m=None if self.receiver_m is None else of_sensor(self.receiver_m, sensor).detach(),
            middle=wavenumber * of_sensor(self.middle_hz, sensor),
            step=wavenumber * of_sensor(self.step_hz, sensor),
            frequencies=self.range_shape[2],
        )

    def _respond(self, response: TransferWeights) -> Left:
        """Put a response into the last nodes of the trees and return what is left of it for the samples."""
        weights, lost = [], []
        for sensor, tree in enumerate(self.trees):
            assert isinstance(tree, Tree)
            of_samples, mixtures, missing = response.one_term(sensor, tree.frequencies.bounds)
            at_nodes = response.image[sensor]
            for axis, places in ((0, tree.rows_m), (1, tree.columns_m)):
                pixels, spacing_m = self.grid.shape[axis], self.grid.spacing_m[axis]
                steps = (places[0] - self.grid.offset_m[axis]) / spacing_m + pixels // 2
                matrix = linear_interpolation(pixels, steps).to(at_nodes)
                at_nodes = torch.einsum("gn,qn...->qg...", matrix, at_nodes.movedim(1 + axis, 1)).movedim(1, 1 + axis)
            tree.respond(mixtures, at_nodes.flatten(1), self.kept.dtype)
            weights.append(of_samples)
            lost.append(missing)
        return Left(TransferWeights(torch.stack(weights)[:, None], torch.ones_like(response.image[:, :1])), max(lost))

    def coarsen(self, factor: int) -> LinearOperator:
        """Return factorised sums on the coarse pixels, with the local response of U_s.

        A U_s where that would not be true, or where pulses are too unlike their neighbours for so few pixels to be factorised.
        """
        if factor == 1:
            return self
        found = coarse_spotlight(self, factor)
        if found is None:
            return self.galerkin(factor)
        try:
            learnt = any(a is not None and a.requires_grad for a in (self.antenna_m, self.receiver_m))
            base = self._on(found, None if learnt else found.weights)
            if base.left is not None and base.left.lost <= MOST_LOST:
                return found.version(base, base.left.weights)
            return found.version(base if base.left is None else self._on(found, None), found.weights)
        except NothingGainedError:
            return self.galerkin(factor)

    def _on(self, coarse: CoarseSpotlight, response: TransferWeights | None) -> FactorisedSpotlight:
        """Return the sums on the coarse pixels."""
        leaf, accuracy = min(self.leaf, COARSE_LEAF), max(self.accuracy, COARSE_ACCURACY)
        return FactorisedSpotlight(
            coarse.collection,
            coarse.grid,
            dtype=self.dtype,
            leaf=leaf,
            accuracy=accuracy,
            held=self.held,
            response=response,
        )

    def _sums(self, sensor: int) -> _Factorised:
        tree = self.trees[sensor]
        assert isinstance(tree, Tree)
        return _Factorised(
            tree, self._geometry(sensor), exact_sums(self, sensor, rounding_series(self.dtype)), self.grid.shape
        )
