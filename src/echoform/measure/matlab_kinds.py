"""What a MATLAB 5 file holds, told from its variables: the reader is chosen here."""

from __future__ import annotations

from pathlib import Path

from echoform.measure.gotcha import read_gotcha
from echoform.measure.matlab5 import load_arrays
from echoform.measure.measurement import Measurement
from echoform.measure.radarsat import read_radarsat


def read_matlab(path: Path) -> Measurement:
    """Return the measurement in a MATLAB 5 file.

    An array ``data`` is RADARSAT-1 raw echoes; anything else is taken for an AFRL Gotcha file, whose ``data`` is a struct.

    Raises:
        MeasurementFileError: the file is damaged or of neither kind.
    """
    return read_gotcha(path) if load_arrays(path).get("data") is None else read_radarsat(path)
