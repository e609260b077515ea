"""How far an image's largest value stands above the rest of it: the tumour-to-background ratio of microwave imaging.

    peak to clutter     20 log10( max |x| / max_{p outside} |x_p| )
    peak to background  10 log10( max |x|^2 / mean_{p outside} |x_p|^2 )

"outside" are the pixels of the region that lie farther than a given distance from the largest one.

Source: Conceicao, Mohr and O'Halloran (2016), An Introduction to Microwave Imaging for Breast Cancer Detection, section 5.5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class PeakToBackground:
    """The largest value's place (x, y, z), metres, and the two ratios, dB."""

    place_m: tuple[float, float, float]
    to_clutter_db: float
    to_background_db: float


def peak_to_background(image: Tensor, position_m: Tensor, *, within: Tensor, distance_m: float) -> PeakToBackground:
    """Return the ratios of one image.

    Args:
        image: any shape, real or complex.
        position_m: positions of its pixels in the same order, (n, 3), metres.
        within: bool, (n,); the region that counts.
        distance_m: pixels nearer to the largest one are its own.

    Raises:
        ValueError: nothing of the region lies outside.
    """
    power = image.detach().abs().double().square().flatten()
    place = position_m[torch.where(within, power, -torch.ones_like(power)).argmax()]
    outside = within & ((position_m - place).norm(dim=-1) > distance_m)
    if not bool(outside.any()):
        raise ValueError(f"no pixel of the region lies farther than {distance_m:g} m from the largest one")
    peak = float(power[within].max())
    x, y, z = place.tolist()
    clutter, background = float(power[outside].max()), float(power[outside].mean())
    return PeakToBackground((x, y, z), _decibels(peak, clutter), _decibels(peak, background))


def _decibels(peak: float, level: float) -> float:
    return 10 * math.log10(peak / level) if level > 0 else math.inf
