"""Backprojection beside FastSAR on the same samples: error of each against the exact sum, and time.

    python benchmarks/fastsar_compare.py --python /path/to/venv/bin/python [--threads N] [--sides 256 512 1024]

FastSAR (PyPI: fastsar) needs jax and compiles its kernels with g++ on first use, so it runs in an interpreter of its own:
make one with ``python -m venv fastsar_venv && fastsar_venv/bin/pip install fastsar``. Without it the script says so and ends.

Geometry of spotlight_scaling.py (X band from 3 km, pixels of 0.3 m). The samples are those of speckle over the whole image,
without a window, the same for all. Their exact sum is evaluated in double precision at random pixels, the corners among them;
errors are NMSE over those. FastSAR gives images without our phase reference, and takes differential range and sign as we do
(its bp.py), so only exp(i k_c . r) stands between the two. A former that takes longer than SLOW_S is run once; from ONCE on
FastSAR's finest tiles are left out.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from echoform.physics.spotlight_exact import ExactSpotlight
from echoform.physics.spotlight_factorised import FactorisedSpotlight
from echoform.scene.grid import Grid
from record import save
from sar_operator import CONSOLE, DOUBLE, SEED, decibels, noise, table
from spotlight_scaling import NEAR, SPACING_M, chosen_pixels, kernels

#: most phases the last of our rows may hold, 1 GB in single precision
HELD = 1 << 27
#: a former slower than this is run once, seconds
SLOW_S = 5.0
#: side from which only one of FastSAR's factorised formers is run
ONCE = 1024
FORMER = Path(__file__).parent / "fastsar_images.py"


def available(python: str) -> str | None:
    """Return FastSAR's version in an interpreter, or None."""
    if not Path(python).exists():
        return None
    asked = [python, "-c", "import fastsar; print(fastsar.__version__)"]
    found = subprocess.run(asked, capture_output=True, text=True, check=False)
    return found.stdout.strip() if found.returncode == 0 else None


def fastsar_images(python: str, samples: Tensor, side: int, *, threads: int, runs: int) -> dict[str, Any]:
    """Return what fastsar_images.py saved."""
    collection = NEAR.collect(side, side)
    frequency = collection.frequency_hz[0]
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder) / "in.npz", Path(folder) / "out.npz"
        np.savez(
            given,
            samples=samples.numpy(),
            antenna_m=collection.antenna_m[0].numpy(),
            first_hz=float(frequency[0]),
            step_hz=float((frequency[-1] - frequency[0]) / (side - 1)),
            side=side,
            spacing_m=SPACING_M,
        )
        place = os.environ | {"OMP_NUM_THREADS": str(threads)}
        finest = "0" if side >= ONCE else "1"
        asked = [python, str(FORMER), str(given), str(made), str(runs), str(SLOW_S), finest]
        subprocess.run(asked, env=place, check=True)
        with np.load(made) as found:
            return {name: found[name] for name in found.files}


@torch.no_grad()
def measure_side(python: str, side: int, *, threads: int, runs: int) -> dict[str, Any]:
    """Return time and error of every program on one scene."""
    collection, grid = NEAR.collect(side, side), Grid((side, side), (SPACING_M, SPACING_M))
    scene = noise((1, 1, side, side))
    y = FactorisedSpotlight(collection, grid)(scene.to(torch.complex64))
    pixels = chosen_pixels(side)
    position = grid.positions_m()[pixels[:, 0], pixels[:, 1]]
    expected = torch.stack([(kernels(collection, r).conj() * y[0, 0].to(DOUBLE)).sum() for r in position])
    reference = torch.exp(-1j * (position[:, :2] @ collection.carrier()[0]))

    found: dict[str, Any] = {}
    ours = {
        "echoform exact": ExactSpotlight(collection, grid),
        "echoform factorised": FactorisedSpotlight(collection, grid),
        "echoform factorised, accuracy 1e-3": FactorisedSpotlight(collection, grid, accuracy=1e-3),
        "echoform factorised, 1e-3, phases held": FactorisedSpotlight(collection, grid, accuracy=1e-3, held=HELD),
    }
    for name, operator in ours.items():
        image, taken = torch.zeros(()), []
        while not taken or (len(taken) < runs and taken[0] < SLOW_S):
            start = time.perf_counter()
            image = operator.adjoint(y)[0, 0]
            taken.append(time.perf_counter() - start)
        at = image[pixels[:, 0], pixels[:, 1]].to(DOUBLE)
        found[name] = {"error_db": decibels(at - expected, expected), "median_s": statistics.median(taken)}
    made = fastsar_images(python, y[0, 0], side, threads=threads, runs=runs)
    for name in made["names"]:
        label = f"FastSAR {name}"
        if f"refused {name}" in made:
            found[label] = {"refused": str(made[f"refused {name}"])}
            continue
        at = torch.from_numpy(made[f"image {name}"])[pixels[:, 0], pixels[:, 1]].to(DOUBLE)
        error = decibels(at - expected * reference, expected)
        found[label] = {"error_db": error, "median_s": float(made[f"seconds {name}"])}
    return found


def main() -> None:
    """Carry out the command in the module's text."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--python", default=sys.executable, help="an interpreter that has fastsar")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--sides", type=int, nargs="+", default=[256, 512, 1024])
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    version = available(options.python)
    if version is None:
        CONSOLE.print(
            f"skipped: {options.python} has no fastsar (see the head of this script for how to make one that has)"
        )
        return
    load = os.getloadavg()[0]
    found = {
        str(side): measure_side(options.python, side, threads=options.threads, runs=options.runs)
        for side in options.sides
    }
    for side, methods in found.items():
        rows = [
            [name, f["refused"][:60], "-"] if "refused" in f else [name, f"{f['error_db']:.1f}", f"{f['median_s']:.3f}"]
            for name, f in methods.items()
        ]
        title = f"Backprojection of {side} x {side} samples onto as many pixels, {options.threads} threads, FastSAR {version}"
        table(title, ["", "error dB", "median s"], rows)
    results = {"fastsar": version, "sides": found, "load_average_before": load}
    CONSOLE.print(f"load average before the start {load:.1f}")
    CONSOLE.print(f"written: {save('fastsar_compare', seed=SEED, results=results)}")


if __name__ == "__main__":
    main()
