"""``echoform autofocus``: one phase for each pulse, the corrected measurement, and a page that shows what it changed."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from echoform.apps.calibrators import CALIBRATORS
from echoform.apps.errors import UsageError
from echoform.apps.options import Autofocus
from echoform.apps.saving import resolved
from echoform.assess.metrics import entropy
from echoform.measure.atomic import atomic_folder
from echoform.measure.measurement import Measurement
from echoform.measure.native import save
from echoform.measure.reading import read
from echoform.recon.calibration.calibration import Calibration
from echoform.report.figures import Figure, Panel, magnitude_png
from echoform.report.numbers import fixed
from echoform.report.page import Cell, Page, Section, Table, render
from echoform.report.phase import phase_png
from echoform.report.provenance import environment, measurement_facts

MEASUREMENT, PHASES = "measurement.h5", "phase_rad.npy"


def autofocus(options: Autofocus, arguments: list[str]) -> None:
    """Carry out ``echoform autofocus``.

    Raises:
        UsageError: the measurement has no pulses to focus by, or an option has no meaning.
    """
    if not 0 < options.dynamic_range_db < float("inf"):
        raise UsageError(f"--dynamic-range-db must be a positive number, got {options.dynamic_range_db}")
    measurement = read(options.file)
    shape = measurement.operator.range_shape
    if len(shape) != 3 or shape[1] < 3:
        raise UsageError(
            f"autofocus needs samples (channels, pulses, frequencies) of three pulses or more, got {shape}"
        )
    out = options.out or Path("runs") / f"{options.file.stem}-autofocus-{options.method}"
    configuration = resolved(replace(options, out=out), command="autofocus", arguments=arguments)
    with atomic_folder(out) as part:
        start = time.perf_counter()
        try:
            found = CALIBRATORS[options.method].build()(measurement)
        except (ValueError, TypeError) as error:
            raise UsageError(f"{CALIBRATORS[options.method].label}: {error}") from error
        seconds = time.perf_counter() - start
        before, after = _entropies(measurement), _entropies(found.measurement)
        numbers = {"entropy_before": before, "entropy_after": after, "seconds": seconds} | found.facts
        save(found.measurement, part / MEASUREMENT)
        np.save(part / PHASES, found.phase_rad.cpu().numpy(), allow_pickle=False)
        _write_json(part / "metrics.json", numbers)
        _write_json(part / "config.json", configuration | {"environment": environment()})
        page = _page(measurement, found, options, numbers)
        (part / "report.html").write_text(render(page), encoding="utf-8")
    print(f"Entropy of the backprojection: {before:.3f} before, {after:.3f} after ({seconds:.1f} s)")
    print(f"Corrected measurement: {out / MEASUREMENT} (try: echoform reconstruct {out / MEASUREMENT})")
    print(f"Report: {out / 'report.html'}")


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
    worse = numbers["entropy_after"] >= numbers["entropy_before"]
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
        warnings=("The entropy of the image did not fall: do not use this correction.",) if worse else (),
        footer=f"Written by echoform {environment()['echoform']}, {time.strftime('%Y-%m-%d %H:%M:%S %z')}",
    )


def _table(facts: dict[str, str]) -> Table:
    return Table(("item", "value"), tuple((Cell(name), Cell(text)) for name, text in facts.items()))


def _write_json(path: Path, content: dict[str, object] | dict[str, float]) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
