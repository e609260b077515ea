"""Family: pictures with missing pixels, missing entries (each channel by itself) or missing lines.

Source: Terris et al. (2025), table 5 (Bernoulli masks, kept with probability 0.3 to 0.9).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from echoform.physics.masking import SampleMask
from echoform.physics.operator import LinearOperator
from echoform.scene.random_source import RandomSource
from echoform.scene.scene import Scene
from echoform.train.problems.noise_levels import NoiseLevels
from echoform.train.problems.pictures import Optics, PictureFamily

#: in units of the brightest pixel
LEVELS = NoiseLevels((0.01, 0.2), (0.01, 1.0))


@dataclass(frozen=True, kw_only=True)
class Inpainting(PictureFamily[Optics]):
    """Ranges of the family.

    Attributes:
        kept: range of the probability that an entry is kept.
        entries: share of scenes whose channels miss entries of their own.
        lines: share of scenes with missing rows or columns.
    """

    name: ClassVar[str] = "inpainting"

    levels: NoiseLevels | None = LEVELS
    kept: tuple[float, float] = (0.3, 0.9)
    entries: float = 0.25
    lines: float = 0.2

    def layout(self, source: RandomSource, batch: int) -> Optics:
        """Draw masks."""
        pictures = self.pictures(source, batch)
        return Optics(pictures, draw_masks(source, pictures.channels, self, batch))

    def scene(self, source: RandomSource, layout: Optics) -> Scene:
        """Draw pictures."""
        return self.draw_pictures(source, layout.pictures)

    def operator(self, layout: Optics) -> LinearOperator:
        """Return the masks."""
        return SampleMask(layout.sensors, complex_image=False)


def draw_masks(source: RandomSource, channels: int, family: Inpainting, batch: int) -> Tensor:
    """Return 0/1, (B, C, H, W), one kind of mask for each scene; the middle pixel is always kept."""
    height, width = family.shape
    drawn = source.uniform((batch, channels, height, width))
    pixels = drawn[:, :1].expand_as(drawn)
    rows = source.chance((batch, 1, 1, 1), 0.5)
    lines = torch.where(rows, drawn[:, :1, :, :1].expand_as(drawn), drawn[:, :1, :1].expand_as(drawn))
    kind = source.uniform((batch, 1, 1, 1))
    chosen = torch.where(kind < family.lines, lines, torch.where(kind < family.lines + family.entries, drawn, pixels))
    kept = (chosen < source.uniform((batch, 1, 1, 1), *family.kept)).float()
    kept[..., height // 2, width // 2] = 1
    return kept
