"""Family: pictures with missing pixels, missing entries (each channel by itself) or missing lines.

Channels that miss the same pixels share one mask, whose coarse versions are made once for all of them.

Source: Terris et al. (2025), table 5 (Bernoulli masks, kept with probability 0.3 to 0.9).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from echoform.physics.channelwise import ChannelwiseOperator
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
        entries: share of batches in colour whose channels miss entries of their own.
        lines: share of scenes with missing rows or columns.
    """

    name: ClassVar[str] = "inpainting"

    levels: NoiseLevels | None = LEVELS
    kept: tuple[float, float] = (0.3, 0.9)
    entries: float = 0.25
    lines: float = 0.2

    def layout(self, source: RandomSource, batch: int) -> Optics:
        """Draw masks, (B, C, H, W), or (B, 1, H, W) where channels are alike."""
        pictures = self.pictures(source, batch)
        own = bool(source.chance((), self.entries))
        return Optics(pictures, self._masks(source, batch, pictures.channels if own else 1))

    def scene(self, source: RandomSource, layout: Optics) -> Scene:
        """Draw pictures."""
        return self.draw_pictures(source, layout.pictures)

    def operator(self, layout: Optics) -> LinearOperator:
        """Return the masks."""
        mask, channels = SampleMask(layout.sensors, complex_image=False), layout.pictures.channels
        return mask if mask.domain_shape[0] == channels else ChannelwiseOperator(mask, channels)

    def _masks(self, source: RandomSource, batch: int, channels: int) -> Tensor:
        """Return 0/1, one kind of mask for each scene; the middle pixel is always kept."""
        height, width = self.shape
        drawn = source.uniform((batch, channels, height, width))
        rows = source.chance((batch, 1, 1, 1), 0.5)
        lines = torch.where(rows, drawn[..., :1].expand_as(drawn), drawn[..., :1, :].expand_as(drawn))
        chosen = torch.where(source.chance((batch, 1, 1, 1), self.lines), lines, drawn)
        kept = (chosen < source.uniform((batch, 1, 1, 1), *self.kept)).float()
        kept[..., height // 2, width // 2] = 1
        return kept
