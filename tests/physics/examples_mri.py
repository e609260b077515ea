"""Builders of multi-coil operators for tests/physics/operator_examples.py."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from contracts import Example
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.multicoil_mri import MulticoilMRI
from mri_cases import smooth_maps


def multicoil(shape: tuple[int, int], seeds: Sequence[int], dtype: torch.dtype) -> MulticoilMRI:
    kept = [torch.rand(1, *shape, generator=torch.Generator().manual_seed(seed)) < 0.5 for seed in seeds]
    weights = torch.stack(kept).to(dtype.to_real())
    maps = torch.stack([smooth_maps(shape, seed) for seed in seeds]).to(dtype)
    return MulticoilMRI(FourierMask(weights), maps)


# The coarse sensitivities stand for the fine ones: at factor 4 they turn by up to 4 / 16 of a cycle within a coarse pixel of
# the small test image; tests/physics/test_multicoil_mri.py shows how the distance falls on smoother maps.
MRI_EXAMPLES = {MulticoilMRI: [Example("multicoil", multicoil, coarsen_bound=0.6, coarsen_keeps_samples=False)]}
