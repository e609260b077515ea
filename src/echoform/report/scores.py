"""The numbers that stand beside an image: each metric of :mod:`echoform.assess` that applies to the measurement."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from echoform.assess.metrics import (
    SSIM_SIDE,
    entropy,
    log_ssim,
    nmse_db,
    peak_magnitude,
    prediction_error_db,
    psnr_db,
)
from echoform.assess.point_target import point_target_response
from echoform.assess.ring import measure_ring
from echoform.measure.measurement import Measurement
from echoform.measure.whitened import single_level
from echoform.recon.discrepancy import expected_noise_energy, relative_residual, residual_energy
from echoform.recon.reconstructor import Estimate
from echoform.report.numbers import decimals_of
from echoform.scene.sky import MICROARCSECOND_RAD, SkyGrid

#: where the rim of a ring is sought, as shares of half the image's side
RING_RADII = (0.08, 0.7)


class Better(enum.Enum):
    """Which direction of a score is the good one."""

    LOWER = enum.auto()
    HIGHER = enum.auto()
    NEITHER = enum.auto()


@dataclass(frozen=True)
class Score:
    """One figure of merit of the first scene of a measurement.

    Attributes:
        key: name in metrics.json, with the unit.
        label: heading of its column.
        unit: unit, empty for a ratio.
        value: the number; NaN where the image holds no such thing.
        decimals: how many are worth printing.
        better: which direction is good.
    """

    key: str
    label: str
    unit: str
    value: float
    decimals: int = 1
    better: Better = Better.NEITHER


@dataclass(frozen=True)
class MethodResult:
    """What one method made of a measurement: name, label, estimate, seconds taken and scores."""

    name: str
    label: str
    estimate: Estimate
    seconds: float
    scores: tuple[Score, ...]


@torch.no_grad()
def score(
    measurement: Measurement,
    estimate: Estimate,
    *,
    held_out: Measurement | None,
    target: tuple[int, int],
    channel: int = 0,
) -> tuple[Score, ...]:
    """Return every score that applies.

    Args:
        measurement: what the method saw.
        estimate: what it made of it.
        held_out: samples it has not seen, or None.
        target: (row, column) of the point target whose response is measured, within half a main lobe; of a sky the ring is
            measured instead.
        channel: of the image, where the target stands.
    """
    image = estimate.mean
    found: list[Score] = []
    if held_out is not None:
        error = float(prediction_error_db(image, held_out.operator, held_out.y)[0])
        found.append(Score("prediction_error_db", "Held-out prediction error", "dB", error, 2, Better.LOWER))
    if measurement.metadata.truth is not None:
        found += _against_truth(image, measurement.metadata.truth)
    found.append(_misfit(measurement, image))
    found.append(Score("entropy_nats", "Entropy", "nat", float(entropy(image)[0]), 2))
    if measurement.metadata.sky is not None:
        return (*found, *_ring(image[0, channel], measurement.metadata.sky.grid))
    return (*found, *_response(image[0, channel], measurement, target))


def _against_truth(image: Tensor, truth: Tensor) -> list[Score]:
    peak = peak_magnitude(truth)
    scores = [
        Score("nmse_db", "NMSE", "dB", float(nmse_db(image, truth)[0]), 2, Better.LOWER),
        Score("psnr_db", "PSNR", "dB", float(psnr_db(image, truth, peak=peak)[0]), 2, Better.HIGHER),
    ]
    if min(truth.shape[-2:]) >= SSIM_SIDE:
        similarity = float(log_ssim(image, truth, peak=peak)[0])
        scores.append(Score("log_ssim", "SSIM of log magnitude", "", similarity, 3, Better.HIGHER))
    return scores


def _misfit(measurement: Measurement, image: Tensor) -> Score:
    measurement = single_level(measurement)
    expected = expected_noise_energy(measurement)
    if bool((expected > 0).all()):
        ratio = float((residual_energy(measurement, image) / expected)[0])
        return Score("misfit_over_noise", "Misfit / noise energy", "", ratio, 2)
    return Score("relative_misfit", "Misfit / data energy", "", relative_residual(measurement, image), 4)


def _ring(image: Tensor, grid: SkyGrid) -> list[Score]:
    """Return the figures of a ring (assess/ring.py), which any positive sky has: a floor well below one says that it is one."""
    figures = [math.nan] * 4
    if bool((image.imag == 0).all() and (image.real >= 0).all()) if image.is_complex() else bool((image >= 0).all()):
        half = min(grid.shape) / 2 * grid.pixel_rad
        try:
            ring = measure_ring(image.real, grid, radii_rad=(RING_RADII[0] * half, RING_RADII[1] * half))
        except ValueError:
            pass  # the image stands so far off its middle that rays leave it
        else:
            angle = math.degrees(ring.position_angle_rad)
            figures = [v / MICROARCSECOND_RAD for v in (ring.diameter_rad, ring.width_rad)] + [ring.floor, angle]
    diameter, width, floor, angle = figures
    return [
        Score("ring_diameter_uas", "Ring diameter", "µas", diameter),
        Score("ring_width_uas", "Ring width", "µas", width),
        Score("ring_floor", "Middle over rim", "", floor, 2),
        Score("ring_bright_side_deg", "Bright side, north through east", "deg", angle, 0),
    ]


def _response(image: Tensor, measurement: Measurement, target: tuple[int, int]) -> list[Score]:
    response = point_target_response(image, pixel=target)
    grid = measurement.metadata.grid
    dy, dx = (1.0, 1.0) if grid is None else grid.spacing_m
    unit = "px" if grid is None else "m"
    scores: list[Score] = []
    for axis, cut, step in (("x", response.columns, dx), ("y", response.rows, dy)):
        scores += [
            Score(f"pslr_{axis}_db", f"PSLR, {axis}", "dB", cut.pslr_db),
            Score(f"islr_{axis}_db", f"ISLR, {axis}", "dB", cut.islr_db),
            Score(f"width_{axis}_{unit}", f"−3 dB width, {axis}", unit, cut.width_px * step, decimals_of(step)),
        ]
    return scores
