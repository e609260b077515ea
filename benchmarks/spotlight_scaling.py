"""The factorised spotlight operator: how far from the exact sum, and how does its cost grow with the image?

    python benchmarks/spotlight_scaling.py [--threads N] [--sides 256 512 1024 2048]

X band from 3 km, 30 degrees up, resolution 0.35 m in both directions, pixels of 0.3 m: scenes of 77 to 614 m with as many pulses
and frequencies as pixels along a side, monostatic and with a receiver apart. Errors are NMSE against the defining sum in
double precision: of the samples of POINTS random pixels spread over the scene, its corners among them, and of the
backprojection of random samples at such pixels. Beside them stand the plane wave as it is, and with what the polar format
knows about it put right (each point moved to where it appears there).
"""

from __future__ import annotations

import argparse
import math
import os
import time
from typing import Any

import torch
from torch import Tensor

from echoform.physics.differential_range import half_path
from echoform.physics.spotlight_exact import ExactSpotlight
from echoform.physics.spotlight_factorised import FactorisedSpotlight
from echoform.scene.collection import SPEED_OF_LIGHT_M_S, SpotlightCollection
from echoform.scene.grid import Grid
from record import save
from sar_operator import CONSOLE, DOUBLE, SEED, Arc, decibels, medians, noise, polar_format_position, table

POINTS = 24
SPACING_M = 0.3
CELL_M = 0.35
CARRIER_HZ = 9.6e9
GRAZING_DEG = 30.0
#: largest side at which the exact operator is timed too
EXACT_SIDE = 512
NEAR = Arc(
    "3 km, X band, 0.35 m, grazing 30",
    3e3,
    GRAZING_DEG,
    math.degrees(SPEED_OF_LIGHT_M_S / CARRIER_HZ / (2 * CELL_M * math.cos(math.radians(GRAZING_DEG)))),
    CARRIER_HZ,
    SPEED_OF_LIGHT_M_S / (2 * CELL_M * math.cos(math.radians(GRAZING_DEG))),
)


def with_receiver(collection: SpotlightCollection) -> SpotlightCollection:
    """The receiver 20 degrees beside the transmitter, a fifth farther and lower."""
    c, s = math.cos(math.radians(20)), math.sin(math.radians(20))
    turn = torch.tensor([[c, -s, 0], [s, c, 0], [0, 0, 0.7]], dtype=torch.float64)
    return SpotlightCollection(
        collection.antenna_m, collection.frequency_hz, collection.kept, 1.2 * collection.antenna_m @ turn.T
    )


