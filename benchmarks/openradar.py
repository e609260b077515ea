"""Real data: OpenRadar FMCW frames to range-Doppler and range-angle pictures, beside a plain FFT of the same samples.

    python benchmarks/openradar.py

Frames of one antenna are read as the command line reads them. Figures: peak behind the direct leakage over the picture's
median, its range and velocity, how high the same echo stands (within one cell) in the picture of each half of the chirps, and
the difference in magnitude from the FFT. Passed when the peak and the echo in both halves stand at least PASS_DB over the
median (ANGLE_PASS_DB for the range-angle picture of 8 antennas) and the FFT agrees to -60 dB. Ranges and velocities rest on
the assumed setup (measure/openradar.py). Draws docs/openradar.png.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from echoform.measure.measurement import Measurement
from echoform.measure.openradar import FrameSetup, read_openradar, sine_axis_rad
from echoform.measure.reading import read
from record import save

DATA = Path(__file__).parents[2] / "shared" / "data" / "rf_fmcw_openradar"
CUBE, FRAMES = "doppler_example_1.npy", ("simple_frame_1.npy", "doppler_example.npy")
PICTURE = Path(__file__).parents[1] / "docs" / "openradar.png"
#: ranges that the direct leakage fills
LEAKAGE = 8
#: movers of the cube: velocity and range cell
MOVERS = ((7, 60), (-10, 60), (-6, 61))
PASS_DB, ANGLE_PASS_DB, FFT_DB = 40.0, 30.0, -60.0


def power(m: Measurement) -> np.ndarray:
    """Return |A^H y|^2, (velocities or 1, rows, ranges)."""
    return m.operator.adjoint(m.y)[0].abs().square().double().numpy()


def signed(m: Measurement) -> np.ndarray:
    """Return the samples as the reader put them right."""
    return m.y[0].squeeze(0).to(torch.complex128).numpy()


def difference_db(found: np.ndarray, reference: np.ndarray) -> float:
    """Return the energy of the difference of two magnitudes, each of unit energy, decibels."""
    a, b = (np.sqrt(v) / np.sqrt(v.sum()) for v in (found, reference))
    return float(10 * np.log10(((a - b) ** 2).sum()))


def peak(picture: np.ndarray) -> tuple[int, int, float]:
    """Return row and column of the peak behind the leakage, and its level over the median, decibels."""
    behind = picture[:, LEAKAGE:]
    row, column = np.unravel_index(int(behind.argmax()), behind.shape)
    return int(row), int(column) + LEAKAGE, float(10 * np.log10(behind.max() / np.median(behind)))


def level_at(picture: np.ndarray, row: int, column: int) -> float:
    """Return how high an echo stands over the median, decibels: the strongest of the cell and its neighbours."""
    near = picture[row - 1 : row + 2, column - 1 : column + 2]
    return float(10 * np.log10(near.max() / np.median(picture[:, LEAKAGE:])))


def halves(name: str, m: Measurement) -> list[Measurement]:
    """Return the first and the second half of the chirps, each a frame of its own."""
    samples = signed(m)
    count = len(samples) // 2
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for start in (0, count):
            path = Path(folder) / name
            np.save(path, samples[start : start + count])
            found.append(read(path))
    return found


def frame_figures(name: str) -> dict[str, float | bool]:
    """Return the figures of a frame of one antenna."""
    m = read(DATA / name)
    samples = signed(m)
    picture = power(m)[0]
    reference = np.abs(np.fft.fftshift(np.fft.fft2(samples), axes=0)) ** 2
    waveform = FrameSetup().waveform(*samples.shape)
    range_m, velocity_m_s = float(waveform.range_resolution_m()), float(waveform.velocity_resolution_m_s())
    row, column, level = peak(picture)
    velocity = row - len(samples) // 2
    again = [level_at(power(half)[0], len(samples) // 4 + round(velocity / 2), column) for half in halves(name, m)]
    fft_db = difference_db(picture, reference)
    return {
        "peak_over_median_db": level,
        "range_m": range_m * column,
        "velocity_m_s": velocity_m_s * velocity,
        "first_half_over_median_db": again[0],
        "second_half_over_median_db": again[1],
        "fft_difference_db": fft_db,
        "passed": min(level, *again) >= PASS_DB and fft_db <= FFT_DB,
    }


def cube_figures() -> tuple[dict[str, float | bool], np.ndarray, np.ndarray]:
    """Return the figures of the cube, its range-Doppler picture (power over all antennas) and its range-angle picture."""
    still = read_openradar(DATA / CUBE)
    samples = signed(still)
    angles = power(still)[0]
    spectrum = np.fft.fft(samples.sum(0), axis=-1)
    reference = np.abs(np.fft.fftshift(np.fft.ifft(spectrum, n=angles.shape[0], axis=0), axes=0)) ** 2
    moving = power(read_openradar(DATA / CUBE, velocities=len(samples)))
    doppler = moving.mean(1)
    row, column, level = peak(angles)
    middle = len(samples) // 2
    movers = [level_at(moving.max(1), middle + v, c) for v, c in MOVERS]
    fft_db = difference_db(angles, reference)
    waveform = FrameSetup().waveform(samples.shape[0], samples.shape[-1])
    figures: dict[str, float | bool] = {
        "peak_over_median_db": level,
        "range_m": float(waveform.range_resolution_m()) * column,
        "angle_deg": float(sine_axis_rad(angles.shape[0])[0, row].rad2deg()),
        "fft_difference_db": fft_db,
    }
    figures |= {f"mover_{k + 1}_over_median_db": value for k, value in enumerate(movers)}
    figures["passed"] = level >= ANGLE_PASS_DB and min(movers) >= PASS_DB and fft_db <= FFT_DB
    return figures, doppler, angles


def draw(doppler: np.ndarray, angles: np.ndarray) -> None:
    """Draw both pictures of the cube, decibels over their medians."""
    waveform = FrameSetup().waveform(len(doppler), doppler.shape[1])
    far_m = float(waveform.range_resolution_m()) * doppler.shape[1]
    fast = float(waveform.velocity_resolution_m_s()) * len(doppler) / 2
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, picture, extent, label, title in (
        (
            figure.add_subplot(1, 2, 1),
            doppler,
            (0, far_m, -fast, fast),
            "velocity, m/s (receding positive)",
            "Range-Doppler",
        ),
        (
            figure.add_subplot(1, 2, 2),
            angles,
            (0, far_m, -1, 1),
            "sin(angle), right positive",
            "Range-angle, still scene",
        ),
    ):
        level = 10 * np.log10(picture / np.median(picture))
        shown = axes.imshow(level, origin="lower", aspect="auto", extent=extent, vmin=-5, vmax=50, cmap="magma")
        axes.set(xlabel="range, m", ylabel=label, title=title)
        figure.colorbar(shown, ax=axes, label="dB over the median")
    figure.savefig(PICTURE, dpi=110)


def main() -> None:
    """Print, record and draw."""
    results: dict[str, dict[str, float | bool]] = {name: frame_figures(name) for name in FRAMES}
    results[CUBE], doppler, angles = cube_figures()
    draw(doppler, angles)
    table = Table("frame", "figure", "value", title="OpenRadar FMCW frames")
    for name, figures in results.items():
        for label, value in figures.items():
            table.add_row(name, label, str(value) if isinstance(value, bool) else f"{value:.2f}")
    Console(width=120).print(table)
    print(save("openradar", seed=0, results=results))


if __name__ == "__main__":
    main()
