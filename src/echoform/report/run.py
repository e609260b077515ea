"""The page of one run: what was measured, what each method made of it, and how far to trust it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from torch import Tensor

from echoform.measure.measurement import Measurement
from echoform.recon.discrepancy import energy, expected_noise_energy
from echoform.report.figures import (
    RESIDUAL_RANGE_DB,
    Figure,
    Panel,
    Place,
    Raster,
    level_png,
    magnitude_png,
    profile_png,
    strongest,
    zoom_window,
)
from echoform.report.numbers import decimals_of, fixed, number
from echoform.report.page import Cell, Page, Section, Table
from echoform.report.posterior import exceedance_section, samples_section
from echoform.report.provenance import environment, measurement_facts
from echoform.report.residual import residual_maps
from echoform.report.scores import Better, MethodResult, Score
from echoform.report.sky import sky_png
from echoform.scene.sky import SkyGrid


@dataclass(frozen=True)
class Run:
    """Everything a page says.

    Attributes:
        measurement: what the methods saw.
        results: at least one, in the order shown.
        target: (row, column) of the target that is enlarged and measured.
        configuration: the resolved options, label to value.
        finished: when the run ended, as text.
        dynamic_range_db: depth of the pictures below their peak.
        held_out: samples the methods have not seen, by which they are judged, or None.
        channel: which channel of the images is shown and measured.
        level_db: level whose probability of being exceeded is shown where samples were drawn, decibels from the mean's peak.
        warnings: what a reader must know before trusting a number.
        environment: machine and versions.
    """

    measurement: Measurement
    results: tuple[MethodResult, ...]
    target: tuple[int, int]
    configuration: dict[str, object]
    finished: str
    dynamic_range_db: float
    held_out: Measurement | None = None
    channel: int = 0
    level_db: float = -20.0
    warnings: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=environment)

    @property
    def frame(self) -> Place:
        """Where the pixels stand: on the ground, on the sky, in a raster (MRI, real images), or not known."""
        metadata, operator = self.measurement.metadata, self.measurement.operator
        known = metadata.grid if metadata.sky is None else metadata.sky.grid
        if known is None and (metadata.smooth_phase or not operator.dtype.is_complex):
            return Raster()
        return known


def strongest_channel(measurement: Measurement, image: Tensor) -> int:
    """Return the channel with the strongest pixel: of the truth when it is known, else of an image (B, C, H, W)."""
    truth = measurement.metadata.truth
    return int((image if truth is None else truth)[0].abs().amax((-2, -1)).argmax())


def enlarged_target(measurement: Measurement, image: Tensor, channel: int = 0) -> tuple[int, int]:
    """Return (row, column) of a channel's strongest pixel: of the truth when it is known, else of an image (B, C, H, W)."""
    truth = measurement.metadata.truth
    return strongest((image if truth is None else truth)[0, channel])


def build_page(run: Run) -> Page:
    """Return the page of a run."""
    sections = [
        _images(run),
        _target(run) if run.measurement.metadata.sky is None else _sky(run, run.measurement.metadata.sky.grid),
        _numbers(run),
        _residuals(run),
        *_uncertainty(run),
        Section("Measurement", tables=(_facts(measurement_facts(run.measurement), "fact"),)),
        Section("Configuration", tables=(_facts(_flat(run.configuration), "option"),)),
        Section("Machine and versions", tables=(_facts(run.environment, "item"),)),
    ]
    labels = ", ".join(result.label for result in run.results)
    return Page(
        title=run.measurement.metadata.title,
        subtitle=f"Reconstructed by {labels}",
        sections=tuple(sections),
        warnings=run.warnings,
        footer=f"Written by echoform {run.environment['echoform']}, {run.finished}",
    )


def _flat(configuration: dict[str, object]) -> dict[str, str]:
    """Return nested options on one level, lists as words, what is not set as a dash."""
    flat: dict[str, str] = {}
    for name, value in configuration.items():
        if isinstance(value, dict):
            flat |= _flat(value)
        elif isinstance(value, list | tuple):
            flat[name] = " ".join(str(item) for item in value)
        else:
            flat[name] = "–" if value is None else str(value)
    return flat


def _panels(run: Run, *, with_truth: bool) -> list[Panel]:
    truth = run.measurement.metadata.truth
    first = [Panel("Truth", truth[0, run.channel])] if with_truth and truth is not None else []
    return [*first, *(Panel(result.label, result.estimate.mean[0, run.channel]) for result in run.results)]


def _names(panels: list[Panel]) -> str:
    return ", ".join(panel.title for panel in panels)


def _images(run: Run) -> Section:
    panels = _panels(run, with_truth=True)
    png = magnitude_png(panels, grid=run.frame, dynamic_range_db=run.dynamic_range_db)
    depth = number(run.dynamic_range_db)
    caption = f"Magnitude in decibels below each image's own peak, clipped at −{depth} dB."
    return Section("Image", figures=(Figure(png, caption, f"Magnitude images in decibels: {_names(panels)}."),))


def _target(run: Run) -> Section:
    panels = _panels(run, with_truth=True)
    grid = run.measurement.metadata.grid
    image = panels[0].image
    window = zoom_window((image.shape[0], image.shape[1]), run.target, grid=grid)
    zoom = magnitude_png(panels, grid=run.frame, window=window, dynamic_range_db=run.dynamic_range_db)
    cuts = profile_png(panels, grid=grid, window=window, centre=run.target, dynamic_range_db=run.dynamic_range_db)
    row, column = run.target
    place = f"row {row}, column {column}"
    if grid is not None:
        y, x = grid.axes_m()
        down, across = (decimals_of(step) for step in grid.spacing_m)
        place += f" (x = {fixed(float(x[column]), across, 'm')}, y = {fixed(float(y[row]), down, 'm')})"
    return Section(
        "Point target",
        figures=(
            Figure(zoom, f"The pixels about {place}.", f"Enlarged target: {_names(panels)}."),
            Figure(cuts, f"Cuts along x and y through {place}.", f"Profiles through the target: {_names(panels)}."),
        ),
    )


