"""Means over the pixels around each pixel."""

from __future__ import annotations

import torch
from torch import Tensor

#: side of the square that is averaged, pixels
WINDOW = 5


def mean_intensity(image: Tensor) -> Tensor:
    """Return the mean of |x|^2 over the square about every pixel, within the image, (B, C, H, W) float32 of complex64.

    Args:
        image: x, (B, C, H, W), complex.
    """
    intensity = torch.view_as_real(image.resolve_conj()).square().sum(-1)
    down, across = (_means(n, intensity) for n in intensity.shape[-2:])
    return down @ intensity @ across.mT


def _means(count: int, like: Tensor) -> Tensor:
    """Return the matrix of means over the window about each of ``count`` entries, (count, count)."""
    band = like.new_ones(count, count).tril(WINDOW // 2).triu(-(WINDOW // 2))
    return band / band.sum(1, keepdim=True)
