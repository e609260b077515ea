"""Ground-penetrating radar: the fast operator against the exact sum, and a measured line in focus.

    python benchmarks/ground.py [--threads N]

1. HomogeneousGround (omega-K) against GroundPenetratingRadar (exact two-way sum) on random sections under an aperture of 2 m:
   error of the data by depth of the uppermost row and widest angle; times of both over the size of the problem.
2. The GSSI line gprpy_FILE032.DZT. First the diffractions are found by semblance over the whole line, with no choice by eye:

       semblance(x, t; eps) = |sum_u s(x + u, T)|^2 / (N sum_u |s(x + u, T)|^2),    T = sqrt(t^2 + (2 u / v)^2),  |u| <= 1.2 m,

   averaged over 1 ns; listed are the places where it exceeds that of the smallest and of the largest permittivity most. Then the
   clearest one is focused: intensity of the migrated image's largest pixel in a box of +-0.3 m and +-1.5 ns about it, over the
   mean of a window of +-1.5 m and 14 to 28 ns, against permittivity and beside the same in the
   unmigrated traces. Writes docs/gpr.png.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from scipy.ndimage import uniform_filter1d
from torch import Tensor

from echoform.measure.dzt import LineProcessing, read_dzt
from echoform.measure.measurement import Measurement
from echoform.physics.ground_homogeneous import HomogeneousGround
from echoform.physics.ground_penetrating import GroundPenetratingRadar
from echoform.scene.collection import SPEED_OF_LIGHT_M_S
from echoform.scene.grid import Grid
from echoform.scene.soil import GroundSurvey, Section
from record import save

SEED = 1
SPACING_M = 0.02
ROOT = Path(__file__).parents[1]
LINE = ROOT.parent / "shared" / "data" / "rf_gpr" / "gprpy_FILE032.DZT"
CONSOLE = Console(width=130)
PERMITTIVITIES = (2.0, 2.5, 3.0, 3.5, 4.0, 4.25, 4.5, 4.75, 5.0, 5.5, 6.0, 7.0, 8.0, 10.0, 12.0)
TIMES_NS = (14.0, 28.0)
#: traces migrated about a diffraction, and half the width of the window in which it is judged
REACH, HALF = 120, 75


def survey(traces: int, frequencies: int, *, length_m: float = 2.0) -> GroundSurvey:
    """400 to 1200 MHz over soil of permittivity 6."""

    def one(value: float) -> Tensor:
        return torch.tensor([value], dtype=torch.float64)

    line = torch.linspace(-length_m / 2, length_m / 2, traces, dtype=torch.float64)[None]
    spectrum = torch.ones(1, frequencies, dtype=torch.complex128)
    return GroundSurvey(line, one(0.0), one(6.0), one(4e8), one(8e8 / frequencies), spectrum)


def noise(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(SEED))


def accuracy() -> list[dict[str, float]]:
    """Return the error of the fast path against the exact one, over depth and widest angle."""
    found = []
    for top_m in (0.3, 0.6, 1.2):
        section = Section(Grid((32, 48), (0.03, 0.03)), top_m)
        exact = GroundPenetratingRadar(survey(81, 33), section, dtype=torch.complex128)
        x = noise((1, 1, 32, 48), torch.complex128)
        y = exact(x)
        for degrees in (60, 75, 82):
            fast = HomogeneousGround(survey(81, 33), section, widest_rad=math.radians(degrees), dtype=torch.complex128)
            error = 20 * math.log10(float((fast(x) - y).norm() / y.norm()))
            found.append({"top_m": top_m, "widest_deg": degrees, "error_db": round(error, 1)})
            CONSOLE.print(f"rows from {top_m} m down, widest angle {degrees} deg: error {error:.1f} dB")
    return found


def seconds(run, *, repeats: int) -> float:
    """Return the median time of so many calls."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def speed() -> list[dict[str, float]]:
    """Return the times of both paths over the side of the image."""
    found = []
    for side in (64, 128, 256):
        section = Section(Grid((side, side), (0.02, 2.5 / side)), 0.6)
        taken = survey(side, 64)
        exact, fast = GroundPenetratingRadar(taken, section), HomogeneousGround(taken, section)
        x = noise((1, 1, side, side), torch.complex64)
        row: dict[str, float] = {"side": side}
        for name, operator, repeats in (("exact", exact, 1 if side > 128 else 3), ("fast", fast, 7)):
            y = operator(x)
            row[f"{name}_forward_s"] = seconds(lambda o=operator, x=x: o(x), repeats=repeats)
            row[f"{name}_adjoint_s"] = seconds(lambda o=operator, y=y: o.adjoint(y), repeats=repeats)
            row[f"{name}_normal_s"] = seconds(lambda o=operator, x=x: o.normal(x), repeats=repeats)
        row["ratio_normal"] = row["exact_normal_s"] / row["fast_normal_s"]
        row["normal_over_two_passes"] = row["fast_normal_s"] / (row["fast_forward_s"] + row["fast_adjoint_s"])
        CONSOLE.print({k: float(f"{v:.3g}") for k, v in row.items()})
        found.append(row)
    return found


