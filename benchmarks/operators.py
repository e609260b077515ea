"""Every operator in one table: is its adjoint its own, what do its parts cost, do normal and coarse versions pay and hold?

    python benchmarks/operators.py [--side N] [--only TEXT] [--runs N] [--threads N] [--markdown] [--saved] [--save]

Dot error: |<A x, y> - <x, A^H y>| / (|A x| |y|) in complex64, random x and y. Times are medians for one image, warm, the
functions of a row taking turns. Gain: adjoint(forward(x)) over normal(x); Toeplitz-type normals must reach 5, others 0.95
("same": there is no other form).

Coarse s: the fine normal over that of the coarse version at factor s = 2, 4, 8, about 4, 16, 64 where the coarse grid suffices.
Both act on as many images of one sensor as make the fine one last 20 ms, 16 at most (column "images"), since a network applies
them to batches; of one small image a tenth of a millisecond of calls would be measured instead. Off: the relative distance of
the coarse normal from U_s^H A^H A U_s, for white noise that ends two coarse pixels before the border, two more left out of the
result (U_s wraps around there); 0 where it is Galerkin to rounding, - where the coarse image has no such middle.

--markdown prints the table as docs/radio.md has it; --saved shows the last saved result and measures nothing. With --side or
--only the table is a trial and nothing is saved, unless --save says so.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from echoform.physics.born import BornScattering
from echoform.physics.compositions import GalerkinOperator
from echoform.physics.operator import LinearOperator
from operator_cases import CASES, SEED, Case
from record import RESULTS, save
from sar_operator import medians

FACTORS = (2, 4, 8)
CONSOLE = Console(width=190)
#: runs of a row, fewer when one round takes longer than this
RUNS, SLOW_S = 9, 1.0
#: what the fine normal of a batch should last, and the most images in one
BATCH_S, MOST_IMAGES = 0.02, 16
#: coarse pixels at the border that U_s fills from both ends of the image
MARGIN = 2
#: distances below this are rounding
ROUNDING = 1e-5
HEADINGS = (
    "operator",
    "image",
    "samples",
    "dot error",
    "forward ms",
    "adjoint ms",
    "normal ms",
    "gain",
    "coarse 2 / 4 / 8",
    "images",
    "off by, % 2 / 4 / 8",
)


def noise(shape: tuple[int, ...], dtype: torch.dtype, seed: int, *, images: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(SEED + seed)
    return torch.randn(images, *shape, dtype=dtype, generator=generator)


def dot_error(operator: LinearOperator) -> float:
    """Return |<A x, y> - <x, A^H y>| / (|A x| |y|), the sums in double precision."""
    x, y = noise(operator.domain_shape, operator.dtype, 1), noise(operator.range_shape, operator.dtype, 2)
    marks = operator.support()
    y = y if marks is None else y * marks
    forward, back = operator(x).to(torch.complex128).flatten(), operator.adjoint(y).to(torch.complex128).flatten()
    left = torch.vdot(forward, y.to(torch.complex128).flatten())
    right = torch.vdot(x.to(torch.complex128).flatten(), back)
    return float((left - right).abs() / (forward.norm() * torch.linalg.vector_norm(y.to(torch.complex128))))


def off_by(operator: LinearOperator, coarse: LinearOperator, factor: int) -> float | None:
    """Return the relative distance of the coarse normal from U_s^H A^H A U_s away from the border; None without a middle."""
    if min(coarse.domain_shape[1:]) < 5 * MARGIN:
        return None
    x, inner = noise(coarse.domain_shape, coarse.dtype, 3), slice(MARGIN, -MARGIN)
    kept = torch.zeros_like(x.real)
    kept[..., inner, inner] = 1
    expected = GalerkinOperator(operator, factor).normal(kept * x)
    far = (slice(2 * MARGIN, -2 * MARGIN),) * 2
    error = (coarse.normal(kept * x) - expected)[..., far[0], far[1]]
    return float(error.norm() / expected[..., far[0], far[1]].norm())


def images_for(operator: LinearOperator) -> int:
    """Return how many images make the fine normal last BATCH_S."""
    x = noise(operator.domain_shape, operator.dtype, 1)
    operator.normal(x)
    start = time.perf_counter()
    operator.normal(x)
    return min(MOST_IMAGES, math.ceil(BATCH_S / (time.perf_counter() - start)))


def timed(functions: dict[str, Any], runs: int) -> dict[str, float]:
    """Return the median of each, ms, after a round to warm up; of a third of the runs where a round is slow."""
    start = time.perf_counter()
    medians(functions, runs=1)
    return medians(functions, runs=runs if time.perf_counter() - start < 2 * SLOW_S else max(1, runs // 3))


@torch.no_grad()
def measure(case: Case, side: int, runs: int) -> dict[str, Any]:
    """Return the row of a case."""
    start = time.perf_counter()
    operator = case.build(side, torch.complex64)
    build_ms = 1e3 * (time.perf_counter() - start)
    x, y = noise(operator.domain_shape, operator.dtype, 1), noise(operator.range_shape, operator.dtype, 2)
    times = timed(
        {
            "forward": lambda: operator(x),
            "adjoint": lambda: operator.adjoint(y),
            "adjoint(forward)": lambda: operator.adjoint(operator(x)),
            "normal": lambda: operator.normal(x),
        },
        runs,
    )
    images = images_for(operator)
    many = noise(operator.domain_shape, operator.dtype, 1, images=images)
    functions, coarse = {"fine": lambda: operator.normal(many)}, {}
    for factor in (f for f in FACTORS if side % f == 0):
        start = time.perf_counter()
        version = operator.coarsen(factor)
        coarse[factor] = {
            "class": type(version).__name__,
            "build_ms": 1e3 * (time.perf_counter() - start),
            "off_by": off_by(operator, version, factor),
        }
        small = noise(version.domain_shape, version.dtype, 3, images=images)
        functions[str(factor)] = lambda c=version, s=small: c.normal(s)
    batch = timed(functions, runs)
    for factor, facts in coarse.items():
        facts |= {"median_ms": batch[str(factor)], "gain": batch["fine"] / batch[str(factor)]}
    gain = times["adjoint(forward)"] / times["normal"]
    passes = isinstance(operator, BornScattering) and operator.matrix is None
    default = (
        passes or type(operator).normal is LinearOperator.normal
    )  # the same work: the gain differs from 1 by scatter
    return {
        "class": type(operator).__name__,
        "side": side,
        "domain": list(operator.domain_shape),
        "samples": float(operator.samples()[0]),
        "form": case.form.name.lower(),
        "build_ms": build_ms,
        "dot_error": dot_error(operator),
        "median_ms": times,
        "gain": gain,
        "required": case.form.value,
        "default_normal": default,
        "passes": default or gain >= case.form.value,
        "images": images,
        "fine_batch_ms": batch["fine"],
        "coarse": {str(f): facts for f, facts in coarse.items()},
    }


def cells(name: str, row: dict[str, Any]) -> list[str]:
    """Return a row of the table, one text for each heading."""
    if "error" in row:
        return [name, f"failed: {row['error'][:90]}", *[""] * (len(HEADINGS) - 2)]
    verdict = " (same)" if row["default_normal"] else "" if row["passes"] else f" < {row['required']:g}"
    off = [facts["off_by"] for facts in row["coarse"].values()]
    return [
        name,
        " x ".join(str(n) for n in row["domain"]),
        f"{row['samples']:.0f}",
        f"{row['dot_error']:.0e}",
        *(f"{row['median_ms'][part]:.2f}" for part in ("forward", "adjoint", "normal")),
        f"{row['gain']:.2f}{verdict}",
        " / ".join(f"{facts['gain']:.1f}" for facts in row["coarse"].values()),
        str(row["images"]),
        " / ".join("-" if v is None else "0" if v < ROUNDING else f"{100 * v:.1g}" for v in off),
    ]


def show(rows: dict[str, dict[str, Any]], *, markdown: bool) -> None:
    """Print the table, for a terminal or for docs/radio.md."""
    lines = [cells(name, row) for name, row in rows.items()]
    if markdown:
        for line in (HEADINGS, ["---"] * len(HEADINGS), *lines):
            print("| " + " | ".join(line) + " |")
        return
    grid = Table(title="Operators, complex64", title_justify="left")
    for index, heading in enumerate(HEADINGS):
        grid.add_column(heading, justify="left" if index == 0 else "right")
    for line in lines:
        grid.add_row(*line)
    CONSOLE.print(grid)


def main() -> None:
    """Carry out the command in the module's text."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--side", type=int, help="pixels on a side for all rows, a multiple of 8")
    parser.add_argument("--only", default="", help="rows whose name holds this")
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--markdown", action="store_true", help="print the table as docs/radio.md has it")
    parser.add_argument("--saved", action="store_true", help="show the saved result, measure nothing")
    parser.add_argument("--save", action="store_true", help="save although it is a trial")
    options = parser.parse_args()
    if options.saved:
        saved = json.loads((RESULTS / "operators.json").read_text())["results"]["rows"]
        return show(saved, markdown=options.markdown)
    torch.set_num_threads(options.threads)
    load, start = os.getloadavg()[0], time.perf_counter()
    rows: dict[str, dict[str, Any]] = {}
    for case in (c for c in CASES if options.only.lower() in c.name.lower()):
        try:
            rows[case.name] = measure(case, options.side or case.side, options.runs)
        except (ValueError, RuntimeError, TypeError) as error:
            rows[case.name] = {"error": str(error)}
    show(rows, markdown=options.markdown)
    short = [name for name, row in rows.items() if not row.get("passes", False)]
    CONSOLE.print(
        f"load average before the start {load:.1f}, {options.threads} threads, {time.perf_counter() - start:.0f} s; "
        f"short of what is asked: {short or 'none'}"
    )
    if options.save or not (options.side or options.only):
        results = {"rows": rows, "load_average_before": load}
        CONSOLE.print(f"written: {save('operators', seed=SEED, results=results)}")
    return None


if __name__ == "__main__":
    main()
