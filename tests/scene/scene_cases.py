"""What the tests of scenes share."""

import torch
from torch import Tensor

from echoform.scene.frame import Frame, Illumination
from echoform.scene.random_source import RandomSource


def source(seed: int = 0) -> RandomSource:
    return RandomSource(torch.Generator().manual_seed(seed))


def frame(batch: int, shape: tuple[int, int] = (64, 64), spacing_m: tuple[float, float] = (1.0, 1.0)) -> Frame:
    return Frame(shape, torch.tensor([spacing_m]).expand(batch, 2))


def radar(azimuth_rad: float, grazing_rad: float, batch: int = 1) -> Illumination:
    return Illumination(torch.full((batch,), azimuth_rad), torch.full((batch,), grazing_rad))


def span_db(image: Tensor) -> Tensor:
    """Strongest pixel over the weakest above zero, per scene, decibels."""
    level = image.abs().flatten(1)
    return 20 * torch.log10(level.amax(1) / level.masked_fill(level == 0, torch.inf).amin(1))
