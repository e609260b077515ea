"""Family: Cartesian MRI with one or several coils, lines skipped as fastMRI skips them.

Scenes are simulated heads and, where pictures are given, measured magnitudes with a smooth random phase (semi-synthetic). A batch
shares the number of coils and the axis along which lines run; every scene has its own mask, sensitivities and noise level.

The noise, 8 to 48 dB below the mean power of the samples, is about sigma = 0.1 to 0.001 of the image's peak for a head.

Source: Terris et al. (2025), table 5 (RAM's MRI tasks: accelerations 4 and 8, those levels); Zbontar et al. (2018), section 4.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from echoform.physics.coil_maps import draw_coil_maps
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.mri_density_masks import GaussianDensity
from echoform.physics.mri_masks import (
    CentreFraction,
    EquispacedFractionLines,
    EquispacedLines,
    LineMask,
    MagicLines,
    RandomLines,
    line_weights,
)
from echoform.physics.multicoil_mri import MulticoilMRI
from echoform.physics.operator import LinearOperator
from echoform.scene.joined import joined
from echoform.scene.mri_images import semi_synthetic
from echoform.scene.photographs import Photographs
from echoform.scene.random_source import RandomSource
from echoform.scene.scene import Scene
from echoform.train.problems.gridded_fourier import HEADS
from echoform.train.problems.problem import ProblemFamily

#: share of all measured lines that is the centre: 0.08 at acceleration 4, 0.04 at 8
CENTRE_SHARE = 0.32


@dataclass(frozen=True)
class MriLayout:
    """What was drawn for a batch.

    Attributes:
        weights: 0/1, (B, 1, H, W).
        sensitivities: (B, coils, H, W), or None for one coil whose sensitivity is part of the image.
        measured: number of scenes from measured magnitudes; heads come first.
    """

    weights: Tensor
    sensitivities: Tensor | None
    measured: int


@dataclass(frozen=True, kw_only=True)
class CartesianMri(ProblemFamily[MriLayout]):
    """Ranges of the family.

    Attributes:
        accelerations: from which each scene's is chosen.
        kinds: kinds of line masks, equally likely.
        planar: share of scenes whose points are skipped along both axes, with Gaussian density (volumes).
        coils: numbers of coils, from which each batch's is chosen.
        pictures: measured magnitudes of one channel, or None.
        measured: share of scenes made of them.
    """

    name: ClassVar[str] = "mri"

    snr_db: tuple[float, float] = (8.0, 48.0)
    accelerations: tuple[int, ...] = (4, 8, 10)
    kinds: tuple[type[LineMask], ...] = (RandomLines, EquispacedLines, EquispacedFractionLines, MagicLines)
    planar: float = 0.1
    coils: tuple[int, ...] = (1, 4, 8, 15)
    pictures: Photographs | None = None
    measured: float = 0.7

    def layout(self, source: RandomSource, batch: int) -> MriLayout:
        """Draw masks, sensitivities and which scenes are measured magnitudes."""
        along_rows = bool(source.chance((), 0.5))
        weights = torch.cat([self._mask(source, along_rows=along_rows) for _ in range(batch)]).to(source.place)
        coils = self.coils[int(source.integers((), 0, len(self.coils)))]
        maps = None if coils == 1 else draw_coil_maps(source, batch, coils, self.shape)
        measured = 0 if self.pictures is None else int(source.chance((batch,), self.measured).sum())
        return MriLayout(weights, maps, measured)

    def _mask(self, source: RandomSource, *, along_rows: bool) -> Tensor:
        """Weights of one scene, (1, 1, H, W)."""
        acceleration = self.accelerations[int(source.integers((), 0, len(self.accelerations)))]
        kind = self.kinds[int(source.integers((), 0, len(self.kinds)))]
        fraction = CENTRE_SHARE / acceleration
        if bool(source.chance((), self.planar)):
            side = max(2, round((fraction / acceleration) ** 0.5 * min(self.shape)))
            return GaussianDensity(acceleration, side).draw(source.generator, 1, self.shape)
        lines, samples = self.shape if along_rows else self.shape[::-1]
        weights = line_weights(kind(acceleration, CentreFraction(fraction)).draw(source.generator, 1, lines), samples)
        return weights.mT.contiguous() if along_rows else weights

    def scene(self, source: RandomSource, layout: MriLayout) -> Scene:
        """Draw heads, then measured magnitudes with a phase."""
        batch, parts = len(layout.weights), []
        if layout.measured < batch:
            head = HEADS[int(source.integers((), 0, len(HEADS)))]
            parts.append(head(source, batch - layout.measured, self.shape))
        if layout.measured and self.pictures is not None:
            parts.append(semi_synthetic(source, self.pictures, layout.measured, self.shape))
        return joined(parts)

    def operator(self, layout: MriLayout) -> LinearOperator:
        """Return the masks, behind the sensitivities where there are several coils."""
        mask = FourierMask(layout.weights)
        return mask if layout.sensitivities is None else MulticoilMRI(mask, layout.sensitivities)
