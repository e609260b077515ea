"""Reading arrays of numbers, or those in one struct, from a MATLAB 5 file, every claim of the file checked against its bytes.

Written here and not left to scipy.io, whose parser is compiled without bounds checks and crashes the process on some damaged
files. Text, cells, nested structs and objects are skipped: no measurement needs them.

Source: MathWorks, MAT-File Format (R2023a), "Level 5 MAT-File Format".
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from echoform.measure.errors import MeasurementFileError
from echoform.measure.signature import FileKind, require

#: most bytes of a file, inflated; a Gotcha file has less than one megabyte
MAX_BYTES = 2**28
HEADER_BYTES = 128

MATRIX, COMPRESSED = 14, 15
STRUCT_CLASS = 2
COMPLEX_FLAG = 0x800
#: how numbers are stored, by element type
_STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
#: what numbers are, by array class
_CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}


class _Malformed(Exception):
    """Bytes that break the format; the message says how."""


@dataclass
class _Cursor:
    """Reads elements one after the other from ``data``; every length is checked before it is used."""

    data: memoryview
    order: Literal["<", ">"]
    position: int = 0

    def element(self, *, padded: bool = True) -> tuple[int, memoryview]:
        """Return type and content of the next element, in either of the format's two forms."""
        if self.position + 8 > len(self.data):
            raise _Malformed(f"truncated: {len(self.data)} bytes where {self.position + 8} are needed")
        kind, length = struct.unpack_from(self.order + "II", self.data, self.position)
        start = self.position + 8
        if kind >> 16:
            kind, length, start = kind & 0xFFFF, kind >> 16, self.position + 4
            if length > 4:
                raise _Malformed(f"a small element of {length} bytes")
        end = start + length
        if end > len(self.data):
            raise _Malformed(f"truncated: {len(self.data)} bytes where {end} are needed")
        self.position = end + (-end % 8 if padded else 0)
        return kind, self.data[start:end]

    def numbers(self) -> np.ndarray:
        """Return the next element as a vector of numbers, in the file's byte order."""
        kind, content = self.element()
        if kind not in _STORED:
            raise _Malformed(f"an element of type {kind} where numbers should be")
        dtype = np.dtype(_STORED[kind]).newbyteorder(self.order)
        if len(content) % dtype.itemsize:
            raise _Malformed(f"{len(content)} bytes where numbers of {dtype.itemsize} bytes should be")
        return np.frombuffer(content, dtype)

    def inside(self) -> _Cursor:
        """Return a cursor over the content of the next element, which must be a matrix."""
        kind, content = self.element()
        if kind != MATRIX:
            raise _Malformed(f"an element of type {kind} where a matrix should be")
        return _Cursor(content, self.order)


def load_struct(path: Path, name: str) -> dict[str, np.ndarray | None]:
    """Return the fields of the 1 x 1 struct ``name``: arrays of numbers, None for a field of another kind.

    Raises:
        MeasurementFileError: no MATLAB 5 file, truncated, damaged, larger than the limit, or without this struct.
    """
    require(path, FileKind.MATLAB5)
    with _one_line(path):
        for cursor in _variables(path):
            if not cursor.data:
                continue
            kind, _, shape, found = _head(cursor)
            if found != name:
                continue
            if kind != STRUCT_CLASS or math.prod(shape) != 1:
                raise _missing(path, name, "another kind of variable")
            return dict(_fields(cursor))
    raise _missing(path, name, "no variable")


def load_arrays(path: Path) -> dict[str, np.ndarray | None]:
    """Return the variables of a file by name: arrays of numbers, None for a variable of another kind.

    Raises:
        MeasurementFileError: no MATLAB 5 file, truncated, damaged, or larger than the limit.
    """
    require(path, FileKind.MATLAB5)
    found: dict[str, np.ndarray | None] = {}
    with _one_line(path):
        for cursor in _variables(path):
            if cursor.data:
                start = cursor.position
                *_, name = _head(cursor)
                cursor.position = start
                found[name] = _array(cursor)
    return found


