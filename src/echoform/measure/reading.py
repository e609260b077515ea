"""The one door for measurement files: the reader is chosen by the file's content, never by its name."""

from __future__ import annotations

from pathlib import Path

from echoform.measure.bart import read_bart
from echoform.measure.cphd import read_cphd
from echoform.measure.dzt import read_dzt
from echoform.measure.eht import read_eht
from echoform.measure.fresnel import read_fresnel
from echoform.measure.hdf5_kinds import no_slices, read_hdf5
from echoform.measure.matlab_kinds import read_matlab
from echoform.measure.measurement import Measurement
from echoform.measure.merit import read_merit
from echoform.measure.npz import read_npz
from echoform.measure.openradar import read_openradar_frame
from echoform.measure.signature import FileKind, identify

_READERS = {
    FileKind.MATLAB5: read_matlab,
    FileKind.NPY: read_openradar_frame,
    FileKind.FRESNEL: read_fresnel,
    FileKind.BART: read_bart,
    FileKind.EHT: read_eht,
    FileKind.DZT: read_dzt,
    FileKind.MERIT: read_merit,
    FileKind.CPHD: read_cphd,
    FileKind.NPZ: read_npz,
}


def read(path: Path, *, slice_index: int | None = None) -> Measurement:
    """Return the measurement in a file, on the CPU. No content is executed.

    Args:
        path: the file.
        slice_index: which slice of a file of many (fastMRI, ISMRMRD), from 0; the middle one when None.

    Raises:
        MeasurementFileError: the file is missing, damaged, of no kind that echoform reads, or has no such slice.
    """
    kind = identify(path)
    if kind is FileKind.HDF5:
        return read_hdf5(path, slice_index=slice_index)
    if slice_index is not None:
        raise no_slices(path)
    return _READERS[kind](path)
