"""Spotlight phase history as it comes from files: samples and collection, before a grid and an operator are chosen."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from scipy.special import gammaincinv
from torch import Tensor

from echoform.measure.earth import Place
from echoform.measure.errors import MeasurementFileError
from echoform.measure.measurement import Measurement, Metadata
from echoform.measure.relative_level import relative_db
from echoform.physics.noise import GaussianNoise
from echoform.physics.spotlight_plane_wave import plane_wave_spotlight
from echoform.scene.collection import SpotlightCollection
from echoform.scene.grid import Grid

#: pixel spacing as a share of the resolution
PIXEL_SHARE = 0.85
#: image sides are multiples of this
SIDE_MULTIPLE = 16
#: share of the range bins taken to be the quietest
QUIET_SHARE = 0.1
#: largest grid chosen by default, pixels
MAX_PIXELS = 2**24


@dataclass(frozen=True)
class PhaseHistory:
    """Motion-compensated samples y[p, n] = sum_j x_j exp(-i 4 pi f_pn / c (|q_p - r_j| - |q_p|)) and where they were taken.

    Attributes:
        collection: antenna positions, frequencies and the mask of measured samples, batch 1.
        samples: y, shape (1, 1, P, F), complex64 or complex128.
        title: one line naming the data.
        source: the file.
        sigma: noise level per sample, or None where the file states none.
        place: where the scene centre stands on the Earth, x east and y north, or None.
        notes: further facts, label to text.
    """

    collection: SpotlightCollection
    samples: Tensor
    title: str
    source: str
    sigma: float | None = None
    place: Place | None = None
    notes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class GroundResolution:
    """What a collection resolves on the ground plane, metres.

    Attributes:
        range_m: along the mean look, c / (2 B cos psi).
        azimuth_m: across it, lambda / (2 dtheta cos psi).
        range_extent_m: distance at which range repeats, c / (2 df cos psi).
        azimuth_extent_m: distance at which azimuth repeats, lambda / (2 dtheta_pulse cos psi).
        azimuth_rad: direction of the mean look in the (x, y) plane.
    """

    range_m: float
    azimuth_m: float
    range_extent_m: float
    azimuth_extent_m: float
    azimuth_rad: float


def ground_resolution(collection: SpotlightCollection) -> GroundResolution:
    """Return resolution and unambiguous extents, 2 pi over the extent and over the step of K = (4 pi f / c) u.

    Raises:
        ValueError: fewer than two pulses or frequencies, or the antenna or the frequency does not move.
    """
    k = collection.wavenumber()[0]
    pulses, frequencies = k.shape[:2]
    if pulses < 2 or frequencies < 2:
        raise ValueError(f"an image needs at least two pulses and two frequencies, got {pulses} and {frequencies}")
    mean = k.mean((0, 1))
    along = mean / mean.norm()
    across = torch.stack([-along[1], along[0]])
    angle = torch.atan2(k[..., 0, :] @ across, k[..., 0, :] @ along)
    aperture = float(angle.amax() - angle.amin())
    reach = k.norm(dim=-1)
    band = float((reach[:, -1] - reach[:, 0]).abs().mean())
    if not aperture > 0 or not band > 0:
        raise ValueError(f"no image can be formed: aperture {aperture:g} rad, bandwidth {band:g} rad/m on the ground")
    width = float(reach.mean()) * aperture
    return GroundResolution(
        range_m=2 * math.pi / band,
        azimuth_m=2 * math.pi / width,
        range_extent_m=2 * math.pi * (frequencies - 1) / band,
        azimuth_extent_m=2 * math.pi * (pulses - 1) / width,
        azimuth_rad=float(torch.atan2(along[1], along[0])),
    )


def ground_grid(collection: SpotlightCollection) -> Grid:
    """Return the grid that covers the unambiguous extent with pixels of 0.85 resolution, sides multiples of 16.

    Spacings are 0.85 x 2 pi / (extent of K along the axis). The extent is the box about the ellipse whose axes are the
    unambiguous range and azimuth extents, along and across the mean look.

    Raises:
        ValueError: no image can be formed, or the grid would have more than 2^24 pixels.
    """
    resolved = ground_resolution(collection)
    k = collection.wavenumber()[0].flatten(0, 1)
    span = k.amax(0) - k.amin(0)
    dx, dy = (PIXEL_SHARE * 2 * math.pi / float(s) for s in span)
    c, s = math.cos(resolved.azimuth_rad), math.sin(resolved.azimuth_rad)
    length, width = resolved.range_extent_m, resolved.azimuth_extent_m
    side_x, side_y = math.hypot(length * c, width * s), math.hypot(length * s, width * c)
    sides = [
        math.ceil(side / spacing / SIDE_MULTIPLE) * SIDE_MULTIPLE for side, spacing in ((side_y, dy), (side_x, dx))
    ]
    if sides[0] * sides[1] > MAX_PIXELS:
        raise ValueError(f"the unambiguous extent asks for {sides[0]} x {sides[1]} pixels; pass a smaller grid")
    return Grid((sides[0], sides[1]), (dy, dx))


def noise_floor(samples: Tensor) -> float:
    """Return an upper bound of the noise level per sample, sigma, from the quietest range bins.

    Each pulse is transformed along frequency (orthonormal, so white noise keeps its variance in every range bin); powers are
    averaged over the P pulses. The 10 % quantile over the bins, divided by what noise alone would give there (the quantile
    of a Gamma(P, 1/P) variable), is sigma^2 if those bins hold nothing but noise, and more if they hold clutter too.

    Args:
        samples: y, shape (..., P, F), complex, every sample measured.
    """
    profiles = torch.fft.ifft(samples.to(torch.complex128), norm="ortho")
    power = profiles.abs().square().flatten(0, -2).mean(0)
    count = samples[..., 0].numel()
    quiet = float(torch.quantile(power, QUIET_SHARE))
    return math.sqrt(quiet * count / float(gammaincinv(count, QUIET_SHARE)))


def measurement_from(history: PhaseHistory, *, grid: Grid | None = None) -> Measurement:
    """Return the measurement of a phase history: plane-wave operator on ``grid`` or on :func:`ground_grid`.

    Raises:
        ValueError: no image can be formed from this collection.
    """
    grid = ground_grid(history.collection) if grid is None else grid
    resolved = ground_resolution(history.collection)
    sigma, noise = _noise(history)
    operator = plane_wave_spotlight(history.collection, grid, dtype=history.samples.dtype)
    frequency = history.collection.frequencies()[0]
    changing = ", changing from pulse to pulse" if len(frequency) > 1 else ""
    elevation = torch.asin(history.collection.look()[0, :, 2]).mean()
    notes = {
        "pulses x frequencies": f"{history.samples.shape[-2]} x {history.samples.shape[-1]}",
        "frequency": f"{float(frequency.min()) / 1e9:.4f} to {float(frequency.max()) / 1e9:.4f} GHz{changing}",
        "look": f"azimuth {math.degrees(resolved.azimuth_rad):.2f} deg, elevation {math.degrees(float(elevation)):.2f} deg",
        "resolution": f"{resolved.range_m:.3f} m in ground range, {resolved.azimuth_m:.3f} m in azimuth",
        "unambiguous extent": f"{resolved.range_extent_m:.1f} m in ground range, {resolved.azimuth_extent_m:.1f} m in azimuth",
        "noise": noise,
    }
    if history.place is not None:
        notes["place"] = history.place.described()
    metadata = Metadata(
        title=history.title,
        source=history.source,
        grid=grid,
        collection=history.collection,
        place=history.place,
        notes=notes | history.notes,
    )
    return Measurement(history.samples, operator, GaussianNoise(torch.tensor([sigma])), metadata)


def measurement_of_file(path: Path, history: PhaseHistory, *, remedy: str, grid: Grid | None = None) -> Measurement:
    """Return :func:`measurement_from` of a file's phase history; raises MeasurementFileError when no image can be formed."""
    try:
        return measurement_from(history, grid=grid)
    except ValueError as error:
        got = f"a collection that cannot be imaged ({error})"
        raise MeasurementFileError(path, got=got, expected="a spotlight collection", remedy=remedy) from error


