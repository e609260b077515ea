"""The one door for measurement files: the reader is chosen by the file's content, never by its name."""

from __future__ import annotations

from pathlib import Path

from echoform.measure.bart import read_bart
from echoform.measure.cphd import read_cphd
from echoform.measure.dzt import read_dzt
from echoform.measure.eht import read_eht
from echoform.measure.fresnel import read_fresnel
from echoform.measure.matlab_kinds import read_matlab
from echoform.measure.measurement import Measurement
from echoform.measure.merit import read_merit
from echoform.measure.native import load
from echoform.measure.npz import read_npz
from echoform.measure.openradar import read_openradar_frame
from echoform.measure.signature import FileKind, identify

_READERS = {
    FileKind.HDF5: load,
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


def read(path: Path) -> Measurement:
    """Return the measurement in a file, on the CPU. No content is executed.

    Raises:
        MeasurementFileError: the file is missing, damaged, or of no kind that echoform reads.
    """
    return _READERS[identify(path)](path)
