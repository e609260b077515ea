"""Family: X-ray tomography of chests, test objects and measured sections; one beam for a whole batch, whose matrix is what costs.

The operator has unit norm, as in the paper: A = R / |R|, R the line integrals in pixels. The image is half the attenuation
relative to water, so that soft tissue is about 0.5 and bone less than 1, near the paper's lung window. Noise is Gaussian, sigma
from that of the paper's test (51 angles) to that of its training (10 angles), log-uniform; in some scenes photons are counted
too.

Source: Terris et al. (2025), table 5, section 5.2 and 5.3 (CT with Poisson noise).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from echoform.physics.operator import LinearOperator
from echoform.physics.tomography import Tomography
from echoform.scene.beams import Beam, FanBeam, ParallelBeam, diagonal_px
from echoform.scene.computed_tomography import rods, thorax
from echoform.scene.joined import joined
from echoform.scene.photographs import Photographs
from echoform.scene.random_source import RandomSource
from echoform.scene.scene import Scene
from echoform.train.problems.noise_levels import NoiseLevels
from echoform.train.problems.pictures import one_of
from echoform.train.problems.problem import ProblemFamily

#: read-out noise and signal of one photon, in units of the normalised projections
LEVELS = NoiseLevels((1e-4, 1e-2), (1e-3, 1e-1), counted=0.2, logarithmic=True)


@dataclass(frozen=True)
class TomographyLayout:
    """What was drawn for a batch.

    Attributes:
        beam: rays, one set of angles.
        bodies: number of chests; test objects come next, then measured sections.
        measured: number of measured sections.
        batch: number of scenes.
        place: device of the operator.
    """

    beam: Beam
    bodies: int
    measured: int
    batch: int
    place: torch.device


@dataclass(frozen=True, kw_only=True)
class ComputedTomography(ProblemFamily[TomographyLayout]):
    """Ranges of the family.

    Attributes:
        angles: numbers to choose from.
        fan: share of fan beams.
        limited: share of batches whose angles leave a part of the half turn out.
        span: range of that half turn's share which is left.
        spacing_px: range of the distance of detectors.
        source: range of the distance of source and detector from the axis, in diagonals of the image.
        bodies: share of chests among simulated scenes.
        sections: measured sections, attenuation relative to water, or None.
        measured: share of scenes made of them.
    """

    name: ClassVar[str] = "tomography"

    levels: NoiseLevels | None = LEVELS
    angles: tuple[int, ...] = (10, 10, 20, 51)
    fan: float = 0.4
    limited: float = 0.2
    span: tuple[float, float] = (0.5, 1.0)
    spacing_px: tuple[float, float] = (0.9, 1.5)
    source: tuple[float, float] = (1.0, 3.0)
    bodies: float = 0.6
    sections: Photographs | None = None
    measured: float = 0.5

    def layout(self, source: RandomSource, batch: int) -> TomographyLayout:
        """Draw one beam, and which scenes it sees."""
        measured = 0 if self.sections is None else int(source.chance((batch,), self.measured).sum())
        bodies = int(source.chance((batch - measured,), self.bodies).sum())
        return TomographyLayout(self._beam(source), bodies, measured, batch, source.place)

    def scene(self, source: RandomSource, layout: TomographyLayout) -> Scene:
        """Draw chests, test objects and sections, at half their attenuation."""
        parts, objects = [], layout.batch - layout.bodies - layout.measured
        if layout.bodies:
            parts.append(thorax(source, layout.bodies, self.shape))
        if objects:
            parts.append(rods(source, objects, self.shape))
        if layout.measured and self.sections is not None:
            parts.append(self.sections.draw(source, layout.measured, self.shape, largest=8.0))
        scene = joined(parts)
        return replace(scene, image=0.5 * scene.image)

    def operator(self, layout: TomographyLayout) -> LinearOperator:
        """Build the line integrals, scaled to unit norm."""
        return Tomography(layout.beam, (1, *self.shape)).to(layout.place).normalized()

    def _beam(self, source: RandomSource) -> Beam:
        count, fan = one_of(source, self.angles), bool(source.chance((), self.fan))
        span = (2 if fan else 1) * math.pi
        if bool(source.chance((), self.limited)):
            span *= float(source.uniform((), *self.span))
        start = float(source.uniform((), 0, 2 * math.pi))
        angles = (start + span / count * torch.arange(count, dtype=torch.float64))[None]
        spacing, diagonal = float(source.uniform((), *self.spacing_px)), diagonal_px(self.shape)
        if not fan:
            return ParallelBeam(angles_rad=angles, detectors=math.ceil(diagonal / spacing), spacing_px=spacing)
        before, behind = (diagonal * float(source.uniform((), *self.source)) for _ in range(2))
        wide = diagonal * (before + behind) / math.sqrt(before**2 - (diagonal / 2) ** 2)
        spacing *= (before + behind) / before
        return FanBeam(
            angles_rad=angles,
            detectors=math.ceil(wide / spacing),
            spacing_px=spacing,
            source_px=before,
            detector_px=behind,
        )
