"""Do draws of each law of clutter follow its density, and how fast are they?

    python benchmarks/clutter.py

For every law: 200 000 draws of unit mean intensity; Kolmogorov-Smirnov distance and p value against the closed form; kappa_2
of ln I drawn and in closed form; median time of one 64 x 64 image in a batch of 16 (float32, one thread). Draws
docs/clutter.png: histograms of the intensity in decibels beside the densities, and 128 x 128 images, the textures of K and G0
correlated over 4 pixels.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.stats
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table
from torch import Tensor

from echoform.assess.texture_parameters import log_cumulants
from echoform.scene.clutter import Clutter, Speckle, compound
from echoform.scene.clutter_laws import G0Clutter, KClutter, LogNormalClutter, WeibullClutter
from record import save

SEED, COUNT, BATCH, SIDE = 6, 200_000, 16, 64
PICTURE = Path(__file__).parents[1] / "docs" / "clutter.png"
PICTURE_SIDE, CORRELATION_PX = 128, 4.0
DB = 10 / np.log(10)


def one(value: float) -> Tensor:
    return torch.tensor([value], dtype=torch.float64)


LAWS: dict[str, Clutter] = {
    "speckle": Speckle(),
    "K, shape 0.5": KClutter(one(0.5)),
    "K, shape 4": KClutter(one(4.0)),
    "G0, alpha -1.5": G0Clutter(one(-1.5)),
    "G0, alpha -5": G0Clutter(one(-5.0)),
    "Weibull, shape 0.8": WeibullClutter(one(0.8)),
    "Weibull, shape 1.4": WeibullClutter(one(1.4)),
    "log-normal, 8 dB": LogNormalClutter(one(8 / DB)),
}


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def milliseconds(draw: Callable[[], object], repeats: int = 15) -> float:
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        draw()
        taken.append(time.perf_counter() - start)
    return 1000 * float(np.median(taken))


def measure(law: Clutter) -> tuple[dict[str, float], np.ndarray]:
    """Compare drawn clutter with its law: Kolmogorov-Smirnov distance and log-cumulants."""
    mean = torch.ones(1, COUNT, dtype=torch.float64)
    intensity = law.sample(mean, generator(SEED)).abs().square()
    test = scipy.stats.kstest(law.cdf(intensity, mean)[0].numpy(), "uniform")
    batch = torch.ones(BATCH, SIDE, SIDE)
    found = {
        "ks_distance": float(test.statistic),
        "ks_p": float(test.pvalue),
        "kappa_2_drawn": float(log_cumulants(intensity)[1, 0]),
        "kappa_2": float(law.log_cumulants()[1, 0]),
        "ms_per_image": milliseconds(lambda: law.sample(batch, generator(1))) / BATCH,
    }
    return found, 10 * np.log10(intensity[0].numpy())


def correlated_field() -> Tensor:
    """A standard normal field whose correlation falls to 1/e at CORRELATION_PX, (1, H, W)."""
    k = torch.fft.fftfreq(PICTURE_SIDE, dtype=torch.float64) * 2 * torch.pi
    gain = torch.exp(-(k[:, None] ** 2 + k**2) * CORRELATION_PX**2 / 8)
    white = torch.randn(1, PICTURE_SIDE, PICTURE_SIDE, dtype=torch.float64, generator=generator(SEED))
    return torch.fft.ifft2(torch.fft.fft2(white) * gain / gain.square().mean().sqrt()).real


def image(law: Clutter) -> Tensor:
    if isinstance(law, KClutter | G0Clutter):
        return compound(law.texture_at(correlated_field()), generator(SEED))[0]
    return law.sample(torch.ones(1, PICTURE_SIDE, PICTURE_SIDE, dtype=torch.float64), generator(SEED))[0]


def histogram(axis: Axes, label: str, law: Clutter, decibels: np.ndarray) -> None:
    """Draw the histogram of a law with its density."""
    grid = torch.linspace(-60, 40, 500, dtype=torch.float64)
    x = 10 ** (grid / 10)
    density = (law.log_prob(x[None], torch.ones(1, 1, dtype=torch.float64))[0].exp() * x / DB).numpy()
    axis.hist(decibels, bins=np.linspace(-60, 40, 101).tolist(), density=True, color="0.75")
    axis.plot(grid.numpy(), density, "k", linewidth=1)
    axis.set(yscale="log", ylim=(1e-5, 0.2), xlim=(-60, 40), title=label)
    axis.set_xlabel("dB over the mean")


def main() -> None:
    """Carry out the command in the module's text."""
    torch.set_num_threads(1)
    table = Table(title="Clutter: draws against closed forms")
    for heading in ("law", "KS distance", "p", "var ln I drawn", "closed form", "ms per 64 x 64"):
        table.add_column(heading, justify="right")
    results = {}
    figure = Figure(figsize=(18, 4.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, len(LAWS))
    for column, (label, law) in enumerate(LAWS.items()):
        found, decibels = measure(law)
        results[label] = found
        table.add_row(
            label,
            f"{found['ks_distance']:.4f}",
            f"{found['ks_p']:.2f}",
            f"{found['kappa_2_drawn']:.3f}",
            f"{found['kappa_2']:.3f}",
            f"{found['ms_per_image']:.3f}",
        )
        histogram(axes[0, column], label, law, decibels)
        shown = axes[1, column].imshow(20 * image(law).abs().log10().numpy(), cmap="gray", vmin=-30, vmax=20)
        axes[1, column].set_axis_off()
    axes[0, 0].set_ylabel("probability per dB")
    figure.colorbar(shown, ax=axes[1, :].tolist(), label="dB over the mean")
    figure.savefig(PICTURE, dpi=65)
    Console(width=150).print(table)
    print(save("clutter", seed=SEED, results=results), PICTURE)


if __name__ == "__main__":
    main()