def ground_of(measurement: Measurement) -> HomogeneousGround:
    """The ground itself, without the gain over depth that the reader gives the image."""
    assert isinstance(measurement.operator, HomogeneousGround)
    return HomogeneousGround(measurement.operator.survey, measurement.operator.section)


def envelopes(measurement: Measurement, time_ns: Tensor) -> Tensor:
    """The band's complex envelope of the traces at these times, the pulse's phase removed, (times, traces)."""
    operator = ground_of(measurement)
    pulse = operator.transmitted[0]
    samples = measurement.y[0, 0] * (pulse.conj() / pulse.abs()).to(measurement.y.dtype)
    hz = float(operator.start_hz) + float(operator.step_hz) * torch.arange(samples.shape[1], dtype=torch.float64)
    return torch.exp(2e-9j * math.pi * time_ns[:, None] * hz).to(samples.dtype) @ samples.mT


def semblance(
    traces: np.ndarray, step_ns: float, permittivity: float, time_ns: np.ndarray, columns: np.ndarray
) -> np.ndarray:
    """See the module's text; (times, columns)."""
    speed_m_ns = SPEED_OF_LIGHT_M_S * 1e-9 / math.sqrt(permittivity)
    coherent, power = np.zeros((len(time_ns), len(columns)), complex), np.zeros((len(time_ns), len(columns)))
    offsets = range(-60, 61, 2)
    for u in offsets:
        at = np.hypot(time_ns, 2 * u * SPACING_M / speed_m_ns) / step_ns
        inside = (at < len(traces) - 1)[:, None]
        low = np.minimum(at.astype(int), len(traces) - 2)
        share = (at - low)[:, None]
        values = inside * ((1 - share) * traces[low][:, columns + u] + share * traces[low + 1][:, columns + u])
        coherent, power = coherent + values, power + np.abs(values) ** 2
    smooth = [uniform_filter1d(part, 5, axis=0, mode="constant") for part in (np.abs(coherent) ** 2, power)]  # 1 ns
    return smooth[0] / (len(offsets) * smooth[1] + 1e-12 * smooth[1].max())


def diffractions(count: int = 8) -> list[dict[str, object]]:
    """Return the clearest diffractions of the measured line and the permittivity at which each is most coherent."""
    measurement, step_ns = read_dzt(LINE), 0.1
    traces = envelopes(measurement, torch.arange(0, 46, step_ns, dtype=torch.float64)).numpy()
    time_ns, columns = np.arange(4, 42, 0.2), np.arange(60, traces.shape[1] - 60, 2)
    maps = np.stack([semblance(traces, step_ns, eps, time_ns, columns) for eps in PERMITTIVITIES])
    best = maps.argmax(0)
    score = (maps.max(0) - np.maximum(maps[0], maps[-1])) * ((best > 0) & (best < len(maps) - 1))
    found: list[dict[str, object]] = []
    places: list[tuple[int, int]] = []
    for flat in np.argsort(score.ravel())[::-1]:
        row, column = (int(i) for i in np.unravel_index(flat, score.shape))
        if all(abs(row - r) > 10 or abs(column - c) > 15 for r, c in places):
            places.append((row, column))
            found.append(
                {
                    "trace": int(columns[column]),
                    "time_ns": round(float(time_ns[row]), 1),
                    "permittivity": PERMITTIVITIES[int(best[row, column])],
                    "semblance": [round(float(v), 3) for v in maps[:, row, column]],
                }
            )
            CONSOLE.print({k: v for k, v in found[-1].items() if k != "semblance"}, f"{maps[:, row, column].max():.2f}")
        if len(found) == count:
            return found
    return found


def migrated(permittivity: float, trace: int) -> tuple[Tensor, Tensor, Tensor]:
    """The migrated image about a trace, spreading made up for, the depths of its rows and their times (ns)."""
    processing = LineProcessing(permittivity=permittivity, first=trace - REACH, last=trace + REACH)
    measurement = read_dzt(LINE, processing=processing)
    operator = ground_of(measurement)
    depth = operator.section.depths_m()
    image = operator.adjoint(measurement.y)[0, 0] * depth[:, None]
    return image, depth, 2e9 * depth * math.sqrt(permittivity) / SPEED_OF_LIGHT_M_S


