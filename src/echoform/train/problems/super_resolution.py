"""Family: pictures made smaller by two or four with a bicubic or bilinear filter; one filter for a whole batch.

Source: Terris et al. (2025), table 5.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from echoform.physics.downsampling import bicubic_kernel, bilinear_kernel, downsampling
from echoform.physics.operator import LinearOperator
from echoform.scene.random_source import RandomSource
from echoform.scene.scene import Scene
from echoform.train.problems.noise_levels import NoiseLevels
from echoform.train.problems.pictures import PictureFamily, Pictures, one_of

#: in units of the brightest pixel
LEVELS = NoiseLevels((0.001, 0.01))


@dataclass(frozen=True)
class Smaller:
    """What was drawn for a batch.

    Attributes:
        pictures: of the batch.
        kernel: of the filter before every f-th pixel is taken, (1, 1, h, h).
        factor: f.
    """

    pictures: Pictures
    kernel: Tensor
    factor: int


def draw_filter(source: RandomSource, factors: tuple[int, ...], shape: tuple[int, int]) -> tuple[Tensor, int]:
    """Return a bicubic or bilinear kernel (1, 1, h, h) and its factor, one that divides both sides.

    Raises:
        ValueError: none of the factors does.
    """
    able = tuple(factor for factor in factors if shape[0] % factor == 0 and shape[1] % factor == 0)
    if not able:
        raise ValueError(f"none of the factors {factors} divides both sides of {shape}: choose another size")
    factor = one_of(source, able)
    return one_of(source, (bicubic_kernel, bilinear_kernel))(factor).to(source.place), factor


@dataclass(frozen=True, kw_only=True)
class SuperResolution(PictureFamily[Smaller]):
    """Ranges of the family.

    Attributes:
        factors: from which each batch's is chosen.
    """

    name: ClassVar[str] = "super-resolution"

    levels: NoiseLevels | None = LEVELS
    factors: tuple[int, ...] = (2, 4)

    def layout(self, source: RandomSource, batch: int) -> Smaller:
        """Draw factor and filter."""
        return Smaller(self.pictures(source, batch), *draw_filter(source, self.factors, self.shape))

    def scene(self, source: RandomSource, layout: Smaller) -> Scene:
        """Draw pictures."""
        return self.draw_pictures(source, layout.pictures)

    def operator(self, layout: Smaller) -> LinearOperator:
        """Return filter and decimation."""
        return downsampling(layout.kernel, layout.factor, (layout.pictures.channels, *self.shape))
