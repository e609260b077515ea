"""Spotlight SAR operators: are they right, how far do they differ, what do they cost?

    python benchmarks/sar_operator.py [--threads N]

1. Accuracy: each operator against its defining sum, written out in double precision.
2. Plane wave against exact, one scatterer at a time. A scatterer at r is put where the polar format puts it: the r' with the
   same differential range and the same range rate at mid-aperture (linear in r'), and the image's known phase is removed. For
   a circular arc of radius R at grazing angle psi about the x axis, d = -g + (|r|^2 - g^2) / 2R + O(R^-2) with
   g = cos psi (x cos th + y sin th), and the mismatch e = d + u . r' left over is, with c = cos psi and to first order in 1/R,

       e(th) = e2 th^2 / 2 + e3 th^3 / 6 + ...,   e2 = ((1 + c^2) x^2 / 2 + (1/2 - c^2) y^2) / R,   e3 = 3 c^2 x y / R,

   so over a uniform aperture D and band B about f_c the phase 4 pi f e / c has the mean square
   (4 pi / c)^2 (f_c^2 + B^2 / 12) (e2^2 D^4 / 320 + e3^2 D^6 / 16128), which is the NMSE while it is small.
3. Times of the plane-wave operator beside pytorch-finufft called alone on the same points and threads; time and memory of the
   exact operator. With other load on the machine compare at --threads 1: a thread that waits for one that is not scheduled
   spins, and times grow tenfold.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pytorch_finufft.functional import finufft_type1, finufft_type2
from rich.console import Console
from rich.table import Table
from torch import Tensor

from echoform.physics.spotlight_exact import ExactSpotlight
from echoform.physics.spotlight_plane_wave import plane_wave_spotlight
from echoform.scene.collection import SPEED_OF_LIGHT_M_S, SpotlightCollection
from echoform.scene.grid import Grid
from record import save

SEED = 1
DOUBLE = torch.complex128
CONSOLE = Console(width=130)


@dataclass(frozen=True)
class Arc:
    """A circular arc about the x axis; aperture and bandwidth are step times number of samples."""

    name: str
    radius_m: float
    grazing_deg: float
    aperture_deg: float
    carrier_hz: float
    bandwidth_hz: float

    def angles(self, pulses: int) -> Tensor:
        """Return the azimuths of the pulses, the middles of equal cells, radians."""
        return math.radians(self.aperture_deg) * ((torch.arange(pulses, dtype=torch.float64) + 0.5) / pulses - 0.5)

    def look(self, angle: Tensor) -> Tensor:
        """Return the unit vectors to the antenna, (P, 3)."""
        c, s = math.cos(math.radians(self.grazing_deg)), math.sin(math.radians(self.grazing_deg))
        return torch.stack([c * torch.cos(angle), c * torch.sin(angle), torch.full_like(angle, s)], -1)

    def collect(self, pulses: int, frequencies: int) -> SpotlightCollection:
        """Return the collection with all samples kept."""
        cells = (torch.arange(frequencies, dtype=torch.float64) + 0.5) / frequencies - 0.5
        return SpotlightCollection(
            self.radius_m * self.look(self.angles(pulses))[None],
            (self.carrier_hz + self.bandwidth_hz * cells)[None],
            torch.ones(1, pulses, frequencies, dtype=torch.float64),
        )

    def focus_limit_m(self) -> float:
        """Return 2 rho_a sqrt(R / lambda), the scene radius at which the plane wave defocuses."""
        wavelength = SPEED_OF_LIGHT_M_S / self.carrier_hz
        return wavelength / math.radians(self.aperture_deg) * math.sqrt(self.radius_m / wavelength)


AIRBORNE = Arc("10 km, X band, 640 MHz, 1 deg, grazing 30", 10e3, 30.0, 1.0, 9.6e9, 640e6)
CLOSE = Arc("1 km, C band, 300 MHz, 5 deg, grazing 20", 1e3, 20.0, 5.0, 5.4e9, 300e6)
#: resolution cell about 0.25 m in both directions, for the times
SQUARE = Arc("10 km, X band, 640 MHz, 3.8 deg, grazing 30", 10e3, 30.0, 3.8, 9.6e9, 640e6)
RADII_M = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0)
BEARINGS_DEG = (0.0, 45.0, 90.0)


def decibels(error: Tensor, reference: Tensor) -> float:
    ratio = error.abs().square().sum() / reference.abs().square().sum()
    return 10 * math.log10(float(ratio) or 1e-300)


def noise(shape: tuple[int, ...], dtype: torch.dtype = DOUBLE) -> Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(SEED))


def table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    grid = Table(title=title, title_justify="left")
    for i, column in enumerate(columns):
        grid.add_column(column, justify="left" if i == 0 else "right")
    for row in rows:
        grid.add_row(*row)
    CONSOLE.print(grid)


# --- 1. accuracy -----------------------------------------------------------------------------------------------------------


def plane_wave_factors(collection: SpotlightCollection, grid: Grid) -> tuple[Tensor, Tensor]:
    """exp(i k_y y), (M, H), and exp(i k_x x), (M, W): the plane-wave sum is separable for each sample."""
    k = (collection.wavenumber()[0] - collection.carrier()[0]).flatten(0, 1)
    rows, columns = grid.axes_m()
    return torch.exp(1j * (k[:, 1:] * rows)), torch.exp(1j * (k[:, :1] * columns))


def exact_matrix(collection: SpotlightCollection, grid: Grid) -> Tensor:
    """Return the matrix of the exact operator, (samples, pixels)."""
    position, antenna = grid.positions_m().flatten(0, 1), collection.antenna_m[0]
    offset = (position.square().sum(-1) - 2 * antenna @ position.T) / (
        (antenna[:, None] - position).norm(dim=-1) + antenna.norm(dim=-1)[:, None]
    )
    wavenumber = 4 * math.pi * collection.frequency_hz[0] / SPEED_OF_LIGHT_M_S
    phase = -wavenumber[None, :, None] * offset[:, None] - position[:, :2] @ collection.carrier()[0]
    return torch.exp(1j * phase).flatten(0, 1)


def measure_accuracy() -> dict[str, Any]:
    """Return the errors of plane-wave and exact operator against matrices."""
    found: dict[str, Any] = {}
    collection, grid = SQUARE.collect(150, 200), Grid((256, 256), (0.2, 0.2))
    rows, columns = plane_wave_factors(collection, grid)
    x, y = noise((256, 256)), noise((150 * 200,))
    forward = ((rows @ x) * columns).sum(1)
    adjoint = rows.mH @ (y[:, None] * columns.conj())
    small, few = Grid((48, 48), (0.2, 0.2)), SQUARE.collect(40, 50)
    matrix, z, w = exact_matrix(few, small), noise((48 * 48,)), noise((40 * 50,))
    for dtype in (torch.complex64, DOUBLE):
        plane = plane_wave_spotlight(collection, grid, dtype=dtype)
        exact = ExactSpotlight(few, small, dtype=dtype)
        image = x.to(dtype)[None, None]
        measured = {
            "plane wave, forward": (plane(image).flatten(), forward),
            "plane wave, adjoint": (plane.adjoint(y.to(dtype).reshape(1, 1, 150, 200))[0, 0], adjoint),
            "plane wave, normal (Toeplitz)": (
                plane.normal(image)[0, 0],
                rows.mH @ (forward[:, None] * columns.conj()),
            ),
            "exact, forward": (exact(z.to(dtype).reshape(1, 1, 48, 48)).flatten(), matrix @ z),
            "exact, adjoint": (exact.adjoint(w.to(dtype).reshape(1, 1, 40, 50)).flatten(), matrix.mH @ w),
        }
        name = str(dtype).removeprefix("torch.")
        found[name] = {key: decibels(a.to(DOUBLE) - b, b) for key, (a, b) in measured.items()}
    lines = [[key, *(f"{found[dtype][key]:.1f}" for dtype in found)] for key in found["complex64"]]
    title = "Error against the direct sum in double precision, NMSE dB (256 x 256, 30k samples; exact: 48 x 48, 2k)"
    table(title, ["operator", *found], lines)
    return found


# --- 2. plane wave against exact -------------------------------------------------------------------------------------------


def polar_format_position(arc: Arc, r: tuple[float, float]) -> tuple[float, float]:
    """Solve u . r' = -d and u' . r' = -d' at mid-aperture for r', derivatives along the arc."""
    c, radius = math.cos(math.radians(arc.grazing_deg)), arc.radius_m
    x, y = r
    reach = math.sqrt(radius**2 - 2 * radius * c * x + x * x + y * y)
    d, rate = reach - radius, -radius * c * y / reach
    return -d / c, -rate / c


