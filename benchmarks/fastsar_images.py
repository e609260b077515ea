"""Form images with FastSAR from a file of samples; run by fastsar_compare.py in an interpreter that has fastsar, not torch.

python benchmarks/fastsar_images.py INPUT.npz OUTPUT.npz RUNS SLOW_S FINEST
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import fastsar  # pyright: ignore[reportMissingImports]
import numpy as np


def timed(build: Callable[[], Callable[[Any], Any]], samples: Any, runs: int, slow_s: float) -> tuple[Any, float]:
    """Return the image, (rows, columns), and the median seconds of a call once the former is built and warm.

    A call that takes longer than ``slow_s`` is not repeated: the first, compilation included, then counts.
    """
    former, taken = build(), []
    start = time.perf_counter()
    image = np.asarray(former(samples))
    first = time.perf_counter() - start
    for _ in range(runs if first < slow_s else 0):
        start = time.perf_counter()
        image = np.asarray(former(samples))
        taken.append(time.perf_counter() - start)
    return image.T, statistics.median(taken or [first])


def main() -> None:
    """Carry out the command in the module's text."""
    source, target, runs, slow_s = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    given = np.load(source)
    samples, side, spacing = given["samples"], int(given["side"]), float(given["spacing_m"])
    place = (given["antenna_m"], float(given["first_hz"]), float(given["step_hz"]), samples.shape[1])
    shape = (side, side, spacing, spacing)
    plain = {"backend": "cpu", "window": False}
    formers = {
        "exact": lambda: fastsar.ExactFormer(*place, *shape, **plain),
        "factorised": lambda: fastsar.ImageFormer(*place, *shape, **plain),
        "factorised, finest tiles": lambda: fastsar.ImageFormer(
            *place, *shape, T=16, pmax=0.2, target_db=-60.0, **plain
        ),
    }
    if sys.argv[5] == "0":
        del formers["factorised, finest tiles"]
    result: dict[str, Any] = {"version": fastsar.__version__, "names": list(formers)}
    for name, build in formers.items():
        try:
            result[f"image {name}"], result[f"seconds {name}"] = timed(build, samples, runs, slow_s)
        except (ValueError, RuntimeError, OSError) as error:
            result[f"refused {name}"] = str(error)
    np.savez(target, **result)


if __name__ == "__main__":
    main()