def _sky(run: Run, grid: SkyGrid) -> Section:
    panels = _panels(run, with_truth=True)
    caption = "Brightness from zero to each image's own peak, north up, east on the left."
    figure = Figure(sky_png(panels, grid), caption, f"Images of the sky: {_names(panels)}.")
    return Section("Sky", figures=(figure,))


def _numbers(run: Run) -> Section:
    return Section("Numbers", tables=(_scores(run), _method_facts(run.results)))


def _scores(run: Run) -> Table:
    results = run.results
    rows = []
    for row in zip(*(result.scores for result in results), strict=True):
        winner = _winner(row)
        label = row[0].label + (f", {row[0].unit}" if row[0].unit else "")
        cells = (Cell(fixed(score.value, score.decimals), best=index == winner) for index, score in enumerate(row))
        rows.append((Cell(label), *cells))
    rows.append((Cell("Time, s"), *(Cell(fixed(result.seconds, 2)) for result in results)))
    return Table(("Score", *(result.label for result in results)), tuple(rows), caption="Scores", note=_note(run))


def _note(run: Run) -> str:
    sentences = []
    if run.held_out is not None:
        samples = int(run.held_out.operator.samples()[0])
        energies = expected_noise_energy(run.held_out) / energy(run.held_out.y)
        sentences.append(
            f"The prediction error is measured on {samples} samples that no method has seen: an empty image scores 0 dB"
            + (f" and the noise in them bounds it at {fixed(level, 1, 'dB')}." if (level := _db(energies)) else ".")
        )
    sentences.append("Misfit / noise energy is one when an image explains the samples as well as the noise allows.")
    sentences.append(
        "PSLR, ISLR and width are measured on cuts through the target above; for a method that is not linear they describe "
        "its image and are no resolution."
        if run.measurement.metadata.sky is None
        else "A ring is measured in any image that is real and positive, as a sky is: one whose middle is not much darker than "
        "its rim holds none."
    )
    if len(run.results) > 1:
        sentences.append("Bold blue marks the best of a row in which one direction is better.")
    return " ".join(sentences)


def _db(ratio: Tensor) -> float | None:
    value = float(ratio[0])
    return 10 * math.log10(value) if 0 < value < math.inf else None


def _winner(scores: tuple[Score, ...]) -> int | None:
    """Index of the best of one row, or None when there is no contest."""
    better = scores[0].better
    ranked = [(score.value, index) for index, score in enumerate(scores) if not math.isnan(score.value)]
    if better is Better.NEITHER or len(ranked) < 2:
        return None
    return (max(ranked) if better is Better.HIGHER else min(ranked))[1]


def _method_facts(results: tuple[MethodResult, ...]) -> Table:
    rows = []
    for name in dict.fromkeys(name for result in results for name in result.estimate.facts):
        values = (result.estimate.facts.get(name) for result in results)
        rows.append((Cell(name.replace("_", " ")), *(Cell("" if v is None else number(v)) for v in values)))
    columns = ("Fact", *(result.label for result in results))
    return Table(columns, tuple(rows), caption="What each method reports of itself")


def _residuals(run: Run) -> Section:
    maps = residual_maps(run.measurement, [result.estimate.mean for result in run.results])
    panels = [Panel(result.label, m.level_db[0, run.channel]) for result, m in zip(run.results, maps, strict=True)]
    noisy = maps[0].against_noise
    limits = (-RESIDUAL_RANGE_DB, RESIDUAL_RANGE_DB) if noisy else (-run.dynamic_range_db, 0.0)
    png = level_png(panels, grid=run.frame, label="residual, dB", limits=limits, diverging=noisy)
    caption = f"|Aᴴ(y − A x)| in decibels; 0 dB is {maps[0].reference}. What stands out is signal that the image does not hold."
    return Section("Residual", figures=(Figure(png, caption, f"Back-projected residual maps: {_names(panels)}."),))


def _uncertainty(run: Run) -> list[Section]:
    panels = [Panel(r.label, r.estimate.std[0, run.channel]) for r in run.results if r.estimate.std is not None]
    if not panels:
        return []
    drawn = [section for result in run.results for section in _drawn(run, result)]
    png = magnitude_png(panels, grid=run.frame, dynamic_range_db=run.dynamic_range_db)
    caption = "Standard deviation per pixel, in decibels below its own peak."
    return [Section("Uncertainty", figures=(Figure(png, caption, f"Standard deviations: {_names(panels)}."),)), *drawn]


def _drawn(run: Run, result: MethodResult) -> list[Section]:
    if result.estimate.samples is None:
        return []
    samples = result.estimate.samples[:, 0, run.channel]
    grid, depth = run.frame, run.dynamic_range_db
    return [
        exceedance_section(samples, level_db=run.level_db, grid=grid),
        samples_section(samples, depth_db=depth, grid=grid),
    ]


def _facts(facts: dict[str, str], heading: str) -> Table:
    rows = tuple((Cell(label), Cell(text)) for label, text in facts.items())
    return Table((heading.capitalize(), "Value"), rows)
