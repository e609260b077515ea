"""Builders of the wrappers, each around other sensors, for tests/physics/operator_examples.py."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from examples_array_radar import ARRAY_RADAR, range_angle, tdm
from torch import Tensor

from contracts import Example, randn
from echoform.physics.axis_matrix import AxisMatrix
from echoform.physics.channelwise import BlockDiagonalOperator, ChannelwiseOperator
from echoform.physics.compositions import ComposedOperator
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.kronecker import KroneckerOperator
from echoform.physics.masking import apply_gain, restrict
from echoform.physics.moving_pattern import MovingPattern, apply_moving_pattern
from echoform.physics.noise_coloured import ColouredGaussianNoise
from echoform.physics.operator import LinearOperator
from echoform.physics.polarimetry import CrosstalkOperator, apply_crosstalk
from echoform.physics.sample_errors import apply_image_gain
from echoform.physics.sample_gain import SampleGain
from echoform.physics.spotlight_plane_wave import plane_wave_spotlight
from echoform.physics.whitening import whiten
from echoform.scene.collection import SpotlightCollection
from echoform.scene.grid import Grid

Shape = tuple[int, int]
Seeds = Sequence[int]
PULSES, FREQUENCIES = 5, 7


def gains(shape: Sequence[int], seeds: Seeds, dtype: torch.dtype) -> Tensor:
    """Complex gains about 1, some of them zero, different for each sensor."""
    drawn = torch.stack([1 + 0.5 * randn(shape, seed + 30) for seed in seeds])
    lost = torch.stack([randn(shape, seed + 60).real > 1.2 for seed in seeds])
    return drawn.masked_fill(lost, 0).to(dtype)


def phases(shape: Sequence[int], seeds: Seeds, dtype: torch.dtype) -> Tensor:
    return torch.stack([torch.exp(1j * randn(shape, seed + 40).real * 2) for seed in seeds]).to(dtype)


def mask(shape: Shape, dtype: torch.dtype) -> FourierMask:
    return FourierMask((randn((1, 1, *shape), 3).real < 0.3).to(dtype.to_real()))


def spotlight(shape: Shape, dtype: torch.dtype, *, complete: bool = False) -> LinearOperator:
    """Five pulses; unless complete, one of them and a fifth of the other samples are missing."""
    angle = torch.linspace(0.1, 0.1 + math.radians(3), PULSES, dtype=torch.float64)
    antenna = torch.stack([200 * angle.cos(), 200 * angle.sin(), torch.full_like(angle, 80.0)], -1)[None]
    frequency = torch.linspace(9.3e9, 9.9e9, FREQUENCIES, dtype=torch.float64)[None]
    kept = (randn((1, PULSES, FREQUENCIES), 5).real < 0.8).double()
    kept[:, 1] = 0
    if complete:
        kept = torch.ones_like(kept)
    return plane_wave_spotlight(SpotlightCollection(antenna, frequency, kept), Grid(shape, (0.2, 0.25)), dtype=dtype)


def sample_gain(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> SampleGain:
    return SampleGain(gains((2, *shape), seeds, dtype), (2, *shape))


def small_gain(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> SampleGain:
    return SampleGain(gains((1, shape[0], 1), seeds, dtype), (2, *shape))


def axis_matrix(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> AxisMatrix:
    return AxisMatrix(torch.stack([randn((3, 2), seed) for seed in seeds]).to(dtype), (2, *shape), 0)


def few_rows(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> AxisMatrix:
    return AxisMatrix(torch.stack([randn((2, shape[0]), seed) for seed in seeds]).to(dtype), (2, *shape), 1)


def unitary(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> AxisMatrix:
    found = [torch.linalg.qr(randn((shape[1], shape[1]), seed))[0] for seed in seeds]
    return AxisMatrix((2 * torch.stack(found)).to(dtype), (1, *shape), 2)


def phase_on_mask(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> LinearOperator:
    return apply_gain(mask(shape, dtype), phases((1, *shape), seeds, dtype))


def gain_on_mask(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> LinearOperator:
    return apply_gain(mask(shape, dtype), gains((1, *shape), seeds, dtype))


def phase_on_spotlight(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> LinearOperator:
    return apply_gain(spotlight(shape, dtype), phases((1, PULSES, 1), seeds, dtype))


def gain_on_spotlight(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> LinearOperator:
    return apply_gain(spotlight(shape, dtype), gains((1, PULSES, FREQUENCIES), seeds, dtype))


def phase_on_radar(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> LinearOperator:
    return apply_gain(range_angle(shape, (4,), dtype), phases((4, 1, 10), seeds, dtype))


def gain_on_radar(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> LinearOperator:
    """A gain per element goes into the row factor, which here differs from channel to channel."""
    return apply_gain(tdm(shape, (4,), dtype), gains((1, 6, 1), seeds, dtype))


def rough_gain_on_radar(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> LinearOperator:
    return apply_gain(range_angle(shape, (4,), dtype), gains((1, 6, 10), seeds, dtype))


def notched_radar(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> LinearOperator:
    kept = torch.ones(len(seeds), 1, 1, 10)
    for row, seed in zip(kept, seeds, strict=True):
        row[..., seed : seed + 3] = 0
    return restrict(range_angle(shape, (4,), dtype), kept)


def seen_through_pattern(base: LinearOperator, seeds: Seeds, dtype: torch.dtype) -> LinearOperator:
    return apply_image_gain(base, gains((1, *base.domain_shape[1:]), seeds, dtype))


def pattern_on_mask(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> LinearOperator:
    return seen_through_pattern(mask(shape, dtype), seeds, dtype)


def pattern_on_spotlight(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> LinearOperator:
    return seen_through_pattern(spotlight(shape, dtype), seeds, dtype)


def beam_on_spotlight(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> LinearOperator:
    """A main beam over the image, aimed elsewhere by each sensor, with a phase: smooth to a coarse pixel."""
    found = []
    for seed in seeds:
        row, column = (torch.linspace(-1, 1, n, dtype=torch.float64) - 0.2 * seed for n in shape)
        found.append(torch.exp((0.4j - 0.5) * (row[:, None].square() + column.square())))
    return apply_image_gain(spotlight(shape, dtype), torch.stack(found)[:, None])


def mixing_before_radars(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> LinearOperator:
    """Channels mixed in the image, before each is seen by a radar of its own."""
    mixing = torch.stack([torch.eye(3) + 0.1 * randn((3, 3), seed) for seed in seeds]).to(dtype)
    return ChannelwiseOperator(range_angle(shape, (4,), dtype), 3) @ AxisMatrix(mixing, (3, *shape), 0)


def pattern_on_radar(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> LinearOperator:
    return seen_through_pattern(range_angle(shape, (4,), dtype), seeds, dtype)


def shared(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> ChannelwiseOperator:
    return ChannelwiseOperator(gain_on_spotlight(shape, seeds, dtype), 3)


def shared_radar(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> ChannelwiseOperator:
    return ChannelwiseOperator(tdm(shape, seeds, dtype), 2)


def shared_phase(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> ChannelwiseOperator:
    return ChannelwiseOperator(phase_on_mask(shape, seeds, dtype), 3)


def blocks(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> BlockDiagonalOperator:
    return BlockDiagonalOperator(
        [phase_on_mask(shape, seeds, dtype), mask(shape, dtype), gain_on_mask(shape, (7,), dtype)]
    )


def blocks_of_spotlights(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> BlockDiagonalOperator:
    return BlockDiagonalOperator([spotlight(shape, dtype), phase_on_spotlight(shape, seeds, dtype)])


def blocks_of_radars(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> BlockDiagonalOperator:
    return BlockDiagonalOperator([tdm(shape, (4,), dtype), range_angle(shape, seeds, dtype)])


def mixed(base: LinearOperator, seeds: Seeds, dtype: torch.dtype) -> ComposedOperator:
    mixing = torch.stack([torch.eye(3) + 0.1 * randn((3, 3), seed) for seed in seeds]).to(dtype)
    return apply_crosstalk(ChannelwiseOperator(base, 3), mixing)


def crosstalk_on_masks(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> ComposedOperator:
    return mixed(mask(shape, dtype), seeds, dtype)


def crosstalk_on_spotlights(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> ComposedOperator:
    return mixed(spotlight(shape, dtype), seeds, dtype)


def crosstalk_on_radars(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> ComposedOperator:
    return mixed(range_angle(shape, (4,), dtype), seeds, dtype)


def free_of_colour(base: LinearOperator, seeds: Seeds, axis: int) -> LinearOperator:
    count = base.range_shape[axis]
    factor = torch.stack([randn((count, count), seed) for seed in seeds])
    covariance = factor @ factor.mH + count * torch.eye(count)
    y = torch.zeros(len(seeds), *base.range_shape, dtype=base.dtype)
    return whiten(y, base, ColouredGaussianNoise(covariance, axis))[1]


def whitened_mask(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> LinearOperator:
    columns = (randn((1, 1, 1, shape[1]), 6).real < 0.3).to(dtype.to_real())
    return free_of_colour(FourierMask(columns.expand(1, 1, *shape)), seeds, 2)


def whitened_spotlight(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> LinearOperator:
    kept = torch.tensor([1, 1, 0, 1, 0], dtype=torch.bool)[None, None, :, None]
    return free_of_colour(restrict(spotlight(shape, dtype, complete=True), kept), seeds, 1)


def whitened_radar(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> LinearOperator:
    return free_of_colour(range_angle(shape, (4,), dtype), seeds, 2)


def unitary_on_masks(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> ComposedOperator:
    turn = torch.stack([torch.linalg.qr(randn((3, 3), seed))[0] for seed in seeds]).to(dtype)
    return AxisMatrix(turn, (3, *shape), 0) @ blocks(shape, (8,), dtype)


def moving(base: LinearOperator, seeds: Seeds, *, pulses: int, axis: int = 1, real: bool = False) -> MovingPattern:
    """Two rough terms, one of them at some pulses only."""
    u = torch.stack([randn((2, pulses), seed + 70) for seed in seeds])
    u[:, 1, ::2] = 0
    v = torch.stack([randn((2, *base.domain_shape[1:]), seed + 75) for seed in seeds])
    return MovingPattern(base, u.real if real else u, v, axis=axis)


def moving_on_mask(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> MovingPattern:
    return moving(mask(shape, dtype), seeds, pulses=shape[0], real=True)


def moving_on_spotlight(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> MovingPattern:
    return moving(spotlight(shape, dtype), seeds, pulses=PULSES)


def moving_on_coarse_spotlight(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> MovingPattern:
    fine = spotlight((2 * shape[0], 2 * shape[1]), dtype)
    return moving(fine.coarsen(2), seeds, pulses=PULSES, real=True)


def moving_on_radar(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> MovingPattern:
    """From sample to sample of a chirp, over two channels."""
    return moving(shared_radar(shape, seeds, dtype), seeds, pulses=10, axis=2)


def sweeping_on_spotlight(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> MovingPattern:
    """A main beam that moves along the rows: smooth to a coarse pixel."""
    rows, columns = (torch.linspace(-1, 1, n, dtype=torch.float64) for n in shape)
    aims = torch.linspace(-0.6, 0.6, PULSES, dtype=torch.float64)
    found = []
    for seed in seeds:
        off = rows[:, None].square() + (columns - aims[:, None, None] - 0.2 * seed).square()
        found.append(torch.exp(-0.7 * off))
    operator = apply_moving_pattern(spotlight(shape, dtype), torch.stack(found))
    assert isinstance(operator, MovingPattern)
    return operator


NUFFT = {"coarsen_bound": 5e-3, "coarsen_margin": 2}

#: wrapped sensors of classes that have examples of their own: a gain that went into the weights, and products
MASKS = [Example("gain_on_mask", gain_on_mask, exact_spectrum=True)]
SPOTLIGHTS = [Example("gain_on_spotlight", gain_on_spotlight, **NUFFT)]
PRODUCTS = [
    Example("phase_on_mask", phase_on_mask, exact_spectrum=True),
    Example("phase_on_spotlight", phase_on_spotlight, **NUFFT),
    Example("phase_on_radar", phase_on_radar, exact_spectrum=True),
    Example("rough_gain_on_radar", rough_gain_on_radar),
    Example("pattern_on_mask", pattern_on_mask),
    Example("pattern_on_spotlight", pattern_on_spotlight),
    Example("pattern_on_radar", pattern_on_radar),
    # A smooth gain goes before U_s: within LARGEST_CHANGE of it, at factor 2 here 1.5 %, at 4 by way of the grid of factor 2.
    Example("beam_on_spotlight", beam_on_spotlight, coarsen_bound=5e-2, coarsen_margin=2, coarsen_keeps_samples=False),
    Example("mixing_before_radars", mixing_before_radars),
    Example("whitened_mask", whitened_mask),
    # Samples that the coarse grid leaves out (below BAND_EDGE) are mixed into those that it keeps; of the three pulses kept
    # few samples lie inside the coarse band, so that those left out are 7.0e-3 of |A U_s x| already without the whitening.
    Example(
        "whitened_spotlight", whitened_spotlight, coarsen_bound=1e-2, coarsen_margin=2, coarsen_keeps_samples=False
    ),
    Example("whitened_radar", whitened_radar),
    Example("unitary_on_masks", unitary_on_masks, exact_spectrum=True),
]
WRAPPERS: dict[type[LinearOperator], list[Example]] = {
    CrosstalkOperator: [
        Example("crosstalk_on_masks", crosstalk_on_masks, exact_spectrum=True),
        Example("crosstalk_on_spotlights", crosstalk_on_spotlights, **NUFFT),
        Example("crosstalk_on_radars", crosstalk_on_radars),
    ],
    MovingPattern: [
        Example("moving_on_mask", moving_on_mask),
        Example("moving_on_spotlight", moving_on_spotlight),
        Example("moving_on_coarse_spotlight", moving_on_coarse_spotlight),
        Example("moving_on_radar", moving_on_radar),
        # As beam_on_spotlight: all terms together go before U_s.
        Example(
            "sweeping_on_spotlight",
            sweeping_on_spotlight,
            coarsen_bound=5e-2,
            coarsen_margin=2,
            coarsen_keeps_samples=False,
        ),
    ],
    SampleGain: [
        Example("sample_gain", sample_gain, exact_spectrum=True),
        Example("small_gain", small_gain, exact_spectrum=True),
    ],
    AxisMatrix: [
        Example("axis_matrix", axis_matrix, exact_spectrum=True),
        Example("few_rows", few_rows, exact_spectrum=True),
        Example("unitary", unitary, exact_spectrum=True),
    ],
    ChannelwiseOperator: [
        Example("shared", shared, **NUFFT),
        Example("shared_radar", shared_radar),
        Example("shared_phase", shared_phase, exact_spectrum=True),
    ],
    KroneckerOperator: [
        *ARRAY_RADAR[KroneckerOperator],
        Example("gain_on_radar", gain_on_radar),
        Example("notched_radar", notched_radar, exact_spectrum=True),
    ],
    BlockDiagonalOperator: [
        Example("blocks", blocks, exact_spectrum=True),
        Example("blocks_of_spotlights", blocks_of_spotlights, **NUFFT),
        Example("blocks_of_radars", blocks_of_radars),
    ],
}
