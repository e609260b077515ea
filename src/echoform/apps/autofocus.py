"""``echoform autofocus``: one phase for each pulse, the corrected measurement, and a page that shows what it changed."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from echoform.apps.calibrators import CALIBRATORS
from echoform.apps.errors import UsageError
from echoform.apps.options import Autofocus
from echoform.apps.result_folder import default_folder, result_folder
from echoform.apps.saving import CONFIGURATION, resolved
from echoform.assess.metrics import entropy
from echoform.measure.measurement import Measurement
from echoform.measure.native import save
from echoform.measure.reading import read
from echoform.physics.multicoil_mri import MulticoilMRI
from echoform.recon.calibration.calibration import Calibration
from echoform.report.figures import Figure, Panel, magnitude_png
from echoform.report.numbers import fixed
from echoform.report.page import Cell, Page, Section, Table, render
from echoform.report.phase import phase_png
from echoform.report.provenance import environment, measurement_facts

PHASES = "phase_rad.npy"
WORSE = "The entropy of the image did not fall: do not use this correction."


def autofocus(options: Autofocus, arguments: list[str]) -> None:
    """Carry out ``echoform autofocus``.

    Raises:
        UsageError: the measurement has no pulses to focus by, or an option has no meaning.
    """
    if not 0 < options.dynamic_range_db < float("inf"):
        raise UsageError(f"--dynamic-range-db must be a positive number, got {options.dynamic_range_db}")
    measurement = read(options.file)
    _check_pulses(measurement)
    out = options.out or default_folder(options.file, f"autofocus-{options.method}")
    corrected = f"{options.file.stem}-autofocused.h5"
    configuration = resolved(replace(options, out=out), command="autofocus", arguments=arguments)
    with result_folder(out) as part:
        start = time.perf_counter()
        try:
            found = CALIBRATORS[options.method].build()(measurement)
        except (ValueError, TypeError) as error:
            raise UsageError(f"{CALIBRATORS[options.method].label}: {error}") from error
        seconds = time.perf_counter() - start
        before, after = _entropies(measurement), _entropies(found.measurement)
        numbers = {"entropy_before": before, "entropy_after": after, "seconds": seconds} | found.facts
        save(found.measurement, part / corrected)
        np.save(part / PHASES, found.phase_rad.cpu().numpy(), allow_pickle=False)
        _write_json(part / "metrics.json", numbers)
        _write_json(part / CONFIGURATION, configuration | {"environment": environment()})
        page = _page(measurement, found, options, numbers)
        (part / "report.html").write_text(render(page), encoding="utf-8")
    print(f"Entropy of the backprojection: {before:.3f} before, {after:.3f} after ({seconds:.1f} s)")
    if _worse(numbers):
        print(f"Corrected measurement: {out / corrected}")
        print(f"echoform: note: {WORSE}", file=sys.stderr)
    else:
        print(f"Corrected measurement: {out / corrected} (try: echoform reconstruct {out / corrected})")
    print(f"Report: {out / 'report.html'}")


def _check_pulses(measurement: Measurement) -> None:
    """Raise UsageError unless the samples can be a radar's, (channels, pulses, frequencies), three pulses or more."""
    metadata, operator = measurement.metadata, measurement.operator
    what = "autofocus needs a radar's samples (channels, pulses, frequencies)"
    if metadata.sky is not None:
        raise UsageError(
            f"{what}, got an interferometer's visibilities; `echoform reconstruct` takes their closure quantities"
        )
    if metadata.smooth_phase or any(isinstance(part, MulticoilMRI) for part in operator.modules()):
        raise UsageError(f"{what}, got those of an image of smooth phase (MRI, microwave imaging), which has no pulses")
    if not measurement.y.is_complex():
        raise UsageError(f"{what}, which are complex, got {measurement.y.dtype}")
    if len(operator.range_shape) != 3 or operator.range_shape[1] < 3:
        raise UsageError(f"{what} of three pulses or more, got shape {operator.range_shape}")


def _worse(numbers: dict[str, float]) -> bool:
    return numbers["entropy_after"] >= numbers["entropy_before"]


def _entropies(measurement: Measurement) -> float:
    return float(entropy(measurement.operator.adjoint(measurement.y)).mean())


def _page(measurement: Measurement, found: Calibration, options: Autofocus, numbers: dict[str, float]) -> Page:
    label = CALIBRATORS[options.method].label
    panels = [
        Panel(title, m.operator.adjoint(m.y)[0, 0])
        for title, m in (("Before", measurement), ("After", found.measurement))
    ]
    pictures = magnitude_png(panels, grid=measurement.metadata.grid, dynamic_range_db=options.dynamic_range_db)
    phases = phase_png({label: found.phase_rad[0]})
    images = Figure(pictures, "Backprojection before and after, each below its own peak.", "two radar images")
    phase = Figure(phases, "Phase of each pulse; a constant and a line cannot be known.", "phase over the pulse number")
    return Page(
        title=measurement.metadata.title,
        subtitle=f"Autofocus by {label}",
        sections=(
            Section("Images", figures=(images,)),
            Section("Phase", figures=(phase,)),
            Section("Numbers", tables=(_table({name: fixed(value, 4) for name, value in numbers.items()}),)),
            Section("Measurement", tables=(_table(measurement_facts(measurement)),)),
        ),
        warnings=(WORSE,) if _worse(numbers) else (),
        footer=f"Written by echoform {environment()['echoform']}, {time.strftime('%Y-%m-%d %H:%M:%S %z')}",
    )


def _table(facts: dict[str, str]) -> Table:
    return Table(("item", "value"), tuple((Cell(name), Cell(text)) for name, text in facts.items()))


def _write_json(path: Path, content: dict[str, object] | dict[str, float]) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
