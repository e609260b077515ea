"""Family: multistatic microwave imaging of small changes in a known body, by the Born operator about that body.

    y[f, r, t] = w_f sum_j G_r[f, r, j] dchi_j E_t[f, t, j]        (:mod:`echoform.physics.inhomogeneous_born`)

The body's total fields E and G hold all orders of its own scattering: a tumour in a breast that is known but for it, an inclusion
behind layers, one cylinder beside others. One rig and one body for a whole batch. The fields are solved for on a grid of
``cells`` cells a side, at least 10 to a wavelength of the surroundings, and what the body adds to the incident fields is brought
to the pixels by cubics: a dense solution on 64 x 64 pixels would take seconds for each frequency.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor

from echoform.physics.born import BornScattering, GivenFields
from echoform.physics.green import Radiator, green_2d
from echoform.physics.inhomogeneous_born import CellScattering
from echoform.physics.operator import LinearOperator
from echoform.scene.cells import cells_of
from echoform.scene.contrast_phantoms import breast, dielectric_cylinders, layered_wall
from echoform.scene.frame import Frame, frame_of
from echoform.scene.grid import Grid
from echoform.scene.random_source import RandomSource
from echoform.scene.rig import MultistaticRig
from echoform.scene.scene import Scene
from echoform.train.problems.microwave import Born, BornLayout
from echoform.train.problems.problem import ProblemFamily

#: largest contrast of a body, and least
CONTRAST = (-0.7, 1.5)


@dataclass(frozen=True)
class BackgroundLayout:
    """What was drawn for a batch.

    Attributes:
        born: rig, pixels and surroundings.
        contrast: chi of the body, (cells, cells), complex128.
    """

    born: BornLayout
    contrast: Tensor


@dataclass(frozen=True, kw_only=True)
class BornBackground(ProblemFamily[BackgroundLayout]):
    """Ranges of the family.

    Attributes:
        rig: rig, frequencies and surroundings; its shape is not used.
        cells: of the body, along a side.
        change: range of the factor on the contrasts that change, log-uniform.
    """

    name: ClassVar[str] = "born-background"

    rig: Born = field(
        default_factory=lambda: Born(frequencies=(1, 2), antennas=(8, 12, 16), width=(1.0, 2.4), lowest=(0.5, 0.9))
    )
    cells: int = 24
    change: tuple[float, float] = (0.02, 0.3)

    def layout(self, source: RandomSource, batch: int) -> BackgroundLayout:
        """Draw a rig and the body within it."""
        born = replace(self.rig, shape=self.shape).layout(source, batch)
        return BackgroundLayout(born, self._body(source, born.cells.grid))

    def scene(self, source: RandomSource, layout: BackgroundLayout) -> Scene:
        """Draw changes: dielectric bodies of small contrast."""
        frame = frame_of(layout.born.cells.grid, layout.born.batch, device=source.place)
        drawn = dielectric_cylinders(source, frame)
        return replace(drawn, image=drawn.image * source.log_uniform((frame.batch, 1, 1, 1), *self.change))

    def operator(self, layout: BackgroundLayout) -> LinearOperator:
        """Build the operator about the body."""
        born, rig = layout.born, layout.born.rig
        here = MultistaticRig(
            *(part.cpu() for part in (rig.transmitter_m, rig.receiver_m, rig.frequency_hz, rig.heard))
        )
        body = cells_of(self._coarse(born.cells.grid))
        model = CellScattering(here, body, radiator=Radiator.LINE, permittivity=born.permittivity.cpu())
        found = model.fields(layout.contrast)
        rows, columns = (cubic_between(self.cells, n).to(torch.complex128) for n in self.shape)
        place, pixels = born.permittivity.device, born.cells.positions_m()

        def on_pixels(total: Tensor | None, at_cells: list[Tensor], antenna_m: Tensor) -> Tensor:
            assert total is not None
            scattered = (total[0] - torch.stack(at_cells)).unflatten(-1, (self.cells, -1))
            distance = (antenna_m[0, :, None] - pixels).norm(dim=-1)
            incident = torch.stack([green_2d(distance, k) for k in model.k])
            return (incident + (rows @ scattered @ columns.mT).flatten(-2))[None].to(place)

        lit = on_pixels(found.incident, model.incident, here.transmitter_m)
        heard = on_pixels(found.received, model.received, here.receiver_m)
        return BornScattering(
            rig,
            born.cells,
            radiator=Radiator.LINE,
            permittivity=born.permittivity,
            fields=GivenFields(lit, heard),
            normal_memory_bytes=0,
        )

    def grid(self, layout: BackgroundLayout) -> Grid:
        """Return the pixels."""
        return layout.born.cells.grid

    def _coarse(self, grid: Grid) -> Grid:
        dy, dx = (n * d / self.cells for n, d in zip(grid.shape, grid.spacing_m, strict=True))
        return Grid((self.cells, self.cells), (dy, dx))

    def _body(self, source: RandomSource, grid: Grid) -> Tensor:
        """Return the contrast of one body within ``CONTRAST``, none of it with gain."""
        coarse = self._coarse(grid)
        frame = Frame(coarse.shape, torch.tensor([coarse.spacing_m], device=source.place))
        kind = (dielectric_cylinders, breast, layered_wall)[int(source.integers((), 0, 3))]
        chi = kind(source, frame).image[0, 0].cpu().to(torch.complex128)
        low, high = float(chi.real.amin()), float(chi.real.amax())
        factor = min(1.0, CONTRAST[0] / min(low, -1e-12), CONTRAST[1] / max(high, 1e-12))
        return torch.complex(chi.real, chi.imag.clamp_max(0)) * factor


def cubic_between(count: int, wanted: int) -> Tensor:
    """Return the matrix from values at ``count`` cell centres to ``wanted`` ones over the same length, by cubics, float64."""
    matrix = torch.zeros(wanted, count, dtype=torch.float64)
    for m, row in enumerate(matrix):
        at = (m + 0.5) * count / wanted - 0.5
        first = max(0, min(math.floor(at) - 1, count - 4))
        near = range(first, first + 4)
        for j in near:
            row[j] = math.prod((at - i) / (j - i) for i in near if i != j)
    return matrix
