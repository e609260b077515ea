"""Builders of ground-penetrating radars for tests/physics/operator_examples.py."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from contracts import Example, randn
from echoform.physics.ground_homogeneous import HomogeneousGround
from echoform.physics.ground_penetrating import GroundPenetratingRadar
from echoform.scene.grid import Grid
from echoform.scene.soil import GroundSurvey, Section

SPACING_M = (0.008, 0.01)


def survey(seeds: Sequence[int], *, height_m: float) -> GroundSurvey:
    """Return a GPR line for each seed."""
    wide = torch.tensor(list(seeds), dtype=torch.float64)
    return GroundSurvey(
        torch.linspace(-0.5, 0.6, 8, dtype=torch.float64)[None] + 0.1 * wide[:, None],
        height_m * wide,
        4.0 + wide,
        3e8 + 1e7 * wide,
        torch.full((1,), 7e7, dtype=torch.float64),
        torch.stack([1 + 0.3 * randn((11,), seed) for seed in seeds]),
    )


def ground(shape: tuple[int, int], seeds: Sequence[int], dtype: torch.dtype) -> GroundPenetratingRadar:
    section = Section(Grid(shape, SPACING_M), 0.15)
    return GroundPenetratingRadar(survey(seeds, height_m=0.1), section, dtype=dtype)


def homogeneous(shape: tuple[int, int], seeds: Sequence[int], dtype: torch.dtype) -> HomogeneousGround:
    section = Section(Grid(shape, SPACING_M), 0.3)
    return HomogeneousGround(survey(seeds, height_m=0.0), section, widest_rad=1.1, dtype=dtype)


def homogeneous_coarse(shape: tuple[int, int], seeds: Sequence[int], dtype: torch.dtype) -> HomogeneousGround:
    """Pixels that stand for finer ones; a coarser version of it is Galerkin."""
    section = Section(Grid(shape, SPACING_M, (0.0, 0.005)), 0.3)
    return HomogeneousGround(survey(seeds, height_m=0.0), section, widest_rad=1.1, factor=2, dtype=dtype)


# Written down again on pixels of up to 4 cm in soil with waves of 11 cm (4.4 rad two-way): 4.1 % and 3.1 % at factor 4.
REWRITTEN = {"coarsen_margin": 2, "coarsen_keeps_samples": False}
GROUND_EXAMPLES = {
    GroundPenetratingRadar: [Example("ground", ground, coarsen_bound=0.05, **REWRITTEN)],
    HomogeneousGround: [
        Example("ground_homogeneous", homogeneous, coarsen_bound=0.04, **REWRITTEN),
        Example("ground_homogeneous_coarse", homogeneous_coarse),
    ],
}
