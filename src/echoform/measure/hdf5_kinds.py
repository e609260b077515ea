"""What an HDF5 file holds, told from its content: the reader is chosen here."""

from __future__ import annotations

from pathlib import Path

from echoform.measure.errors import MeasurementFileError
from echoform.measure.fastmri import fastmri_measurement
from echoform.measure.ismrmrd import ismrmrd_measurement
from echoform.measure.measurement import Measurement
from echoform.measure.native import is_native, load
from echoform.measure.raw_slice import SliceFormat, raw_slice


def read_hdf5(path: Path, *, slice_index: int | None = None) -> Measurement:
    """Return the measurement in an HDF5 file.

    A file whose attribute ``format`` says so is echoform's own; one with a dataset ``kspace`` is fastMRI's; one with a group of
    ``xml`` and ``data`` is ISMRMRD.

    Args:
        path: the file.
        slice_index: which slice of a fastMRI or ISMRMRD file, from 0; the middle one when None.

    Raises:
        MeasurementFileError: the file is damaged, of no kind that echoform reads, or has no such slice.
    """
    if is_native(path):
        if slice_index is not None:
            raise no_slices(path)
        return load(path)
    raw = raw_slice(path, slice_index)
    return fastmri_measurement(raw) if raw.form is SliceFormat.FASTMRI else ismrmrd_measurement(raw)


def no_slices(path: Path) -> MeasurementFileError:
    """Return the error of a slice asked of a file that has none."""
    return MeasurementFileError(
        path, got="a file of one measurement", expected="slices to choose from", remedy="leave the slice out"
    )
