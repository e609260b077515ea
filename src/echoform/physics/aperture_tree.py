"""The plan of a factorised spotlight sum: which pulses and frequencies meet which part of the image, through which nodes.

Over a block of the aperture and an interval of half-length a along one axis of the image the kernel, rid of its phase at the
block's centre, is a function of bandwidth at most K a, with (q is the antenna, kappa = 4 pi f / c, d half the path)

    K = max |kappa_n grad d_p(r) - kappa_c grad d_c(r)|,    (c: the block's centre pulse and frequency)

so that a few prolate nodes stand for all that lies in the interval. From level to level intervals double and blocks halve in
pulse and in frequency: K a, and with it the number of nodes, stays about the same. K is measured on the trajectory as it is,
pulse by pulse: a rough one asks for more nodes, never for less accuracy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from echoform.linalg.prolate import band_interpolation
from echoform.physics.differential_range import ground_half_path
from echoform.scene.grid import Grid

#: ground positions along each axis at which K is measured
PROBES = 5
#: a plan is refused when a level holds more than this many values, and more than GROWTH per pixel or sample
FEW = 1 << 20
GROWTH = 32
#: a level that would keep more than this share of the nodes is left out
WORTHWHILE = 0.75
#: K a is rounded up to a multiple of this, so that interpolations are shared
BANDWIDTH_STEP = 0.25


class NothingGainedError(ValueError):
    """A sum that would not be cheaper for being factorised."""


@dataclass(frozen=True)
class Geometry:
    """One collection, as its phases need it: lengths in metres, wavenumbers 4 pi f / c in radians per metre."""

    antenna_m: Tensor  # (P, 3)
    receiver_m: Tensor | None  # (P, 3) when apart from the transmitter
    middle: Tensor  # at index F // 2
    step: Tensor
    frequencies: int

    def path(self, pulses: list[int], rows_m: Tensor, columns_m: Tensor) -> Tensor:
        """Return half the differential path to the points of a ground grid, (pulses, rows, columns)."""
        receiver = None if self.receiver_m is None else self.receiver_m[pulses]
        path = ground_half_path(self.antenna_m[pulses], receiver, rows_m, columns_m)
        return path.unflatten(-1, (len(rows_m), len(columns_m)))

    def wavenumber(self, index: list[int]) -> Tensor:
        """Return 4 pi f / c at some frequency indices."""
        offset = torch.tensor(index, device=self.step.device) - self.frequencies // 2
        return self.middle + offset * self.step

    def gradient(self, rows_m: Tensor, columns_m: Tensor) -> Tensor:
        """Return grad d on the ground at the points of a grid, (P, points, 2) as (y, x)."""
        y, x = (part.flatten() for part in torch.meshgrid(rows_m, columns_m, indexing="ij"))
        position = torch.stack([x, y, torch.zeros_like(x)], -1)
        antennas = [self.antenna_m] if self.receiver_m is None else [self.antenna_m, self.receiver_m]
        offsets = [position - antenna[:, None] for antenna in antennas]
        mean = torch.stack([o / o.norm(dim=-1, keepdim=True) for o in offsets]).mean(0)
        return mean[..., :2].flip(-1)


@dataclass(frozen=True)
class Blocks:
    """A partition of an index range into blocks of nearly equal length.

    Attributes:
        bounds: first index of each block, and the end.
    """

    bounds: tuple[int, ...]

    @staticmethod
    def halved(count: int, times: int) -> Blocks:
        """Return 2^times blocks, or as many as leave none empty."""
        blocks = 2 ** min(times, int(math.log2(count)))
        return Blocks(tuple(i * count // blocks for i in range(blocks + 1)))

    @cached_property
    def centres(self) -> list[int]:
        """The index in the middle of each block."""
        return [(first + end) // 2 for first, end in pairwise(self.bounds)]

    @cached_property
    def shape(self) -> tuple[int, int]:
        """How many blocks there are, and the length of the longest."""
        lengths = [end - first for first, end in pairwise(self.bounds)]
        return len(lengths), max(lengths)

    @cached_property
    def block_of_each(self) -> list[int]:
        """For each index the number of its block."""
        return [block for block, (first, end) in enumerate(pairwise(self.bounds)) for _ in range(first, end)]

    @cached_property
    def centre_of_each(self) -> list[int]:
        """For each index the centre of its block."""
        return [self.centres[block] for block in self.block_of_each]


@dataclass(frozen=True)
class Nodes:
    """Nodes along one axis of the image, alike in each of ``count`` equal intervals side by side.

    Attributes:
        middle_m: the middle of all intervals.
        half_m: half an interval.
        count: how many, a power of two.
        local: nodes of an interval, in [-1, 1].
    """

    middle_m: float
    half_m: float
    count: int
    local: np.ndarray

    @staticmethod
    def of_pixels(pixels: int, spacing_m: float, leaf: int, offset_m: float = 0.0) -> Nodes:
        """Return the pixels themselves, in intervals of at most ``leaf``; pixels are added at the end to fill them."""
        count = 2 ** max(0, math.ceil(math.log2(pixels / leaf)))
        each = math.ceil(pixels / count)
        middle = ((count * each - 1) / 2 - pixels // 2) * spacing_m + offset_m
        return Nodes(middle, each * spacing_m / 2, count, (2 * np.arange(each) + 1) / each - 1)

    def merged(self) -> Nodes:
        """Return the same nodes in intervals twice as long, or as they are in the last one."""
        if self.count == 1:
            return self
        local = np.concatenate([(self.local - 1) / 2, (self.local + 1) / 2])
        return Nodes(self.middle_m, 2 * self.half_m, self.count // 2, local)

    def positions_m(self) -> Tensor:
        """Return all nodes in ascending order, float64."""
        centres = self.middle_m + (2 * np.arange(self.count) - self.count + 1) * self.half_m
        return torch.from_numpy((centres[:, None] + self.half_m * self.local).ravel())

    def thinned(self, band: float, accuracy: float) -> tuple[Nodes, Tensor]:
        """Return the fewest nodes for a half-band (radians per metre), and W: values here ~ W values there, per interval.

        Where no node can be spared, the nodes stay and W is the identity.
        """
        c = math.ceil(band * self.half_m / BANDWIDTH_STEP) * BANDWIDTH_STEP
        if 2 * c / math.pi < len(self.local):
            found = band_interpolation(c, accuracy)
            if len(found.nodes) < len(self.local):
                return replace(self, local=found.nodes), torch.from_numpy(found.weights(self.local))
        return self, torch.eye(len(self.local), dtype=torch.float64)


class Level(nn.Module):
    """One step from small intervals and large blocks to intervals twice as long and blocks of half the length.

    Attributes:
        rows_m, columns_m: the nodes before, (1, Y) and (1, X).
        row_weights, column_weights: W of each axis, (1, nodes of an interval before, after), complex.
        pulses, frequencies: the blocks before and after.
        phases: those of the step in the order of its blocks, (1, N), complex, where they are held.
    """

    rows_m: Tensor
    columns_m: Tensor
    row_weights: Tensor
    column_weights: Tensor
    phases: Tensor | None

    def __init__(
        self,
        nodes: tuple[Tensor, Tensor],
        weights: tuple[Tensor, Tensor],
        pulses: tuple[Blocks, Blocks],
        frequencies: tuple[Blocks, Blocks],
        *,
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        self.register_buffer("rows_m", nodes[0][None])
        self.register_buffer("columns_m", nodes[1][None])
        self.register_buffer("row_weights", weights[0].to(dtype)[None])
        self.register_buffer("column_weights", weights[1].to(dtype)[None])
        self.register_buffer("phases", None)
        self.pulses, self.frequencies = pulses, frequencies

    def phase_count(self) -> int:
        """Return how many phases the step takes."""
        return (
            len(self.pulses[1].centres)
            * len(self.frequencies[1].centres)
            * self.rows_m.numel()
            * self.columns_m.numel()
        )


class Tree(nn.Module):
    """All levels of one sensor, and the few nodes of the whole image from which its samples are summed.

    A level that would spare few nodes is left to the next one.

    Attributes:
        levels: from the pixels to the whole image.
        rows_m, columns_m: the last nodes, (1, Y) and (1, X).
        pulses, frequencies: the last blocks.
        padded_shape: (H, W) of the image the first level takes.
        start, phases: those of the pixels, (1, H, W), and of the last sum, (1, N), complex, where they are held.
        mixtures, patterns: a response of the samples that changes over the image, sum_q c_q[p, block] b_q[node], (1, pulses,
            frequency blocks, Q) and (1, Q, nodes), real, where there is one.
    """

    rows_m: Tensor
    columns_m: Tensor
    start: Tensor | None
    phases: Tensor | None
    mixtures: Tensor | None
    patterns: Tensor | None

    def __init__(self, geometry: Geometry, grid: Grid, *, leaf: int, accuracy: float, dtype: torch.dtype) -> None:
        super().__init__()
        axes = [
            Nodes.of_pixels(n, d, leaf, o) for n, d, o in zip(grid.shape, grid.spacing_m, grid.offset_m, strict=True)
        ]
        self.padded_shape = tuple(axis.count * len(axis.local) for axis in axes)
        samples = (geometry.antenna_m.shape[0], geometry.frequencies)
        depth = max(math.ceil(math.log2(n)) for n in (1, *(a.count for a in axes), *(s / leaf for s in samples)))
        ends = [torch.linspace(-1, 1, PROBES, dtype=torch.float64) * a.half_m * a.count + a.middle_m for a in axes]
        slope = geometry.gradient(*(e.to(geometry.antenna_m.device) for e in ends))
        before = [Blocks.halved(n, 0) for n in samples]
        levels = []
        for level in range(1, depth + 1):
            after = [Blocks.halved(n, level) for n in samples]
            band = half_band(geometry, slope, *after)
            start = (axes[0].positions_m(), axes[1].positions_m())
            merged = [a.merged() for a in axes]
            rows, columns = (a.thinned(b, accuracy) for a, b in zip(merged, band, strict=True))
            thinned = [rows[0], columns[0]]
            if level < depth and _nodes(thinned) > WORTHWHILE * _nodes(merged):
                axes = merged
                continue
            axes = thinned
            blocks = [(b, a) for b, a in zip(before, after, strict=True)]
            levels.append(Level(start, (rows[1], columns[1]), *blocks, dtype=dtype))
            before = after
            _check_size(axes, after, max(math.prod(samples), math.prod(self.padded_shape)))
        self.levels = nn.ModuleList(levels)
        self.register_buffer("rows_m", axes[0].positions_m()[None])
        self.register_buffer("columns_m", axes[1].positions_m()[None])
        for name in ("start", "phases", "mixtures", "patterns"):
            self.register_buffer(name, None)
        self.pulses, self.frequencies = before
        self.to(geometry.antenna_m.device)

    def phase_count(self) -> int:
        """Return how many phases a pass takes."""
        last = sum(self.frequencies.shape)
        nodes = self.rows_m.numel() * self.columns_m.numel()
        between = sum(level.phase_count() for level in self.steps())
        return math.prod(self.padded_shape) + between + self.pulses.bounds[-1] * nodes * last

    def respond(self, mixtures: Tensor, patterns: Tensor, dtype: torch.dtype) -> None:
        """Give the last nodes a response, from c (pulses, frequency blocks, Q) and b (Q, nodes), in a real dtype."""
        self.mixtures, self.patterns = mixtures[None].to(dtype), patterns[None].to(dtype)

    def response(self, pulses: slice) -> Tensor:
        """Return that of some pulses, (pulses, frequency blocks, nodes)."""
        assert self.mixtures is not None
        assert self.patterns is not None
        return self.mixtures[0, pulses] @ self.patterns[0]

    def steps(self) -> list[Level]:
        """Return the levels, from the pixels to the whole image."""
        return list(self.levels)  # pyright: ignore[reportReturnType]

    def pixels_m(self) -> tuple[Tensor, Tensor]:
        """Return the rows (H,) and columns (W,) of the padded image."""
        first = next(iter(self.steps()), self)
        return first.rows_m[0], first.columns_m[0]


def _nodes(axes: list[Nodes]) -> int:
    return math.prod(axis.count * len(axis.local) for axis in axes)


def _check_size(axes: list[Nodes], blocks: list[Blocks], natural: int) -> None:
    values = _nodes(axes) * math.prod(len(b.centres) for b in blocks)
    if values > max(FEW, GROWTH * natural):
        raise NothingGainedError(
            f"nothing is gained by factorising: a level would hold {values:.2g} values for {natural} pixels or samples; order "
            "the pulses along the trajectory, take pixels no larger than the resolution, or use ExactSpotlight"
        )


def half_band(geometry: Geometry, slope: Tensor, pulses: Blocks, frequencies: Blocks) -> tuple[float, float]:
    """Return an upper bound of K along (y, x), over all blocks, radians per metre.

    |kappa_n g_p - kappa_c g_c| <= |kappa_n| |g_p - g_c| + |kappa_n - kappa_c| |g_c|, each with its largest value.

    Args:
        slope: grad d, (P, points, 2).
    """
    turned = (slope - slope[pulses.centre_of_each]).abs().amax((0, 1))
    here = geometry.wavenumber(list(range(geometry.frequencies)))
    shifted = (here - geometry.wavenumber(frequencies.centre_of_each)).abs().amax()
    y, x = (here.abs().amax() * turned + shifted * slope.abs().amax((0, 1))).tolist()
    return y, x
