"""What a file is, told from its first bytes and never from its name."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from enum import Enum
from pathlib import Path

from echoform.measure.errors import MeasurementFileError


class FileKind(Enum):
    """The kinds of file that hold measurements echoform can read; the value is how errors name them."""

    HDF5 = "an HDF5 file"
    MATLAB5 = "a MATLAB 5 file"
    FRESNEL = "an Institut Fresnel .exp file"
    EHT = "an Event Horizon Telescope .csv file"
    NPY = "a NumPy .npy file"
    BART = "a BART .hdr file with its .cfl"
    CPHD = "a CPHD 1.x file"
    NPZ = "a NumPy .npz file"
    MERIT = "a MERIT scattering .csv file"
    DZT = "a GSSI .DZT file"


#: a zip archive whose first member is an array: local header of 30 bytes, then its name
_NPZ = re.compile(rb"PK\x03\x04.{26}[A-Za-z0-9_]{1,64}\.npy", re.DOTALL)

#: a line that begins with two complex numbers, as MATLAB writes them
_COMPLEX = re.compile(rb"(-?[0-9][0-9.eE+-]{0,40}[+-][0-9][0-9.eE+-]{0,40}i,){2}")

#: first line of a BART header
BART_HEADER = "# Dimensions"


def _begins_dzt(head: bytes) -> bool:
    """Whether these bytes make sense as a GSSI header, which has no magic number: offset, samples, bits, nanoseconds."""
    if len(head) < 112:
        return False
    offset, samples, bits = struct.unpack_from("<HHH", head, 2)
    (nanoseconds,) = struct.unpack_from("<f", head, 26)
    placed = offset % 1024 == 0 if offset >= 1024 else 0 < offset <= 64
    return placed and samples >= 16 and bits in (8, 16, 32) and 0 < nanoseconds < 1e5


#: how a file of each kind begins; the first that fits is taken
_SIGNATURES: tuple[tuple[FileKind, Callable[[bytes], bool]], ...] = (
    (FileKind.HDF5, lambda head: head.startswith(b"\x89HDF\r\n\x1a\n")),
    (FileKind.MATLAB5, lambda head: head.startswith(b"MATLAB 5.0") and head[126:128] in (b"IM", b"MI")),
    (FileKind.FRESNEL, lambda head: head.startswith(b"# Institut Fresnel")),
    (FileKind.EHT, lambda head: head.startswith(b"#SRC:")),
    (FileKind.BART, lambda head: head.startswith(BART_HEADER.encode())),
    (FileKind.NPY, lambda head: head.startswith(b"\x93NUMPY")),
    (FileKind.CPHD, lambda head: head.startswith(b"CPHD/1.")),
    (FileKind.NPZ, lambda head: _NPZ.match(head) is not None),
    (FileKind.MERIT, lambda head: _COMPLEX.match(head) is not None),
    (FileKind.DZT, lambda head: _begins_dzt(head)),
)

READABLE = "one of: " + ", ".join(kind.value for kind in FileKind)

#: first bytes of files that are often given by mistake
_STRANGERS = (
    (b"PK\x03\x04", "a zip archive (or .npz, .pt)"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"NITF", "a NITF file"),
    (b"CPHD/", "a CPHD file of another version"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"MATLAB 7", "a MATLAB 7.3 file"),
)


def identify(path: Path) -> FileKind:
    """Return the kind of a file.

    Raises:
        MeasurementFileError: it is missing, a folder, empty, unreadable, or of no kind that echoform reads.
    """
    head = _head(path)
    if path.suffix == ".cfl" and path.with_suffix(".hdr").is_file():
        head = _head(path.with_suffix(".hdr"))  # bare numbers: what they are stands in the file beside them
    for kind, begins in _SIGNATURES:
        if begins(head):
            return kind
    remedy = "convert it with echoform.measure.native.save"
    if head.startswith(b"MATLAB 7"):
        remedy = "save it again in MATLAB with the option -v7"
    elif head.startswith(b"\x80"):
        remedy = "a pickle can run code and is never opened; ask for the measurement in another format"
    raise MeasurementFileError(path, got=_describe(head), expected=READABLE, remedy=remedy)


def require(path: Path, kind: FileKind) -> None:
    """Raise MeasurementFileError unless the file is of this kind."""
    found = identify(path)
    if found is not kind:
        raise MeasurementFileError(
            path, got=found.value, expected=kind.value, remedy="let echoform.measure.reading.read choose the reader"
        )


def _head(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise MeasurementFileError(path, got="a folder", expected=READABLE, remedy="name the file inside it")
        if not path.exists():
            raise MeasurementFileError(path, got="no such file", expected=READABLE, remedy="check the path")
        if not path.is_file():
            raise MeasurementFileError(
                path, got="a device or pipe", expected=READABLE, remedy="copy it to a file first"
            )
        with path.open("rb") as stream:
            head = stream.read(512)
    except (OSError, ValueError) as error:
        raise MeasurementFileError(
            path, got=f"an unreadable file ({error})", expected=READABLE, remedy="check its name and permissions"
        ) from error
    if not head:
        raise MeasurementFileError(path, got="an empty file", expected=READABLE, remedy="copy or download it again")
    return head


def _describe(head: bytes) -> str:
    for magic, name in _STRANGERS:
        if head.startswith(magic):
            return name
    if head[0] == 0x80 and len(head) > 1 and head[1] <= 5:
        return "a Python pickle"
    if all(9 <= b <= 13 or 32 <= b < 127 for b in head):
        return "a text file"
    return "bytes of an unknown format"
