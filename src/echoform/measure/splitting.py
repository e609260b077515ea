"""Splitting a measurement in two: one part to reconstruct from, the other to judge the reconstruction by.

With independent noise on the samples, |A_h x - y_h|^2 on held-out samples is an unbiased judge of x, where residuals of the
samples used are not.
"""

from __future__ import annotations

import torch
from torch import Tensor

from echoform.measure.measurement import Measurement
from echoform.physics.masking import restrict


def split(measurement: Measurement, kept: Tensor) -> tuple[Measurement, Measurement]:
    """Return the measurement with the entries ``kept`` and the one with all others.

    Args:
        measurement: any measurement.
        kept: boolean, broadcasting over (B or 1, *range_shape).

    Raises:
        ValueError: ``kept`` is not boolean or does not fit.
    """
    if kept.dtype != torch.bool:
        raise ValueError(f"kept must be boolean, got {kept.dtype}")
    operator = measurement.operator
    return measurement.without(restrict(operator, kept)), measurement.without(restrict(operator, ~kept))


def drop_pulses(
    measurement: Measurement, keep_share: float, *, generator: torch.Generator
) -> tuple[Measurement, Measurement]:
    """Return a measurement with a random share of the pulses and the one with the pulses left out.

    Args:
        measurement: y of shape (B, C, pulses, frequencies); all scenes of the batch lose the same pulses.
        keep_share: share of the measured pulses to keep, between 0 and 1.
        generator: source of the choice.

    Raises:
        ValueError: the range is not (C, pulses, frequencies), or one of the two parts would have no pulse.
    """
    shape = measurement.operator.range_shape
    if len(shape) != 3:
        raise ValueError(f"dropping pulses needs samples of shape (channels, pulses, frequencies), got {shape}")
    marks = measurement.operator.support()
    heard = torch.ones(shape[1], dtype=torch.bool)
    if marks is not None:
        heard = (marks.expand(-1, *shape) != 0).movedim(2, 0).flatten(1).any(1).cpu()
    pulses = torch.nonzero(heard).squeeze(-1)
    count = round(keep_share * len(pulses))
    if not 0 < count < len(pulses):
        raise ValueError(
            f"keeping a share of {keep_share} of {len(pulses)} pulses leaves {count}: choose a share that leaves at least one "
            "pulse in each part"
        )
    chosen = pulses[torch.randperm(len(pulses), generator=generator, device=generator.device)[:count].cpu()]
    kept = torch.zeros(shape[1], dtype=torch.bool).index_fill(0, chosen, True)
    if marks is not None:
        own = (marks.expand(-1, *shape) != 0).movedim(2, 1).flatten(2).any(2).cpu()
        if not bool((own & kept).any(1).all() & (own & ~kept).any(1).all()):
            raise ValueError(
                f"keeping a share of {keep_share} leaves a scene of the batch no pulse in one part: choose another share or "
                "another seed, or take the scenes one by one"
            )
    return split(measurement, kept[None, None, :, None].to(measurement.y.device))
