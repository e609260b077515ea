"""Sensors that keep some of an image's entries: missing pixels, missing lines, colour filter arrays.

    y = m o x,     m = 1 where an entry is kept, else 0

All of them are a :class:`SampleMask`, whose normal, prox, norm and spectrum are closed forms.
"""

from __future__ import annotations

import torch
from torch import Tensor

from echoform.physics.masking import SampleMask


def random_pixels(
    shape: tuple[int, int, int],
    kept: Tensor,
    generator: torch.Generator,
    *,
    pixelwise: bool = True,
    complex_image: bool = False,
) -> SampleMask:
    """Return a Bernoulli mask, another one for each sensor.

    Args:
        shape: (C, H, W).
        kept: p, the probability that an entry is kept, (B,) for B sensors.
        generator: source of randomness.
        pixelwise: all channels of a pixel are kept or lost together; else each entry by itself.
        complex_image: whether images are complex or real.
    """
    channels, height, width = shape
    drawn = _uniform((len(kept), 1 if pixelwise else channels, height, width), generator)
    return _mask(drawn < kept[:, None, None, None], shape, complex_image)


def missing_lines(
    shape: tuple[int, int, int], kept: Tensor, generator: torch.Generator, *, complex_image: bool = False
) -> SampleMask:
    """Return a mask that keeps each row of the image with probability p (B,), another one for each sensor."""
    drawn = _uniform((len(kept), 1, shape[1], 1), generator)
    return _mask(drawn < kept[:, None, None, None], shape, complex_image)


def bayer(height: int, width: int, *, blue: Tensor | None = None) -> SampleMask:
    """Return the Bayer pattern on three channels: blue at even rows and columns, red at odd ones, green elsewhere.

    One channel is kept in each pixel, as in deepinv's Demosaicing; the raw image is the sum of the channels of y.

    Args:
        height: H.
        width: W.
        blue: row and column, 0 or 1, of the first blue pixel of each sensor, (B, 2); (0, 0) when absent.
    """
    first = torch.zeros(1, 2, dtype=torch.int64) if blue is None else blue
    row = (torch.arange(height, device=first.device) % 2 == 1)[:, None] ^ (first[:, 0] == 1)[:, None, None]
    column = (torch.arange(width, device=first.device) % 2 == 1) ^ (first[:, 1] == 1)[:, None, None]
    kept = torch.stack([row & column, row ^ column, ~(row | column)], 1)
    return _mask(kept, (3, height, width), False)


def _uniform(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=generator, device=generator.device)


def _mask(kept: Tensor, shape: tuple[int, int, int], complex_image: bool) -> SampleMask:
    whole = kept.expand(kept.shape[0], *shape).to(torch.float32)
    return SampleMask(whole, complex_image=complex_image)
