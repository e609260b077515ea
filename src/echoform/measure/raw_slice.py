"""One slice of MRI samples as a file of many slices holds it, fetched by a process that can be stopped."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import NoReturn

import numpy as np

from echoform.measure import hdf5_slices
from echoform.measure.errors import MeasurementFileError
from echoform.measure.signature import FileKind, require

#: the longest that reading a slice may take, seconds: damaged HDF5 structures can take for ever
SECONDS = 60.0
DAMAGED = "the file is damaged; copy or download it again"


class SliceFormat(Enum):
    """The formats of many slices; the value is how errors name them."""

    FASTMRI = "a fastMRI file"
    ISMRMRD = "an ISMRMRD file"


@dataclass(frozen=True)
class RawSlice:
    """What the file holds of one slice.

    Attributes:
        path: the file, for messages.
        form: its format.
        index: which slice, from 0.
        slices: how many there are.
        header: the ISMRMRD header, XML, or empty.
        arrays: the samples and what belongs to them; see :mod:`echoform.measure.hdf5_slices`.
    """

    path: Path
    form: SliceFormat
    index: int
    slices: int
    header: bytes
    arrays: dict[str, np.ndarray]

    def require(self, form: SliceFormat) -> None:
        """Raise MeasurementFileError unless the file is of this format."""
        if self.form is not form:
            remedy = "let echoform.measure.reading.read choose the reader"
            raise MeasurementFileError(self.path, got=self.form.value, expected=form.value, remedy=remedy)

    def fail(self, got: str, expected: str, remedy: str = DAMAGED) -> NoReturn:
        """Raise MeasurementFileError about the file."""
        raise MeasurementFileError(self.path, got=got, expected=expected, remedy=remedy)

    def place(self) -> str:
        """Return which slice this is, as a person counts the choice."""
        return f"{self.index} of 0 to {self.slices - 1}"


def raw_slice(path: Path, index: int | None) -> RawSlice:
    """Return a slice of a fastMRI or ISMRMRD file.

    Args:
        path: the file.
        index: which slice, from 0; the middle one, number of slices // 2, when None.

    Raises:
        MeasurementFileError: the file is damaged, of another kind, or has no such slice.
    """
    require(path, FileKind.HDF5)
    wanted = hdf5_slices.MIDDLE if index is None else str(index)
    command = [sys.executable, "-P", "-m", hdf5_slices.__name__, str(path.resolve()), wanted]
    try:
        done = subprocess.run(command, capture_output=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        got = f"damaged content (not read within {SECONDS:g} s)"
        raise MeasurementFileError(path, got=got, expected="an intact HDF5 file", remedy=DAMAGED) from error
    if done.returncode == hdf5_slices.REFUSED:
        said = json.loads(done.stdout)
        raise MeasurementFileError(path, got=said["got"], expected=said["expected"], remedy=said["remedy"] or DAMAGED)
    if done.returncode != 0:
        last = (done.stderr.decode("utf-8", "replace").splitlines() or ["no message"])[-1]
        got = f"content that makes the HDF5 reader fail (exit code {done.returncode}: {last})"
        raise MeasurementFileError(path, got=got, expected="an intact HDF5 file", remedy=DAMAGED)
    with np.load(io.BytesIO(done.stdout), allow_pickle=False) as content:
        arrays = {name: content[name] for name in content.files}
    form = SliceFormat.FASTMRI if str(arrays.pop("format")) == hdf5_slices.FASTMRI else SliceFormat.ISMRMRD
    counts = int(arrays.pop("slice")), int(arrays.pop("slices"))
    return RawSlice(path, form, *counts, arrays.pop("header").tobytes(), arrays)
