"""Is the noise level found in the samples the true one?

    python benchmarks/noise_estimation.py [--trials N] [--gotcha FOLDER]

Simulated speckle with a point 20 dB above it, SNR of a sample -10 to 20 dB: estimated over true sigma, median and 5th to 95th
percentile over the trials (scene and noise drawn anew), and where it was seen. "between pixels" puts the scatterers off the grid,
inside the image; "refused" means that the estimator asks for --sigma.

Gotcha (measured, no truth): the reader's own level, an upper bound from the quietest range bins; what the quietest cells in range
and Doppler say; and what the estimator says of the reader's measurement.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from scipy.special import gammaincinv
from torch import Tensor

from echoform.measure.gotcha import read_phase_history
from echoform.measure.measurement import Measurement
from echoform.measure.phase_history import QUIET_SHARE, measurement_from, noise_floor
from echoform.physics.born import BornScattering
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.green import Radiator
from echoform.physics.noise import GaussianNoise, standard_normal
from echoform.physics.nonuniform_fourier import NonuniformFourier
from echoform.physics.operator import LinearOperator
from echoform.physics.range_angle_doppler import mimo_radar
from echoform.physics.spotlight_exact import ExactSpotlight
from echoform.physics.spotlight_plane_wave import plane_wave_spotlight
from echoform.recon.noise_estimation import NoiseLevelUnknown, estimate_sigma
from echoform.scene.array import filled_array
from echoform.scene.cells import cells_of
from echoform.scene.collection import SpotlightCollection
from echoform.scene.grid import Grid
from echoform.scene.rig import all_pairs, ring_m
from echoform.scene.waveform import FmcwWaveform
from record import save

SEED = 3
SNR_DB = (-10.0, -5.0, 0.0, 5.0, 10.0, 15.0, 20.0)
CONSOLE = Console(width=150)
GOTCHA = Path(__file__).parents[2] / "shared" / "data" / "sar_phase_gotcha"


def collection(pulses: int, frequencies: int, dropped: int = 0) -> SpotlightCollection:
    """X band at 10 km, 640 MHz, 3.8 degrees: cells of about 0.25 m."""
    angle = math.radians(3.8) * ((torch.arange(pulses, dtype=torch.float64) + 0.5) / pulses - 0.5)
    c, s = math.cos(math.radians(30)), math.sin(math.radians(30))
    look = torch.stack([c * angle.cos(), c * angle.sin(), torch.full_like(angle, s)], -1)
    frequency = 9.6e9 + 640e6 * ((torch.arange(frequencies, dtype=torch.float64) + 0.5) / frequencies - 0.5)
    kept = torch.ones(1, pulses, frequencies, dtype=torch.float64)
    chosen = torch.randperm(pulses, generator=torch.Generator().manual_seed(SEED))[:dropped]
    kept[:, chosen] = 0
    return SpotlightCollection(1e4 * look[None], frequency[None], kept)


def scattered_points() -> NonuniformFourier:
    points = (
        (torch.rand(1, 2, 2400, dtype=torch.float64, generator=torch.Generator().manual_seed(SEED)) - 0.5) * 2 * math.pi
    )
    ones = torch.ones(1, 2400, dtype=torch.float64)
    return NonuniformFourier(points, ones, domain_shape=(1, 32, 32), sample_shape=(2400,))


def fmcw() -> LinearOperator:
    one = torch.ones(1, dtype=torch.float64)
    waveform = FmcwWaveform(77e9 * one, 30e12 * one, 1e-7 * one, 128, 5e-5 * one, 1, (0,))
    ranges = waveform.range_resolution_m()[:, None] * torch.arange(8, 40, dtype=torch.float64)
    angles = torch.linspace(-0.6, 0.6, 32, dtype=torch.float64)[None]
    return mimo_radar(waveform, filled_array(1, 16, 0.00195), ranges_m=ranges, angles_rad=angles)


def born() -> LinearOperator:
    ring = ring_m(0.6, 2 * math.pi * torch.arange(36, dtype=torch.float64) / 36)[None]
    frequency = torch.tensor([[2e9, 3e9]], dtype=torch.float64)
    rig = all_pairs(ring[:, ::2], ring[:, 1::2], frequency)
    return BornScattering(rig, cells_of(Grid((24, 24), (0.005, 0.005))), radiator=Radiator.LINE)


def mask() -> LinearOperator:
    return FourierMask((torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(SEED)) < 0.5).float())


SMALL, FULL = Grid((32, 32), (0.2, 0.2)), Grid((64, 64), (0.25, 0.25))
#: (name, builder of the sensor of the image, builder of the sensor that takes the samples or None for the same)
CASES: list[tuple[str, Callable[[], LinearOperator], Callable[[], LinearOperator] | None]] = [
    ("plane wave, 4 x oversampled in range", lambda: plane_wave_spotlight(collection(32, 128), SMALL), None),
    (
        "plane wave, 3 x in azimuth, 10 pulses missing",
        lambda: plane_wave_spotlight(collection(96, 30, 10), SMALL),
        None,
    ),
    (
        "plane wave, scatterers between pixels",
        lambda: plane_wave_spotlight(collection(32, 128), SMALL),
        lambda: plane_wave_spotlight(collection(32, 128), Grid((61, 61), (0.0837, 0.0837))),
    ),
    (
        "plane wave, 3 x in azimuth, between pixels",
        lambda: plane_wave_spotlight(collection(96, 30), SMALL),
        lambda: plane_wave_spotlight(collection(96, 30), Grid((61, 61), (0.0837, 0.0837))),
    ),
    ("exact spotlight, 4 x oversampled in range", lambda: ExactSpotlight(collection(24, 128), SMALL), None),
    ("scattered Fourier points, 2.3 per pixel", scattered_points, None),
    ("FMCW, a quarter of the range", fmcw, None),
    ("Born, 18 x 18 antennas, 2 frequencies", born, None),
    ("plane wave, every sample needed", lambda: plane_wave_spotlight(collection(48, 48), FULL), None),
    ("Fourier mask", mask, None),
]


def trial(
    image: LinearOperator, sensor: LinearOperator, snr_db: float, generator: torch.Generator
) -> tuple[float, str]:
    """Return estimated over true sigma, NaN when refused, and where it was seen."""
    x = standard_normal(torch.zeros(1, *sensor.domain_shape, dtype=sensor.dtype), generator)
    place = [int(torch.randint(n // 4, 3 * n // 4, (1,), generator=generator)) for n in sensor.domain_shape[1:]]
    x[0, 0, place[0], place[1]] = 10
    clean = sensor(x)
    sigma = float((clean.abs().square().sum() / sensor.samples()[0]).sqrt()) * 10 ** (-snr_db / 20)
    y = clean + sigma * standard_normal(clean, generator)
    marks = image.support()
    y = y if marks is None else y * marks
    try:
        found = estimate_sigma(Measurement(y, image, GaussianNoise(torch.zeros(1))))
    except NoiseLevelUnknown:
        return math.nan, "refused"
    return float(found.sigma[0]) / sigma, found.evidence.name.lower()


def percentiles(ratios: list[float]) -> dict[str, float]:
    found = torch.tensor([r for r in ratios if not math.isnan(r)], dtype=torch.float64)
    if not len(found):
        return {"answered": 0.0}
    low, middle, high = torch.quantile(found, torch.tensor([0.05, 0.5, 0.95], dtype=torch.float64)).tolist()
    return {"answered": len(found) / len(ratios), "median": middle, "p5": low, "p95": high}


def simulations(trials: int) -> dict[str, Any]:
    """Return estimated over true sigma for every simulated collection and SNR."""
    results: dict[str, Any] = {}
    grid = Table(title=f"Estimated over true sigma, median (5 to 95 %), {trials} trials", title_justify="left")
    grid.add_column("collection")
    grid.add_column("seen in")
    for snr_db in SNR_DB:
        grid.add_column(f"{snr_db:g} dB", justify="right")
    for name, build, sensor_of in CASES:
        image = build()
        sensor = image if sensor_of is None else sensor_of()
        row: dict[str, Any] = {}
        seen = set()
        for snr_db in SNR_DB:
            generator = torch.Generator().manual_seed(SEED)
            outcomes = [trial(image, sensor, snr_db, generator) for _ in range(trials)]
            row[f"{snr_db:g}"] = percentiles([ratio for ratio, _ in outcomes])
            seen |= {where for _, where in outcomes}
        results[name] = {"evidence": sorted(seen), "by_snr_db": row}
        grid.add_row(name, ", ".join(sorted(seen)), *(_cell(found) for found in row.values()))
    CONSOLE.print(grid)
    return results


def _cell(found: dict[str, float]) -> str:
    if found["answered"] == 0:
        return "refused"
    part = "" if found["answered"] == 1 else f" [{100 * found['answered']:.0f} %]"
    return f"{found['median']:.3f} ({found['p5']:.2f}-{found['p95']:.2f}){part}"


def quietest_cells(samples: Tensor, side: int = 8) -> float:
    """Return sigma from the quietest tenth of the blocks of ``side`` x ``side`` cells in range and Doppler, Taylor-weighted.

    The share is that of :func:`echoform.measure.phase_history.noise_floor`; side lobes of bright targets no longer fill quiet
    cells.
    """
    from scipy.signal.windows import taylor

    y = samples[0, 0].to(torch.complex128)
    pulses, frequencies = (torch.from_numpy(taylor(n, nbar=6, sll=60, norm=False)) for n in y.shape)
    window = pulses[:, None] * frequencies[None]
    power = torch.fft.fft2(y * window / window.square().mean().sqrt(), norm="ortho").abs().square()
    blocks = power.unfold(0, side, side).unfold(1, side, side).mean((-2, -1)).flatten()
    independent = side * side / 1.5**2  # the window correlates neighbouring cells
    quiet = float(torch.quantile(blocks, QUIET_SHARE))
    return math.sqrt(quiet * independent / float(gammaincinv(independent, QUIET_SHARE)))


def measured(folder: Path) -> dict[str, Any]:
    """Return the levels that three estimates find in Gotcha files."""
    results: dict[str, Any] = {}
    files = sorted(folder.rglob("data_3dsar_pass1_az*_HH.mat"))[:4] if folder.exists() else []
    if not files:
        CONSOLE.print(f"Gotcha: no files under {folder}")
        return results
    grid = Table(title="Gotcha: level of a sample, dB below the mean sample power", title_justify="left")
    for column in ("file", "quietest range bins (reader)", "quietest range-Doppler cells", "estimator"):
        grid.add_column(column)
    for path in files:
        history = read_phase_history(path)
        power = float(history.samples.abs().double().square().mean())
        levels = {"range_bins": noise_floor(history.samples), "range_doppler_cells": quietest_cells(history.samples)}
        decibels = {name: 10 * math.log10(sigma**2 / power) for name, sigma in levels.items()}
        try:
            answer = str(estimate_sigma(measurement_from(history)))
        except NoiseLevelUnknown as refusal:
            answer = f"refused: {refusal}"
        results[path.stem] = {"db_of_mean_power": decibels, "estimator": answer}
        grid.add_row(path.stem, *(f"{value:.1f}" for value in decibels.values()), answer)
    CONSOLE.print(grid)
    return results


def main() -> None:
    """Carry out the command in the module's text."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--gotcha", type=Path, default=GOTCHA)
    options = parser.parse_args()
    results = {"simulated": simulations(options.trials), "gotcha": measured(options.gotcha)}
    CONSOLE.print(f"written: {save('noise_estimation', seed=SEED, results=results)}")


if __name__ == "__main__":
    main()
