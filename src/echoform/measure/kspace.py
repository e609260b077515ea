"""Cartesian k-space of one slice, whatever file it came from, made a measurement.

A frequency whose samples are exactly zero in every coil was not measured. Sensitivities come from the fully sampled centre by
ESPIRiT. The noise level is read off the outermost frequencies.

The readout of an MRI scanner is oversampled: rows of the image beyond the field of view hold nothing but noise, cut off by the
receiver's filter. Where whole readout lines were measured the rows do not mix, so that cropping

    y' = F_h C F_H^-1 y        (1-D, along the readout, orthonormal and centred; C keeps the h rows about the middle)

gives exactly the samples of the cropped image, with white noise of the same level.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from echoform.measure.errors import MeasurementFileError
from echoform.measure.measurement import Measurement, Metadata
from echoform.measure.mri_header import Encoding
from echoform.physics.espirit import Espirit
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.multicoil_mri import MulticoilMRI
from echoform.physics.noise import GaussianNoise

#: widest calibration area, samples along each side
CALIBRATION = 24
#: share of the frequencies, the outermost ones, from which the noise level is read
OUTER_SHARE = 0.05
#: axis of the readout in KSpace.samples
READOUT = -2


@dataclass(frozen=True)
class KSpace:
    """One slice.

    Attributes:
        samples: (coils, H, W), complex64, zero where not measured; zero frequency at index n // 2.
        measured: bool, (H, W).
        calibration: samples that show the sensitivities only, of the same shape, or None: those of the image do.
    """

    samples: Tensor
    measured: Tensor
    calibration: Tensor | None = None


def mark_measured(samples: Tensor) -> Tensor:
    """Return which frequencies hold a sample that is not exactly zero, bool, (H, W)."""
    return (samples != 0).any(0)


def whole_lines(measured: Tensor) -> bool:
    """Return whether every line that was measured was measured over its whole readout."""
    return bool((measured.any(READOUT) == measured.all(READOUT)).all())


def crop_readout(kspace: KSpace, rows: int) -> KSpace:
    """Return the k-space of the middle ``rows`` rows of the image; needs :func:`whole_lines`."""
    lines = kspace.measured.any(READOUT)
    calibration = None if kspace.calibration is None else _crop_rows(kspace.calibration, rows)
    return KSpace(_crop_rows(kspace.samples, rows), lines.expand(rows, -1).contiguous(), calibration)


def within_field_of_view(kspace: KSpace, encoding: Encoding | None) -> tuple[KSpace, str]:
    """Return the k-space of the rows inside the reconstructed field of view, and a note on what was done and why."""
    rows = kspace.samples.shape[READOUT]
    if encoding is None:
        return kspace, f"{rows} rows, as sampled: the file has no header that tells the field of view"
    if encoding.encoded.matrix[0] != rows:
        return kspace, f"{rows} rows, as sampled: the header speaks of {encoding.encoded.matrix[0]}"
    keep = encoding.readout_pixels()
    if keep == rows:
        return kspace, f"{rows} rows, as sampled: the readout is not oversampled"
    if not whole_lines(kspace.measured):
        return kspace, f"{rows} rows, as sampled: lines are not whole, so that they cannot be cropped exactly"
    note = f"oversampled, cropped from {rows} to {keep} rows (exact: whole lines were measured)"
    return crop_readout(kspace, keep), note


def _crop_rows(samples: Tensor, rows: int) -> Tensor:
    image = torch.fft.fftshift(
        torch.fft.ifft(torch.fft.ifftshift(samples, READOUT), dim=READOUT, norm="ortho"), READOUT
    )
    kept = image.narrow(READOUT, samples.shape[READOUT] // 2 - rows // 2, rows)
    return torch.fft.fftshift(torch.fft.fft(torch.fft.ifftshift(kept, READOUT), dim=READOUT, norm="ortho"), READOUT)


def outer_level(kspace: KSpace) -> float:
    """Return sqrt(median |y|^2 / ln 2) over the outermost measured frequencies: sigma if these hold noise alone, else more.

    For CN(0, s^2) samples |y|^2 is exponential of mean s^2, whose median is s^2 ln 2.
    """
    height, width = kspace.measured.shape
    rows = (torch.arange(height) - height // 2).abs() / (height / 2)
    columns = (torch.arange(width) - width // 2).abs() / (width / 2)
    distance = (rows[:, None].square() + columns.square())[kspace.measured]
    count = max(1, round(OUTER_SHARE * distance.numel()))
    outer = kspace.samples[:, kspace.measured][:, distance.topk(count).indices]
    return math.sqrt(float(outer.abs().square().median()) / math.log(2))


def _check(path: Path, samples: Tensor) -> None:
    if not bool(torch.isfinite(samples.abs().square()).all()):
        got = "NaN, Inf or samples whose squares overflow"
        raise MeasurementFileError(path, got=got, expected="finite samples", remedy="set bad samples to zero")
    if not bool((samples != 0).any()):
        raise MeasurementFileError(path, got="zeros only", expected="samples", remedy="copy or download the file again")


def kspace_measurement(
    path: Path, kspace: KSpace, *, title: str, notes: dict[str, str], espirit: Espirit | None
) -> Measurement:
    """Return k-space as a measurement: MulticoilMRI, or FourierMask when there is one coil.

    Args:
        path: the file, for messages.
        kspace: one slice.
        title: one line naming it.
        notes: what the reader has to say; facts about coils, frequencies, sensitivities and noise are added.
        espirit: how the sensitivities are estimated; the defaults of :class:`Espirit` when None.

    Raises:
        MeasurementFileError: samples are not finite or all zero, or there are several coils without a sampled centre.
    """
    _check(path, kspace.samples)
    if kspace.calibration is not None:
        _check(path, kspace.calibration)
    coils, height, width = kspace.samples.shape
    mask = FourierMask(kspace.measured.to(torch.float32)[None, None])
    share = 100 * float(kspace.measured.float().mean())
    sigma = outer_level(kspace)
    facts = {"coils": str(coils), "sampled": f"{share:.1f} % of {height} x {width} frequencies"}
    if coils == 1:
        operator = mask
        facts["sensitivities"] = "one coil: its own is part of the image"
    else:
        maps, facts["sensitivities"] = _sensitivities(path, kspace, Espirit() if espirit is None else espirit)
        operator = MulticoilMRI(mask, maps)
    facts["noise"] = (
        f"sigma {sigma:.3g} per sample, the median level of the outermost 5 % of the frequencies (an upper bound)"
    )
    metadata = Metadata(title=title, source=str(path), smooth_phase=True, notes=notes | facts)
    return Measurement(kspace.samples[None], operator, GaussianNoise(torch.tensor([sigma])), metadata)


def _sensitivities(path: Path, kspace: KSpace, espirit: Espirit) -> tuple[Tensor, str]:
    """Sensitivities (1, coils, H, W) and the note on them."""
    source = kspace.samples if kspace.calibration is None else kspace.calibration
    marks = kspace.measured if kspace.calibration is None else mark_measured(source)
    sides = _calibration_sides(marks)
    if min(sides) < 2 * espirit.kernel:
        raise MeasurementFileError(
            path,
            got=f"a fully sampled centre of {sides[0]} x {sides[1]} frequencies",
            expected=f"at least {2 * espirit.kernel} x {2 * espirit.kernel}, for the sensitivities",
            remedy="estimate them from a reference scan and build MulticoilMRI in Python",
        )
    height, width = source.shape[1:]
    try:
        maps = espirit(_centre(source, sides)[None], (height, width))
    except (ValueError, RuntimeError) as error:
        remedy = "check which samples are the centre of k-space"
        raise MeasurementFileError(
            path, got=f"a centre of no use ({error})", expected="a centre with signal", remedy=remedy
        ) from error
    seen = 100 * float((maps[0, 0] != 0).float().mean())
    lines = "" if kspace.calibration is None else " of the calibration lines"
    return maps, (
        f"ESPIRiT from the centre {sides[0]} x {sides[1]}{lines}, unit norm over the coils; signal in {seen:.0f} % of the pixels"
    )


def _calibration_sides(measured: Tensor) -> tuple[int, int]:
    """Sides of the largest fully sampled area of at most CALIBRATION x CALIBRATION about the centre."""
    best = (0, 0)
    for rows in range(min(CALIBRATION, measured.shape[0]), 0, -2):
        for columns in range(min(CALIBRATION, measured.shape[1]), 0, -2):
            whole = bool(_centre(measured, (rows, columns)).all())
            if whole and (min(rows, columns), rows * columns) > (min(best), best[0] * best[1]):
                best = (rows, columns)
    return best


def _centre(x: Tensor, sides: tuple[int, int]) -> Tensor:
    """Return the area of these sides about index n // 2 of the last two axes."""
    top, left = (n // 2 - side // 2 for n, side in zip(x.shape[-2:], sides, strict=True))
    return x[..., top : top + sides[0], left : left + sides[1]]
