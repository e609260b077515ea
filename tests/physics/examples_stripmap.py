"""Builders of stripmap radars for tests/physics/operator_examples.py."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from contracts import Example, randn
from echoform.physics.operator import LinearOperator
from echoform.physics.range_chirp import CoarseRawStripmap, RangeChirp
from echoform.physics.stripmap import StripmapOperator
from echoform.physics.stripmap_coarse import CoarseStripmap
from echoform.physics.stripmap_omega_k import StripmapOmegaK
from echoform.physics.stripmap_range_doppler import StripmapRangeDoppler
from echoform.scene.stripmap import StripmapCollection, linear_chirp

CELL_M = 0.75


def wide(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def airborne(seeds: Sequence[int], pulses: int, *, missing: bool) -> StripmapCollection:
    """X band at some 600 m, another speed, range, squint and antenna for each sensor; a quarter of the pulses missing."""
    step = wide(*seeds)
    kept = torch.ones(len(seeds), pulses, dtype=torch.float64)
    for row, seed in enumerate(seeds if missing else ()):
        kept[row, seed::4] = 0
    return StripmapCollection(
        100 + 2 * step,
        wide(1e10),
        2e8 + 1e6 * step,
        wide(300),
        600 + 20 * step,
        600 * step - 300,
        0.3 * step,
        kept,
    )


def stripmap(
    form: type[StripmapOperator], seeds: Sequence[int], shape: tuple[int, int], dtype: torch.dtype, *, missing: bool
) -> StripmapOperator:
    """Missing pulses within longer azimuth transforms, or all pulses of one period (the default length depends on the batch)."""
    pulses = 7 if missing else shape[0] + 1
    return form(
        airborne(seeds, pulses, missing=missing),
        shape,
        range_spacing_m=CELL_M,
        frequencies=21,
        azimuth_length=max(shape[0], 7) + 1 if missing else pulses,
        dtype=dtype,
    )


def omega_k(shape: tuple[int, int], seeds: Sequence[int], dtype: torch.dtype) -> StripmapOperator:
    return stripmap(StripmapOmegaK, seeds, shape, dtype, missing=True)


def omega_k_periodic(shape: tuple[int, int], seeds: Sequence[int], dtype: torch.dtype) -> StripmapOperator:
    return stripmap(StripmapOmegaK, seeds, shape, dtype, missing=False)


def range_doppler(shape: tuple[int, int], seeds: Sequence[int], dtype: torch.dtype) -> StripmapOperator:
    return stripmap(StripmapRangeDoppler, seeds, shape, dtype, missing=True)


def chirp(shape: tuple[int, int], seeds: Sequence[int], dtype: torch.dtype) -> RangeChirp:
    pulse = torch.stack([randn((min(shape[1], 5),), seed) for seed in seeds])
    start, rate = 1e-7 * wide(*seeds), 1e7 * wide(*seeds)
    return RangeChirp(pulse, start, rate, pulses=shape[0], frequencies=shape[1], samples=min(shape[1], 9), dtype=dtype)


def raw(shape: tuple[int, int], seeds: Sequence[int], dtype: torch.dtype) -> LinearOperator:
    inner = stripmap(StripmapOmegaK, seeds, shape, dtype, missing=True)
    pulse, start = linear_chirp(1e14, 5e-8, 2e8)[None], 4e-6 + 1.3e-7 * wide(*seeds)
    return RangeChirp(pulse, start, 2e8 + 1e6 * wide(*seeds), pulses=7, frequencies=21, samples=14, dtype=dtype) @ inner


def coarse(shape: tuple[int, int], seeds: Sequence[int], dtype: torch.dtype) -> LinearOperator:
    return omega_k((2 * shape[0], 2 * shape[1]), seeds, dtype).coarsen(2)


def coarse_raw(shape: tuple[int, int], seeds: Sequence[int], dtype: torch.dtype) -> LinearOperator:
    return raw((2 * shape[0], 2 * shape[1]), seeds, dtype).coarsen(2)


#: coarse versions of the inner band: what is left out, see test_stripmap_coarse.py
BAND = {"coarsen_bound": 0.04, "coarsen_margin": 2, "coarsen_keeps_samples": False}

STRIPMAP_EXAMPLES: dict[type[LinearOperator], list[Example]] = {
    StripmapOmegaK: [
        Example("stripmap_omega_k", omega_k, **BAND),
        Example("stripmap_omega_k_periodic", omega_k_periodic),
    ],
    StripmapRangeDoppler: [Example("stripmap_range_doppler", range_doppler, **BAND)],
    RangeChirp: [Example("stripmap_range_chirp", chirp)],
    CoarseStripmap: [Example("stripmap_coarse", coarse)],
    CoarseRawStripmap: [Example("stripmap_raw_coarse", coarse_raw)],
}
#: products of the above, an entry of the class of products
STRIPMAP_PRODUCTS = [Example("stripmap_raw", raw, **BAND)]
