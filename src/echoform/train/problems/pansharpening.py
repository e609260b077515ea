"""Family: a sharp image without colour beside a coarse one with it.

Source: Terris et al. (2025), table 5 (flat spectral response).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from echoform.physics.operator import LinearOperator
from echoform.physics.pansharpening import pansharpening
from echoform.scene.random_source import RandomSource
from echoform.scene.scene import Scene
from echoform.train.problems.noise_levels import NoiseLevels
from echoform.train.problems.pictures import PictureFamily
from echoform.train.problems.super_resolution import Smaller, draw_filter

#: in units of the brightest pixel
LEVELS = NoiseLevels((0.01, 0.1))


@dataclass(frozen=True, kw_only=True)
class PanSharpening(PictureFamily[Smaller]):
    """Ranges of the family.

    Attributes:
        factors: of the coarse image, from which each batch's is chosen.
    """

    name: ClassVar[str] = "pansharpening"

    levels: NoiseLevels | None = LEVELS
    channels: tuple[int, ...] = (3,)
    factors: tuple[int, ...] = (2, 4)

    def layout(self, source: RandomSource, batch: int) -> Smaller:
        """Draw factor and filter of the coarse image."""
        return Smaller(self.pictures(source, batch), *draw_filter(source, self.factors, self.shape))

    def scene(self, source: RandomSource, layout: Smaller) -> Scene:
        """Draw pictures in colour."""
        return self.draw_pictures(source, layout.pictures)

    def operator(self, layout: Smaller) -> LinearOperator:
        """Return both sensors, one after the other."""
        return pansharpening(layout.kernel, layout.factor, (layout.pictures.channels, *self.shape))