@contextmanager
def _one_line(path: Path) -> Iterator[None]:
    """Turn what breaks the format into one clear line."""
    try:
        yield
    except _Malformed as error:
        raise MeasurementFileError(
            path,
            got=f"damaged content ({error})",
            expected="an intact MATLAB 5 file",
            remedy="copy or download it again",
        ) from error


def _missing(path: Path, name: str, got: str) -> MeasurementFileError:
    return MeasurementFileError(
        path, got=f"{got} '{name}'", expected=f"one struct '{name}'", remedy="give an AFRL Gotcha phase history file"
    )


def _variables(path: Path) -> Iterator[_Cursor]:
    """Yield a cursor over each variable of the file; all of the file is walked, so a truncated one is noticed."""
    if path.stat().st_size > MAX_BYTES:
        raise _Malformed(f"{path.stat().st_size} bytes, more than the limit of {MAX_BYTES}")
    data = memoryview(path.read_bytes())
    order = "<" if bytes(data[126:128]) == b"IM" else ">"
    file = _Cursor(data, order, HEADER_BYTES)
    found, left = [], MAX_BYTES
    while file.position < len(data):
        kind, content = file.element(padded=False)
        if kind == COMPRESSED:
            inflated = _inflate(content, left)
            left -= len(inflated)
            found.append(_Cursor(memoryview(inflated), order).inside())
        elif kind == MATRIX:
            found.append(_Cursor(content, order))
        else:
            raise _Malformed(f"an element of type {kind} where a variable should be")
    yield from found


def _inflate(content: memoryview, limit: int) -> bytes:
    machine = zlib.decompressobj()
    try:
        result = machine.decompress(content, max(limit, 1))
    except zlib.error as error:
        raise _Malformed(f"a compressed variable: {error}") from error
    if not machine.eof:
        raise _Malformed(f"a compressed variable is cut short or inflates beyond {MAX_BYTES} bytes")
    return result


def _head(cursor: _Cursor) -> tuple[int, bool, tuple[int, ...], str]:
    """Return class, complexity, shape and name of the array that ``cursor`` stands at."""
    flags, shape = cursor.numbers(), cursor.numbers()
    _, name = cursor.element()
    if flags.size != 2 or shape.size < 2 or shape.min() < 0:
        raise _Malformed("an array without flags or shape")
    word = int(flags[0])
    return word & 0xFF, bool(word & COMPLEX_FLAG), tuple(int(n) for n in shape), bytes(name).decode("latin-1")


def _fields(cursor: _Cursor) -> Iterator[tuple[str, np.ndarray | None]]:
    """Yield the fields of the 1 x 1 struct whose head has been read."""
    width, (_, names) = cursor.numbers(), cursor.element()
    if width.size != 1 or not 0 < int(width[0]) <= 64 or len(names) % int(width[0]):
        raise _Malformed("a struct without field names")
    step = int(width[0])
    for start in range(0, len(names), step):
        label = bytes(names[start : start + step]).split(b"\0")[0].decode("latin-1")
        yield label, _array(cursor.inside())


def _array(cursor: _Cursor) -> np.ndarray | None:
    """Return an array of numbers in native byte order; None for an array of another class."""
    if not cursor.data:
        return np.zeros((0, 0))
    kind, is_complex, shape, _ = _head(cursor)
    if kind not in _CLASSES:
        return None
    parts = [cursor.numbers() for _ in range(2 if is_complex else 1)]
    if any(part.size != math.prod(shape) for part in parts):
        raise _Malformed(f"{parts[0].size} numbers in an array of shape {shape}")
    dtype = np.dtype(_CLASSES[kind])
    if is_complex:
        values = np.empty(parts[0].size, np.complex64 if dtype == np.float32 else np.complex128)
        values.real, values.imag = parts
    else:
        with np.errstate(all="ignore"):
            values = parts[0].astype(dtype)
    return values.reshape(shape, order="F")
