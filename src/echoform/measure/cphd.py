"""Reading compensated phase history, CPHD 1.x, domain FX, through sarkit.

    S[p, n] = sum_j x_j exp(i SGN 2 pi f_n dTOA_pj),     f_n = SC0 + n SCSS,     dTOA_pj = (D_p(r_j) - D_p(s_p)) / c,

D_p(r) = |t_p - r| + |g_p - r| from transmitter t_p and receiver g_p, s_p the stabilisation reference point. Samples with SGN
= +1 are conjugated; echoform's sign is -1. The local frame is East-North-Up on the ellipsoid's tangent plane about the
reference vector's SRP; where the SRP moves, samples are moved to the common centre by exp(-i 2 pi f_n / c (D_p(s_p) -
D_p(0))). A transmitter and a receiver that differ only by the motion between pulse and echo are replaced by their midpoint,
where that is exact to 0.01 rad over the unambiguous range, and kept as a bistatic pair otherwise; frequencies must agree from
pulse to pulse to 1/1000 of their step. Vectors with SIGNAL other than 1 and samples outside FX1 to FX2 are missing. Samples
are scaled by AmpSF. The noise level is NoiseLevel/PNRef where stated (power per sample).

Every length is checked against the file's own size before memory is asked for; XML with a document type is refused.

Source: NGA.STND.0068-1, CPHD Design & Implementation Description 1.0.1 and 1.1.0.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import lxml.etree
import numpy as np
import sarkit.cphd as skcphd
import torch

from echoform.measure.earth import Place, place_at
from echoform.measure.errors import MeasurementFileError, quote
from echoform.measure.gotcha import FARTHEST_M, HIGHEST_HZ, to_range_reference
from echoform.measure.measurement import Measurement
from echoform.measure.phase_history import MAX_PIXELS, PhaseHistory, measurement_from
from echoform.measure.signature import FileKind, require
from echoform.scene.collection import SPEED_OF_LIGHT_M_S, SpotlightCollection
from echoform.scene.grid import Grid

#: most bytes of header, of XML, of one vector's parameters, and most samples of one channel
MAX_HEADER, MAX_XML, MAX_VECTOR, MAX_SAMPLES = 2**16, 2**24, 2**14, 2**27
#: largest departure of a pulse's frequencies from the first pulse's, as a share of their step
FREQUENCY_SHARE = 1e-3
#: largest phase by which transmitter and receiver may differ from one antenna at their midpoint, radians
MONOSTATIC_RAD = 0.01
#: largest departure of the file's image plane from the local frame, radians and metres
ALIGNED = 1e-7, 1e-3
DOWNLOAD = "copy or download the file again"
_POSITIONS = ("TxPos", "RcvPos", "SRPPos")
_SCALARS = ("SC0", "SCSS", "FX1", "FX2")
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


def read_cphd(path: Path) -> Measurement:
    """Return a CPHD file's reference channel as a measurement with the plane-wave operator.

    The grid is the file's ImageGrid where that is an east-north grid about the SRP, the unambiguous extent otherwise.

    Raises:
        MeasurementFileError: the file is not one, is damaged, holds what is not supported, or no image can be formed from it.
    """
    history, grid = read_cphd_history(path)
    try:
        return measurement_from(history, grid=grid)
    except ValueError as error:
        raise MeasurementFileError(
            path,
            got=f"a collection that cannot be imaged ({error})",
            expected="a spotlight collection",
            remedy=DOWNLOAD,
        ) from error


def read_cphd_history(path: Path) -> tuple[PhaseHistory, Grid | None]:
    """Return samples, collection and place of the reference channel, and the file's image grid where echoform can use it.

    Raises:
        MeasurementFileError: as for :func:`read_cphd`.
    """
    require(path, FileKind.CPHD)
    sizes = _block_sizes(path)
    try:
        with path.open("rb") as stream:
            channel = _read(path, skcphd.Reader(stream), sizes)
        return _history(channel)
    except _DAMAGE as error:
        got = f"damaged content ({type(error).__name__}: {error})"
        raise MeasurementFileError(path, got=got, expected="an intact CPHD 1.x file", remedy=DOWNLOAD) from error


@dataclass(frozen=True)
class _Channel:
    """The reference channel as stored."""

    path: Path
    root: lxml.etree._Element
    parameters: lxml.etree._Element
    signal: np.ndarray  # (P, F), complex64
    vectors: np.ndarray  # (P,), structured

    def wrong(self, name: str, got: str, expected: str, remedy: str = DOWNLOAD) -> MeasurementFileError:
        return MeasurementFileError(self.path, got=f"{name} {got}", expected=expected, remedy=remedy)


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


def _read(path: Path, reader: skcphd.Reader, sizes: dict[str, int]) -> _Channel:
    root = reader.metadata.xmltree.getroot()
    if lxml.etree.QName(root).namespace not in skcphd.VERSION_INFO:
        raise MeasurementFileError(
            path, got=f"root element {quote(str(root.tag))}", expected="CPHD 1.0.1 or 1.1.0", remedy=DOWNLOAD
        )
    domain = _text(root, "Global/DomainType")
    if domain != "FX":
        remedy = "transform the signal vectors to the frequency domain first"
        raise MeasurementFileError(path, got=f"signal domain {quote(domain)}", expected="domain FX", remedy=remedy)
    name = _text(root, "Channel/RefChId")
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
    return _Channel(path, root, _named(root, "Channel/Parameters", name), samples, vectors)


def _check_lengths(path: Path, root: lxml.etree._Element, data: lxml.etree._Element, sizes: dict[str, int]) -> None:
    """Refuse a channel that does not lie within its blocks, before anything is allocated."""
    pulses, samples = _whole(data, "NumVectors"), _whole(data, "NumSamples")
    bytes_each = skcphd.binary_format_string_to_dtype(_text(root, "Data/SignalArrayFormat")).itemsize
    vector = _whole(root, "Data/NumBytesPVP")
    for block, offset, length, limit in (
        ("signal", _whole(data, "SignalArrayByteOffset"), pulses * samples * bytes_each, sizes["SIGNAL"]),
        ("PVP", _whole(data, "PVPArrayByteOffset"), pulses * vector, sizes["PVP"]),
    ):
        if offset + length > limit:
            got = f"{pulses} x {samples} samples, {offset + length} bytes of {block}"
            raise MeasurementFileError(path, got=got, expected=f"at most the block's {limit}", remedy=DOWNLOAD)
    if min(pulses, samples) < 2 or pulses * samples > MAX_SAMPLES or not 0 < vector <= MAX_VECTOR:
        got = f"{pulses} pulses x {samples} samples, {vector} bytes of parameters each"
        expected = f"two or more of each, at most {MAX_SAMPLES} samples and {MAX_VECTOR} bytes"
        raise MeasurementFileError(path, got=got, expected=expected, remedy="cut the collection into shorter ones")


def _history(channel: _Channel) -> tuple[PhaseHistory, Grid | None]:
    heard = _heard(channel)
    frequency_hz, inside = _frequencies(channel, heard)
    transmitter_m, receiver_m, reference_m = (_positions(channel, name, heard) for name in _POSITIONS)
    centre = _whole(channel.parameters, "RefVectorIndex")
    if not 0 <= centre < len(heard) or not heard[centre]:
        centre = int(np.flatnonzero(heard)[0])
    place = place_at(reference_m[centre])
    sent_m, back_m, centre_m = (place.to_local(v) for v in (transmitter_m, receiver_m, reference_m))
    antenna_m, receiver_m = _antennas(channel, sent_m, back_m, frequency_hz)
    samples = channel.signal[:, inside.any(0)]
    kept = (heard[:, None] & inside)[:, inside.any(0)]
    frequency_hz = frequency_hz[inside.any(0)]
    if not np.isfinite(samples[kept]).all() or not np.any(samples[kept]):
        raise channel.wrong("the signal", "is not finite or nothing but zeros", "measured samples")
    samples = np.where(kept, samples if _sign(channel) < 0 else samples.conj(), 0)
    residual_m = _residual(channel, sent_m, back_m, centre_m, frequency_hz)
    if np.any(residual_m):
        samples = to_range_reference(samples, frequency_hz, residual_m)
    collection = SpotlightCollection(
        torch.from_numpy(antenna_m)[None],
        torch.from_numpy(frequency_hz)[None],
        torch.from_numpy(kept.astype(np.float64))[None],
        None if receiver_m is None else torch.from_numpy(receiver_m)[None],
    )
    history = PhaseHistory(
        collection,
        torch.from_numpy(samples)[None, None],
        title=f"CPHD, {_text(channel.root, 'CollectionID/CoreName')}",
        source=str(channel.path),
        sigma=_sigma(channel),
        place=place,
        notes=_notes(channel, heard, residual_m),
    )
    return history, _image_grid(channel, place)


def _heard(channel: _Channel) -> np.ndarray:
    """Return which vectors hold the echo of a pulse, (P,)."""
    names = channel.vectors.dtype.names or ()
    missing = [name for name in (*_POSITIONS, *_SCALARS) if name not in names]
    if missing:
        raise channel.wrong(
            "per-vector parameters", f"without {missing[0]}", f"all of {', '.join(_POSITIONS + _SCALARS)}"
        )
    heard = channel.vectors["SIGNAL"] == 1 if "SIGNAL" in names else np.ones(len(channel.vectors), dtype=bool)
    if heard.sum() < 2:
        raise channel.wrong("SIGNAL", f"= 1 for {heard.sum()} vectors", "two or more pulses with signal")
    return heard


def _frequencies(channel: _Channel, heard: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return f (F,) and which samples lie within FX1 to FX2, (P, F)."""
    start, step, low, high = (np.asarray(channel.vectors[name], dtype=np.float64) for name in _SCALARS)
    count = channel.signal.shape[1]
    for name, values in zip(_SCALARS, (start, step, low, high), strict=True):
        if not np.isfinite(values[heard]).all() or values[heard].min() <= 0 or values[heard].max() > HIGHEST_HZ:
            raise channel.wrong(name, "not finite, not positive or too large", f"0 to {HIGHEST_HZ:g} Hz")
    first = int(np.flatnonzero(heard)[0])
    off = np.abs(start - start[first]) + (count - 1) * np.abs(step - step[first])
    if off[heard].max() > FREQUENCY_SHARE * step[first]:
        remedy = "resample every pulse to the same frequencies first"
        got = f"differ by up to {off[heard].max():.4g} Hz from pulse to pulse"
        raise channel.wrong("SC0 and SCSS", got, f"at most {FREQUENCY_SHARE:g} of the step", remedy)
    frequency_hz = start[first] + step[first] * np.arange(count)
    margin = step[first] / 2
    inside = (frequency_hz >= low[:, None] - margin) & (frequency_hz <= high[:, None] + margin)
    if np.any(inside[heard], axis=0).sum() < 2:
        raise channel.wrong("FX1 to FX2", "holds fewer than two samples", "a band that the samples cover")
    inside[~heard] = False
    return frequency_hz, inside


