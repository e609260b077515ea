"""Changes of a known body: fields at the pixels against a direct solution there, and cubics between cells."""

from __future__ import annotations

from dataclasses import replace

import torch

from contracts import distance, randn
from echoform.physics.born import BornScattering
from echoform.physics.green import Radiator
from echoform.physics.inhomogeneous_born import CellScattering
from echoform.scene.random_source import RandomSource
from echoform.train.problems.microwave_background import BornBackground, cubic_between

FAMILY = BornBackground(shape=(24, 24), cells=12)


def test_the_operator_is_that_of_a_direct_solution_on_the_pixels() -> None:
    """Each cell of the body is four pixels. Measured: 0.1 to 4.5 %, Born about the empty surroundings 3 to 80 %."""
    family = replace(FAMILY, rig=replace(FAMILY.rig, frequencies=(1,), antennas=(8,), width=(0.8, 1.0)))
    x = randn((1, 1, 24, 24), 5)
    for seed in range(3):
        layout = family.layout(RandomSource(torch.Generator().manual_seed(seed)), 1)
        born, contrast = layout.born, layout.contrast.repeat_interleave(2, 0).repeat_interleave(2, 1)
        exact = (
            CellScattering(born.rig, born.cells, radiator=Radiator.LINE, permittivity=born.permittivity)
            .about(contrast)
            .operator
        )
        empty = BornScattering(born.rig, born.cells, radiator=Radiator.LINE, permittivity=born.permittivity)
        wrong = distance(empty(x.to(torch.complex64)), exact(x).to(torch.complex64))
        found = distance(family.operator(layout)(x.to(torch.complex64)), exact(x).to(torch.complex64))
        assert found < 0.08
        assert found < 0.15 * wrong


def test_cubics_are_known_between_the_cells() -> None:
    centres, wanted = ((torch.arange(n, dtype=torch.float64) + 0.5) / n for n in (9, 25))
    assert torch.allclose(cubic_between(9, 25) @ (centres**3 - centres), wanted**3 - wanted, rtol=0, atol=1e-12)
