"""The one door for measurement files: the reader is chosen by the file's content, never by its name."""

from __future__ import annotations

from pathlib import Path

from echoform.measure.fresnel import read_fresnel
from echoform.measure.gotcha import read_gotcha
from echoform.measure.measurement import Measurement
from echoform.measure.native import load
from echoform.measure.openradar import read_openradar_cube
from echoform.measure.signature import FileKind, identify

_READERS = {
    FileKind.HDF5: load,
    FileKind.MATLAB5: read_gotcha,
    FileKind.NPY: read_openradar_cube,
    FileKind.FRESNEL: read_fresnel,
}


def read(path: Path) -> Measurement:
    """Return the measurement in a file, on the CPU. No content is executed.

    Raises:
        MeasurementFileError: the file is missing, damaged, or of no kind that echoform reads.
    """
    return _READERS[identify(path)](path)
