"""A measurement that other transmitters have disturbed."""

from __future__ import annotations

from dataclasses import replace

import torch

from echoform.measure.measurement import Measurement
from echoform.physics.interference import Interference


def interfered(
    measurement: Measurement, interference: Interference, *, generator: torch.Generator | None = None
) -> Measurement:
    """Return the measurement with interference on the operator's support; the noise it states does not include it.

    Raises:
        TypeError: the samples are real.
    """
    added = interference.sample(measurement.y, generator, support=measurement.operator.support())
    return replace(measurement, y=measurement.y + added)
