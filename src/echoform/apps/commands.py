"""What the commands do: read, reconstruct, score, and write everything or nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from echoform.apps.errors import UsageError
from echoform.apps.methods import METHODS, Settings, check_taken, compared_methods, default_method, left_out
from echoform.apps.options import Compare, Info, Reconstruct, RunOptions
from echoform.apps.result_folder import default_folder, result_folder
from echoform.apps.saving import check_sicd, resolved, save_run, save_sicd
from echoform.measure.earth import Place
from echoform.measure.errors import one_line
from echoform.measure.measurement import Measurement, Metadata
from echoform.measure.reading import read
from echoform.measure.splitting import drop_pulses
from echoform.physics.noise import GaussianNoise
from echoform.recon.discrepancy import expected_noise_energy
from echoform.recon.noise_estimation import NoiseLevelUnknown, estimate_sigma
from echoform.recon.reconstructor import Estimate
from echoform.report.numbers import fixed
from echoform.report.provenance import measurement_facts
from echoform.report.run import Run, enlarged_target, strongest_channel
from echoform.report.scores import MethodResult, score

#: label of the note that says what came of estimating the noise level
NOISE_NOTE = "noise level"


def reconstruct(options: Reconstruct, arguments: list[str]) -> None:
    """Carry out ``echoform reconstruct``."""
    measurement = with_place(_measurement(options), options.place)
    if options.sicd:
        check_sicd(measurement)
    method = options.method or default_method(measurement)
    out = options.out or default_folder(options.file, method, slice_index=options.slice)
    configuration = resolved(replace(options, out=out, method=method), command="reconstruct", arguments=arguments)
    settings = Settings(
        options.weight,
        options.weights,
        options.sky_flux_jy,
        options.sky_fwhm_uas,
        side_lobe_db=options.side_lobe_db,
        looks=options.looks,
    )
    with result_folder(out) as part:
        run = carry_out(measurement, (method,), options, configuration=configuration, settings=settings)
        save_run(part, run)
        if options.sicd:
            save_sicd(part, run)
    announce(run, out)


def compare(options: Compare, arguments: list[str]) -> None:
    """Carry out ``echoform compare``."""
    measurement = _measurement(options)
    out = options.out or default_folder(options.file, "compare", slice_index=options.slice)
    methods = compared_methods(measurement) if options.methods is None else options.methods
    notes = left_out(measurement) if options.methods is None else ()
    configuration = resolved(replace(options, out=out, methods=methods), command="compare", arguments=arguments)
    with result_folder(out) as part:
        run = carry_out(measurement, methods, options, configuration=configuration, keep_pulses=options.keep_pulses)
        run = replace(run, warnings=(*run.warnings, *notes))
        save_run(part, run)
    announce(run, out)


def info(options: Info) -> None:
    """Carry out ``echoform info``."""
    table = Table(show_header=False, box=None, pad_edge=False)
    for label, text in measurement_facts(read(options.file, slice_index=options.slice)).items():
        table.add_row(Text(one_line(label), style="bold"), Text(one_line(text)))
    _console().print(table)


def _measurement(options: Reconstruct | Compare) -> Measurement:
    """Return what the file holds, its noise level settled."""
    with progress() as bar:
        bar.add_task(f"Reading {escape(one_line(options.file.name))}", total=None)
        return with_sigma(read(options.file, slice_index=options.slice), options.sigma)


def with_sigma(measurement: Measurement, sigma: float | None) -> Measurement:
    """Return the measurement with the noise level given by the user, or its own, or, where it states none, one estimated.

    What came of an estimation is said in the measurement's notes.
    """
    if sigma is not None:
        level = torch.tensor([sigma])
        if not 0 < float(level) < float("inf"):
            raise UsageError(f"--sigma must be a positive number in single precision, got {sigma}")
        given = f"standard deviation {sigma:g} per sample, given with --sigma"
        return replace(measurement, noise=GaussianNoise(level), metadata=_noted(measurement.metadata, "noise", given))
    if not isinstance(measurement.noise, GaussianNoise) or bool((measurement.noise.sigma > 0).all()):
        return measurement
    noise = measurement.noise
    try:
        level = estimate_sigma(measurement)
    except NoiseLevelUnknown as reason:
        note = str(reason)
    else:
        noise, note = GaussianNoise(level.sigma.to(noise.sigma.dtype)), f"estimated: {level}"
    return replace(measurement, noise=noise, metadata=_noted(measurement.metadata, NOISE_NOTE, note))


def with_place(measurement: Measurement, place: tuple[float, float, float] | None) -> Measurement:
    """Return the measurement with the place given by the user, or as it is."""
    if place is None:
        return measurement
    try:
        given = Place(*place)
    except ValueError as error:
        raise UsageError(f"--place: {error}") from error
    metadata = _noted(measurement.metadata, "place", given.described())
    return replace(measurement, metadata=replace(metadata, place=given))


def _noted(metadata: Metadata, label: str, text: str) -> Metadata:
    """Return the metadata with a note, in the place of the one of that label where there is one."""
    return replace(metadata, notes=metadata.notes | {label: text})


def carry_out(
    measurement: Measurement,
    methods: tuple[str, ...],
    options: RunOptions,
    *,
    configuration: dict[str, object],
    settings: Settings | None = None,
    keep_pulses: float | None = None,
) -> Run:
    """Return the run of the named methods on a measurement.

    Args:
        measurement: what was read or simulated.
        methods: names in :data:`METHODS`; a method that does not fit is left out with a warning while another remains.
        options: seed, depth of the pictures, target to enlarge.
        configuration: resolved options, for the record.
        settings: what the user set of the methods; the options' weights alone when None.
        keep_pulses: share of the pulses the methods see, or None for all.

    Raises:
        UsageError: no method could be carried out, or an option has no meaning.
    """
    settings = settings or Settings(weights=options.weights)
    _check(methods, options, settings)
    warnings = _warnings(measurement)
    named = _named_target(measurement, options.target_m)
    seen, held_out = measurement, None
    if keep_pulses is not None:
        try:
            generator = torch.Generator().manual_seed(options.seed)
            seen, held_out = drop_pulses(measurement, keep_pulses, generator=generator)
        except ValueError as error:
            raise UsageError(f"--keep-pulses {keep_pulses}: {error}") from error
    done, failures = _estimates(seen, methods, seed=options.seed, settings=settings)
    if not done:
        raise UsageError("; ".join(failures))
    channel = strongest_channel(seen, done[0][1].mean)
    target = enlarged_target(seen, done[0][1].mean, channel) if named is None else named
    results = tuple(
        MethodResult(
            name,
            METHODS[name].titled(settings),
            estimate,
            seconds,
            score(seen, estimate, held_out=held_out, target=target, channel=channel),
        )
        for name, estimate, seconds in done
    )
    return Run(
        seen,
        results,
        target=target,
        configuration=configuration,
        finished=time.strftime("%Y-%m-%d %H:%M:%S %z"),
        warnings=(*warnings, *_shown(seen, channel), *failures, *_shortfalls(results)),
        dynamic_range_db=options.dynamic_range_db,
        held_out=held_out,
        channel=channel,
    )


def _check(methods: tuple[str, ...], options: RunOptions, settings: Settings) -> None:
    if not methods:
        raise UsageError(f"no method was named; choose from {', '.join(METHODS)}")
    if not 0 < options.dynamic_range_db < float("inf"):
        raise UsageError(f"--dynamic-range-db must be a positive number, got {options.dynamic_range_db}")
    check_taken(tuple(METHODS[name] for name in methods), settings)


def _named_target(measurement: Measurement, target_m: tuple[float, float] | None) -> tuple[int, int] | None:
    if target_m is None:
        return None
    if measurement.metadata.grid is None:
        raise UsageError("--target-m needs an image with axes in metres, and this measurement has none")
    try:
        return measurement.metadata.grid.nearest(*target_m)
    except ValueError as error:
        raise UsageError(f"--target-m: {error}") from error


def _warnings(measurement: Measurement) -> list[str]:
    found = []
    note = measurement.metadata.notes.get(NOISE_NOTE)
    if bool((expected_noise_energy(measurement) <= 0).any()):
        found.append(
            "The measurement states no noise level, so weights are chosen as if there were none and residuals are not "
            f"compared with noise: give --sigma{f' ({note})' if note else ''}."
        )
    elif note:
        found.append(
            f"The measurement states no noise level; {note}. Echoes from outside the image would raise it: or give --sigma."
        )
    if measurement.y.shape[0] > 1:
        found.append(f"The file holds {measurement.y.shape[0]} scenes: pictures and numbers here are of the first.")
    return found


def _shown(measurement: Measurement, channel: int) -> list[str]:
    channels = measurement.operator.domain_shape[0]
    if channels == 1:
        return []
    return [f"The image has {channels} channels: pictures show number {channel + 1}, which holds the strongest pixel."]


def _shortfalls(results: tuple[MethodResult, ...]) -> list[str]:
    """What the methods themselves say went less than well."""
    found = []
    for result in results:
        if METHODS[result.name].caveat:
            found.append(f"{result.label}: {METHODS[result.name].caveat}")
        if result.estimate.facts.get("unreached", 0) > 0:
            found.append(
                f"{result.label}: no weight explains the samples exactly as well as the stated noise allows; check the noise "
                "level (--sigma)."
            )
        if result.estimate.facts.get("unconverged", 0) > 0:
            found.append(f"{result.label}: stopped at its limit of iterations before its tolerance was met.")
    return found


def _estimates(
    measurement: Measurement, methods: tuple[str, ...], *, seed: int, settings: Settings
) -> tuple[list[tuple[str, Estimate, float]], list[str]]:
    """Run the methods one after another; return (name, estimate, seconds) of those that worked and why others did not."""
    done: list[tuple[str, Estimate, float]] = []
    failures: list[str] = []
    names = list(dict.fromkeys(methods))
    with progress() as bar:
        task = bar.add_task("", total=None)
        for index, name in enumerate(names, 1):
            method = METHODS[name]
            count = f" ({index} of {len(names)})" if len(names) > 1 else ""
            bar.reset(task, description=escape(method.titled(settings)) + count)
            try:
                reconstructor = method.build(settings.only(method.takes))
                start = time.perf_counter()
                with torch.no_grad():
                    estimate = reconstructor(measurement, generator=torch.Generator().manual_seed(seed))
                seconds = time.perf_counter() - start
                if not bool(torch.isfinite(estimate.mean.abs()).all()):
                    raise ValueError("the image holds NaN or Inf; the measurement or its noise level is out of scale")
                done.append((name, estimate, seconds))
            except (ValueError, TypeError, UsageError) as error:
                failures.append(f"{method.titled(settings)} could not be carried out: {error}")
    return done, failures


@contextmanager
def progress() -> Iterator[Progress]:
    """Yield a bar on the error stream if that is a terminal, gone when the work is done: what is done, moving, and since when.

    How far a method has come is not known beforehand, since its weight and its steps are found on the way.
    """
    columns = (TextColumn("{task.description}"), BarColumn())
    console = Console(stderr=True)
    hidden = not console.is_terminal
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True, disable=hidden) as bar:
        yield bar


def announce(run: Run, out: Path) -> None:
    """Print the numbers of a run and where its report is."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    for result in run.results:
        table.add_column(result.label, justify="right")
    for index, first in enumerate(run.results[0].scores):
        cells = [fixed(result.scores[index].value, first.decimals) for result in run.results]
        table.add_row(first.label + (f", {first.unit}" if first.unit else ""), *cells)
    table.add_row("Time, s", *(fixed(result.seconds, 2) for result in run.results))
    console = _console()
    console.print(table)
    for line in run.warnings:
        print(f"echoform: note: {one_line(line)}", file=sys.stderr)
    console.print(Text(f"Report: {out / 'report.html'}"), soft_wrap=True)


def _console() -> Console:
    """The terminal; when the output goes to a file or a pipe, lines are wide enough not to be folded."""
    return Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=160)
