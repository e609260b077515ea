"""Family: blurred pictures, the kernel a Gaussian or the path of a shaken camera, another one for each scene.

Kernels have 31 x 31 pixels, or half the image's side where that is less. A batch is blurred without padding ("valid") or on a
circle. :func:`deblurring_task` gives the paper's test problems of three difficulties.

Source: Terris et al. (2025), table 5 and appendix B.2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from echoform.physics.channelwise import ChannelwiseOperator
from echoform.physics.convolution import circular_blur, valid_blur
from echoform.physics.operator import LinearOperator
from echoform.scene.blur_kernels import (
    GAUSSIAN_TASKS,
    KERNEL_SIDE,
    MOTION_TASKS,
    Difficulty,
    gaussian_kernel,
    motion_kernel,
)
from echoform.scene.random_source import RandomSource
from echoform.scene.scene import Scene
from echoform.train.problems.noise_levels import NoiseLevels
from echoform.train.problems.pictures import PictureFamily, Pictures

#: in units of the brightest pixel
LEVELS = NoiseLevels((0.001, 0.2))


@dataclass(frozen=True)
class BlurLayout:
    """What was drawn for a batch.

    Attributes:
        pictures: of the batch.
        kernels: (B, 1, h, h).
        valid: whether only pixels whose neighbourhood lies in the image are measured.
    """

    pictures: Pictures
    kernels: Tensor
    valid: bool


@dataclass(frozen=True, kw_only=True)
class Deblurring(PictureFamily[BlurLayout]):
    """Ranges of the family.

    Attributes:
        motion: share of kernels that are paths; the others are Gaussians.
        length: range of the path's correlation time, in exposures.
        deviation: range of the path's standard deviation, in half widths of the kernel.
        deviation_px: range of a Gaussian's, along each of its axes, log-uniform, pixels.
        isotropic: share of Gaussians that are round.
        valid: share of batches without padding.
        side: of the kernels, pixels.
    """

    name: ClassVar[str] = "deblurring"

    levels: NoiseLevels | None = LEVELS
    motion: float = 0.5
    length: tuple[float, float] = (0.1, 1.2)
    deviation: tuple[float, float] = (0.1, 1.0)
    deviation_px: tuple[float, float] = (0.5, 4.0)
    isotropic: float = 0.5
    valid: float = 0.5
    side: int = KERNEL_SIDE

    def layout(self, source: RandomSource, batch: int) -> BlurLayout:
        """Draw kernels, and whether there is padding."""
        side = min(self.side, (min(self.shape) // 2 - 1) // 2 * 2 + 1)
        paths = int(source.chance((batch,), self.motion).sum())
        length, deviation = (source.uniform((paths,), *bounds) for bounds in (self.length, self.deviation))
        parts = [motion_kernel(source, length, deviation, side=side)] if paths else []
        parts.append(self._gaussians(source, batch - paths, side))
        return BlurLayout(self.pictures(source, batch), torch.cat(parts), bool(source.chance((), self.valid)))

    def scene(self, source: RandomSource, layout: BlurLayout) -> Scene:
        """Draw pictures."""
        return self.draw_pictures(source, layout.pictures)

    def operator(self, layout: BlurLayout) -> LinearOperator:
        """Return the convolution; without padding each channel by itself, so that its norm is found once for all."""
        channels = layout.pictures.channels
        if not layout.valid:
            return circular_blur(layout.kernels, (channels, *self.shape))
        blur = valid_blur(layout.kernels, (1, *self.shape))
        return blur if channels == 1 else ChannelwiseOperator(blur, channels)

    def _gaussians(self, source: RandomSource, count: int, side: int) -> Tensor:
        width = source.log_uniform((count, 2), *self.deviation_px)
        width = torch.where(source.chance((count, 1), self.isotropic), width[:, :1], width)
        return gaussian_kernel(width, source.uniform((count,), 0, math.pi), side=side)


def deblurring_task(difficulty: Difficulty, *, motion: bool, shape: tuple[int, int] = (64, 64)) -> Deblurring:
    """Return the family of the paper's deblurring problems of one difficulty: colour, without padding, one noise level.

    Args:
        difficulty: easy, medium or hard.
        motion: paths of a camera, or round Gaussians.
        shape: (H, W).
    """
    path, gaussian = MOTION_TASKS[difficulty], GAUSSIAN_TASKS[difficulty]
    sigma = path.sigma if motion else gaussian.sigma
    return Deblurring(
        shape=shape,
        levels=NoiseLevels((sigma, sigma)),
        channels=(3,),
        motion=float(motion),
        length=(path.length, path.length),
        deviation=(path.deviation, path.deviation),
        deviation_px=(gaussian.deviation_px, gaussian.deviation_px),
        isotropic=1.0,
        valid=1.0,
    )
