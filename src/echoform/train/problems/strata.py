"""Family: scenes in strata from the most to the least structured, and measured chips, seen through Fourier masks.

The strata are those by which networks are judged (benchmarks/first_light.py): points, targets, smooth objects, speckled regions
and clutter without any model of a sensor's surroundings. Chips are real complex images of radar satellites.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from echoform.physics.fourier_mask import FourierMask
from echoform.physics.operator import LinearOperator
from echoform.scene.random_source import RandomSource
from echoform.scene.scene import Scene
from echoform.train.problems.fourier import SHARE, draw_fourier_mask
from echoform.train.problems.problem import ProblemFamily
from echoform.train.problems.scenes import CHIP_SIDE, Chips, SceneKind, draw_scene

#: simulated kinds, in the order of the shares
SIMULATED = (SceneKind.POINTS, SceneKind.TARGETS, SceneKind.OBJECTS, SceneKind.REGIONS, SceneKind.CLUTTER)


@dataclass(frozen=True)
class StrataLayout:
    """What was drawn for a batch.

    Attributes:
        mask: measured frequencies.
        counts: scenes of each simulated kind, then chips.
    """

    mask: FourierMask
    counts: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Strata(ProblemFamily[StrataLayout]):
    """Ranges of the family.

    Attributes:
        kept: range of the share of frequencies measured, log-uniform.
        shares: weights of points, targets, objects, regions, clutter.
        chips: measured chips, or None.
        measured: share of scenes made of them; of images larger than a chip, none is.
    """

    name: ClassVar[str] = "strata"

    snr_db: tuple[float, float] = (-5.0, 40.0)
    kept: tuple[float, float] = SHARE
    shares: tuple[float, float, float, float, float] = (0.2, 0.25, 0.15, 0.1, 0.05)
    chips: Chips | None = None
    measured: float = 0.25

    def layout(self, source: RandomSource, batch: int) -> StrataLayout:
        """Draw masks and how many scenes each stratum has."""
        mask = draw_fourier_mask(source.generator, batch, self.shape, share=self.kept).to(source.place)
        covered = self.chips is not None and max(self.shape) <= CHIP_SIDE
        measured = int(source.chance((batch,), self.measured).sum()) if covered else 0
        shares = torch.tensor(self.shares)
        simulated = batch - measured
        kinds = torch.multinomial(shares, max(simulated, 1), replacement=True, generator=source.generator)[:simulated]
        counts = torch.bincount(kinds, minlength=len(shares)).tolist()
        return StrataLayout(mask, (*counts, measured))

    def scene(self, source: RandomSource, layout: StrataLayout) -> Scene:
        """Draw the scenes, stratum by stratum, of unit RMS."""
        parts = [
            draw_scene(kind, source.generator, count, self.shape, chips=self.chips)
            for kind, count in zip((*SIMULATED, SceneKind.CHIP), layout.counts, strict=True)
            if count
        ]
        return Scene(torch.cat(parts).to(source.place))

    def operator(self, layout: StrataLayout) -> LinearOperator:
        """Return the masks."""
        return layout.mask
