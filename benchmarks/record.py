"""Writing a benchmark's result: one JSON with the commit, the seed and the machine it came from."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

RESULTS = Path(__file__).parent / "results"


def machine() -> dict[str, Any]:
    """Return what a reader needs to compare timings: processor, threads, device, library versions."""
    cpu = next(
        (line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor(),
    )
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "finufft": version("finufft"),
    }


def commit() -> str:
    """Return the commit the result was made from, marked when code or weights had changes (other results do not count)."""
    here = Path(__file__).parent
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=False)
    asked = ["git", "status", "--porcelain", "--", "../src", "*.py"]
    dirty = subprocess.run(asked, cwd=here, capture_output=True, text=True, check=False)
    return head.stdout.strip() + ("+changes" if dirty.stdout.strip() else "")


def save(name: str, *, seed: int, results: dict[str, Any]) -> Path:
    """Write benchmarks/results/<name>.json atomically and return its path."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    header = {
        "benchmark": name,
        "commit": commit(),
        "seed": seed,
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine(),
    }
    part = path.with_suffix(".json.part")
    part.write_text(json.dumps(header | {"results": results}, indent=1) + "\n")
    part.replace(path)
    return path


def load(name: str) -> dict[str, Any] | None:
    """Return what :func:`save` wrote under a name, header and results; None where nothing was."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.is_file() else None


def _lines(path: str) -> list[str]:
    file = Path(path)
    return file.read_text().splitlines() if file.exists() else []
