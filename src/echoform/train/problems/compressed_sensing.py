"""Family: a quarter of the entries of the sine transform of pictures times random signs.

Source: Terris et al. (2025), section 5.4 (factor 4, sigma 0.05).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from echoform.physics.compressed_sensing import kept_sines
from echoform.physics.operator import LinearOperator
from echoform.scene.random_source import RandomSource
from echoform.scene.scene import Scene
from echoform.train.problems.noise_levels import NoiseLevels
from echoform.train.problems.pictures import Optics, PictureFamily

#: in units of the brightest pixel
LEVELS = NoiseLevels((0.005, 0.1))


@dataclass(frozen=True, kw_only=True)
class CompressedSensing(PictureFamily[Optics]):
    """Ranges of the family.

    Attributes:
        undersampling: range of pixels over entries kept, log-uniform.
    """

    name: ClassVar[str] = "compressed-sensing"

    levels: NoiseLevels | None = LEVELS
    undersampling: tuple[float, float] = (2.0, 8.0)

    def layout(self, source: RandomSource, batch: int) -> Optics:
        """Draw 0/1 entries kept and signs, (B, 2, H, W), another share for each scene."""
        drawn = source.uniform((batch, 2, *self.shape))
        kept = drawn[:, 0] < 1 / source.log_uniform((batch, 1, 1), *self.undersampling)
        kept[:, 0, 0] = True
        signs = torch.where(drawn[:, 1] < 0.5, -1.0, 1.0)
        return Optics(self.pictures(source, batch), torch.stack([kept.float(), signs], 1))

    def scene(self, source: RandomSource, layout: Optics) -> Scene:
        """Draw pictures."""
        return self.draw_pictures(source, layout.pictures)

    def operator(self, layout: Optics) -> LinearOperator:
        """Return signs, transform and choice."""
        kept, signs = layout.sensors.split(1, 1)
        return kept_sines(kept, signs, layout.pictures.channels)
