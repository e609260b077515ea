"""Builders of the array radars for the contract tests: merged into operator_examples.EXAMPLES."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from contracts import Example, randn
from echoform.physics.kronecker import KroneckerOperator
from echoform.physics.near_range_array import NearRangeArray, near_range_array
from echoform.physics.operator import LinearOperator
from echoform.physics.range_angle_doppler import mimo_radar
from echoform.scene.array import MimoArray, polar_positions_m, uniform_line
from echoform.scene.waveform import FmcwWaveform, OfdmWaveform

Shape = tuple[int, int]
Seeds = Sequence[int]


def fmcw(seeds: Seeds, *, samples: int = 10, chirps: int = 4, slots: tuple[int, ...] = (0, 1)) -> FmcwWaveform:
    """77 GHz, a different slope for each sensor."""
    carrier = torch.full((len(seeds),), 77e9, dtype=torch.float64)
    slope = torch.tensor([30e12 + 2e12 * seed for seed in seeds], dtype=torch.float64)
    period = torch.full((len(seeds),), 1e-7, dtype=torch.float64)
    return FmcwWaveform(carrier, slope, period, samples, torch.full_like(carrier, 5e-5), chirps, slots)


def ofdm(seeds: Seeds) -> OfdmWaveform:
    carrier = torch.full((len(seeds),), 28e9, dtype=torch.float64)
    spacing = torch.tensor([240e3 + 30e3 * seed for seed in seeds], dtype=torch.float64)
    return OfdmWaveform(carrier, spacing, 9, torch.full_like(carrier, 5e-6), 3, (0, 0))


def mimo(seeds: Seeds, spacing_m: float = 0.00195) -> MimoArray:
    """Two transmitters and three receivers, each receiver moved a little, differently for each sensor."""
    generator = torch.Generator().manual_seed(seeds[0])
    moves = [
        0.1 * spacing_m * torch.randn(1, 3, 3, dtype=torch.float64, generator=generator.manual_seed(s)) for s in seeds
    ]
    return MimoArray(uniform_line(2, 3 * spacing_m), uniform_line(3, spacing_m) + torch.cat(moves))


def axes(shape: Shape, extent_m: Tensor) -> tuple[Tensor, Tensor]:
    """Ranges over half the unambiguous extent and angles of 40 degrees to either side."""
    ranges = extent_m[:, None] * torch.linspace(0.05, 0.5, shape[1], dtype=torch.float64)
    return ranges, torch.linspace(-0.7, 0.7, shape[0], dtype=torch.float64)[None]


def range_angle(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> KroneckerOperator:
    waveform = fmcw(seeds)
    ranges, angles = axes(shape, waveform.range_extent_m())
    return mimo_radar(waveform, mimo(seeds), ranges_m=ranges, angles_rad=angles, dtype=dtype)


def tdm(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> KroneckerOperator:
    waveform = fmcw(seeds)
    ranges, angles = axes(shape, waveform.range_extent_m())
    velocities = waveform.velocity_axis_m_s(3)
    return mimo_radar(waveform, mimo(seeds), ranges_m=ranges, angles_rad=angles, velocities_m_s=velocities, dtype=dtype)


def isac(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> KroneckerOperator:
    waveform = ofdm(seeds)
    ranges, angles = axes(shape, waveform.range_extent_m())
    velocities = waveform.velocity_axis_m_s(2)
    return mimo_radar(
        waveform, mimo(seeds, 0.0053), ranges_m=ranges, angles_rad=angles, velocities_m_s=velocities, dtype=dtype
    )


def tall(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> KroneckerOperator:
    """Many more samples than pixels, so that the normal operator is three Grams."""
    factors = [torch.cat([randn((1, *s), seed + 40 + i) for seed in seeds]) for i, s in enumerate(tall_shapes(shape))]
    return KroneckerOperator(*(f.to(dtype) / math.sqrt(f.shape[-2]) for f in factors))


def tall_shapes(shape: Shape) -> list[tuple[int, ...]]:
    return [(9, 2), (1, 2 * shape[0] + 3, shape[0]), (2 * shape[1] + 1, shape[1])]


def near(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> NearRangeArray:
    waveform, array = fmcw(seeds, samples=7), mimo(seeds)
    ranges = torch.linspace(0.03, 0.5, shape[1], dtype=torch.float64)[None]
    angles = torch.linspace(-0.7, 0.7, shape[0], dtype=torch.float64)[None]
    positions = polar_positions_m(array, ranges_m=ranges, angles_rad=angles)
    return near_range_array(waveform, array, positions_m=positions, dtype=dtype)


ARRAY_RADAR: dict[type[LinearOperator], list[Example]] = {
    KroneckerOperator: [
        Example("fmcw_range_angle", range_angle, exact_spectrum=True),
        Example("fmcw_tdm", tdm),
        Example("ofdm", isac, exact_spectrum=True),
        Example("kronecker_tall", tall, exact_spectrum=True),
    ],
    NearRangeArray: [
        Example("near_range_array", near, coarsen_bound=0.01, coarsen_margin=2, coarsen_keeps_samples=False)
    ],
}
