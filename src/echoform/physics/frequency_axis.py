"""Whether an axis of samples runs along a spatial frequency: its samples are neighbours in frequency as they are on the axis.

    c_n = s_n . s_(n+1) / (|s_n| |s_(n+1)|),      s_n = k_(n+1) - k_n

is one where the frequencies k_n follow a straight line and near it on an arc of pulses; of frequencies in no order it is
-1/2 on average, as of baselines or of elements that are numbered anyhow.
"""

from __future__ import annotations

import torch
from torch import Tensor

from echoform.linalg.nufft import wrap

#: least mean of c_n
LEAST_AGREEMENT = 0.5


def runs_along_frequency(points: Tensor, marks: Tensor) -> bool:
    """Return whether the last axis of some samples runs along a spatial frequency; one or two samples always do.

    Args:
        points: k in radians per pixel, (D, L, N), float64: L lines of N samples.
        marks: which of the N places hold samples, (N,), bool.
    """
    held = points[..., marks]
    if held.shape[-1] < 3:
        return True
    steps = wrap(held.diff(dim=-1))
    return float(torch.cosine_similarity(steps[..., :-1], steps[..., 1:], dim=0).mean()) > LEAST_AGREEMENT
