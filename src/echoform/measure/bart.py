"""BART files (.hdr with .cfl): multi-coil k-space of one slice.

The .hdr names the dimensions, first fastest: readout, phase 1, phase 2, coils, then others that must be one here; the .cfl holds
them as little-endian complex64. Exactly two of the first three are larger than one: they are the image's rows and columns.
Sensitivities come from the fully sampled centre by ESPIRiT; a frequency whose samples are exactly zero was not measured.

Source: BART documentation, "Data format" (mrirecon.github.io/bart); Uecker et al. (2015), ISMRM 2486.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from echoform.measure.errors import MeasurementFileError, quote
from echoform.measure.measurement import Measurement, Metadata
from echoform.measure.signature import BART_HEADER, FileKind, require
from echoform.physics.espirit import Espirit
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.multicoil_mri import MulticoilMRI
from echoform.physics.noise import GaussianNoise

#: largest header, bytes, and largest data, samples
MAX_HEADER_BYTES, MAX_SAMPLES = 2**16, 2**27
#: widest calibration area, samples along each side
CALIBRATION = 24
#: share of the frequencies, the outermost ones, from which the noise level is read
OUTER_SHARE = 0.05
EXPECTED = "dimensions 'readout phase1 phase2 coils', two of the first three larger than one and none after the fourth"
COPY = "copy both files again"


@dataclass(frozen=True)
class KSpace:
    """One slice.

    Attributes:
        samples: (coils, H, W), complex64, zero where not measured.
        measured: bool, (H, W).
    """

    samples: Tensor
    measured: Tensor


def read_bart(path: Path, *, espirit: Espirit | None = None) -> Measurement:
    """Return a BART k-space as a measurement with the multi-coil operator.

    Args:
        path: the .hdr or the .cfl file; the other must lie beside it.
        espirit: how the sensitivities are estimated; the defaults of :class:`Espirit` when absent.

    Raises:
        MeasurementFileError: a file is missing, damaged, no single slice, or without a sampled centre.
    """
    kspace = read_kspace(path)
    coils, height, width = kspace.samples.shape
    sides = _calibration_sides(kspace.measured)
    espirit = Espirit() if espirit is None else espirit
    if min(sides) < 2 * espirit.kernel:
        raise MeasurementFileError(
            path,
            got=f"a fully sampled centre of {sides[0]} x {sides[1]} frequencies",
            expected=f"at least {2 * espirit.kernel} x {2 * espirit.kernel}, for the sensitivities",
            remedy="estimate them from a reference scan and build MulticoilMRI in Python",
        )
    maps = espirit(_centre(kspace.samples, sides)[None], (height, width))
    mask = kspace.measured.to(torch.float32)[None, None]
    sigma = outer_level(kspace)
    notes = {
        "coils": str(coils),
        "sampled": f"{100 * float(mask.mean()):.1f} % of {height} x {width} frequencies",
        "sensitivities": f"ESPIRiT from the centre {sides[0]} x {sides[1]}, unit norm over the coils; signal in "
        f"{100 * float((maps[0, 0] != 0).float().mean()):.0f} % of the pixels",
        "noise": f"sigma {sigma:.3g} per sample, the median level of the outermost 5 % of the frequencies (an upper bound)",
    }
    metadata = Metadata(title=f"BART k-space {path.stem}", source=str(path), notes=notes)
    operator = MulticoilMRI(FourierMask(mask), maps)
    return Measurement(kspace.samples[None], operator, GaussianNoise(torch.tensor([sigma])), metadata)


def read_kspace(path: Path) -> KSpace:
    """Return the slice in a pair of files named by either of them; raises MeasurementFileError as :func:`read_bart`."""
    header, data = path.with_suffix(".hdr"), path.with_suffix(".cfl")
    require(header, FileKind.BART)
    shape = _dimensions(header)
    bytes_expected = 8 * math.prod(shape)
    if not data.is_file():
        raise MeasurementFileError(
            data, got="no such file", expected=f"the samples named by {header.name}", remedy=COPY
        )
    if data.stat().st_size != bytes_expected:
        got = f"{data.stat().st_size} bytes"
        expected = f"{bytes_expected} for dimensions {' x '.join(map(str, shape))} of complex64"
        raise MeasurementFileError(data, got=got, expected=expected, remedy=COPY)
    raw = np.fromfile(data, dtype="<c8").astype(np.complex64).reshape(shape, order="F")
    image_axes = tuple(n for n in shape[:3] if n > 1)
    samples = torch.from_numpy(np.ascontiguousarray(raw.reshape(*image_axes, shape[3], order="F").transpose(2, 0, 1)))
    if not bool(torch.isfinite(samples.abs()).all()):
        raise MeasurementFileError(data, got="NaN or Inf", expected="finite samples", remedy="set bad samples to zero")
    measured = (samples != 0).any(0)
    if not bool(measured.any()):
        raise MeasurementFileError(data, got="zeros only", expected="samples", remedy=COPY)
    return KSpace(samples, measured)


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


def _dimensions(header: Path) -> tuple[int, ...]:
    """Return at least four dimensions, each checked."""
    if header.stat().st_size > MAX_HEADER_BYTES:
        raise MeasurementFileError(header, got="a header of over 64 KiB", expected=EXPECTED, remedy=COPY)
    lines = header.read_bytes().decode("latin-1").splitlines()
    start = next(i for i, line in enumerate(lines) if line.strip() == BART_HEADER)
    words = lines[start + 1].split() if len(lines) > start + 1 else []
    if not words or not all(word.isascii() and word.isdigit() and len(word) < 12 and int(word) > 0 for word in words):
        raise MeasurementFileError(header, got=f"dimensions {quote(' '.join(words))}", expected=EXPECTED, remedy=COPY)
    shape = tuple(map(int, words)) + (1,) * (4 - len(words))
    if sum(n > 1 for n in shape[:3]) != 2 or math.prod(shape[4:]) != 1:
        remedy = "cut one slice out of it, for instance with 'bart slice'"
        raise MeasurementFileError(header, got=f"dimensions {' x '.join(words)}", expected=EXPECTED, remedy=remedy)
    if math.prod(shape) > MAX_SAMPLES:
        got = f"{math.prod(shape)} samples"
        raise MeasurementFileError(header, got=got, expected=f"at most {MAX_SAMPLES}", remedy="cut out one slice")
    return shape[:4]
