"""The figure of benchmarks/real_vs_simulated.py: one row per scene type, measured beside simulated."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from echoform.assess.chip_features import NAMES, centred_spectrum, intensity_db

PICTURE = Path(__file__).parents[1] / "docs" / "real_vs_simulated.png"
COLOURS = {"measured": "black", "raw": "tab:orange", "sensed": "tab:blue"}
#: decibels over the median that are shown
SHOWN_DB = (-15.0, 30.0)


@dataclass(frozen=True)
class Panel:
    """A row of the figure.

    Attributes:
        name: of the measured chips.
        counterpart: family of the simulated ones.
        chips: measured, raw and sensed, (n, H, W) each.
        features: of the same, (n, d).
        found: results of the benchmark for this type.
    """

    name: str
    counterpart: str
    chips: dict[str, Tensor]
    features: dict[str, Tensor]
    found: dict[str, Any]


def draw_figure(panels: list[Panel]) -> Path:
    """Draw a row of panels for each type."""
    figure = Figure(figsize=(17, 2.3 * len(panels)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(panels), 6, width_ratios=[1.9, 1, 1, 1, 1, 1])
    for row, panel in zip(axes, panels, strict=True):
        mosaic(row[0], panel)
        amplitudes(row[1], panel)
        spectra(row[2], panel)
        histogram(row[3], panel, "kappa_2", np.linspace(1, 9, 41))
        row[3].axvline(np.pi**2 / 6, color="0.6", linewidth=1, linestyle=":")
        histogram(row[4], panel, "Gini", np.linspace(0.45, 1, 41))
        distances(row[5], panel)
    titles = (
        "measured | raw | sensed, 45 dB",
        "intensity over median, dB",
        "spectrum, dB over |k| / pi",
        "texture: var ln I (dotted: speckle)",
        "sparsity: Gini of intensity",
        "KID, 95 %",
    )
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, fontsize=9)
    axes[0, 1].legend(list(COLOURS), fontsize=7)
    figure.savefig(PICTURE, dpi=70)
    quantised(PICTURE)
    return PICTURE


def mosaic(axis: Axes, panel: Panel) -> None:
    """Two by two chips each, evenly spaced in their sets."""
    blocks = []
    for chips in panel.chips.values():
        chosen = torch.linspace(0, len(chips) - 1, 6).round().long()[1:5]
        shown = intensity_db(chips[chosen]).numpy()
        blocks.append(np.block([[shown[0], shown[1]], [shown[2], shown[3]]]))
        blocks.append(np.full((128, 4), np.nan))
    axis.imshow(
        np.hstack(blocks[:-1]), cmap="gray", vmin=SHOWN_DB[0], vmax=SHOWN_DB[1], interpolation="nearest", origin="lower"
    )
    axis.set(xticks=[], yticks=[])
    chips, scenes = panel.found["chips"], panel.found["scenes"]
    axis.set_ylabel(f"{panel.name}\n{chips} chips, {scenes} scenes\nagainst {panel.counterpart}", fontsize=8)


def amplitudes(axis: Axes, panel: Panel) -> None:
    """Draw the histograms of intensity."""
    bins = np.linspace(-30, 60, 91)
    for state, chips in panel.chips.items():
        axis.hist(
            intensity_db(chips).flatten().numpy(),
            bins=bins.tolist(),
            density=True,
            histtype="step",
            color=COLOURS[state],
        )
    axis.set(yscale="log", ylim=(1e-5, 0.2))
    axis.tick_params(labelsize=7)


def spectra(axis: Axes, panel: Panel) -> None:
    """Mean marginal spectra of rows (solid) and columns (dashed)."""
    for state, chips in panel.chips.items():
        power = centred_spectrum(chips.to(torch.complex128))
        power = power / power.mean((1, 2), keepdim=True)
        k = torch.linspace(-1, 1, power.shape[1] + 1)[:-1]
        for along, style in ((2, "-"), (1, "--")):
            level = 10 * power.mean((0, along)).clamp_min(1e-9).log10()
            axis.plot(k, level, style, color=COLOURS[state], linewidth=1)
    axis.set(ylim=(-35, 10))
    axis.tick_params(labelsize=7)


def histogram(axis: Axes, panel: Panel, feature: str, bins: np.ndarray) -> None:
    column = NAMES.index(feature)
    for state, features in panel.features.items():
        values = features[:, column].clamp(bins[0], bins[-1]).numpy()
        axis.hist(values, bins=bins.tolist(), density=True, histtype="step", color=COLOURS[state])
    axis.set(yticks=[])
    axis.tick_params(labelsize=7)


def distances(axis: Axes, panel: Panel) -> None:
    """Draw the distances with their intervals."""
    found, family = panel.found, panel.counterpart
    rows = [
        ("floor", found["floor"], "0.5"),
        ("raw", found["raw"][family], COLOURS["raw"]),
        ("sensed", found["sensed"][family], COLOURS["sensed"]),
        ("scrambled", found["phase scrambled"], "tab:red"),
        ("shuffled", found["pixels shuffled"], "tab:purple"),
    ]
    for at, (_, value, colour) in enumerate(rows):
        middle = value.get("value", value.get("mean"))
        axis.plot([value["low"], value["high"]], [at, at], color=colour, linewidth=2)
        axis.plot(middle, at, "o", color=colour, markersize=4)
        axis.text(value["high"], at + 0.12, f" {middle:.2f}", fontsize=7, color=colour)
    axis.set(yticks=range(len(rows)), ylim=(len(rows) - 0.5, -0.5))
    axis.set_xscale("symlog", linthresh=1.0)
    axis.set_yticklabels([label for label, _, _ in rows], fontsize=7)
    axis.tick_params(axis="x", labelsize=7)
    axis.margins(x=0.2)


def quantised(path: Path) -> None:
    """Keep 128 colours."""
    from PIL import Image

    with Image.open(path) as image:
        small = image.convert("RGB").quantize(128)
    small.save(path, optimize=True)
