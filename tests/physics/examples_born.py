"""Builders of Born operators for tests/physics/operator_examples.py."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction

import torch
from torch import Tensor

from contracts import Example, randn
from echoform.linalg.between_grids import between_grids
from echoform.physics.born import FREQUENCY_AXIS, BornScattering, GivenFields
from echoform.physics.born_coarse import CoarseBorn, Form
from echoform.physics.green import Radiator
from echoform.physics.separable import SeparableOperator
from echoform.physics.stacked import StackedOperator
from echoform.scene.cells import cells_of, volume_of
from echoform.scene.grid import Grid
from echoform.scene.rig import MultistaticRig, ring_m

Shape = tuple[int, int]
Seeds = Sequence[int]
FREQUENCY_HZ = torch.tensor([2e9, 3.1e9], dtype=torch.float64)


def per_seed(draw, seeds: Seeds) -> Tensor:
    return torch.stack([draw(seed) for seed in seeds])


def uniform(shape: Sequence[int], seed: int) -> Tensor:
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def rig(seeds: Seeds, heard: Tensor, *, radius_m: float = 0.9) -> MultistaticRig:
    """A ring turned by the seed: R receivers all around and T transmitters."""
    count_r, count_t = heard.shape[2:]

    def ring(count: int, seed: int) -> Tensor:
        return ring_m(radius_m, 0.4 * seed + 2 * math.pi * torch.arange(count, dtype=torch.float64) / count)

    return MultistaticRig(
        per_seed(lambda seed: ring(count_t, seed), seeds),
        per_seed(lambda seed: ring(count_r, seed + 3), seeds),
        per_seed(lambda seed: FREQUENCY_HZ * (1 + 0.02 * seed), seeds),
        heard,
    )


def full(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> BornScattering:
    """Every working receiver hears every working transmitter; a lossy background; the matrix is held up to 18 x 16 pixels."""
    heard = torch.ones(len(seeds), 1, 40, 30, dtype=torch.float64)
    heard[:, :, 3] = 0
    eps = torch.tensor([2.0 + 0.1 * seed - 0.2j for seed in seeds], dtype=torch.complex128)
    cells = cells_of(Grid(shape, (0.011, 0.009)))
    return BornScattering(rig(seeds, heard), cells, radiator=Radiator.LINE, permittivity=eps, dtype=dtype)


def sparse(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> BornScattering:
    """Pairs at random, a different set at each frequency, points in 3-D above a coarse sheet."""
    heard = per_seed(lambda seed: (uniform((2, 5, 9), seed) < 0.6).double(), seeds)
    placed = rig(seeds, heard, radius_m=0.3)
    lift = torch.tensor([0.0, 0.0, 0.2], dtype=torch.float64)
    placed = MultistaticRig(placed.transmitter_m + lift, placed.receiver_m + lift, placed.frequency_hz, heard)
    return BornScattering(placed, cells_of(Grid(shape, (0.011, 0.009))), radiator=Radiator.POINT, dtype=dtype)


def small_cells(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> BornScattering:
    """Cells so small to the wave that the coarse version is written down again."""
    heard = per_seed(lambda seed: (uniform((1, 9, 7), seed) < 0.6).double(), seeds)
    return BornScattering(
        rig(seeds, heard), cells_of(Grid(shape, (0.0018, 0.002))), radiator=Radiator.LINE, dtype=dtype
    )


def gained(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> BornScattering:
    """Every antenna with a gain of its own, which a product of both sides leaves in the matrix."""
    one, other = (per_seed(lambda seed, n=n: 1 + 0.5 * randn((n,), seed + n), seeds) for n in (40, 30))
    return full(shape, seeds, dtype).weighted((one[:, None, :, None] * other[:, None, None]).to(dtype))


def unevenly_heard(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> BornScattering:
    """Samples at random weights, some of them zero."""
    weights = per_seed(lambda seed: uniform((2, 5, 9), seed + 20).sub(0.2).clamp_min(0), seeds)
    return sparse(shape, seeds, dtype).weighted(weights.to(dtype))


def incident(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> BornScattering:
    """Incident fields given as numbers; one rig for all sensors."""
    heard = torch.ones(1, 1, 6, 4, dtype=torch.float64)
    fields = per_seed(lambda seed: randn((2, 4, shape[0] * shape[1]), seed), seeds)
    cells = cells_of(Grid(shape, (0.01, 0.01)))
    return BornScattering(rig((1,), heard), cells, radiator=Radiator.LINE, fields=GivenFields(fields), dtype=dtype)


def volume(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> BornScattering:
    """Three slices of a volume between points all around, every pair heard: the matrix is held on small grids."""
    heard = torch.ones(1, 1, 40, 40, dtype=torch.float64)
    placed = rig(seeds, heard, radius_m=0.7)
    lift = 0.1 * torch.arange(40, dtype=torch.float64)[:, None] * torch.tensor([0.0, 0.0, 0.1])
    placed = MultistaticRig(placed.transmitter_m + lift, placed.receiver_m - lift, placed.frequency_hz, heard)
    cells = volume_of(Grid(shape, (0.011, 0.009)), 3, 0.02, middle_m=0.05)
    return BornScattering(placed, cells, radiator=Radiator.POINT, dtype=dtype)


def thin_volume(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> BornScattering:
    """Two slices, cells of a sixth of a wavelength, pairs at random."""
    heard = per_seed(lambda seed: (uniform((1, 6, 5), seed) < 0.6).double(), seeds)
    cells = volume_of(Grid(shape, (0.007, 0.0065)), 2, 0.02)
    return BornScattering(rig(seeds, heard, radius_m=0.7), cells, radiator=Radiator.POINT, dtype=dtype)


def bands(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> StackedOperator:
    """The two frequencies of an operator apart."""
    whole = unevenly_heard(shape, seeds, dtype)
    return StackedOperator([whole.of_frequencies(slice(0, 1)), whole.of_frequencies(slice(1, 2))], FREQUENCY_AXIS)


def held(
    build: Callable[[Shape, Seeds, torch.dtype], BornScattering], form: Form
) -> Callable[[Shape, Seeds, torch.dtype], CoarseBorn]:
    """A Born operator on a grid half as fine again as the image, behind the interpolation to it."""

    def example(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> CoarseBorn:
        outer = build((3 * shape[0] // 2, 3 * shape[1] // 2), seeds, dtype)
        rows, columns = (between_grids(2 * n, 2, Fraction(4, 3), device=outer.device) for n in shape)
        inner = SeparableOperator(rows, columns, channels=outer.domain_shape[0], dtype=dtype)
        return CoarseBorn(outer, inner, form=form)

    return example


# small_cells and thin_volume are left out: their coarse versions are not Galerkin, and tests/physics/test_born.py bounds them.
REWRITTEN = {"coarsen_bound": 0.015, "coarsen_margin": 2, "coarsen_keeps_samples": False}
BORN_EXAMPLES = {
    BornScattering: [
        Example("born_full", full),
        Example("born_sparse", sparse, **REWRITTEN),
        Example("born_gained", gained),
        Example("born_unevenly_heard", unevenly_heard, **REWRITTEN),
        Example("born_incident", incident),
        Example("born_volume", volume, **REWRITTEN),
    ],
    CoarseBorn: [
        Example("born_rows_held", held(thin_volume, Form.ROWS)),
        Example("born_matrix_held", held(unevenly_heard, Form.MATRIX)),
    ],
}

BORN_STACKS = [Example("born_bands", bands, **REWRITTEN)]
