"""Builders of ground-penetrating radars for tests/physics/operator_examples.py."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from contracts import Example, randn
from echoform.physics.ground_homogeneous import HomogeneousGround
from echoform.physics.ground_penetrating import GroundPenetratingRadar
from echoform.scene.grid import Grid
from echoform.scene.soil import GroundSurvey, Section


def survey(seeds: Sequence[int], *, height_m: float) -> GroundSurvey:
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
    section = Section(Grid(shape, (0.03, 0.04)), 0.15)
    return GroundPenetratingRadar(survey(seeds, height_m=0.1), section, dtype=dtype)


def homogeneous(shape: tuple[int, int], seeds: Sequence[int], dtype: torch.dtype) -> HomogeneousGround:
    section = Section(Grid(shape, (0.03, 0.04)), 0.3)
    return HomogeneousGround(survey(seeds, height_m=0.0), section, widest_rad=1.1, dtype=dtype)


GROUND_EXAMPLES = {
    GroundPenetratingRadar: [Example("ground", ground)],
    HomogeneousGround: [Example("ground_homogeneous", homogeneous)],
}