def _positions(channel: _Channel, name: str, heard: np.ndarray) -> np.ndarray:
    """Return Earth-fixed positions (P, 3); those of vectors without signal may be NaN and are interpolated."""
    stored = np.asarray(channel.vectors[name], dtype=np.float64)
    if stored.shape != (len(heard), 3):
        raise channel.wrong(name, f"of shape {stored.shape}", f"({len(heard)}, 3)")
    if not np.isfinite(stored[heard]).all() or np.abs(stored[heard]).max() > FARTHEST_M:
        raise channel.wrong(name, "not finite or too far", f"positions within {FARTHEST_M:g} m")
    good = heard | (np.isfinite(stored).all(-1) & (np.abs(stored) < FARTHEST_M).all(-1))
    index = np.arange(len(heard))
    return np.stack([np.interp(index, index[good], stored[good, axis]) for axis in range(3)], -1)


def _antennas(
    channel: _Channel, transmitter_m: np.ndarray, receiver_m: np.ndarray, frequency_hz: np.ndarray
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the midpoints of transmitter and receiver, (P, 3), and None where they stand for both; the two otherwise."""
    middle_m = (transmitter_m + receiver_m) / 2
    distances = [np.linalg.norm(v, axis=-1) for v in (transmitter_m, receiver_m, middle_m)]
    if min(d.min() for d in distances) < 1:
        raise channel.wrong("TxPos and RcvPos", "within a metre of the SRP", "antennas away from the scene")
    radius_m = SPEED_OF_LIGHT_M_S / (4 * (frequency_hz[1] - frequency_hz[0]))
    angle = np.arange(8) * np.pi / 4
    rim_m = radius_m * np.stack([np.cos(angle), np.sin(angle), 0 * angle], -1)

    def delay_m(antenna_m: np.ndarray) -> np.ndarray:
        return np.linalg.norm(antenna_m[:, None] - rim_m, axis=-1) - np.linalg.norm(antenna_m, axis=-1)[:, None]

    error_m = (delay_m(transmitter_m) + delay_m(receiver_m)) / 2 - delay_m(middle_m)
    phase = 4 * np.pi * frequency_hz[-1] / SPEED_OF_LIGHT_M_S * np.abs(error_m).max()
    return (middle_m, None) if phase <= MONOSTATIC_RAD else (transmitter_m, receiver_m)


def _residual(
    channel: _Channel,
    transmitter_m: np.ndarray,
    receiver_m: np.ndarray,
    reference_m: np.ndarray,
    frequency_hz: np.ndarray,
) -> np.ndarray:
    """Return (D(s) - D(0)) / 2, the range of the reference point over that of the centre, (P,), metres; zeros where it rests."""
    if not np.any(np.abs(reference_m) > ALIGNED[1] * 1e-3):
        return np.zeros(len(reference_m))
    there, here = (
        (np.linalg.norm(transmitter_m - p, axis=-1) + np.linalg.norm(receiver_m - p, axis=-1)) / 2
        for p in (reference_m, np.zeros(3))
    )
    limit_m = SPEED_OF_LIGHT_M_S / (4 * (frequency_hz[1] - frequency_hz[0]))
    if np.abs(there - here).max() > limit_m:
        got = f"moves by up to {np.abs(there - here).max():.4g} m in range"
        raise channel.wrong(
            "SRPPos", got, f"at most {limit_m:.4g} m, half the range at which echoes repeat", "cut the strip"
        )
    return there - here


def _sign(channel: _Channel) -> int:
    sign = _text(channel.root, "Global/SGN")
    if sign not in ("+1", "-1"):
        raise channel.wrong("SGN", f"= {quote(sign)}", "+1 or -1")
    return int(sign)


def _sigma(channel: _Channel) -> float | None:
    stated = channel.parameters.findtext("{*}NoiseLevel/{*}PNRef")
    if stated is None:
        return None
    power = float(stated)
    if not 0 <= power < np.inf:
        raise channel.wrong("PNRef", f"= {power}", "a power that is not negative")
    return float(np.sqrt(power))


def _image_grid(channel: _Channel, place: Place) -> Grid | None:
    """Return the file's image grid where it is an east-north grid with its middle pixel on the centre."""
    scene = channel.root.find("{*}SceneCoordinates")
    if scene is None or scene.find("{*}ImageGrid") is None or scene.find("{*}ReferenceSurface/{*}Planar") is None:
        return None
    east, north, _ = place.axes()
    for name, axis in (("uIAX", east), ("uIAY", north)):
        if np.abs(_vector(scene, f"ReferenceSurface/Planar/{name}") - axis).max() > ALIGNED[0]:
            return None
    if np.abs(_vector(scene, "IARP/ECF") - place.origin_m()).max() > ALIGNED[1]:
        return None
    width, height = _whole(scene, "ImageGrid/IAXExtent/NumLines"), _whole(scene, "ImageGrid/IAYExtent/NumSamples")
    spacing_m = [float(_text(scene, f"ImageGrid/{n}")) for n in ("IAYExtent/SampleSpacing", "IAXExtent/LineSpacing")]
    line, sample = (float(_text(scene, f"ImageGrid/IARPLocation/{n}")) for n in ("Line", "Sample"))
    line -= _whole(scene, "ImageGrid/IAXExtent/FirstLine")
    sample -= _whole(scene, "ImageGrid/IAYExtent/FirstSample")
    centred = width > 1 and height > 1 and (line, sample) == (width // 2, height // 2)
    if not centred or width * height > MAX_PIXELS or not all(1e-6 < s < 1e6 for s in spacing_m):
        return None
    return Grid((height, width), (spacing_m[0], spacing_m[1]))


def _notes(channel: _Channel, heard: np.ndarray, residual_m: np.ndarray) -> dict[str, str]:
    root = channel.root
    version = skcphd.VERSION_INFO[lxml.etree.QName(root).namespace]["version"]
    channels = len(root.findall("{*}Data/{*}Channel"))
    moved = np.abs(residual_m).max()
    return {
        "file": f"CPHD {version}, reference channel of {channels}, SGN {_text(root, 'Global/SGN')}",
        "frame": "x east, y north on the ellipsoid's tangent plane at the SRP",
        "missing pulses": f"{(~heard).sum()} of {len(heard)} vectors hold no signal",
        "range reference": "the SRP rests" if moved == 0 else f"the SRP moves; phases moved by up to {moved:.4g} m",
    }


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


def _text(node: lxml.etree._Element, path: str) -> str:
    found = node.findtext(_any(path))
    if found is None:
        raise ValueError(f"no element {path}")
    return found.strip()


def _whole(node: lxml.etree._Element, path: str) -> int:
    value = int(_text(node, path))
    if value < 0:
        raise ValueError(f"{path} = {value} is negative")
    return value


def _vector(node: lxml.etree._Element, path: str) -> np.ndarray:
    return np.array([float(_text(node, f"{path}/{axis}")) for axis in "XYZ"])
