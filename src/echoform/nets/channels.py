"""Complex images as pairs of real channels (real part, imaginary part), the only form convolutions see."""

from __future__ import annotations

import torch
from torch import Tensor


def to_channels(x: Tensor, complex_image: bool) -> Tensor:
    """Return (..., C, H, W) complex as (..., 2 C, H, W) real, each image's parts adjacent; real images pass unchanged."""
    if not complex_image:
        return x
    return torch.stack([x.real, x.imag], -3).flatten(-4, -3)


def from_channels(x: Tensor, complex_image: bool) -> Tensor:
    """Return the image(s) of :func:`to_channels`; half-precision channels are widened first, as complex64 needs."""
    if not complex_image:
        return x
    wide = x.unflatten(-3, (-1, 2))
    if wide.dtype not in (torch.float32, torch.float64):
        wide = wide.float()
    return torch.complex(wide.select(-3, 0).contiguous(), wide.select(-3, 1).contiguous())
