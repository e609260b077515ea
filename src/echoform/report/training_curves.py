"""The curves of a training run: the error against the step, and what validation says of each family."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from echoform.measure.atomic import atomic_path

#: decibels of a natural logarithm of a squared error
DECIBELS = 10 / math.log(10)


def read_log(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a log.jsonl."""
    return [json.loads(line) for line in path.read_text().splitlines() if line]


def draw_curves(lines: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw training error, and validation error of every family and mode, as a PNG.

    Args:
        lines: of :func:`read_log`.
        path: file to write.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    judged = [line for line in lines if line.get("validation")]
    modes = list(dict.fromkeys(mode for line in judged for found in line["validation"].values() for mode in found))
    figure = Figure(figsize=(5 * (1 + len(modes)), 4), layout="constrained")
    axes = figure.subplots(1, 1 + len(modes), squeeze=False)[0]
    trained = [line for line in lines if "log_error" in line]
    axes[0].plot([x["step"] for x in trained], [DECIBELS * x["log_error"] for x in trained], "C0")
    axes[0].set_title("training")
    for panel, mode in zip(axes[1:], modes, strict=True):
        panel.set_prop_cycle(color=colormaps["tab20"].colors)  # pyright: ignore[reportAttributeAccessIssue]
        for name in judged[-1]["validation"]:
            points = [(x["step"], x["validation"].get(name, {}).get(mode)) for x in judged]
            steps, values = zip(*((step, v) for step, v in points if v is not None), strict=True)
            panel.plot(steps, [DECIBELS * v for v in values], marker=".", label=name)
        panel.set_title(f"validation, {mode}")
    for panel in axes:
        panel.set_xlabel("step")
        panel.grid(alpha=0.3)
    axes[0].set_ylabel("mean of squared error over v, dB")
    if modes:
        axes[-1].legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    with atomic_path(path) as part:
        figure.savefig(part, format="png", dpi=100)
