"""A noise level told against the samples that it is in."""

from __future__ import annotations

import math


def relative_db(sigma: float, rms: float) -> float:
    """Return 20 log10(sigma / rms), decibels; minus infinity for no noise.

    Args:
        sigma: noise level, in the unit of the samples.
        rms: of the samples, above zero.
    """
    return 20 * math.log10(sigma / rms) if sigma > 0 else -math.inf