def point_data(
    operator: type[ExactSpotlight] | Callable[..., Any], collection: SpotlightCollection, at: tuple[float, float]
):
    """Data of a unit point, free of the image's phase reference: it stands on pixel (1, 1) off the centre of a 3 x 3 grid."""
    x, y = at
    grid = Grid((3, 3), (abs(y) or 1.0, abs(x) or 1.0))
    image = torch.zeros(1, 1, 3, 3, dtype=DOUBLE)
    row, column = (1 + (0 if v == 0 else int(math.copysign(1, v))) for v in (y, x))
    image[..., row, column] = 1
    reference = collection.carrier()[0] @ torch.tensor([x, y], dtype=torch.float64)
    return operator(collection, grid, dtype=DOUBLE)(image) * torch.exp(1j * reference)


def predicted_mean_square(arc: Arc, r: tuple[float, float]) -> float:
    c2, (x, y) = math.cos(math.radians(arc.grazing_deg)) ** 2, r
    quadratic = ((1 + c2) * x * x / 2 + (0.5 - c2) * y * y) / arc.radius_m
    cubic = 3 * c2 * x * y / arc.radius_m
    aperture = math.radians(arc.aperture_deg)
    path = quadratic**2 * aperture**4 / 320 + cubic**2 * aperture**6 / 16128
    return (4 * math.pi / SPEED_OF_LIGHT_M_S) ** 2 * (arc.carrier_hz**2 + arc.bandwidth_hz**2 / 12) * path