def focus_of(image: Tensor, time_ns: Tensor, at_ns: float) -> tuple[float, int, int]:
    """Peak intensity in the box over the mean of the window, dB, with the peak's row and column in the image."""
    power, middle = image.abs().double().square(), image.shape[1] // 2
    rows = (time_ns > TIMES_NS[0]) & (time_ns < TIMES_NS[1])
    window = power[rows][:, middle - HALF : middle + HALF]
    box = power.clone()
    box[(time_ns - at_ns).abs() > 1.5] = 0
    box[:, : middle - 15] = box[:, middle + 16 :] = 0
    row, column = divmod(int(box.argmax()), box.shape[1])
    return 10 * math.log10(float(power[row, column] / window.mean())), row, column


def width_m(cut: Tensor, at: int) -> float:
    """-3 dB width of a cut about its sample ``at``, by linear interpolation of the power."""
    power = (cut.abs().double().square() / cut[at].abs().double().square()).tolist()
    edges = []
    for step in (-1, 1):
        i = at
        while 0 <= i + step < len(power) and power[i + step] > 0.5:
            i += step
        if not 0 <= i + step < len(power):
            return math.inf
        edges.append(abs(i - at) + (power[i] - 0.5) / (power[i] - power[i + step]))
    return sum(edges) * SPACING_M


def focus(trace: int, at_ns: float) -> dict[str, object]:
    """Return how far migration focuses one diffraction at each permittivity."""
    whole = read_dzt(LINE, processing=LineProcessing(first=trace - REACH, last=trace + REACH))
    time_ns = torch.arange(40.0, 4.0, -0.2, dtype=torch.float64)
    before = envelopes(whole, time_ns)
    gain, row, column = focus_of(before, time_ns, at_ns)
    curve, place = {}, {}
    for eps in PERMITTIVITIES:
        image, depth, times = migrated(eps, trace)
        curve[eps], r, c = focus_of(image, times, at_ns)
        place[eps] = {"trace": trace - REACH + c, "depth_m": float(depth[r]), "width_m": width_m(image[r], c)}
    best = max(curve, key=lambda eps: curve[eps])
    result = {
        "unmigrated_db": gain,
        "unmigrated_width_m": width_m(before[row], column),
        "focus_db": curve,
        "best_permittivity": best,
        "apex": place[best],
    }
    CONSOLE.print(result)
    return result


def picture(trace: int, permittivity: float) -> None:
    """Draw the section before and after migration."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    whole = read_dzt(LINE, processing=LineProcessing(first=trace - REACH, last=trace + REACH))
    time_ns = torch.arange(40.0, 4.0, -0.2, dtype=torch.float64)
    figure, axes = plt.subplots(1, 3, figsize=(16, 4.8), constrained_layout=True)
    half = REACH * SPACING_M
    waves = (envelopes(whole, time_ns).real * time_ns[:, None]).numpy()
    extent, level = (-half, half, float(time_ns[0]), float(time_ns[-1])), float(np.quantile(np.abs(waves), 0.98))
    axes[0].imshow(waves, origin="lower", aspect="auto", cmap="gray", extent=extent, vmin=-level, vmax=level)
    axes[0].set(title="traces, background removed, gain t", xlabel="along the line (m)", ylabel="two-way time (ns)")
    shown = None
    for axis, eps in zip(axes[1:], (permittivity, 9.0), strict=True):
        image, depth, times = migrated(eps, trace)
        kept = (times > 12) & (times < 30)
        part = image[kept][:, : 2 * REACH].abs()
        decibels = 20 * torch.log10(part / part[:, REACH - HALF : REACH + HALF].max())
        shown = axis.imshow(
            decibels.numpy(),
            origin="lower",
            aspect="auto",
            cmap="magma",
            extent=(-half, half, float(depth[kept][0]), float(depth[kept][-1])),
            vmin=-20,
            vmax=0,
        )
        axis.set(title=f"migrated, eps_r = {eps:g}", xlabel="along the line (m)", ylabel="depth (m)")
    assert shown is not None
    figure.colorbar(shown, ax=axes, label="dB")
    figure.savefig(ROOT / "docs" / "gpr.png", dpi=100)


def main() -> None:
    """Carry out the command in the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    torch.set_num_threads(parser.parse_args().threads)
    results: dict[str, object] = {"accuracy": accuracy(), "speed": speed()}
    if LINE.exists():
        found = diffractions()
        trace, at_ns = int(str(found[0]["trace"])), float(str(found[0]["time_ns"]))
        focused = focus(trace, at_ns)
        results |= {"diffractions": found, "focus": focused}
        picture(trace, float(str(focused["best_permittivity"])))
    save("ground", seed=SEED, results=results)


if __name__ == "__main__":
    main()
