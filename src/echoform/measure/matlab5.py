"""Reading one struct from a MATLAB 5 file, with every claim of the file checked against its bytes.

The top-level elements are walked and inflated here with a limit, so that SciPy's parser, which does the rest, never sees more
bytes than the limit and always sees a complete file.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np

from echoform.measure.errors import MeasurementFileError
from echoform.measure.signature import FileKind, require

#: most bytes of a file, inflated
MAX_BYTES = 2**31
HEADER = 128
MATRIX, COMPRESSED = 14, 15


def load_struct(path: Path, name: str) -> np.void:
    """Return the 1 x 1 struct variable ``name``: fields by name, each an array.

    Raises:
        MeasurementFileError: no MATLAB 5 file, truncated, damaged, larger than the limit, or without this struct.
    """
    from scipy.io import loadmat

    require(path, FileKind.MATLAB5)
    content = _inflated(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = loadmat(content, variable_names=[name]).get(name)
    except Exception as error:  # SciPy's parser raises whatever the damaged bytes happen to trip over
        raise _damaged(path, f"damaged content ({error})") from error
    if not isinstance(found, np.ndarray) or found.dtype.names is None or found.size != 1:
        got = "no variable" if found is None else "another kind of variable"
        raise MeasurementFileError(
            path,
            got=f"{got} '{name}'",
            expected=f"one struct '{name}'",
            remedy="give an AFRL Gotcha phase history file",
        )
    return found.reshape(-1)[0]


def _damaged(path: Path, got: str) -> MeasurementFileError:
    return MeasurementFileError(path, got=got, expected="an intact MATLAB 5 file", remedy="copy or download it again")


def _inflated(path: Path) -> io.BytesIO:
    """Return the file with its compressed elements inflated."""
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise _damaged(path, f"{size} bytes, more than the limit of {MAX_BYTES}")
    data = path.read_bytes()
    order = "<" if data[126:128] == b"IM" else ">"
    pieces, total, position = [data[:HEADER]], HEADER, HEADER
    while position < len(data):
        if position + 8 > len(data):
            raise _damaged(path, f"a truncated file of {len(data)} bytes")
        kind, length = struct.unpack_from(order + "II", data, position)
        end = position + 8 + length
        if kind not in (MATRIX, COMPRESSED):
            raise _damaged(path, f"an element of unknown type {kind} at byte {position}")
        if end > len(data):
            raise _damaged(path, f"a truncated file: {len(data)} bytes of {end}")
        piece = data[position:end] if kind == MATRIX else _inflate(path, data[position + 8 : end], MAX_BYTES - total)
        pieces.append(piece)
        total += len(piece)
        position = end
    return io.BytesIO(b"".join(pieces))


def _inflate(path: Path, data: bytes, limit: int) -> bytes:
    machine = zlib.decompressobj()
    try:
        result = machine.decompress(data, max(limit, 1))
    except zlib.error as error:
        raise _damaged(path, f"a compressed part that is damaged ({error})") from error
    if not machine.eof:
        raise _damaged(path, f"a compressed part that is cut short or inflates beyond {MAX_BYTES} bytes")
    return result
