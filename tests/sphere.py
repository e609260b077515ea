"""A sphere of 40 mm between point antennas spread over a larger one, and cells about it."""

from __future__ import annotations

import torch
from torch import Tensor

from echoform.scene.cells import Cells, share_of_ball, volume_of
from echoform.scene.grid import Grid
from echoform.scene.rig import MultistaticRig, all_pairs, sphere_m

RADIUS_M = 0.04


def sphere_rig(frequency_hz: Tensor, *, antennas: int) -> MultistaticRig:
    """Antennas half a metre away, each both source and receiver."""
    place = sphere_m(0.5, antennas)[None]
    return all_pairs(place, place, frequency_hz[None])


def cube(side: int) -> Cells:
    """``side`` cells along each axis of a cube of 96 mm."""
    step = 0.096 / side
    return volume_of(Grid((side, side), (step, step)), side, step)


def ball(cells: Cells, permittivity: complex) -> Tensor:
    """The contrast of the sphere on cells, complex128."""
    return (permittivity - 1) * share_of_ball(cells, RADIUS_M).to(torch.complex128)