def chosen_pixels(side: int) -> Tensor:
    """Return POINTS different (row, column), the corners first."""
    corners = torch.tensor([0, side - 1, side * (side - 1), side * side - 1])
    others = torch.randperm(side * side, generator=torch.Generator().manual_seed(SEED))[:POINTS]
    flat = torch.cat([corners, others[~torch.isin(others, corners)]])[:POINTS]
    return torch.stack([flat // side, flat % side], 1)


def kernels(collection: SpotlightCollection, position: Tensor) -> Tensor:
    """The defining kernel of each point in turn, exp(-i (k_c . r + 4 pi f / c d)), (P, F)."""
    wavenumber = 4 * math.pi * collection.frequency_hz[0] / SPEED_OF_LIGHT_M_S
    receiver = None if collection.receiver_m is None else collection.receiver_m[0]
    d = half_path(collection.antenna_m[0], receiver, position[None])
    return torch.exp(-1j * (d * wavenumber + position[:2] @ collection.carrier()[0]))


def measure_errors(
    collection: SpotlightCollection, operator: FactorisedSpotlight, side: int, *, flat: bool
) -> dict[str, float]:
    """Errors of both directions, and of the plane wave where ``flat``."""
    pixels, amplitude, y = chosen_pixels(side), noise((POINTS,)), noise((1, 1, side, side), torch.complex64)
    position = operator.grid.positions_m()[pixels[:, 0], pixels[:, 1]]
    image = torch.zeros(1, 1, side, side, dtype=torch.complex64)
    image[0, 0, pixels[:, 0], pixels[:, 1]] = amplitude.to(torch.complex64)
    exact, back = torch.zeros(side, side, dtype=DOUBLE), torch.zeros(POINTS, dtype=DOUBLE)
    plane, moved = torch.zeros_like(exact), torch.zeros_like(exact)
    waves, carrier, wide = collection.wavenumber()[0], collection.carrier()[0], y[0, 0].to(DOUBLE)
    for i, r in enumerate(position):
        kernel = kernels(collection, r)
        exact += amplitude[i].to(torch.complex64) * kernel
        back[i] = (kernel.conj() * wide).sum()
        if flat:
            there = torch.tensor(polar_format_position(NEAR, (float(r[0]), float(r[1]))), dtype=torch.float64)
            plane += amplitude[i] * torch.exp(1j * ((waves - carrier) @ r[:2]))
            moved += amplitude[i] * torch.exp(1j * (waves @ there - carrier @ r[:2]))
    adjoint = operator.adjoint(y)[0, 0, pixels[:, 0], pixels[:, 1]]
    found = {
        "forward_db": decibels(operator(image)[0, 0].to(DOUBLE) - exact, exact),
        "adjoint_db": decibels(adjoint.to(DOUBLE) - back, back),
    }
    if flat:
        found |= {"plane_wave_db": decibels(plane - exact, exact), "polar_format_db": decibels(moved - exact, exact)}
    return found


@torch.no_grad()
def measure_side(side: int, runs: int) -> dict[str, Any]:
    """Return times and errors of the factorised operator at one side."""
    collection, grid = NEAR.collect(side, side), Grid((side, side), (SPACING_M, SPACING_M))
    start = time.perf_counter()
    operator = FactorisedSpotlight(collection, grid)
    build = time.perf_counter() - start
    x, y = noise((1, 1, side, side), torch.complex64), noise((1, 1, side, side), torch.complex64)
    found = medians({"forward": lambda: operator(x), "adjoint": lambda: operator.adjoint(y)}, runs=runs)
    if side <= EXACT_SIDE:
        exact = ExactSpotlight(collection, grid)
        found |= medians({"exact forward": lambda: exact(x), "exact adjoint": lambda: exact.adjoint(y)}, runs=1)
    pair = with_receiver(collection)
    bistatic = measure_errors(pair, FactorisedSpotlight(pair, grid), side, flat=False)
    errors = measure_errors(collection, operator, side, flat=True)
    return {"side": side, "build_s": build, "median_ms": found, "errors": errors, "bistatic": bistatic}


def exponents(sides: list[dict[str, Any]], what: str) -> dict[str, float]:
    """Least-squares slopes of log time over log N (N the number of pixels) and over log(N log N)."""
    counts = torch.tensor([2 * math.log(s["side"]) for s in sides], dtype=torch.float64)
    times = torch.tensor([math.log(s["median_ms"][what]) for s in sides], dtype=torch.float64)

    def slope(against: Tensor) -> float:
        centred = against - against.mean()
        return float(centred @ times / (centred @ centred))

    return {"over N": slope(counts), "over N log N": slope(counts + counts.log())}


def main() -> None:
    """Carry out the command in the module's text."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--sides", type=int, nargs="+", default=[256, 512, 1024, 2048])
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    load = os.getloadavg()[0]
    sides = [measure_side(side, options.runs) for side in options.sides]
    columns = [
        "side",
        "forward s",
        "adjoint s",
        "exact forward s",
        "forward dB",
        "adjoint dB",
        "bistatic dB",
        "plane wave dB",
    ]
    rows = []
    for s in sides:
        times, errors, both = s["median_ms"], s["errors"], s["bistatic"]
        exact = f"{times['exact forward'] / 1e3:.2f}" if "exact forward" in times else "-"
        rows.append(
            [
                str(s["side"]),
                f"{times['forward'] / 1e3:.2f}",
                f"{times['adjoint'] / 1e3:.2f}",
                exact,
                f"{errors['forward_db']:.1f}",
                f"{errors['adjoint_db']:.1f}",
                f"{both['forward_db']:.1f} / {both['adjoint_db']:.1f}",
                f"{errors['plane_wave_db']:.1f} / {errors['polar_format_db']:.1f}",
            ]
        )
    title = f"{NEAR.name}; plane wave: as it is / at polar-format positions; {options.threads} threads"
    table(title, columns, rows)
    results: dict[str, Any] = {"sides": sides, "load_average_before": load}
    if len(sides) > 1:
        results["exponents"] = {what: exponents(sides, what) for what in ("forward", "adjoint")}
        for what, found in results["exponents"].items():
            CONSOLE.print(f"{what}: time ~ N^{found['over N']:.2f}, (N log N)^{found['over N log N']:.2f}")
    CONSOLE.print(f"load average before the start {load:.1f}")
    CONSOLE.print(f"written: {save('spotlight_scaling', seed=SEED, results=results)}")


if __name__ == "__main__":
    main()
