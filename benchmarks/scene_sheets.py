"""Contact sheets of every family of scenes, and how long a scene takes on one core.

    python benchmarks/scene_sheets.py [--only NAME] [--picture PATH] [--columns N]

Writes docs/scenes.png: one row per family, magnitude in decibels over 60 dB below each image's peak; of a radar cube the
strongest velocity per pixel; heads and X-ray phantoms on a linear scale.

Writes benchmarks/results/scenes.json: milliseconds of processor time per scene at 64 x 64 in batches of 64 (median of 9), and
strongest over weakest pixel in decibels (median over scenes; the weakest is the 1 % quantile of those above zero). Photographs
are timed where ../shared/data has them.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor

from echoform.scene.catalogue import FAMILIES, Domain, SceneFamily
from echoform.scene.photographs import read_photographs
from echoform.scene.random_source import RandomSource
from record import save

SEED, SIDE, BATCH = 1, 64, 64
ROOT = Path(__file__).parents[1]
PHOTOGRAPHS = ROOT.parent / "shared" / "data" / "natural_bsds500"
CONSOLE = Console(width=130)


def source(seed: int = SEED) -> RandomSource:
    return RandomSource(torch.Generator().manual_seed(seed))


def shown(family: SceneFamily, image: Tensor) -> Tensor:
    """Pictures between 0 and 1, (B, H, W)."""
    level = image.abs().amax(1)
    peak = level.amax((1, 2), keepdim=True).clamp_min(1e-12)
    if family.domain in (Domain.TOMOGRAPHY, Domain.MAGNETIC_RESONANCE):
        return level / peak
    return (1 + 20 * torch.log10((level / peak).clamp_min(1e-6)) / 60).clamp(0, 1)


def sheet(families: list[SceneFamily], path: Path, columns: int) -> None:
    """Draw a row of scenes for each family."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows, gap = len(families), 2
    figure = plt.figure(figsize=((columns * (SIDE + gap) + 110) / 100, rows * (SIDE + gap) / 100), dpi=100)
    canvas = torch.ones(rows * (SIDE + gap), columns * (SIDE + gap))
    for row, family in enumerate(families):
        pictures = shown(family, family.draw(source(), columns, (SIDE, SIDE)).image)
        top = row * (SIDE + gap)
        for column, picture in enumerate(pictures):
            left = column * (SIDE + gap)
            canvas[top : top + SIDE, left : left + SIDE] = picture.flip(0)
    width = 1 - 110 / (columns * (SIDE + gap) + 110)
    axis = figure.add_axes((1 - width, 0, width, 1))
    axis.imshow(canvas.mul(23).round() / 23, cmap="magma", vmin=0, vmax=1, interpolation="nearest")
    axis.axis("off")
    for row, family in enumerate(families):
        figure.text(0.005, 1 - (row + 0.5) / rows, family.name, va="center", fontsize=7)
    figure.savefig(path)
    quantised(path)
    CONSOLE.print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def quantised(path: Path, colours: int = 32) -> None:
    """Keep 32 colours, which a picture of 24 levels and black text needs, or more."""
    from PIL import Image

    with Image.open(path) as image:
        small = image.convert("RGB").quantize(colours)
    small.save(path, optimize=True)


def milliseconds(draw) -> float:
    times = []
    for _ in range(10):
        start = time.process_time()
        draw()
        times.append(time.process_time() - start)
    return sorted(times[1:])[4] * 1000 / BATCH


def span_db(image: Tensor) -> float:
    spans = []
    for level in image.abs().flatten(1):
        lit = level[level > 0]
        spans.append(20 * torch.log10(lit.amax() / lit.quantile(0.01)))
    return float(torch.stack(spans).median())


def main() -> None:
    """Carry out the command in the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="")
    parser.add_argument("--columns", type=int, default=8)
    parser.add_argument("--picture", type=Path, default=ROOT / "docs" / "scenes.png")
    options = parser.parse_args()
    torch.set_num_threads(1)
    families = [f for f in FAMILIES if options.only in f.name]
    sheet(families, options.picture, options.columns)
    if options.only:
        return
    results = {}
    for family in families:
        draw = source()
        spent = milliseconds(lambda f=family, s=draw: f.draw(s, BATCH, (SIDE, SIDE)))
        span = span_db(family.draw(source(), BATCH, (SIDE, SIDE)).image)
        results[family.name] = {"ms_per_scene": round(spent, 3), "span_db": round(span, 1)}
        CONSOLE.print(f"{family.name:22s} {spent:6.3f} ms per scene, {span:6.1f} dB from strongest to weakest")
    if PHOTOGRAPHS.exists():
        pictures, draw = read_photographs(PHOTOGRAPHS), source()
        spent = milliseconds(lambda: pictures.draw(draw, BATCH, (SIDE, SIDE)))
        results["photographs"] = {"ms_per_scene": round(spent, 3)}
        CONSOLE.print(f"{'photographs':22s} {spent:6.3f} ms per scene")
    save("scenes", seed=SEED, results=results)


if __name__ == "__main__":
    main()
