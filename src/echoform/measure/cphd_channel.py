"""A CPHD 1.x file opened: its XML, and the samples and per-vector parameters of the reference channel, through sarkit.

Every length is checked against the file's own size before memory is asked for; XML with a document type is refused. Samples are
scaled by AmpSF where the vectors state it.

Source: NGA.STND.0068-1, CPHD Design & Implementation Description 1.0.1 and 1.1.0.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import lxml.etree
import numpy as np
import sarkit.cphd as skcphd

from echoform.measure.errors import MeasurementFileError, quote
from echoform.measure.signature import FileKind, require

#: most bytes of header, of XML, of one vector's parameters, and most samples of one channel
MAX_HEADER, MAX_XML, MAX_VECTOR, MAX_SAMPLES = 2**16, 2**24, 2**14, 2**27
DOWNLOAD = "copy or download the file again"
#: what sarkit, lxml and NumPy raise on damaged content
_DAMAGE = (
    OSError,
    RuntimeError,
    LookupError,
    ValueError,
    TypeError,
    ArithmeticError,
    AttributeError,
    AssertionError,
    SyntaxError,
    MemoryError,
    lxml.etree.LxmlError,
)


@dataclass(frozen=True)
class Channel:
    """The reference channel as stored.

    Attributes:
        path: the file.
        root: its XML.
        parameters: the element Channel/Parameters of the channel.
        signal: samples times AmpSF, shape (P, F), complex64.
        vectors: per-vector parameters, shape (P,), structured.
    """

    path: Path
    root: lxml.etree._Element
    parameters: lxml.etree._Element
    signal: np.ndarray
    vectors: np.ndarray

    def wrong(self, name: str, got: str, expected: str, remedy: str = DOWNLOAD) -> MeasurementFileError:
        """Return the error that says what is wrong with a part of the file."""
        return MeasurementFileError(self.path, got=f"{name} {got}", expected=expected, remedy=remedy)


@contextmanager
def only_file_errors(path: Path) -> Iterator[None]:
    """Turn what sarkit, lxml and NumPy raise on damaged content into MeasurementFileError."""
    try:
        yield
    except _DAMAGE as error:
        got = f"damaged content ({type(error).__name__}: {error})"
        raise MeasurementFileError(path, got=got, expected="an intact CPHD 1.x file", remedy=DOWNLOAD) from error


def read_channel(path: Path) -> Channel:
    """Return the reference channel of a file.

    Raises:
        MeasurementFileError: the file is not one, is damaged, or its signal is compressed.
    """
    require(path, FileKind.CPHD)
    sizes = _block_sizes(path)
    with only_file_errors(path), path.open("rb") as stream:
        return _read(path, skcphd.Reader(stream), sizes)


def _block_sizes(path: Path) -> dict[str, int]:
    """Return the bytes of each block; refuse a header that is cut or claims blocks outside the file."""
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            head = stream.read(MAX_HEADER)
            text, end, _ = head.partition(b"\f\n")
            fields = dict(line.split(" := ", 1) for line in text.decode("utf-8").splitlines()[1:])
            if not end or not head.startswith(b"CPHD/1."):
                raise ValueError("no end of header" if not end else f"version {head[:12]!r}")
            sizes = {name: int(fields[f"{name}_BLOCK_SIZE"]) for name in ("XML", "PVP", "SIGNAL")}
            for name, length in sizes.items():
                start = int(fields[f"{name}_BLOCK_BYTE_OFFSET"])
                if min(start, length) < 0 or start + length > size:
                    raise ValueError(f"the {name} block ends at byte {start + length} of {size}")
            stream.seek(int(fields["XML_BLOCK_BYTE_OFFSET"]))
            if sizes["XML"] > MAX_XML or b"<!DOCTYPE" in stream.read(sizes["XML"]):
                raise ValueError(f"XML of {sizes['XML']} bytes or with a document type")
            return sizes
    except (OSError, ValueError, KeyError) as error:
        raise MeasurementFileError(
            path, got=f"a CPHD header that cannot be right ({error})", expected="a whole CPHD 1.x file", remedy=DOWNLOAD
        ) from error


def _read(path: Path, reader: skcphd.Reader, sizes: dict[str, int]) -> Channel:
    root = reader.metadata.xmltree.getroot()
    if lxml.etree.QName(root).namespace not in skcphd.VERSION_INFO:
        raise MeasurementFileError(
            path, got=f"root element {quote(str(root.tag))}", expected="CPHD 1.0.1 or 1.1.0", remedy=DOWNLOAD
        )
    name = text_at(root, "Channel/RefChId")
    data = _named(root, "Data/Channel", name)
    if root.find("{*}Data/{*}SignalCompressionID") is not None:
        raise MeasurementFileError(
            path, got="a compressed signal block", expected="an uncompressed one", remedy="write it again uncompressed"
        )
    _check_lengths(path, root, data, sizes)
    signal, vectors = reader.read_channel(name)
    samples = _complex(signal)
    if "AmpSF" in (vectors.dtype.names or ()):
        samples = samples * vectors["AmpSF"].astype(np.float32)[:, None]
    return Channel(path, root, _named(root, "Channel/Parameters", name), samples, vectors)


def _check_lengths(path: Path, root: lxml.etree._Element, data: lxml.etree._Element, sizes: dict[str, int]) -> None:
    """Refuse a channel that does not lie within its blocks, before anything is allocated."""
    pulses, samples = whole_at(data, "NumVectors"), whole_at(data, "NumSamples")
    bytes_each = skcphd.binary_format_string_to_dtype(text_at(root, "Data/SignalArrayFormat")).itemsize
    vector = whole_at(root, "Data/NumBytesPVP")
    for block, offset, length, limit in (
        ("signal", whole_at(data, "SignalArrayByteOffset"), pulses * samples * bytes_each, sizes["SIGNAL"]),
        ("PVP", whole_at(data, "PVPArrayByteOffset"), pulses * vector, sizes["PVP"]),
    ):
        if offset + length > limit:
            got = f"{pulses} x {samples} samples, {offset + length} bytes of {block}"
            raise MeasurementFileError(path, got=got, expected=f"at most the block's {limit}", remedy=DOWNLOAD)
    if min(pulses, samples) < 2 or pulses * samples > MAX_SAMPLES or not 0 < vector <= MAX_VECTOR:
        got = f"{pulses} pulses x {samples} samples, {vector} bytes of parameters each"
        expected = f"two or more of each, at most {MAX_SAMPLES} samples and {MAX_VECTOR} bytes"
        raise MeasurementFileError(path, got=got, expected=expected, remedy="cut the collection into shorter ones")


def _complex(signal: np.ndarray) -> np.ndarray:
    if signal.dtype.names is None:
        return signal.astype(np.complex64)
    return (signal["real"].astype(np.float32) + 1j * signal["imag"].astype(np.float32)).astype(np.complex64)


def _named(root: lxml.etree._Element, path: str, name: str) -> lxml.etree._Element:
    """Return the element at ``path`` whose Identifier is ``name``."""
    for element in root.findall(_any(path)):
        if element.findtext("{*}Identifier") == name:
            return element
    raise ValueError(f"no {path} with the identifier {quote(name)}")


def _any(path: str) -> str:
    return "/".join(f"{{*}}{part}" for part in path.split("/"))


def text_at(node: lxml.etree._Element, path: str) -> str:
    """Return the text of an element below ``node``; raises ValueError where there is none."""
    found = node.findtext(_any(path))
    if found is None:
        raise ValueError(f"no element {path}")
    return found.strip()


def whole_at(node: lxml.etree._Element, path: str) -> int:
    """Return the whole number of an element, not negative."""
    value = int(text_at(node, path))
    if value < 0:
        raise ValueError(f"{path} = {value} is negative")
    return value


def vector_at(node: lxml.etree._Element, path: str) -> np.ndarray:
    """Return the X, Y, Z of an element, (3,)."""
    return np.array([float(text_at(node, f"{path}/{axis}")) for axis in "XYZ"])
