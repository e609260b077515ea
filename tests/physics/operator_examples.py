"""One or more small builders for every concrete operator class, for tests/physics/test_contracts.py."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from examples_array_radar import ARRAY_RADAR
from examples_born import BORN_EXAMPLES, BORN_STACKS
from examples_ground import GROUND_EXAMPLES
from examples_mri import MRI_EXAMPLES
from examples_optics import OPTICS_EXAMPLES, OPTICS_PRODUCTS, OPTICS_STACKS
from examples_spotlight import FACTORISED_SPOTLIGHT, FAR_SPOTLIGHT, exact_bistatic, plane_wave_bistatic
from examples_stripmap import STRIPMAP_EXAMPLES, STRIPMAP_PRODUCTS
from examples_wrappers import MASKS, PRODUCTS, SPOTLIGHTS, WRAPPERS
from torch import Tensor

from contracts import Example, randn
from echoform.physics.compositions import AdjointOperator, ComposedOperator, GalerkinOperator, ScaledOperator
from echoform.physics.crop import CropOperator, CroppedGalerkin
from echoform.physics.diagonal import MaskedGalerkin
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.identity import ScalarOperator
from echoform.physics.masking import SampleMask
from echoform.physics.nonuniform_fourier import CoarseNonuniformFourier, NonuniformFourier
from echoform.physics.operator import LinearOperator
from echoform.physics.separable import SeparableOperator
from echoform.physics.spotlight_exact import ExactSpotlight
from echoform.physics.spotlight_plane_wave import plane_wave_spotlight
from echoform.physics.stacked import StackedOperator
from echoform.scene.collection import SpotlightCollection
from echoform.scene.grid import Grid

Shape = tuple[int, int]
Seeds = Sequence[int]


def uniform(shape: Sequence[int], seed: int) -> Tensor:
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def per_seed(draw, seeds: Seeds) -> Tensor:
    """Stack what ``draw(seed)`` gives for each sensor along the batch axis."""
    return torch.stack([draw(seed) for seed in seeds])


def mask(shape: Shape, seeds: Seeds, dtype: torch.dtype, channels: int = 1) -> FourierMask:
    keep = per_seed(lambda seed: uniform((channels, *shape), seed) < 0.4, seeds)
    return FourierMask(keep.to(dtype.to_real()))


def weighted_mask(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> FourierMask:
    keep = per_seed(lambda seed: (uniform((2, *shape), seed) < 0.5) * randn((2, *shape), seed + 50), seeds)
    return FourierMask(keep.to(dtype))


def folded_mask(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> FourierMask:
    fine = (1, 2 * shape[0], 2 * shape[1])
    keep = per_seed(lambda seed: (uniform(fine, seed) < 0.4) * randn(fine, seed + 50), seeds)
    return FourierMask(keep.to(dtype), factor=2)


def nonuniform(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> NonuniformFourier:
    points = per_seed(lambda seed: (uniform((2, 60), seed) - 0.5) * 2 * math.pi, seeds)
    weights = per_seed(lambda seed: randn((60,), seed + 50) * (uniform((60,), seed + 70) < 0.8), seeds)
    return NonuniformFourier(points, weights, domain_shape=(2, *shape), sample_shape=(5, 12), dtype=dtype)


def coarse_nonuniform(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> LinearOperator:
    return nonuniform((2 * shape[0], 2 * shape[1]), seeds, dtype).coarsen(2)


def collection(seeds: Seeds, *, pulses: int = 5, frequencies: int = 7) -> SpotlightCollection:
    """X band at 200 m, a different start of the aperture, radius and set of dropped samples for each sensor."""
    angle = torch.linspace(0, math.radians(3), pulses, dtype=torch.float64)
    starts = torch.tensor([0.4 * seed for seed in seeds], dtype=torch.float64)[:, None]
    radius = torch.tensor([200.0 + 5 * seed for seed in seeds], dtype=torch.float64)[:, None]
    position = [
        radius * torch.cos(angle + starts),
        radius * torch.sin(angle + starts),
        (80.0 * radius / 200) + 0 * angle,
    ]
    kept = per_seed(lambda seed: (uniform((pulses, frequencies), seed) < 0.8).double(), seeds)
    kept[:, 1] = 0
    frequency = torch.linspace(9.3e9, 9.9e9, frequencies, dtype=torch.float64)[None]
    return SpotlightCollection(torch.stack([p.expand_as(position[0]) for p in position], -1), frequency, kept)


def exact(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> ExactSpotlight:
    return ExactSpotlight(collection(seeds), Grid(shape, (0.2, 0.25)), dtype=dtype)


def plane_wave(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> NonuniformFourier:
    return plane_wave_spotlight(collection(seeds), Grid(shape, (0.2, 0.25)), dtype=dtype)


def gain(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> ScalarOperator:
    values = torch.tensor([0.5 + 0.3 * seed for seed in seeds], dtype=dtype.to_real())
    return ScalarOperator((2, *shape), values)


def crop(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> CropOperator:
    return CropOperator((2, *shape), (2, shape[0] - 1, shape[1] - 2), origin=(1, 0), dtype=dtype)


def sample_mask(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> SampleMask:
    kept = per_seed(lambda seed: (uniform((1, *shape), seed) < 0.6) * (0.5 + uniform((1, *shape), seed + 9)), seeds)
    return SampleMask(kept.to(dtype.to_real()))


def coarse_crop(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> LinearOperator:
    return crop((2 * shape[0], 2 * shape[1]), seeds, dtype).coarsen(2)


def coarse_mask(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> LinearOperator:
    return sample_mask((2 * shape[0], 2 * shape[1]), seeds, dtype).coarsen(2)


def matrices(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> SeparableOperator:
    """Many rows along one side, few along the other."""
    rows, columns = uniform((2 * shape[0], shape[0]), 1), uniform((3, shape[1]), 2)
    return SeparableOperator(rows, columns, channels=2, dtype=dtype)


def few_matrices(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> SeparableOperator:
    return SeparableOperator(uniform((2, shape[0]), 1), uniform((1, shape[1]), 2), dtype=dtype)


def scales(seeds: Seeds, dtype: torch.dtype) -> Tensor:
    return torch.tensor([0.3 * seed - 0.9j for seed in seeds], dtype=dtype)


def scaled(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> ScaledOperator:
    return ScaledOperator(mask(shape, (7,), dtype), scales(seeds, dtype))


def scaled_batch(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> ScaledOperator:
    return ScaledOperator(nonuniform(shape, seeds, dtype), scales((3,), dtype))


def composed(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> ComposedOperator:
    inner = CropOperator((1, *shape), (1, shape[0] - 2, shape[1] - 2), dtype=dtype)
    return mask((shape[0] - 2, shape[1] - 2), seeds, dtype) @ inner


def masked_exact(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> ComposedOperator:
    weights = per_seed(lambda seed: (uniform((1, 5, 7), seed + 3) < 0.7).to(dtype.to_real()), seeds)
    return SampleMask(weights) @ exact(shape, (4,), dtype)


def stacked(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> StackedOperator:
    unmarked = gain_of_one((1, *shape), dtype)
    return StackedOperator([mask(shape, seeds, dtype), plane_wave(shape, (5,), dtype), unmarked])


def gain_of_one(shape: tuple[int, int, int], dtype: torch.dtype) -> ScalarOperator:
    return ScalarOperator(shape, torch.ones(1, dtype=dtype.to_real()))


def adjoint_of_mask(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> LinearOperator:
    return mask(shape, seeds, dtype).H


def adjoint_of_stack(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> LinearOperator:
    return stacked(shape, seeds, dtype).H


def galerkin(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> GalerkinOperator:
    return GalerkinOperator(nonuniform((2 * shape[0], 2 * shape[1]), seeds, dtype), 2)


# A U_s wraps around within two coarse pixels of the border.
NUFFT = {"coarsen_margin": 2}

EXAMPLES: dict[type[LinearOperator], list[Example]] = {
    FourierMask: [
        Example("mask", mask, exact_spectrum=True),
        Example("weighted_mask", weighted_mask, exact_spectrum=True),
        Example("folded_mask", folded_mask, exact_spectrum=True),
        *MASKS,
    ],
    NonuniformFourier: [
        Example("nonuniform", nonuniform, **NUFFT),
        Example("plane_wave", plane_wave, **NUFFT),
        Example("plane_wave_bistatic", plane_wave_bistatic, **NUFFT),
        *SPOTLIGHTS,
    ],
    CoarseNonuniformFourier: [Example("coarse_nonuniform", coarse_nonuniform)],
    ExactSpotlight: [Example("exact", exact), Example("exact_bistatic", exact_bistatic), *FAR_SPOTLIGHT],
    ScalarOperator: [Example("gain", gain, exact_spectrum=True)],
    CropOperator: [Example("crop", crop, batched=False)],
    CroppedGalerkin: [Example("coarse_crop", coarse_crop, batched=False)],
    MaskedGalerkin: [Example("coarse_mask", coarse_mask)],
    SeparableOperator: [
        Example("matrices", matrices, batched=False),
        Example("few_matrices", few_matrices, batched=False),
    ],
    SampleMask: [Example("sample_mask", sample_mask, exact_spectrum=True)],
    ScaledOperator: [
        Example("scaled", scaled, exact_spectrum=True),
        Example("scaled_batch", scaled_batch, **NUFFT),
    ],
    ComposedOperator: [
        Example("composed", composed, exact_spectrum=True),
        Example("masked_exact", masked_exact),
        *PRODUCTS,
        *STRIPMAP_PRODUCTS,
        *OPTICS_PRODUCTS,
    ],
    StackedOperator: [Example("stacked", stacked, **NUFFT), *OPTICS_STACKS, *BORN_STACKS],
    AdjointOperator: [
        Example("adjoint_of_mask", adjoint_of_mask),
        Example("adjoint_of_stack", adjoint_of_stack, image=False),
    ],
    GalerkinOperator: [Example("galerkin", galerkin)],
    **ARRAY_RADAR,
    **BORN_EXAMPLES,
    **GROUND_EXAMPLES,
    **MRI_EXAMPLES,
    **OPTICS_EXAMPLES,
    **STRIPMAP_EXAMPLES,
    **WRAPPERS,
    **FACTORISED_SPOTLIGHT,
}
