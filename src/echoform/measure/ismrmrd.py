"""ISMRMRD files (.h5): acquisitions of a scanner, of which the Cartesian lines of one slice are put together.

The line of counter k goes to column k - c + N_y // 2, c the number of zero frequency in the header; of its samples the one that
the acquisition calls the centre goes to row N_x // 2. Lines measured several times are averaged. Lines flagged as calibration
alone are no samples of the image but show the sensitivities. Of several contrasts, phases, repetitions and sets the first is
taken. The oversampled readout is cropped to the field of view in the header.

Source: Inati et al. (2017), Magnetic Resonance in Medicine 77, and the file ismrmrd.h of the format.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from echoform.measure.hdf5_slices import flag_bits
from echoform.measure.kspace import KSpace, kspace_measurement, mark_measured, within_field_of_view
from echoform.measure.measurement import Measurement
from echoform.measure.mri_header import Encoding, parse_header
from echoform.measure.raw_slice import RawSlice, SliceFormat, raw_slice
from echoform.physics.espirit import Espirit

#: numbers of the flags: line for calibration alone, for calibration and image, read backwards
CALIBRATION, CALIBRATION_AND_IMAGE, REVERSE = 20, 21, 22
#: counters of which the first value is taken
SINGLE = ("contrast", "phase", "repetition", "set")
#: largest number of receive coils that is believed
MAX_COILS = 1024


def read_ismrmrd(path: Path, *, slice_index: int | None = None, espirit: Espirit | None = None) -> Measurement:
    """Return a slice of an ISMRMRD file as a measurement.

    Args:
        path: the file.
        slice_index: which slice, from 0; the middle one when None.
        espirit: how the sensitivities are estimated; the defaults of :class:`Espirit` when None.

    Raises:
        MeasurementFileError: the file is damaged, of another kind, without such a slice, not two-dimensional and Cartesian, or
            without a sampled centre.
    """
    return ismrmrd_measurement(raw_slice(path, slice_index), espirit=espirit)


def ismrmrd_measurement(raw: RawSlice, *, espirit: Espirit | None = None) -> Measurement:
    """Return the measurement of a slice already fetched; raises as :func:`read_ismrmrd`."""
    raw.require(SliceFormat.ISMRMRD)
    try:
        encoding = parse_header(raw.header)
    except ValueError as error:
        raw.fail(f"a header that makes no sense: {error}", "the header of the scan")
    kept, notes = _image_lines(raw, encoding)
    flags = raw.arrays["flags"].astype(np.uint64)
    calibrating = (flags & np.uint64(flag_bits((CALIBRATION, CALIBRATION_AND_IMAGE)))) != 0
    only = (flags & np.uint64(flag_bits((CALIBRATION,)))) != 0
    imaging, showing = kept & ~only, kept & calibrating
    if not imaging.any():
        raw.fail("a slice of calibration lines alone", "lines of the image", "choose another slice")
    samples, most = _filled(raw, encoding, np.flatnonzero(imaging))
    if most > 1:
        notes["averages"] = f"up to {most} acquisitions of a line, averaged"
    calibration = _filled(raw, encoding, np.flatnonzero(showing))[0] if showing.any() else None
    kspace, notes["readout"] = within_field_of_view(KSpace(samples, mark_measured(samples), calibration), encoding)
    title = f"ISMRMRD {raw.path.stem}, slice {raw.index}"
    return kspace_measurement(raw.path, kspace, title=title, notes={"slice": raw.place()} | notes, espirit=espirit)


def _image_lines(raw: RawSlice, encoding: Encoding) -> tuple[np.ndarray, dict[str, str]]:
    """Which acquisitions belong to the image, and notes on those left out; refuses what is not two-dimensional Cartesian."""
    remedy = "grid or transform the samples first and build the operator in Python"
    if encoding.trajectory not in (None, "cartesian"):
        raw.fail(f"a trajectory '{encoding.trajectory}'", "a Cartesian one", remedy)
    kept = raw.arrays["encoding_space_ref"] == 0
    if not kept.any():
        raw.fail("no line of the first encoding", "lines of it", remedy)
    notes: dict[str, str] = {}
    for name in SINGLE:
        found = np.unique(raw.arrays[name][kept])
        kept &= raw.arrays[name] == found[0]
        if found.size > 1:
            notes[name] = f"the first of {found.size}"
    if np.unique(raw.arrays["kspace_encode_step_2"][kept]).size > 1:
        raw.fail("three-dimensional k-space", "two dimensions a slice", "transform it along the third axis first")
    if (raw.arrays["flags"][kept].astype(np.uint64) & np.uint64(flag_bits((REVERSE,)))).any():
        raw.fail("lines that were read backwards", "lines read forwards", "turn them round when converting the scan")
    coils = np.unique(raw.arrays["active_channels"][kept])
    if coils.size != 1 or not 1 <= coils[0] <= MAX_COILS:
        raw.fail(f"lines of {coils.tolist()[:4]} coils", "one number of coils")
    return kept, notes


def _filled(raw: RawSlice, encoding: Encoding, rows: np.ndarray) -> tuple[Tensor, int]:
    """The mean of these acquisitions on the grid, (coils, N_x, N_y) complex64, and how often a line was measured at most."""
    width, height = encoding.encoded.matrix[1], encoding.encoded.matrix[0]
    count, coils = raw.arrays["number_of_samples"], raw.arrays["active_channels"]
    ends = np.cumsum(count * coils)
    before = height // 2 - (raw.arrays["center_sample"] - raw.arrays["discard_pre"])
    centre_line = width // 2 if encoding.centre_line is None else encoding.centre_line
    columns = raw.arrays["kspace_encode_step_1"] - centre_line + width // 2
    grid = np.zeros((int(coils[rows[0]]), height, width), np.complex64)
    times = np.zeros(width, np.int64)
    for row in rows.tolist():
        line = raw.arrays["samples"][ends[row] - count[row] * coils[row] : ends[row]].reshape(coils[row], count[row])
        line = line[:, raw.arrays["discard_pre"][row] : count[row] - raw.arrays["discard_post"][row]]
        start = 0 if line.shape[1] == height else int(before[row])  # a whole readout fits in one way only
        column = int(columns[row])
        if start < 0 or start + line.shape[1] > height or not 0 <= column < width:
            got = f"a line of {line.shape[1]} samples at row {start}, column {column}"
            raw.fail(got, f"lines within the header's {height} x {width}")
        grid[:, start : start + line.shape[1], column] += line
        times[column] += 1
    return torch.from_numpy(grid / np.maximum(times, 1).astype(np.float32)), int(times.max())
