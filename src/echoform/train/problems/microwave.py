"""Families: multistatic microwave imaging under the Born approximation, of a section (lines) or a volume (points).

One rig for a whole batch. The image is some wavelengths wide at the highest frequency. Full-wave samples, which the Born operator
only approximates, are those of :mod:`echoform.train.problems.full_wave`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from echoform.physics.born import BornScattering
from echoform.physics.green import Radiator
from echoform.physics.operator import LinearOperator
from echoform.scene.array import uniform_plane
from echoform.scene.cells import Cells, cells_of, volume_of
from echoform.scene.collection import SPEED_OF_LIGHT_M_S
from echoform.scene.contrast_phantoms import breast, dielectric_cylinders, layered_wall
from echoform.scene.frame import frame_of
from echoform.scene.grid import Grid
from echoform.scene.random_source import RandomSource
from echoform.scene.rig import MultistaticRig, ring_m
from echoform.scene.scene import Scene
from echoform.train.problems.problem import ProblemFamily


@dataclass(frozen=True)
class BornLayout:
    """What was drawn for a batch.

    Attributes:
        rig: antennas, frequencies and pairs.
        cells: pixels.
        permittivity: of the background, (1,).
        batch: number of scenes.
    """

    rig: MultistaticRig
    cells: Cells
    permittivity: Tensor
    batch: int


@dataclass(frozen=True, kw_only=True)
class Born(ProblemFamily[BornLayout]):
    """Ranges of the section.

    Attributes:
        highest_hz: range of the highest frequency, log-uniform, hertz.
        lowest: range of the lowest frequency over it.
        frequencies: numbers to choose from.
        antennas: numbers of antennas to choose from.
        permittivity: range of the background's.
        width: range of the image's width, in wavelengths at the highest frequency.
        radius: range of the ring's radius over half the image's diagonal.
        kept: least share of the pairs that are heard, in half of the batches.
    """

    name: ClassVar[str] = "born"

    highest_hz: tuple[float, float] = (1e9, 10e9)
    lowest: tuple[float, float] = (0.3, 0.8)
    frequencies: tuple[int, ...] = (2, 4, 6)
    antennas: tuple[int, ...] = (8, 12, 16, 24)
    permittivity: tuple[float, float] = (1.0, 20.0)
    width: tuple[float, float] = (2.0, 6.0)
    radius: tuple[float, float] = (1.1, 1.8)
    kept: float = 0.4

    def layout(self, source: RandomSource, batch: int) -> BornLayout:
        """Draw a ring of antennas in a background, and the pixels within it."""
        permittivity, wavelength, hz = self._band(source)
        side = wavelength * float(source.uniform((), *self.width))
        grid = Grid(self.shape, (side / self.shape[0], side / self.shape[1]))
        radius = side / math.sqrt(2) * float(source.uniform((), *self.radius))
        count = self.antennas[int(source.integers((), 0, len(self.antennas)))]
        turn = 2 * math.pi * torch.arange(count, dtype=torch.float64, device=source.place) / count
        around = ring_m(radius, turn)[None]
        inner = ring_m(0.97 * radius, turn + math.pi / count)[None] if bool(source.chance((), 0.5)) else around
        return BornLayout(self._rig(source, around, inner, hz), cells_of(grid), permittivity, batch)

    def scene(self, source: RandomSource, layout: BornLayout) -> Scene:
        """Draw dielectric bodies of one kind."""
        frame = frame_of(layout.cells.grid, layout.batch, device=source.place)
        kind = (dielectric_cylinders, breast, layered_wall)[int(source.integers((), 0, 3))]
        return kind(source, frame)

    def operator(self, layout: BornLayout) -> LinearOperator:
        """Build the operator of lines."""
        return BornScattering(
            layout.rig, layout.cells, radiator=Radiator.LINE, permittivity=layout.permittivity, normal_memory_bytes=0
        )

    def grid(self, layout: BornLayout) -> Grid:
        """Return the pixels."""
        return layout.cells.grid

    def _band(self, source: RandomSource) -> tuple[Tensor, float, Tensor]:
        """Return the background's permittivity (1,), the shortest wavelength in it, and the frequencies (1, F)."""
        permittivity = float(source.log_uniform((), *self.permittivity))
        highest = float(source.log_uniform((), *self.highest_hz))
        count = self.frequencies[int(source.integers((), 0, len(self.frequencies)))]
        hz = highest * torch.linspace(float(source.uniform((), *self.lowest)), 1.0, count, dtype=torch.float64)
        shortest = SPEED_OF_LIGHT_M_S / highest / math.sqrt(permittivity)
        return (
            torch.tensor([permittivity], dtype=torch.float64, device=source.place),
            shortest,
            hz[None].to(source.place),
        )

    def _rig(self, source: RandomSource, receiver_m: Tensor, transmitter_m: Tensor, hz: Tensor) -> MultistaticRig:
        """Return the rig; in half of the batches some pairs at random are not heard."""
        pairs = (1, 1, receiver_m.shape[1], transmitter_m.shape[1])
        share = self.kept + (1 - self.kept) * float(source.uniform(()))
        heard = source.uniform(pairs) < (share if bool(source.chance((), 0.5)) else 1.0)
        heard[..., 0, 0] = True
        return MultistaticRig(transmitter_m, receiver_m, hz, heard.double())


