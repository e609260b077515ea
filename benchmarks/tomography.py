"""X-ray projections beside deepinv's, the same rays in one run: how fast, how exact an adjoint, how much memory?

    python benchmarks/tomography.py            # writes results/tomography.json
    python benchmarks/tomography.py --side 64 --runs 3     # a trial; writes nothing

Parallel beam (deepinv's adjoint by backpropagation: the exact one, which the RAM paper's training used) and fan beam, 10 and 51
angles, one image and a batch of six. Times are medians of one thread count, the functions of a row taking turns. The relative
difference is that of the projections of the same random image; of the fan beam after the length of a step is taken out, which
deepinv leaves out. Dot error: |<A x, y> - <x, A^T y>| / (|A x| |y|) in single precision.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import conftest  # noqa: F401  torchvision's missing operators, before deepinv

# isort: split
import deepinv as dinv

from echoform.physics.tomography import Tomography, parallel_beam_like_deepinv
from echoform.scene.beams import FanBeam, diagonal_px, uniform_angles_rad
from record import save
from sar_operator import CONSOLE, medians, table

SEED = 5
FULL_SIDE = 256
ANGLES, BATCHES = (10, 51), (1, 6)


def drawn(*shape: int, seed: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(SEED + seed))


def fan_geometry(side: int) -> dict[str, int | float]:
    """A fan of 40 degrees about that covers the image, in deepinv's terms; its own default misses most of it."""
    return {
        "pixel_spacing": 1.0,
        "source_radius": 2.0 * side,
        "detector_radius": 2.0 * side,
        "n_detector_pixels": round(1.1 * diagonal_px((side, side))),
        "detector_spacing": 2.0,
    }


def peer(angles: int, side: int, *, fan: bool) -> torch.nn.Module:
    """Return deepinv's tomography of the same geometry."""
    return dinv.physics.Tomography(
        uniform_angles_rad(angles, 360.0 if fan else 180.0)[0].float(),
        img_width=side,
        circle=False,
        adjoint_via_backprop=True,
        normalize=False,
        fan_beam=fan,
        fan_parameters=fan_geometry(side) if fan else None,
    )


def same_fan(angles: int, side: int) -> Tomography:
    """The fan of :func:`peer`, whose unit of length is (n - 1) / n of a pixel, n the side it pads to."""
    geometry, padded = fan_geometry(side), diagonal_px((side, side))
    pixel = geometry["pixel_spacing"] * padded / (padded - 1)
    beam = FanBeam(
        angles_rad=uniform_angles_rad(angles, 2 * math.pi) + math.pi / 2,
        detectors=int(geometry["n_detector_pixels"]),
        spacing_px=geometry["detector_spacing"] / pixel,
        source_px=geometry["source_radius"] / pixel,
        detector_px=geometry["detector_radius"] / pixel,
    )
    return Tomography(beam, (1, side, side))


def dot_error(forward: Tensor, y: Tensor, x: Tensor, back: Tensor) -> float:
    left, right = (float((a.double() * b.double()).sum()) for a, b in ((forward, y), (x, back)))
    return abs(left - right) / float(forward.double().norm() * y.double().norm())


def measure(angles: int, side: int, batch: int, runs: int, *, fan: bool) -> dict[str, Any]:
    """Return the times of both pairs and their distance."""
    theirs = peer(angles, side, fan=fan)
    start = time.perf_counter()
    ours = same_fan(angles, side) if fan else parallel_beam_like_deepinv(angles, side)
    build = time.perf_counter() - start
    x, y = drawn(batch, 1, side, side, seed=0), drawn(batch, *ours.range_shape, seed=1)
    turned = y.mT.contiguous()
    with torch.no_grad():
        found = medians({"ours A": lambda: ours(x), "deepinv A": lambda: theirs.A(x)}, runs)
    found |= medians({"ours A^T": lambda: ours.adjoint(y), "deepinv A^T": lambda: theirs.A_adjoint(turned)}, runs)
    pair = [found[f"{who} A"] + found[f"{who} A^T"] for who in ("ours", "deepinv")]
    same = ours(x).flip(-1) / ours.beam.path_per_step().float() if fan else ours(x)
    expected = theirs.A(x).mT
    return {
        "beam": "fan" if fan else "parallel",
        "angles": angles,
        "batch": batch,
        "median_ms": found,
        "pair_gain": pair[1] / pair[0],
        "build_s": build,
        "matrix_bytes": sum(b.numel() * b.element_size() for b in ours.buffers()),
        "difference": float((same - expected).norm() / expected.norm()),
        "dot_error": dot_error(ours(x), y, x, ours.adjoint(y)),
        "dot_error_deepinv": dot_error(theirs.A(x), turned, x, theirs.A_adjoint(turned)),
    }


def main() -> None:
    """Carry out the command in the module's text."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--side", type=int, default=FULL_SIDE)
    parser.add_argument("--runs", type=int, default=9)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    load = os.getloadavg()[0]
    cases = [(fan, angles, batch) for fan in (False, True) for angles in ANGLES for batch in BATCHES]
    found = [measure(angles, options.side, batch, options.runs, fan=fan) for fan, angles, batch in cases]
    rows = []
    for row in found:
        times = [row["median_ms"][name] for name in ("ours A", "deepinv A", "ours A^T", "deepinv A^T")]
        label = f"{row['beam']}, {row['angles']} angles, batch {row['batch']}"
        errors = [f"{row[name]:.1e}" for name in ("difference", "dot_error", "dot_error_deepinv")]
        memory = f"{row['matrix_bytes'] / 1e6:.0f}"
        rows.append(
            [label, *(f"{t:.1f}" for t in times), f"{row['pair_gain']:.1f}", f"{row['build_s']:.1f}", memory, *errors]
        )
    columns = ["", "A ms", "deepinv", "A^T ms", "deepinv", "pair gain", "build s", "MB", "differ", "dot", "deepinv"]
    table(f"{options.side} x {options.side}, {options.threads} threads, load {load:.1f}", columns, rows)
    if options.side == FULL_SIDE:
        CONSOLE.print(f"written: {save('tomography', seed=SEED, results={'rows': found, 'load_average_before': load})}")


if __name__ == "__main__":
    main()
