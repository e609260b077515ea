"""Family: microwave imaging with full-wave samples, which the Born operator given with them only approximates.

    y = F(chi)      (:mod:`echoform.physics.finite_difference_time_domain`, all orders),      A chi      (Born, first order)

How far F is from A is drawn through the first-order phase of the strongest row or column of pixels,

    phi = (k_max / 2) max sum |chi| d,

at which Born holds while phi is well under pi. ``TRAINING`` and ``HELD_BACK`` do not overlap in the phase asked for, nor in the
number of antennas.

Cost: time stepping, growing with pixels, transmitters and the side once more. On one core 0.3 s a problem of ``TRAINING`` and
0.8 s of ``HELD_BACK`` at 32 x 32, four times that at 64 x 64 (``benchmarks/full_wave.py``): the family can stand in a stream as
it is, but shares of training are better written to files beforehand (``benchmarks/full_wave.py --set``) and read by
:mod:`echoform.train.problems.recorded`. One node per pixel takes a pixel as a sample, not as a square: against squares of
3 x 3 nodes the samples differ by 1 % (median), 4 % at worst.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from echoform.physics.born import BornScattering
from echoform.physics.finite_difference_time_domain import LatticeSettings, full_wave_fields
from echoform.physics.green import Radiator
from echoform.physics.operator import LinearOperator
from echoform.scene.cells import cells_of
from echoform.scene.collection import SPEED_OF_LIGHT_M_S
from echoform.scene.contrast_phantoms import breast, dielectric_cylinders
from echoform.scene.frame import Frame
from echoform.scene.grid import Grid
from echoform.scene.random_source import RandomSource
from echoform.scene.rig import MultistaticRig, all_pairs, ring_m
from echoform.scene.scene import Scene, SceneClass
from echoform.train.problems.problem import ProblemFamily

#: highest frequency, log-uniform, hertz
FREQUENCY_HZ = (1e9, 10e9)
#: lowest over highest frequency, where there are several
LOWEST_SHARE = (0.3, 0.8)
#: pixels per wavelength at the highest frequency in the background
PIXELS_PER_WAVELENGTH = (12.7, 16.0)
#: densest and thinnest contrast
CONTRAST = (-0.8, 1.5)
#: of the lattice: one node per pixel; the benchmark states how far its samples are from a lattice three times as fine
SETTINGS = LatticeSettings(nodes_per_wavelength=8.0)
#: scenes stepped at once
TOGETHER = 4
#: scenes drawn for each that is kept: the first that reaches the phase wanted, or else the last
CANDIDATES = 8
#: share of scenes that are breasts; the others are cylinders
BREASTS = 0.3


@dataclass(frozen=True)
class FullWaveRange:
    """What is drawn.

    Attributes:
        phase_rad: first-order phase, log-uniform; less only where ``CONTRAST`` allows none of ``CANDIDATES`` as much.
        transmitters: least and greatest number.
        receivers: least and greatest number.
        frequencies: least and greatest number.
    """

    phase_rad: tuple[float, float]
    transmitters: tuple[int, int]
    receivers: tuple[int, int]
    frequencies: tuple[int, int] = (1, 4)


#: from where Born is exact to where it fails
TRAINING = FullWaveRange((0.05, 1.5), (4, 10), (8, 24))
#: beyond it, for tests alone
HELD_BACK = FullWaveRange((1.5, 4.0), (11, 16), (25, 32))


@dataclass(frozen=True)
class FullWaveProblem:
    """Scenes, what they scatter, and the operator that a reconstructor is given.

    Attributes:
        truth: chi at the middle frequency, (B, 1, H, W), complex64.
        samples: y without noise, (B, 1, F, R, T), complex64.
        operator: A, one rig for all scenes.
        phase_rad: phi of each scene, (B,).
        unsettled: see :class:`echoform.physics.finite_difference_time_domain.FullWaveFields`.
    """

    truth: Tensor
    samples: Tensor
    operator: BornScattering
    phase_rad: Tensor
    unsettled: float

    def born_misfit(self) -> Tensor:
        """Return |A chi - y| / |y| of each scene, (B,)."""
        error = (self.operator(self.truth) - self.samples).flatten(1).norm(dim=1)
        return error / self.samples.flatten(1).norm(dim=1)


def draw_full_wave(
    generator: torch.Generator, batch: int, shape: tuple[int, int], *, within: FullWaveRange = TRAINING
) -> FullWaveProblem:
    """Return dielectric scenes in a random ring of antennas with their full-wave samples.

    Args:
        generator: source of randomness, on the CPU.
        batch: number of scenes, all in one rig.
        shape: (H, W), square pixels of 1/16 to 1/12.7 of the shortest wavelength, so that they are the lattice.
        within: what is drawn.
    """
    source = RandomSource(generator)
    highest = float(source.log_uniform((), *FREQUENCY_HZ))
    spacing = SPEED_OF_LIGHT_M_S / highest / float(source.uniform((), *PIXELS_PER_WAVELENGTH))
    grid = Grid(shape, (spacing, spacing))
    rig = draw_rig(source, grid, highest, within)
    wanted = source.log_uniform((batch,), *within.phase_rad)
    contrast = draw_scaled(source, wanted, grid, highest)
    cells, parts, unsettled = cells_of(grid), [], 0.0
    for part in contrast.split(TOGETHER):
        fields = full_wave_fields(part, rig, cells, settings=SETTINGS)
        parts.append(fields.scattered)
        unsettled = max(unsettled, fields.unsettled)
    operator = BornScattering(rig, cells, radiator=Radiator.LINE)
    return FullWaveProblem(
        contrast, torch.cat(parts), operator, first_order_phase_rad(contrast, highest, spacing), unsettled
    )


@dataclass(frozen=True, kw_only=True)
class FullWave(ProblemFamily[FullWaveProblem]):
    """Born problems whose samples are full-wave, for a stream.

    Attributes:
        within: what is drawn.
    """

    name: ClassVar[str] = "full-wave"

    shape: tuple[int, int] = (32, 32)
    within: FullWaveRange = TRAINING

    def layout(self, source: RandomSource, batch: int) -> FullWaveProblem:
        """Draw scenes, rig and samples; on the CPU, moved to the device of the source."""
        drawn = draw_full_wave(source.generator, batch, self.shape, within=self.within)
        place = source.place
        return replace(
            drawn, truth=drawn.truth.to(place), samples=drawn.samples.to(place), operator=drawn.operator.to(place)
        )

    def scene(self, source: RandomSource, layout: FullWaveProblem) -> Scene:
        """Return the contrasts drawn, with the pixels that are not background."""
        return Scene(layout.truth, masks={SceneClass.DIELECTRIC: layout.truth[:, 0].abs() > 0})

    def operator(self, layout: FullWaveProblem) -> LinearOperator:
        """Return the Born operator, which the samples do not follow."""
        return layout.operator

    def clean_samples(self, layout: FullWaveProblem, scene: Scene, operator: LinearOperator) -> Tensor:
        """Return the full-wave samples."""
        return layout.samples

    def grid(self, layout: FullWaveProblem) -> Grid:
        """Return the pixels."""
        return layout.operator.cells.grid


def draw_rig(source: RandomSource, grid: Grid, highest_hz: float, within: FullWaveRange) -> MultistaticRig:
    """Return transmitters and receivers on two rings outside the pixels, evenly spread but for a jitter of a third."""
    reach = math.hypot(*(n * d for n, d in zip(grid.shape, grid.spacing_m, strict=True))) / 2
    rings = []
    for bounds in (within.transmitters, within.receivers):
        count = int(source.integers((), bounds[0], bounds[1] + 1))
        jitter = source.uniform((count,), -1 / 3, 1 / 3) + source.uniform((1,), 0, count)
        radius = (reach + 4 * grid.spacing_m[0]) * float(source.uniform((), 1.0, 1.4))
        rings.append(ring_m(radius, 2 * math.pi * (torch.arange(count) + jitter) / count)[None])
    lowest = highest_hz * float(source.uniform((), *LOWEST_SHARE))
    frequencies = int(source.integers((), within.frequencies[0], within.frequencies[1] + 1))
    steps = torch.linspace(highest_hz, lowest, frequencies, dtype=torch.float64)
    return all_pairs(rings[0], rings[1], steps.flip(0)[None])


def draw_contrast(source: RandomSource, batch: int, grid: Grid) -> Tensor:
    """Return contrasts before scaling, (B, 1, H, W), complex64, none of which gains power."""
    frame = Frame(grid.shape, torch.tensor([grid.spacing_m]).expand(batch, -1))
    cylinders, tissue = dielectric_cylinders(source, frame).image, breast(source, frame).image
    image = torch.where(source.chance((batch, 1, 1, 1), BREASTS), tissue, cylinders)
    return torch.complex(image.real, image.imag.clamp_max(0)).to(torch.complex64)


def first_order_phase_rad(contrast: Tensor, highest_hz: float, spacing_m: float) -> Tensor:
    """Return (k / 2) max over rows and columns of sum |chi| d, (B,)."""
    size = contrast[:, 0].abs()
    longest = torch.maximum(size.sum(1).amax(1), size.sum(2).amax(1))
    return math.pi * highest_hz / SPEED_OF_LIGHT_M_S * spacing_m * longest


def draw_scaled(source: RandomSource, phase_rad: Tensor, grid: Grid, highest_hz: float) -> Tensor:
    """Return contrasts times a factor that gives them the phase wanted, (B,), or as much of it as ``CONTRAST`` allows."""
    batch = len(phase_rad)
    contrast = draw_contrast(source, CANDIDATES * batch, grid)
    own = first_order_phase_rad(contrast, highest_hz, grid.spacing_m[0]).clamp_min(1e-12)
    real = contrast.real.flatten(1)
    low, high = real.amin(1).clamp_max(-1e-12), real.amax(1).clamp_min(1e-12)
    allowed = torch.minimum(CONTRAST[0] / low, CONTRAST[1] / high)
    wanted = (phase_rad.repeat(CANDIDATES) / own).unflatten(0, (CANDIDATES, batch))
    allowed = allowed.unflatten(0, (CANDIDATES, batch))
    reaches = wanted <= allowed
    reaches[-1] = True
    pick, scene = reaches.to(torch.int8).argmax(0), torch.arange(batch)
    factor = torch.minimum(wanted, allowed)[pick, scene]
    return contrast.unflatten(0, (CANDIDATES, batch))[pick, scene] * factor[:, None, None, None]