def measure_far_field(arc: Arc) -> dict[str, Any]:
    """Return what the plane-wave model loses away from the scene centre."""
    collection = arc.collect(101, 64)
    found = []
    for radius in RADII_M:
        for bearing in BEARINGS_DEG:
            r = tuple(round(radius * f(math.radians(bearing)), 12) for f in (math.cos, math.sin))
            exact = point_data(ExactSpotlight, collection, r)
            raw = point_data(plane_wave_spotlight, collection, r)
            warped = polar_format_position(arc, r)
            focused = point_data(plane_wave_spotlight, collection, warped)
            found.append(
                {
                    "radius_m": radius,
                    "bearing_deg": bearing,
                    "moved_m": math.dist(r, warped),
                    "raw_db": decibels(raw - exact, exact),
                    "measured_db": decibels(focused - exact, exact),
                    "predicted_phase_rms_rad": math.sqrt(predicted_mean_square(arc, r)),
                    "predicted_db": 10 * math.log10(predicted_mean_square(arc, r)),
                }
            )
    lines = [
        [
            f"{f['radius_m']:g}",
            f"{f['bearing_deg']:g}",
            f"{f['moved_m']:.2g}",
            f"{f['raw_db']:.1f}",
            f"{f['measured_db']:.1f}",
            f"{f['predicted_db']:.1f}",
            f"{f['measured_db'] - f['predicted_db']:+.1f}",
            f"{f['predicted_phase_rms_rad']:.1e}",
        ]
        for f in found
    ]
    columns = ["radius m", "bearing deg", "moved m", "raw dB", "measured dB", "predicted dB", "gap dB", "phase rms rad"]
    table(f"Plane wave against exact: {arc.name}; focus limit {arc.focus_limit_m():.0f} m", columns, lines)
    return {"focus_limit_m": arc.focus_limit_m(), "scatterers": found}


# --- 3. cost ---------------------------------------------------------------------------------------------------------------


def medians(functions: dict[str, Callable[[], Any]], runs: int) -> dict[str, float]:
    """Median milliseconds of each, the functions taking turns so that other load on the machine meets all alike."""
    taken: dict[str, list[float]] = {name: [] for name in functions}
    for function in functions.values():
        function()
    for _ in range(runs):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            taken[name].append(1e3 * (time.perf_counter() - start))
    return {name: statistics.median(values) for name, values in taken.items()}


