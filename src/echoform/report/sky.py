"""Pictures of the sky, as PNG bytes: brightness on a linear scale, north up and east on the left, axes in microarcseconds."""

from __future__ import annotations

import io
from collections.abc import Sequence

from echoform.report.figures import Panel
from echoform.scene.sky import MICROARCSECOND_RAD, SkyGrid


def sky_png(panels: Sequence[Panel], grid: SkyGrid) -> bytes:
    """Return the magnitudes of the panels side by side, each from zero to its own peak.

    Args:
        panels: images of the grid's shape.
        grid: their pixels.
    """
    from matplotlib.figure import Figure as Canvas

    m, l = (axis.numpy() / MICROARCSECOND_RAD for axis in grid.axes_rad())  # noqa: E741 (the field's symbol)
    half = grid.pixel_rad / MICROARCSECOND_RAD / 2
    extent = (l[0] + half, l[-1] - half, m[0] - half, m[-1] + half)
    canvas = Canvas(figsize=(3.4 * len(panels) + 1.2, 3.6), dpi=110, layout="constrained")
    axes = canvas.subplots(1, len(panels), squeeze=False)[0]
    for panel, ax in zip(panels, axes, strict=True):
        ax.imshow(panel.image.detach().abs().cpu().numpy(), origin="lower", extent=extent, cmap="afmhot", vmin=0)
        ax.set_title(panel.title, fontsize=10)
        ax.set_xlabel("east offset, µas")
    axes[0].set_ylabel("north offset, µas")
    buffer = io.BytesIO()
    canvas.savefig(buffer, format="png")
    return buffer.getvalue()
