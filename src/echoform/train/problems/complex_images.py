"""Families: complex images with noise alone, and with missing pixels: heads of magnetic resonance, and radar scenes.

The noise stands 8 to 48 dB below the mean power, about sigma = 0.1 to 0.001 of the peak of a head, as in
:mod:`echoform.train.problems.mri`.

Source: Terris et al. (2025), table 5 (complex denoising; complex inpainting, kept with probability 0.1 to 0.9).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from echoform.physics.identity import ScalarOperator
from echoform.physics.masking import SampleMask
from echoform.physics.operator import LinearOperator
from echoform.scene.frame import Frame, draw_illumination
from echoform.scene.joined import joined
from echoform.scene.mri_images import semi_synthetic
from echoform.scene.photographs import Photographs
from echoform.scene.random_source import RandomSource
from echoform.scene.scene import Scene
from echoform.train.problems.gridded_fourier import HEADS
from echoform.train.problems.pictures import one_of
from echoform.train.problems.problem import ProblemFamily
from echoform.train.problems.radar_scenes import SceneChoice, choose_scenes, radar_scene


@dataclass(frozen=True)
class ComplexLayout:
    """What was drawn for a batch.

    Attributes:
        sensors: gain (1,), or masks (B, 1, H, W).
        radar: kinds of radar scenes, which come first.
        heads: number of simulated heads, after them.
        measured: number of measured magnitudes with a drawn phase, last.
    """

    sensors: Tensor
    radar: SceneChoice | None
    heads: int
    measured: int


@dataclass(frozen=True, kw_only=True)
class ComplexDenoising(ProblemFamily[ComplexLayout]):
    """Ranges of the family.

    Attributes:
        radar: share of radar scenes.
        spacing_m: their pixel sizes, metres.
        magnitudes: measured magnitudes of one channel, or None.
        measured: share made of them of the other scenes.
    """

    name: ClassVar[str] = "complex-denoising"

    snr_db: tuple[float, float] = (8.0, 48.0)
    radar: float = 0.4
    spacing_m: tuple[float, float] = (0.1, 10.0)
    magnitudes: Photographs | None = None
    measured: float = 0.7

    def layout(self, source: RandomSource, batch: int) -> ComplexLayout:
        """Draw kinds of scene."""
        radar = int(source.chance((batch,), self.radar).sum())
        kinds = choose_scenes(source, radar, spacing_m=self.spacing_m) if radar else None
        rest = batch - radar
        measured = 0 if self.magnitudes is None else int(source.chance((rest,), self.measured).sum())
        return ComplexLayout(self.sensors(source, batch), kinds, rest - measured, measured)

    def sensors(self, source: RandomSource, batch: int) -> Tensor:
        """Return what the operator is built from."""
        return torch.ones(1, device=source.place)

    def scene(self, source: RandomSource, layout: ComplexLayout) -> Scene:
        """Draw radar scenes, heads and measured magnitudes."""
        parts = []
        if layout.radar is not None:
            frame = Frame(self.shape, layout.radar.spacing_m[:, None].expand(-1, 2))
            parts.append(radar_scene(source, layout.radar, frame, draw_illumination(source, frame.batch)))
        if layout.heads:
            parts.append(one_of(source, HEADS)(source, layout.heads, self.shape))
        if layout.measured and self.magnitudes is not None:
            parts.append(semi_synthetic(source, self.magnitudes, layout.measured, self.shape))
        return joined(parts)

    def operator(self, layout: ComplexLayout) -> LinearOperator:
        """Return the identity."""
        return ScalarOperator((1, *self.shape), layout.sensors)


@dataclass(frozen=True, kw_only=True)
class ComplexInpainting(ComplexDenoising):
    """Ranges as in :class:`ComplexDenoising`, and of the masks.

    Attributes:
        kept: range of the probability that a pixel is kept.
    """

    name: ClassVar[str] = "complex-inpainting"

    kept: tuple[float, float] = (0.1, 0.9)

    def sensors(self, source: RandomSource, batch: int) -> Tensor:
        """Return 0/1 for every pixel, the middle one always kept."""
        kept = source.uniform((batch, 1, *self.shape)) < source.uniform((batch, 1, 1, 1), *self.kept)
        kept[..., self.shape[0] // 2, self.shape[1] // 2] = True
        return kept.float()

    def operator(self, layout: ComplexLayout) -> LinearOperator:
        """Return the masks."""
        return SampleMask(layout.sensors)
