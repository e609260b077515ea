"""BART files (.hdr with .cfl): multi-coil k-space of one slice.

The .hdr names the dimensions, first fastest: readout, phase 1, phase 2, coils, then others that must be one here; the .cfl holds
them as little-endian complex64. Exactly two of the first three are larger than one: they are the image's rows and columns.
Sensitivities, unmeasured frequencies and the noise level are as :mod:`echoform.measure.kspace` says.

Source: BART documentation, "Data format" (mrirecon.github.io/bart); Uecker et al. (2015), ISMRM 2486.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch

from echoform.measure.errors import MeasurementFileError, quote
from echoform.measure.kspace import KSpace, kspace_measurement, mark_measured
from echoform.measure.measurement import Measurement
from echoform.measure.signature import BART_HEADER, FileKind, require
from echoform.physics.espirit import Espirit

#: largest header, bytes, and largest data, samples
MAX_HEADER_BYTES, MAX_SAMPLES = 2**16, 2**27
EXPECTED = "dimensions 'readout phase1 phase2 coils', two of the first three larger than one and none after the fourth"
COPY = "copy both files again"


def read_bart(path: Path, *, espirit: Espirit | None = None) -> Measurement:
    """Return a BART k-space as a measurement with the multi-coil operator.

    Args:
        path: the .hdr or the .cfl file; the other must lie beside it.
        espirit: how the sensitivities are estimated; the defaults of :class:`Espirit` when absent.

    Raises:
        MeasurementFileError: a file is missing, damaged, no single slice, or without a sampled centre.
    """
    return kspace_measurement(path, read_kspace(path), title=f"BART k-space {path.stem}", notes={}, espirit=espirit)


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
    return KSpace(samples, mark_measured(samples))


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