def history_of(measurement: Measurement) -> PhaseHistory:
    """Return the phase history a measurement was made from, missing samples as its operator has them now.

    Raises:
        ValueError: the measurement states no collection, or holds several scenes.
    """
    metadata, marks = measurement.metadata, measurement.operator.support()
    collection = metadata.collection
    if collection is None:
        raise ValueError("the measurement states no antenna positions and frequencies; read it from its original file")
    expected = (1, 1, *collection.kept.shape[1:])
    if tuple(measurement.y.shape) != expected:
        raise ValueError(f"the samples must have shape {expected}, as the collection, got {tuple(measurement.y.shape)}")
    if marks is not None:
        collection = replace(collection, kept=marks[:, 0].double().cpu())
    noise = measurement.noise
    sigma = float(noise.sigma[0]) if isinstance(noise, GaussianNoise) else 0.0
    return PhaseHistory(
        collection,
        measurement.y,
        title=metadata.title,
        source=metadata.source,
        sigma=sigma if sigma > 0 else None,
        place=metadata.place,
    )


def _noise(history: PhaseHistory) -> tuple[float, str]:
    """Return sigma and where it comes from: the file, or the quietest range bins of the pulses measured as a whole."""
    kept = history.collection.kept[0] != 0
    whole = kept.all(-1)
    power = float(history.samples[0, 0][kept].abs().double().square().mean())
    if history.sigma is not None:
        sigma, source = history.sigma, "as the file states"
    elif bool(whole.any()):
        sigma = noise_floor(history.samples[0, 0][whole])
        source = "an upper bound, the level of the quietest tenth of the range bins, clutter included"
    else:
        return 0.0, "not stated, and no pulse is measured as a whole to estimate it from"
    level_db = relative_db(sigma, math.sqrt(power))
    return sigma, f"sigma {sigma:.3e} per sample ({level_db:.1f} dB of the mean sample power): {source}"
