"""Autofocus: how well is a known phase error found, beside the floor that noise sets, in simulation and on real data?

    python benchmarks/autofocus.py

1. Simulation: 128 pulses x 128 frequencies, 128 x 128 pixels, 20 points off the grid with powers within 10 dB, noise 20 dB below
   the mean power of a sample; alone, and on clutter of -45 dB per pixel relative to the strongest point. The error is the root
   mean square over pulses of estimate - truth less a constant and a line, median and largest over scenes. Settings of the
   methods were chosen on scenes 0 to 4 of this kind; the scenes here are others.
   Floor: for a known scene the phase of a pulse of F samples has the variance sigma^2 / (2 sum |A_p x|^2) (Cramer-Rao).
2. The same points with 30 % of the pulses missing at random, random walk.
3. AFRL Gotcha, one degree of azimuth: 2 pi quadratic + random walk of 0.2 rad a pulse is put on the file, and each method run on
   the result. Entropies are those of the backprojection. The file carries a phase error of its own, so that the error is given
   to the injected phase and to the injected phase plus the method's own answer to the undisturbed file (a test of
   consistency, not of truth). Draws docs/autofocus.png.
"""

from __future__ import annotations

import argparse
import io
import math
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch import Tensor

from echoform.apps.demo import spotlight
from echoform.assess.metrics import entropy
from echoform.measure.gotcha import read_gotcha
from echoform.measure.measurement import Measurement, Metadata, simulate
from echoform.physics.masking import restrict
from echoform.physics.noise import GaussianNoise
from echoform.physics.operator import LinearOperator
from echoform.physics.spotlight_plane_wave import plane_wave_spotlight
from echoform.recon.calibration.calibration import PULSE_AXIS, Calibrator, ChannelAxis, rmse_rad
from echoform.recon.calibration.data_fit import DataFit
from echoform.recon.calibration.phase_gradient import PhaseGradient
from echoform.recon.calibration.sharpness import MinimumEntropy
from echoform.report.figures import Panel, magnitude_png, strongest, zoom_window
from echoform.scene.scatterers import place
from record import save

SEED = 11
SIDE, POINTS, SNR_DB, CLUTTER_DB = 128, 20, 20.0, -45.0
SCENES = (10, 11, 12, 13, 14)
METHODS: dict[str, Calibrator] = {
    "phase gradient": PhaseGradient(),
    "minimum entropy": MinimumEntropy(),
    "sparse data fit": DataFit(),
}
GOTCHA = Path(__file__).parents[2] / "shared" / "data" / "sar_phase_gotcha" / "data_3dsar_pass1_az001_HH.mat"
PICTURE = Path(__file__).parents[1] / "docs" / "autofocus.png"
CONSOLE = Console(width=150)


def errors(pulses: int) -> dict[str, Tensor]:
    """Return phase errors by name, (1, pulses), radians."""
    generator = torch.Generator().manual_seed(SEED)
    t = torch.linspace(-1, 1, pulses, dtype=torch.float64)[None]
    normal = torch.randn(2, pulses, dtype=torch.float64, generator=generator)
    return {
        "none": 0 * t,
        "quadratic, pi/4": math.pi / 4 * t.square(),
        "quadratic, pi": math.pi * t.square(),
        "quadratic, 4 pi": 4 * math.pi * t.square(),
        "sinusoidal, 1.5 rad, 3 cycles": 1.5 * torch.sin(3 * math.pi * t),
        "random walk, 0.3 rad a pulse": 0.3 * normal[:1].cumsum(1),
        "white, 0.5 rad": 0.5 * normal[1:],
        "uniform in (-pi, pi)": math.pi * (2 * torch.rand(1, pulses, dtype=torch.float64, generator=generator) - 1),
    }


