"""Family: pictures in colour behind a Bayer filter, whose first pixel is of any of its four places, alike in a batch.

The paper finetunes on this sensor without noise; here the noise is that of a good to a poor camera.

Source: Terris et al. (2025), section 5.4 and table 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from echoform.physics.inpainting import bayer
from echoform.physics.operator import LinearOperator
from echoform.scene.random_source import RandomSource
from echoform.scene.scene import Scene
from echoform.train.problems.noise_levels import NoiseLevels
from echoform.train.problems.pictures import Optics, PictureFamily

#: in units of the brightest pixel
LEVELS = NoiseLevels((0.0005, 0.05), (0.001, 0.05))


@dataclass(frozen=True, kw_only=True)
class Demosaicing(PictureFamily[Optics]):
    """Ranges as in :class:`PictureFamily`."""

    name: ClassVar[str] = "demosaicing"

    levels: NoiseLevels | None = LEVELS
    channels: tuple[int, ...] = (3,)

    def layout(self, source: RandomSource, batch: int) -> Optics:
        """Draw the place of the pattern."""
        return Optics(self.pictures(source, batch), source.integers((1, 2), 0, 2))

    def scene(self, source: RandomSource, layout: Optics) -> Scene:
        """Draw pictures in colour."""
        return self.draw_pictures(source, layout.pictures)

    def operator(self, layout: Optics) -> LinearOperator:
        """Return the pattern."""
        return bayer(*self.shape, blue=layout.sensors)