@dataclass(frozen=True, kw_only=True)
class BornVolume(Born):
    """Ranges of the volume: a planar array looks into it from above; fields as in :class:`Born`.

    Attributes:
        slices: D.
        panel: rows and columns of the array.
        distance: range of the array's distance over the image's width.
    """

    name: ClassVar[str] = "born-volume"

    highest_hz: tuple[float, float] = (2e9, 40e9)
    permittivity: tuple[float, float] = (1.0, 6.0)
    frequencies: tuple[int, ...] = (2, 3)
    width: tuple[float, float] = (3.0, 8.0)
    slices: int = 4
    panel: tuple[int, int] = (4, 4)
    distance: tuple[float, float] = (0.5, 1.2)

    def layout(self, source: RandomSource, batch: int) -> BornLayout:
        """Draw a planar array over a volume."""
        permittivity, wavelength, hz = self._band(source)
        side = wavelength * float(source.uniform((), *self.width))
        grid = Grid(self.shape, (side / self.shape[0], side / self.shape[1]))
        cells = volume_of(grid, self.slices, wavelength / 2)
        rows, columns = self.panel
        facing = uniform_plane((rows, columns), (side / (rows - 1), side / (columns - 1)), device=source.place)
        height = side * float(source.uniform((), *self.distance)) + self.slices * wavelength / 2
        flat = torch.stack([facing[..., 0], facing[..., 2], torch.full_like(facing[..., 0], height)], -1)
        return BornLayout(self._rig(source, flat, flat, hz), cells, permittivity, batch)

    def scene(self, source: RandomSource, layout: BornLayout) -> Scene:
        """Draw bodies of limited height, two sets of them at depths of their own."""
        frame = frame_of(layout.cells.grid, layout.batch, device=source.place)
        z = torch.arange(self.slices, device=source.place)
        flat = dielectric_cylinders(source, frame), dielectric_cylinders(source, frame)
        image = torch.zeros(layout.batch, self.slices, *self.shape, dtype=torch.complex64, device=source.place)
        for one in flat:
            depth = source.uniform((layout.batch, 1, 1, 1), 0, self.slices - 1)
            thick = source.uniform((layout.batch, 1, 1, 1), 0.5, 1.5)
            image = image + one.image * torch.exp(-((z[:, None, None] - depth) / thick).square() / 2)
        return replace(flat[0] + flat[1], image=image)

    def operator(self, layout: BornLayout) -> LinearOperator:
        """Build the operator of points."""
        return BornScattering(
            layout.rig, layout.cells, radiator=Radiator.POINT, permittivity=layout.permittivity, normal_memory_bytes=0
        )
