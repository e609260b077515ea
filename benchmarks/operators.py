"""Every operator in one table: is its adjoint its own, what do its parts cost, does its normal operator pay, do coarse ones?

    python benchmarks/operators.py [--side N] [--only TEXT] [--runs N] [--threads N] [--save]

Dot error: |<A x, y> - <x, A^H y>| / (|A x| |y|) in complex64, random x and y. Times are medians, warm, the functions of a row
taking turns. Gain: adjoint(forward(x)) over normal(x); Toeplitz-type normals must reach 5, others 0.95
("same": the class has no other form). Coarse s: the fine normal
over that of the coarse version at factor s = 2, 4, 8, about 4, 16, 64 where the coarse grid suffices.

With --side or --only the table is a trial and nothing is saved, unless --save says so.
"""

from __future__ import annotations

import argparse
import os
import time
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from echoform.physics.operator import LinearOperator
from operator_cases import CASES, SEED, Case
from record import save
from sar_operator import medians

FACTORS = (2, 4, 8)
CONSOLE = Console(width=170)
#: runs of a row, fewer when one round takes longer than this
RUNS, SLOW_S = 9, 3.0


def noise(shape: tuple[int, ...], dtype: torch.dtype, seed: int) -> Tensor:
    return torch.randn(1, *shape, dtype=dtype, generator=torch.Generator().manual_seed(SEED + seed))


def dot_error(operator: LinearOperator) -> float:
    """Return |<A x, y> - <x, A^H y>| / (|A x| |y|), the sums in double precision."""
    x, y = noise(operator.domain_shape, operator.dtype, 1), noise(operator.range_shape, operator.dtype, 2)
    marks = operator.support()
    y = y if marks is None else y * marks
    forward, back = operator(x).to(torch.complex128).flatten(), operator.adjoint(y).to(torch.complex128).flatten()
    left = torch.vdot(forward, y.to(torch.complex128).flatten())
    right = torch.vdot(x.to(torch.complex128).flatten(), back)
    return float((left - right).abs() / (forward.norm() * torch.linalg.vector_norm(y.to(torch.complex128))))


@torch.no_grad()
def measure(case: Case, side: int, runs: int) -> dict[str, Any]:
    """Return the row of a case."""
    start = time.perf_counter()
    operator = case.build(side, torch.complex64)
    build_ms = 1e3 * (time.perf_counter() - start)
    x, y = noise(operator.domain_shape, operator.dtype, 1), noise(operator.range_shape, operator.dtype, 2)
    functions = {
        "forward": lambda: operator(x),
        "adjoint": lambda: operator.adjoint(y),
        "adjoint(forward)": lambda: operator.adjoint(operator(x)),
        "normal": lambda: operator.normal(x),
    }
    coarse_classes = {}
    for factor in FACTORS:
        if side % factor:
            continue
        coarse = operator.coarsen(factor)
        small = noise(coarse.domain_shape, coarse.dtype, 3)
        functions[f"coarse {factor}"] = lambda c=coarse, s=small: c.normal(s)
        coarse_classes[factor] = type(coarse).__name__
    start = time.perf_counter()
    medians(functions, runs=1)
    times = medians(functions, runs=runs if time.perf_counter() - start < 2 * SLOW_S else min(runs, 3))
    gain = times["adjoint(forward)"] / times["normal"]
    default = type(operator).normal is LinearOperator.normal  # the same work: what the gain differs from 1 is scatter
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
        "coarse_gain": {str(f): times["normal"] / times[f"coarse {f}"] for f in coarse_classes},
        "coarse_class": {str(f): name for f, name in coarse_classes.items()},
    }


def _verdict(row: dict[str, Any]) -> str:
    if row["default_normal"]:
        return " (same)"
    return "" if row["passes"] else f" < {row['required']:g}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--side", type=int, help="pixels on a side for all rows, a multiple of 8")
    parser.add_argument("--only", default="", help="rows whose name holds this")
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--save", action="store_true", help="save although it is a trial")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    load = os.getloadavg()[0]
    rows: dict[str, dict[str, Any]] = {}
    grid = Table(title="Operators, complex64", title_justify="left")
    for index, heading in enumerate(
        (
            "operator",
            "pixels",
            "samples",
            "dot error",
            "forward ms",
            "adjoint ms",
            "normal ms",
            "gain",
            "coarse 2",
            "4",
            "8",
        )
    ):
        grid.add_column(heading, justify="left" if index == 0 else "right")
    for case in CASES:
        if options.only.lower() not in case.name.lower():
            continue
        try:
            row = measure(case, options.side or case.side, options.runs)
        except (ValueError, RuntimeError, TypeError) as error:
            rows[case.name] = {"error": str(error)}
            grid.add_row(case.name, "", "", f"failed: {str(error)[:90]}")
            continue
        rows[case.name] = row
        times, coarse = row["median_ms"], row["coarse_gain"]
        grid.add_row(
            case.name,
            " x ".join(str(n) for n in row["domain"]),
            f"{row['samples']:.0f}",
            f"{row['dot_error']:.1e}",
            *(f"{times[part]:.2f}" for part in ("forward", "adjoint", "normal")),
            f"{row['gain']:.2f}{_verdict(row)}",
            *(f"{coarse[str(f)]:.1f}" if str(f) in coarse else "" for f in FACTORS),
        )
    CONSOLE.print(grid)
    short = [name for name, row in rows.items() if not row.get("passes", False)]
    CONSOLE.print(
        f"load average before the start {load:.1f}, {options.threads} threads; short of what is asked: {short or 'none'}"
    )
    if options.save or not (options.side or options.only):
        results = {"rows": rows, "load_average_before": load}
        CONSOLE.print(f"written: {save('operators', seed=SEED, results=results)}")


if __name__ == "__main__":
    main()