def scene(seed: int, clutter_db: float | None) -> Tensor:
    """Return points off the grid in the middle 80 % of the image, the strongest of magnitude one, (1, 1, H, W)."""
    generator = torch.Generator().manual_seed(seed)
    where = SIDE * (0.1 + 0.8 * torch.rand(1, POINTS, 2, generator=generator))
    magnitude = 10 ** (-10 * torch.rand(1, POINTS, generator=generator) / 20)
    phase = 2 * math.pi * torch.rand(1, POINTS, generator=generator)
    x = place(where, torch.polar(magnitude, phase), (SIDE, SIDE))[:, None]
    x = x / x.abs().amax()
    if clutter_db is None:
        return x
    return x + 10 ** (clutter_db / 20) * torch.randn(x.shape, dtype=x.dtype, generator=generator)


def measured(operator: LinearOperator, x: Tensor, seed: int) -> tuple[Measurement, float]:
    """Return the measurement and the Cramer-Rao floor, the root mean square over pulses, radians."""
    clean = operator(x)
    sigma = (clean.abs().square().mean() * 10 ** (-SNR_DB / 10)).sqrt()
    energy = clean.abs().double().square().sum((0, 1, 3))
    floor = float((sigma**2 / (2 * energy)).mean().sqrt())
    generator = torch.Generator().manual_seed(seed + 1000)
    return simulate(x, operator, GaussianNoise(sigma[None]), generator=generator, metadata=Metadata(truth=x)), floor


def disturbed(measurement: Measurement, phase_rad: Tensor) -> Measurement:
    """Return the measurement times exp(+i phase), pulse by pulse."""
    return replace(measurement, y=ChannelAxis(measurement, PULSE_AXIS).rotated(-phase_rad))


def error_rad(estimate: Tensor, truth: Tensor) -> float:
    return float(rmse_rad(estimate, truth, torch.ones_like(truth, dtype=torch.bool)))


def simulation(clutter_db: float | None) -> dict[str, Any]:
    """Return errors of all methods by kind of error, over scenes."""
    collection, grid = spotlight(SIDE)
    operator = plane_wave_spotlight(collection, grid)
    cases = [measured(operator, scene(seed, clutter_db), seed) for seed in SCENES]
    floor = statistics.median(f for _, f in cases)
    title = "points alone" if clutter_db is None else f"points on clutter, {clutter_db:g} dB per pixel"
    table = Table("error put in", *(f"{m}: median / largest, rad" for m in METHODS), "floor, rad", title=title)
    results: dict[str, Any] = {"floor_rad": floor, "errors": {}}
    seconds: dict[str, list[float]] = {m: [] for m in METHODS}
    for name, truth in errors(SIDE).items():
        found: dict[str, list[float]] = {m: [] for m in METHODS}
        for measurement, _ in cases:
            for label, method in METHODS.items():
                start = time.perf_counter()
                estimate = method(disturbed(measurement, truth)).phase_rad
                seconds[label].append(time.perf_counter() - start)
                found[label].append(error_rad(estimate, truth))
        results["errors"][name] = {"before_rad": error_rad(0 * truth, truth)} | found
        cells = (f"{statistics.median(found[m]):.4f} / {max(found[m]):.4f}" for m in METHODS)
        table.add_row(name, *cells, f"{floor:.4f}")
    results["seconds"] = {m: statistics.median(s) for m, s in seconds.items()}
    table.add_row("seconds, median", *(f"{results['seconds'][m]:.2f}" for m in METHODS), "")
    CONSOLE.print(table)
    return results


def missing() -> dict[str, Any]:
    """Return errors with 30 % of the pulses missing, over scenes."""
    collection, grid = spotlight(SIDE)
    operator = plane_wave_spotlight(collection, grid)
    truth = errors(SIDE)["random walk, 0.3 rad a pulse"]
    kept = torch.rand(1, SIDE, generator=torch.Generator().manual_seed(SEED)) < 0.7
    thinned = restrict(operator, kept[:, None, :, None])
    found: dict[str, list[float]] = {m: [] for m in METHODS}
    for seed in SCENES:
        measurement = disturbed(measured(operator, scene(seed, None), seed)[0].without(thinned), truth)
        for label, method in METHODS.items():
            found[label].append(float(rmse_rad(method(measurement).phase_rad, truth, kept)))
    table = Table(*METHODS, title=f"{int(kept.sum())} of {SIDE} pulses, random walk: median / largest, rad")
    table.add_row(*(f"{statistics.median(e):.4f} / {max(e):.4f}" for e in found.values()))
    CONSOLE.print(table)
    return {"kept_pulses": int(kept.sum())} | found