@torch.no_grad()
def measure_plane_wave_times(side: int, pulses: int, frequencies: int) -> dict[str, Any]:
    """Return the times of the plane-wave operator beside its transforms alone."""
    collection, grid = SQUARE.collect(pulses, frequencies), Grid((side, side), (0.2, 0.2))
    start = time.perf_counter()
    operator = plane_wave_spotlight(collection, grid)
    build = 1e3 * (time.perf_counter() - start)
    x, y = noise((1, 1, side, side), torch.complex64), noise((1, 1, pulses, frequencies), torch.complex64)
    points, team = operator.points[0].float().contiguous(), torch.get_num_threads()
    functions: dict[str, Callable[[], Any]] = {
        "forward": lambda: operator(x),
        "finufft type 2 alone": lambda: finufft_type2(points, x, eps=1e-6, isign=1, modeord=0, nthreads=team),
        "adjoint": lambda: operator.adjoint(y),
        "finufft type 1 alone": lambda: finufft_type1(
            points, y.flatten(2), (side, side), eps=1e-6, isign=-1, modeord=0, nthreads=team
        ),
        "adjoint(forward)": lambda: operator.adjoint(operator(x)),
        "normal (Toeplitz)": lambda: operator.normal(x),
    }
    for factor in (2, 4, 8):
        coarse, small = operator.coarsen(factor), noise((1, 1, side // factor, side // factor), torch.complex64)
        functions[f"normal, {factor} times coarser"] = lambda c=coarse, s=small: c.normal(s)
    found = medians(functions, runs=9)
    ratios = {
        "forward / finufft": found["forward"] / found["finufft type 2 alone"],
        "adjoint / finufft": found["adjoint"] / found["finufft type 1 alone"],
        "adjoint(forward) / normal": found["adjoint(forward)"] / found["normal (Toeplitz)"],
    }
    for factor in (2, 4, 8):
        ratios[f"normal / normal {factor} times coarser"] = (
            found["normal (Toeplitz)"] / found[f"normal, {factor} times coarser"]
        )
    title = (
        f"Plane wave, {side} x {side} pixels, {pulses * frequencies} samples, {team} threads (built in {build:.0f} ms)"
    )
    lines = [[name, f"{value:.2f}"] for name, value in found.items()]
    table(title, ["", "median ms or ratio"], lines + [[name, f"{value:.2f} x"] for name, value in ratios.items()])
    return {"build_ms": build, "median_ms": found, "ratios": ratios}


def status_mib(field: str) -> float:
    """A line of /proc/self/status such as VmRSS (now) or VmHWM (highest so far), MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def exact_cost(what: str, threads: int) -> dict[str, float]:
    """Time and extra peak memory of one use of the exact operator; runs alone in a fresh process."""
    torch.set_num_threads(threads)
    collection, grid = SQUARE.collect(250, 200), Grid((512, 512), (0.2, 0.2))
    antenna = collection.antenna_m.requires_grad_(what == "gradient to image and antenna")
    operator = ExactSpotlight(SpotlightCollection(antenna, collection.frequency_hz, collection.kept), grid)
    x = noise((1, 1, 512, 512), torch.complex64).requires_grad_(what.startswith("gradient"))
    y = noise((1, 1, 250, 200), torch.complex64)
    functions = {
        "forward": lambda: operator(x),
        "adjoint": lambda: operator.adjoint(y),
        "gradient to image": lambda: operator(x).abs().square().sum().backward(),
        "gradient to image and antenna": lambda: operator(x).abs().square().sum().backward(retain_graph=True),
    }
    warm = ExactSpotlight(
        SQUARE.collect(2, 200), Grid((8, 8), (0.2, 0.2))
    )  # loads the libraries before the count starts
    warm.adjoint(warm(torch.zeros(1, 1, 8, 8, dtype=torch.complex64)))
    before, taken = status_mib("VmRSS"), []
    for _ in range(1 if what.startswith("gradient") else 3):
        start = time.perf_counter()
        functions[what]()
        taken.append(time.perf_counter() - start)
    return {"median_s": statistics.median(taken), "runs": len(taken), "extra_peak_mib": status_mib("VmHWM") - before}


def measure_exact_cost() -> dict[str, Any]:
    """Return time and memory of the exact operator, each in a process of its own."""
    found = {}
    for what in ("forward", "adjoint", "gradient to image", "gradient to image and antenna"):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            found[what] = pool.apply(exact_cost, (what, torch.get_num_threads()))
    lines = [[what, f"{f['median_s']:.2f}", str(f["runs"]), f"{f['extra_peak_mib']:.0f}"] for what, f in found.items()]
    title = f"Exact, 512 x 512 pixels, 50000 samples, {torch.get_num_threads()} threads"
    table(title, ["", "median s", "runs", "extra peak memory MiB"], lines)
    return found


def main() -> None:
    """Carry out the command in the module's text."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    torch.set_num_threads(parser.parse_args().threads)
    started, load = time.perf_counter(), os.getloadavg()[0]
    results = {
        "accuracy_nmse_db": measure_accuracy(),
        "plane_wave_against_exact": {arc.name: measure_far_field(arc) for arc in (AIRBORNE, CLOSE)},
        "plane_wave_times": {
            "256 x 256, 30000 samples": measure_plane_wave_times(256, 150, 200),
            "512 x 512, 50000 samples": measure_plane_wave_times(512, 250, 200),
        },
        "exact_cost_512_50000": measure_exact_cost(),
        "load_average_before": load,
    }
    results["wall_s"] = time.perf_counter() - started
    CONSOLE.print(f"{results['wall_s']:.0f} s; load average before the start {load:.1f}")
    CONSOLE.print(f"written: {save('sar_operator', seed=SEED, results=results)}")


if __name__ == "__main__":
    main()
