"""The ISMRMRD header, XML, which fastMRI files carry too: sizes of the encoded and of the reconstructed space.

The readout (x) is usually sampled twice as densely as the image needs, so that the encoded field of view is twice the
reconstructed one.

Source: Inati et al. (2017), Magnetic Resonance in Medicine 77, and the schema ismrmrd.xsd of the format.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from xml.etree import ElementTree

#: largest matrix side that is believed
MAX_SIDE = 2**14


@dataclass(frozen=True)
class Space:
    """A space of the header.

    Attributes:
        matrix: pixels along x (readout), y and z (phase encoding).
        field_of_view_mm: lengths along x, y and z, millimetres.
    """

    matrix: tuple[int, int, int]
    field_of_view_mm: tuple[float, float, float]


@dataclass(frozen=True)
class Encoding:
    """The first encoding of a header.

    Attributes:
        encoded: what was sampled.
        reconstructed: what the scanner makes of it.
        trajectory: such as ``cartesian``, or None when it is not said.
        centre_line: the number that zero frequency has among the lines, or None when it is not said.
    """

    encoded: Space
    reconstructed: Space
    trajectory: str | None
    centre_line: int | None

    def readout_pixels(self) -> int:
        """Return how many of the encoded pixels along the readout lie in the reconstructed field of view."""
        share = self.reconstructed.field_of_view_mm[0] / self.encoded.field_of_view_mm[0]
        return min(self.encoded.matrix[0], max(1, round(self.encoded.matrix[0] * share)))


def parse_header(header: bytes) -> Encoding:
    """Return the first encoding of a header; raises ValueError that says what is wrong with it."""
    if b"<!DOCTYPE" in header or b"<!ENTITY" in header:
        raise ValueError("it declares entities")
    try:
        root = ElementTree.fromstring(header)
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        raise ValueError(f"it is no XML ({error})") from error
    encoding = root.find("{*}encoding")
    if encoding is None:
        raise ValueError("it has no encoding")
    centre = encoding.find("{*}encodingLimits/{*}kspace_encoding_step_1/{*}center")
    trajectory = encoding.find("{*}trajectory")
    return Encoding(
        _space(encoding, "encodedSpace"),
        _space(encoding, "reconSpace"),
        None if trajectory is None else (trajectory.text or "").strip(),
        None if centre is None else _whole(centre.text),
    )


def _space(encoding: ElementTree.Element, name: str) -> Space:
    texts = [
        encoding.findtext(f"{{*}}{name}/{{*}}{group}/{{*}}{axis}")
        for group in ("matrixSize", "fieldOfView_mm")
        for axis in "xyz"
    ]
    sides = [_whole(text) for text in texts[:3]]
    try:
        lengths = [float(text or "") for text in texts[3:]]
    except ValueError as error:
        raise ValueError(f"its {name} lacks a field of view") from error
    if not all(1 <= side <= MAX_SIDE for side in sides) or not all(0 < v < math.inf for v in lengths):
        raise ValueError(f"its {name} has the matrix {sides} and the field of view {lengths} mm")
    return Space((sides[0], sides[1], sides[2]), (lengths[0], lengths[1], lengths[2]))


def _whole(text: str | None) -> int:
    word = (text or "").strip()
    if not (word.isascii() and word.isdigit() and len(word) < 8):
        raise ValueError("a size in it is no whole number")
    return int(word)
