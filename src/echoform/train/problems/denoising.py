"""Family: pictures with noise alone, Poisson and Gaussian.

Source: Terris et al. (2025), table 5 (grayscale and colour denoising).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from echoform.physics.identity import ScalarOperator
from echoform.physics.operator import LinearOperator
from echoform.scene.random_source import RandomSource
from echoform.scene.scene import Scene
from echoform.train.problems.noise_levels import NoiseLevels
from echoform.train.problems.pictures import Optics, PictureFamily

#: in units of the brightest pixel
LEVELS = NoiseLevels((0.001, 0.2), (0.01, 1.0))


@dataclass(frozen=True, kw_only=True)
class Denoising(PictureFamily[Optics]):
    """Ranges as in :class:`PictureFamily`; the sensor is the identity."""

    name: ClassVar[str] = "denoising"

    levels: NoiseLevels | None = LEVELS

    def layout(self, source: RandomSource, batch: int) -> Optics:
        """Draw the number of channels."""
        return Optics(self.pictures(source, batch), torch.ones(1, device=source.place))

    def scene(self, source: RandomSource, layout: Optics) -> Scene:
        """Draw pictures."""
        return self.draw_pictures(source, layout.pictures)

    def operator(self, layout: Optics) -> LinearOperator:
        """Return the identity."""
        return ScalarOperator((layout.pictures.channels, *self.shape), layout.sensors, complex_image=False)
