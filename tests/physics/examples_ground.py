"""A builder of ground-penetrating radars for tests/physics/operator_examples.py."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from contracts import Example, randn
from echoform.physics.ground_penetrating import GroundPenetratingRadar
from echoform.scene.grid import Grid
from echoform.scene.soil import GroundSurvey, Section


def ground(shape: tuple[int, int], seeds: Sequence[int], dtype: torch.dtype) -> GroundPenetratingRadar:
    wide = torch.tensor(list(seeds), dtype=torch.float64)
    survey = GroundSurvey(
        torch.linspace(-0.5, 0.6, 8, dtype=torch.float64)[None] + 0.1 * wide[:, None],
        0.1 * wide,
        4.0 + wide,
        3e8 + 1e7 * wide,
        torch.full((1,), 7e7, dtype=torch.float64),
        torch.stack([1 + 0.3 * randn((11,), seed) for seed in seeds]),
    )
    return GroundPenetratingRadar(survey, Section(Grid(shape, (0.03, 0.04)), 0.15), dtype=dtype)


GROUND_EXAMPLES = {GroundPenetratingRadar: [Example("ground", ground)]}
