"""Family: samples on the image's own frequencies (stepped-frequency radar on a polar-format grid, Cartesian MRI)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from echoform.physics.fourier_mask import FourierMask
from echoform.physics.operator import LinearOperator
from echoform.scene.frame import Frame, draw_illumination
from echoform.scene.grid import Grid
from echoform.scene.head import brain, shepp_logan_like
from echoform.scene.joined import joined
from echoform.scene.random_source import RandomSource
from echoform.scene.scene import Scene
from echoform.train.problems.fourier import SHARE, draw_fourier_mask
from echoform.train.problems.problem import ProblemFamily
from echoform.train.problems.radar_scenes import SceneChoice, choose_scenes, radar_scene

HEADS: tuple[Callable[[RandomSource, int, tuple[int, int]], Scene], ...] = (shepp_logan_like, brain)


@dataclass(frozen=True)
class FourierLayout:
    """What was drawn for a batch.

    Attributes:
        mask: measured frequencies.
        scenes: kinds of radar scene, the first of the batch.
        heads: number of magnetic resonance scenes after them.
    """

    mask: FourierMask
    scenes: SceneChoice | None
    heads: int


@dataclass(frozen=True, kw_only=True)
class GriddedFourier(ProblemFamily[FourierLayout]):
    """Ranges of the family.

    Attributes:
        kept: range of the share of frequencies measured, log-uniform.
        heads: share of scenes that are heads (MRI); the others are radar scenes.
        spacing_m: pixel sizes of the radar scenes, metres.
    """

    name: ClassVar[str] = "fourier"

    kept: tuple[float, float] = SHARE
    heads: float = 0.3
    spacing_m: tuple[float, float] = (0.1, 10.0)

    def layout(self, source: RandomSource, batch: int) -> FourierLayout:
        """Draw masks and kinds of scene."""
        mask = draw_fourier_mask(source.generator, batch, self.shape, share=self.kept).to(source.place)
        heads = int((source.uniform((batch,)) < self.heads).sum())
        radar = choose_scenes(source, batch - heads, spacing_m=self.spacing_m) if heads < batch else None
        return FourierLayout(mask, radar, heads)

    def scene(self, source: RandomSource, layout: FourierLayout) -> Scene:
        """Draw radar scenes, then heads."""
        parts = []
        if layout.scenes is not None:
            frame = self._frame(layout.scenes)
            parts.append(radar_scene(source, layout.scenes, frame, draw_illumination(source, frame.batch)))
        if layout.heads:
            kind = HEADS[int(source.integers((), 0, len(HEADS)))]
            parts.append(kind(source, layout.heads, self.shape))
        return joined(parts)

    def operator(self, layout: FourierLayout) -> LinearOperator:
        """Return the masks."""
        return layout.mask

    def grid(self, layout: FourierLayout) -> Grid | None:
        """Return the first scene's pixels where it is a radar scene."""
        if layout.scenes is None:
            return None
        spacing = float(layout.scenes.spacing_m[0])
        return Grid(self.shape, (spacing, spacing))

    def _frame(self, scenes: SceneChoice) -> Frame:
        return Frame(self.shape, scenes.spacing_m[:, None].expand(-1, 2))
