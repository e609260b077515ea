"""What a MATLAB 5 file holds, told from its variables: the reader is chosen here."""

from __future__ import annotations

from pathlib import Path

from echoform.measure.errors import MeasurementFileError
from echoform.measure.gotcha import read_gotcha
from echoform.measure.matlab5 import load_arrays
from echoform.measure.measurement import Measurement
from echoform.measure.radarsat import RUN_PARAMETERS, read_radarsat


def read_matlab(path: Path) -> Measurement:
    """Return the measurement in a MATLAB 5 file.

    An array ``data`` is RADARSAT-1 raw echoes; anything else is taken for an AFRL Gotcha file, whose ``data`` is a struct.

    Raises:
        MeasurementFileError: the file is damaged or of neither kind.
    """
    arrays = load_arrays(path)
    if "data" not in arrays:
        expected = "'data': RADARSAT-1 raw echoes (an array) or AFRL Gotcha phase history (a struct)"
        raise MeasurementFileError(path, got="no variable 'data'", expected=expected, remedy=_remedy(path))
    return read_gotcha(path) if arrays["data"] is None else read_radarsat(path)


def _remedy(path: Path) -> str:
    if not path.name.endswith(RUN_PARAMETERS):
        return "give a file of one of these kinds"
    return f"give the raw echoes that these run parameters belong to, {path.name.removesuffix(RUN_PARAMETERS)}data1.mat beside it"
