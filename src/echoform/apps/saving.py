"""What a run leaves in its folder: report.html, config.json, metrics.json, images.h5, and a .npy (and .nitf) for each method."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import h5py
import numpy as np
from torch import Tensor

from echoform.apps.errors import UsageError
from echoform.measure.measurement import Measurement, Metadata
from echoform.measure.sicd import sicd_ground, write_sicd
from echoform.report.page import render
from echoform.report.run import Run, build_page
from echoform.report.scores import MethodResult

#: what a run was asked for, in its folder
CONFIGURATION = "config.json"


def save_run(folder: Path, run: Run) -> None:
    """Write every file of a run into a folder that exists."""
    (folder / "report.html").write_text(render(build_page(run)), encoding="utf-8")
    _write_json(folder / CONFIGURATION, run.configuration | {"finished": run.finished, "environment": run.environment})
    _write_json(folder / "metrics.json", {result.name: _numbers(result) for result in run.results})
    with h5py.File(folder / "images.h5", "w") as file:
        for result in run.results:
            _save_estimate(file.create_group(result.name), result)
            np.save(folder / f"{result.name}.npy", _array(result.estimate.mean), allow_pickle=False)


def check_sicd(measurement: Measurement) -> None:
    """Raise UsageError unless the measurement states what a SICD file needs."""
    try:
        sicd_ground(measurement.metadata)
    except ValueError as error:
        raise UsageError(f"--sicd: {error}{_hint(measurement.metadata)}") from error


def save_sicd(folder: Path, run: Run) -> None:
    """Write the image of each method as <method>.nitf, a SICD file."""
    for result in run.results:
        metadata = run.measurement.metadata
        try:
            write_sicd(
                result.estimate.mean[0, 0], folder / f"{result.name}.nitf", metadata=metadata, method=result.label
            )
        except ValueError as error:
            raise UsageError(f"--sicd: {error}") from error


def _hint(metadata: Metadata) -> str:
    return "; give --place" if metadata.collection is not None and metadata.place is None else ""


def resolved(options: object, *, command: str, arguments: list[str]) -> dict[str, object]:
    """Return the resolved configuration of a run: the command as typed and every option with the value used."""
    from echoform import __version__

    values = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in dataclasses.asdict(options).items()  # pyright: ignore[reportArgumentType]
    }
    return {"echoform": __version__, "command": command, "arguments": arguments, "options": values}


def _numbers(result: MethodResult) -> dict[str, object]:
    return {
        "label": result.label,
        "seconds": result.seconds,
        "scores": {score.key: _finite(score.value) for score in result.scores},
        "facts": {name: _finite(value) for name, value in result.estimate.facts.items()},
    }


def _finite(value: float) -> float | None:
    """JSON has no NaN and no infinity: both become null."""
    return value if math.isfinite(value) else None


def _write_json(path: Path, content: dict[str, object]) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def _save_estimate(group: h5py.Group, result: MethodResult) -> None:
    group.attrs["label"] = result.label
    for name, value in (
        ("mean", result.estimate.mean),
        ("std", result.estimate.std),
        ("samples", result.estimate.samples),
    ):
        if value is not None:
            group.create_dataset(name, data=_array(value))


def _array(value: Tensor) -> np.ndarray:
    return value.detach().cpu().resolve_conj().numpy()
