"""How many rows of a Born operator are left when it is prepared for many products, on the two measured rigs.

    python benchmarks/born_rows.py

Rows: samples that are heard, and rows held. Difference: of the two normals on white noise, relative. Times: build, then the
normal by two passes and by the rows held, medians, in turn. Writes benchmarks/results/born_rows.json.
"""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median

import torch
from rich.console import Console

from echoform.measure.fresnel import read_fresnel
from echoform.measure.merit import read_merit
from echoform.physics.born import BornScattering
from echoform.physics.noise import standard_normal
from record import save

DATA = Path(__file__).parents[2] / "shared" / "data"
SEED, RUNS = 0, 5


def judged(operator: BornScattering) -> dict[str, float]:
    """Return time, memory and distance of the normal with rows held against two passes."""
    began = time.perf_counter()
    prepared = operator.prepared()
    build = time.perf_counter() - began
    assert isinstance(prepared, BornScattering)
    assert prepared.rows is not None
    x = standard_normal(
        torch.zeros(1, *operator.domain_shape, dtype=operator.dtype), torch.Generator().manual_seed(SEED)
    )
    plain, held = operator.normal(x), prepared.normal(x)
    times: dict[str, list[float]] = {"two passes": [], "rows held": []}
    for _ in range(RUNS):
        for name, which in (("two passes", operator), ("rows held", prepared)):
            began = time.perf_counter()
            which.normal(x)
            times[name].append(time.perf_counter() - began)
    return {
        "samples": float(operator.samples()),
        "rows": float(prepared.rows.shape[1]),
        "difference": float((held - plain).norm() / plain.norm()),
        "build_s": build,
        "two_passes_ms": 1e3 * median(times["two passes"]),
        "rows_held_ms": 1e3 * median(times["rows held"]),
    }


def main() -> None:
    """Carry out the command in the module's text."""
    files = {
        "MERIT": read_merit(DATA / "rf_breast_merit" / "B0_P3_p000.csv"),
        "Fresnel": read_fresnel(DATA / "rf_fresnel" / "FoamDielIntTM.exp"),
    }
    results = {}
    for name, measurement in files.items():
        assert isinstance(measurement.operator, BornScattering)
        results[name] = judged(measurement.operator)
        Console().print(name, results[name])
    print(save("born_rows", seed=SEED, results=results))


if __name__ == "__main__":
    main()