def image_of(measurement: Measurement) -> Tensor:
    return measurement.operator.adjoint(measurement.y)


def gotcha() -> dict[str, Any]:
    """Return entropies and errors on the real file, and draw the picture."""
    original = read_gotcha(GOTCHA)
    pulses = original.operator.range_shape[1]
    t = torch.linspace(-1, 1, pulses, dtype=torch.float64)[None]
    walk = 0.2 * torch.randn(1, pulses, dtype=torch.float64, generator=torch.Generator().manual_seed(SEED)).cumsum(1)
    truth = 2 * math.pi * t.square() + walk
    blurred = disturbed(original, truth)
    entropies = {"original": float(entropy(image_of(original))), "disturbed": float(entropy(image_of(blurred)))}
    table = Table(
        "", "entropy, nats", "to the injected phase, rad", "and to the file's own, rad", "s", title=GOTCHA.name
    )
    table.add_row("original", f"{entropies['original']:.3f}", "", "", "")
    before = error_rad(0 * truth, truth)
    table.add_row("disturbed", f"{entropies['disturbed']:.3f}", f"{before:.3f}", "", "")
    results: dict[str, Any] = {"entropy_nats": entropies, "before_rad": before, "methods": {}}
    images = {"Original": image_of(original), "2 pi quadratic + random walk": image_of(blurred)}
    for label, method in METHODS.items():
        start = time.perf_counter()
        found = method(blurred)
        seconds = time.perf_counter() - start
        own = method(original)
        images[label.capitalize()] = image_of(found.measurement)
        figures = {
            "entropy_nats": float(entropy(image_of(found.measurement))),
            "entropy_of_original_nats": float(entropy(image_of(own.measurement))),
            "rmse_rad": error_rad(found.phase_rad, truth),
            "rmse_to_own_rad": error_rad(found.phase_rad, truth + own.phase_rad),
            "own_phase_rad": error_rad(own.phase_rad, 0 * truth),
            "seconds": seconds,
        }
        results["methods"][label] = figures
        table.add_row(
            label,
            f"{figures['entropy_nats']:.3f}",
            f"{figures['rmse_rad']:.3f}",
            f"{figures['rmse_to_own_rad']:.3f}",
            f"{seconds:.1f}",
        )
    CONSOLE.print(table)
    draw(original, {name: images[name] for name in ("Original", "2 pi quadratic + random walk", "Minimum entropy")})
    return results


def draw(measurement: Measurement, images: dict[str, Tensor]) -> None:
    """Write docs/autofocus.png: the surroundings of the strongest pixel, side by side."""
    panels = [Panel(name, image[0, 0]) for name, image in images.items()]
    grid = measurement.metadata.grid
    assert grid is not None
    window = zoom_window(grid.shape, strongest(panels[0].image), grid=grid, half_side=50.0)
    png = magnitude_png(panels, grid=grid, window=window, dynamic_range_db=45.0)
    # 64 colours are enough for a colour scale and a third of the bytes.
    Image.open(io.BytesIO(png)).convert("RGB").quantize(64, method=Image.Quantize.MAXCOVERAGE).save(
        PICTURE, optimize=True
    )


def main() -> None:
    """Carry out the command in the module's text."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1)
    torch.set_num_threads(parser.parse_args().threads)
    results = {
        "gotcha": gotcha(),
        "missing_pulses": missing(),
        "points": simulation(None),
        "points_on_clutter": simulation(CLUTTER_DB),
    }
    print(save("autofocus", seed=SEED, results=results))


if __name__ == "__main__":
    main()
