"""The full-wave simulator against exact fields, how far Born is from it, and what a problem costs.

    python benchmarks/full_wave.py [--threads N] [--parts checks born cost] [--set N FOLDER]

checks  Line source against -(i/4) H0^(2)(k R), worst receiver; a cylinder of 80 mm at 1 and 2 GHz, permittivity 1.01 to 4 and
        2 - 0.5i, against its exact series; random pixels against the moment method; echo of the border against a lattice whose
        border is out of reach, decibels of the largest field.
born    Problems of both ranges at 32 x 32: |A chi - y| / |y| by phase, and how far one node per pixel is from three by three.
cost    Seconds of processor time a problem, one scene after another four at a time, both ranges, 32 x 32 and 64 x 64 (median of 3
        draws of 4).
--set   Writes N problems of each range to FOLDER as native files, eight scenes a file, truth included: training_*.h5 and
        held_back_*.h5. Noise: the samples carry none; sigma is 1 % of their rms, the lattice's own error.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from echoform.measure.measurement import Measurement, Metadata
from echoform.measure.native import save as save_measurement
from echoform.physics.cylinder_series import scattered_by_cylinder
from echoform.physics.finite_difference_time_domain import LatticeSettings, full_wave_fields
from echoform.physics.green import Radiator, green_2d, wavenumber
from echoform.physics.inhomogeneous_born import CellScattering
from echoform.physics.noise import GaussianNoise
from echoform.scene.cells import cells_of
from echoform.scene.grid import Grid
from echoform.scene.rig import MultistaticRig, all_pairs, ring_m
from echoform.train.problems.full_wave import (
    HELD_BACK,
    TRAINING,
    FullWaveProblem,
    FullWaveRange,
    draw_full_wave,
)
from record import save

SEED = 1
CONSOLE = Console(width=130)
RANGES = {"training": TRAINING, "held_back": HELD_BACK}
GRID, RADIUS_M = Grid((18, 18), (0.006, 0.006)), 0.04


def rig(sources: int = 2) -> MultistaticRig:
    rings = [2 * np.pi * torch.arange(n, dtype=torch.float64) / n + a for n, a in ((sources, 0.3), (12, 0.1))]
    return all_pairs(ring_m(0.3, rings[0])[None], ring_m(0.3, rings[1])[None], torch.tensor([[1e9, 2e9]]).double())


def disc(inside: complex) -> torch.Tensor:
    """Contrast of a cylinder, the share of each pixel from 16 x 16 points."""
    fine = (torch.arange(16, dtype=torch.float64) - 7.5) / 16
    y, x = ((a[:, None] + fine * 0.006).flatten() for a in GRID.axes_m())
    share = (y[:, None].square() + x.square() < RADIUS_M**2).double().reshape(18, 16, 18, 16).mean((1, 3))
    return ((inside - 1) * share).to(torch.complex128)[None, None]


def relative(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


def checks() -> dict[str, Any]:
    """Compare the lattice with the series of a cylinder and with reciprocity."""
    setup, cells = rig(), cells_of(GRID)
    k = wavenumber(setup.frequency_hz, torch.ones(1, dtype=torch.float64))[0]
    found: dict[str, Any] = {"series_error": {}}
    for inside in (1.01, 1.5, 2.0, 3.0, 4.0, 2 - 0.5j):
        hz = (1e9, 2e9) if complex(inside).imag == 0 else (2e9,)
        fields = full_wave_fields(disc(inside), setup, cells, reference_hz=hz[-1])
        at = [[1e9, 2e9].index(f) for f in hz]
        exact = scattered_by_cylinder(setup, radius_m=RADIUS_M, permittivity=inside)
        errors = [relative(fields.scattered[0, 0, f], exact[0, 0, f]) for f in at]
        found["series_error"][str(inside)] = dict(zip(hz, errors, strict=True))
    gap = (setup.receiver_m[0, :, None] - setup.transmitter_m[0]).norm(dim=-1)
    exact = green_2d(gap[None], k[:, None, None])
    found["line_source_worst_error"] = float(((fields.incident[0, 0] - exact) / exact).abs().max())
    chi = torch.zeros(1, 1, 18, 18, dtype=torch.complex128)
    chi[..., 4:14, 3:12] = torch.rand(10, 9, generator=torch.Generator().manual_seed(SEED), dtype=torch.float64)
    vacuum = torch.ones(1, dtype=torch.float64)
    dense = CellScattering(setup, cells, radiator=Radiator.LINE, permittivity=vacuum).about(chi[0, 0])
    found["moment_method_difference"] = relative(full_wave_fields(chi, setup, cells).scattered, dense.scattered)
    found["border_echo_db"] = {
        layer: border_echo_db(setup, LatticeSettings(layer_cells=layer)) for layer in (4, 6, 8, 12)
    }
    CONSOLE.print(found)
    return found


def border_echo_db(setup: MultistaticRig, settings: LatticeSettings) -> float:
    cells, far = cells_of(GRID), LatticeSettings(layer_cells=settings.layer_cells, margin_cells=160)
    beyond, near = (full_wave_fields(disc(2.0), setup, cells, settings=s) for s in (far, settings))
    pairs = (beyond.incident, near.incident), (beyond.scattered, near.scattered)
    return max(20 * float(torch.log10((a - b).abs().max() / a.abs().max())) for a, b in pairs)


def born() -> dict[str, Any]:
    """Return how far Born is from the full wave over the ranges of the training set."""
    found = {}
    for name, within in RANGES.items():
        phases, misfits, coarse = [], [], []
        for seed in range(4):
            problem = drawn(seed, 4, 32, within)
            phases += problem.phase_rad.tolist()
            misfits += problem.born_misfit().tolist()
            finer = LatticeSettings(nodes_per_wavelength=24)
            one = full_wave_fields(
                problem.truth[:1], problem.operator.rig(), problem.operator.cells, settings=finer
            ).scattered
            coarse.append(relative(problem.samples[:1], one))
        found[name] = {
            "phase_rad": [min(phases), statistics.median(phases), max(phases)],
            "born_misfit": [min(misfits), statistics.median(misfits), max(misfits)],
            "one_node_against_nine": [min(coarse), statistics.median(coarse), max(coarse)],
        }
        CONSOLE.print(name, found[name])
    return found


def cost() -> dict[str, Any]:
    """Return the processor seconds of a problem."""
    found = {}
    for name, within in RANGES.items():
        for side in (32, 64):
            times = []
            for seed in range(3):
                start = time.process_time()
                drawn(seed, 4, side, within)
                times.append((time.process_time() - start) / 4)
            found[f"{name}, {side} x {side}"] = {"seconds_a_problem": statistics.median(times), "worst": max(times)}
            CONSOLE.print(name, side, found[f"{name}, {side} x {side}"])
    return found


def drawn(seed: int, batch: int, side: int, within: FullWaveRange) -> FullWaveProblem:
    return draw_full_wave(torch.Generator().manual_seed(SEED + 1000 * seed), batch, (side, side), within=within)


def write_set(count: int, folder: Path, *, side: int = 32, together: int = 8) -> None:
    """Write a set of full-wave problems, one file each."""
    folder.mkdir(parents=True, exist_ok=True)
    for offset, (name, within) in enumerate(RANGES.items()):
        for first in range(0, count, together):
            generator = torch.Generator().manual_seed((SEED + offset) * 1_000_003 + first)
            problem = draw_full_wave(generator, min(together, count - first), (side, side), within=within)
            rms = problem.samples.abs().square().flatten(1).mean(1).sqrt()
            metadata = Metadata(
                title=f"full wave, {name}",
                source="benchmarks/full_wave.py",
                grid=problem.operator.cells.grid,
                truth=problem.truth,
                notes={"image": "contrast of permittivity", "noise": "none; sigma is 1 % of the rms"},
            )
            noise = GaussianNoise(0.01 * rms)
            path = folder / f"{name}_{first:05d}.h5"
            save_measurement(Measurement(problem.samples, problem.operator, noise, metadata), path)
            CONSOLE.print(path, f"{path.stat().st_size / 1e6:.2f} MB")


def main() -> None:
    """Carry out the command in the module's text."""
    parts: dict[str, Callable[[], Any]] = {"checks": checks, "born": born, "cost": cost}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--parts", nargs="+", choices=list(parts), default=list(parts))
    parser.add_argument("--set", nargs=2, metavar=("N", "FOLDER"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.set:
        write_set(int(arguments.set[0]), Path(arguments.set[1]))
        return
    results = {name: parts[name]() for name in arguments.parts}
    save("full_wave" if len(results) == len(parts) else "full_wave_" + "_".join(results), seed=SEED, results=results)


if __name__ == "__main__":
    main()
