"""Family: microwave imaging with full-wave samples, which the Born operator given with them only approximates.

    y = F(chi)      (:mod:`echoform.physics.finite_difference_time_domain`, all orders),      A chi      (Born, first order)

How far F is from A is drawn through the first-order phase of the strongest row or column of pixels,

    phi = (k_max / 2) max sum |chi| d,

at which Born holds while phi is well under pi. ``TRAINING`` and ``HELD_BACK`` do not overlap in it, nor in the number of antennas.

Cost: the time stepping dominates; `benchmarks/full_wave.py` measures it per problem (about a second on one core at 32 x 32, four
to five at 64 x 64), so a share of training is written to files beforehand rather than drawn at each step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from echoform.physics.born import BornScattering
from echoform.physics.finite_difference_time_domain import LatticeSettings, full_wave_fields
from echoform.physics.green import Radiator
from echoform.scene.cells import cells_of
from echoform.scene.collection import SPEED_OF_LIGHT_M_S
from echoform.scene.contrast_phantoms import breast, dielectric_cylinders
from echoform.scene.frame import Frame
from echoform.scene.grid import Grid
from echoform.scene.random_source import RandomSource
from echoform.scene.rig import MultistaticRig, all_pairs, ring_m

#: highest frequency, log-uniform, hertz
FREQUENCY_HZ = (1e9, 10e9)
#: lowest over highest frequency, where there are several
LOWEST_SHARE = (0.3, 0.8)
#: pixels per wavelength at the highest frequency in the background
PIXELS_PER_WAVELENGTH = (9.0, 12.0)
#: densest and thinnest contrast
CONTRAST = (-0.8, 1.5)
#: of the lattice: eight nodes per wavelength in the densest pixel keep fields of the moment method to 0.3 %
SETTINGS = LatticeSettings(nodes_per_wavelength=8.0)
#: scenes stepped at once
TOGETHER = 4
#: share of scenes that are breasts; the others are cylinders
BREASTS = 0.3


@dataclass(frozen=True)
class FullWaveRange:
    """What is drawn.

    Attributes:
        phase_rad: first-order phase, log-uniform; less where ``CONTRAST`` does not allow as much.
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
        shape: (H, W), square pixels of 1/12 to 1/9 of the shortest wavelength.
        within: what is drawn.
    """
    source = RandomSource(generator)
    highest = float(source.log_uniform((), *FREQUENCY_HZ))
    spacing = SPEED_OF_LIGHT_M_S / highest / float(source.uniform((), *PIXELS_PER_WAVELENGTH))
    grid = Grid(shape, (spacing, spacing))
    rig = draw_rig(source, grid, highest, within)
    wanted = source.log_uniform((batch,), *within.phase_rad)
    contrast = scaled(draw_contrast(source, batch, grid), wanted, highest, spacing)
    cells, parts, unsettled = cells_of(grid), [], 0.0
    for part in contrast.split(TOGETHER):
        fields = full_wave_fields(part, rig, cells, settings=SETTINGS)
        parts.append(fields.scattered)
        unsettled = max(unsettled, fields.unsettled)
    operator = BornScattering(rig, cells, radiator=Radiator.LINE)
    return FullWaveProblem(
        contrast, torch.cat(parts), operator, first_order_phase_rad(contrast, highest, spacing), unsettled
    )


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


def scaled(contrast: Tensor, phase_rad: Tensor, highest_hz: float, spacing_m: float) -> Tensor:
    """Return contrasts times a factor that gives them the phase wanted, or as much of it as ``CONTRAST`` allows."""
    factor = phase_rad / first_order_phase_rad(contrast, highest_hz, spacing_m).clamp_min(1e-12)
    real = contrast.real.flatten(1)
    low, high = real.amin(1).clamp_max(-1e-12), real.amax(1).clamp_min(1e-12)
    factor = torch.minimum(factor, torch.minimum(CONTRAST[0] / low, CONTRAST[1] / high))
    return contrast * factor[:, None, None, None]
