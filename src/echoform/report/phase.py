"""Pictures of phases over the pulses of a measurement, as PNG bytes."""

from __future__ import annotations

import io
from collections.abc import Mapping

from torch import Tensor


def phase_png(curves: Mapping[str, Tensor]) -> bytes:
    """Return phases over the pulse number, one line for each label.

    Args:
        curves: label to phases, (pulses,), radians, all of one length.
    """
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(8.4, 3.2), dpi=110, layout="constrained")
    ax = canvas.subplots()
    for number, (label, phase) in enumerate(curves.items()):
        ax.plot(phase.detach().cpu().numpy(), ("-", "--", "-.", ":")[number % 4], label=label, linewidth=1.4)
    ax.set(xlabel="pulse", ylabel="phase, rad")
    ax.grid(alpha=0.3)
    ax.legend(fontsize=8, loc="upper right")
    buffer = io.BytesIO()
    canvas.savefig(buffer, format="png")
    return buffer.getvalue()
