"""Writing a complex image as SICD 1.3.0 (NITF, pixels RE32F_IM32F) through sarkit.

The image stands on the ground plane of the collection's place: Grid/ImagePlane GROUND, Type PLANE, the image's own pixels
with the axes turned by quarters so that shadows fall downwards and the normal points up, as the standard wants; pixel (H //
2, W // 2) is the SCP. With k' = -K / 2 pi, K echoform's wavenumber (docs/conventions.md), samples are sum_j x_j exp(-i 2 pi
k' . r_j): Sgn = -1; the image carries the phase reference exp(i k_c . r), so zero frequency of the array is KCtr = -k_c / 2
pi along each axis, and the support of k' - KCtr gives DeltaKCOAPoly (its middle, a constant), ImpRespBW and DeltaK1, DeltaK2.
ImpRespWid is 0.8859 / ImpRespBW, the uniform window's; no window is claimed, for the method may not be linear. The antenna's
path is a polynomial of time, which is nominal (:mod:`echoform.measure.track`). ImageFormAlgo is OTHER and names the method.

Positions: an image of the plane-wave operator shows a scatterer at its polar-format position, off by about |r|^2 / 2R.

Source: NGA.STND.0024-1, SICD Design & Implementation Description 1.3.0, sections 3 and 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lxml.etree
import numpy as np
import sarkit.sicd as sksicd
from numpy.polynomial import Polynomial
from torch import Tensor

from echoform import __version__
from echoform.measure.atomic import atomic_path
from echoform.measure.earth import Place, latitude_longitude_deg
from echoform.measure.measurement import Metadata
from echoform.measure.track import NOMINAL_START, NOMINAL_TIMES, nominal_interval_s
from echoform.scene.collection import SpotlightCollection
from echoform.scene.grid import Grid

NAMESPACE = "urn:SICD:1.3.0"
#: -3 dB width of the uniform window's response times its bandwidth
WIDTH_BANDWIDTH = 0.8859
#: degree of the antenna's path as a polynomial of time, and how far it may miss a position, metres
PATH_DEGREE, PATH_TOLERANCE_M = 5, 1.0


def write_sicd(image: Tensor, path: Path, *, metadata: Metadata, method: str) -> None:
    """Write an image as a SICD file; the name appears only when the file is complete.

    Args:
        image: x, shape (H, W), complex.
        path: file to write.
        metadata: the measurement's; its grid, collection and place say where the pixels stand and what they resolve.
        method: how the image was formed, a few words.

    Raises:
        ValueError: the grid, the collection or the place is not stated, the image does not fit the grid, the radar is bistatic,
            or the antenna's path is no smooth curve.
        OutputError: the file cannot be written there.
    """
    grid, collection, place = sicd_ground(metadata)
    if tuple(image.shape) != grid.shape:
        raise ValueError(f"the image must have the grid's shape {grid.shape}, got {tuple(image.shape)}")
    with np.errstate(over="ignore"):
        pixels = image.detach().cpu().resolve_conj().numpy().astype(np.complex64)
    if not np.isfinite(pixels).all():
        raise ValueError("the image holds NaN, Inf or values beyond single precision")
    facing = _facing(collection)
    tree = _metadata(grid, collection, place, facing, metadata.title or "echoform", method)
    security = sksicd.NitfSecurityFields(clas="U")
    parts = sksicd.NitfMetadata(
        xmltree=tree,
        file_header_part=sksicd.NitfFileHeaderPart(ostaid="echoform", security=security),
        im_subheader_part=sksicd.NitfImSubheaderPart(isorce="echoform", security=security),
        de_subheader_part=sksicd.NitfDeSubheaderPart(security=security),
    )
    with atomic_path(path) as part, part.open("wb") as stream, sksicd.NitfWriter(stream, parts) as writer:
        writer.write_image(np.ascontiguousarray(facing.turned(pixels)))


def sicd_ground(metadata: Metadata) -> tuple[Grid, SpotlightCollection, Place]:
    """Return grid, collection and place of a measurement.

    Raises:
        ValueError: one is not stated, or the collection is bistatic.
    """
    grid, collection, place = metadata.grid, metadata.collection, metadata.place
    if grid is None or collection is None or place is None:
        missing = "pixel size" if grid is None else "antenna positions" if collection is None else "place on the Earth"
        raise ValueError(f"a SICD file needs the measurement's {missing}, which it does not state")
    if collection.receiver_m is not None:
        raise ValueError("a SICD file of a bistatic collection is not supported")
    return grid, collection, place


@dataclass(frozen=True)
class _Facing:
    """Which way the rows of the file go: ``row`` and ``column`` are unit vectors (east, north), row x column = up."""

    row: tuple[int, int]

    @property
    def column(self) -> tuple[int, int]:
        return (-self.row[1], self.row[0])

    def turned(self, image: np.ndarray) -> np.ndarray:
        """Return an image (north, east) in the file's axes."""
        if self.row[0] != 0:
            image = image.T
        return image[:: sum(self.row), :: sum(self.column)]

    def index(self, row: int, column: int, shape: tuple[int, int]) -> tuple[int, int]:
        """Return where the pixel (row, column) of an image stands in the file."""
        marks = np.zeros(shape, dtype=bool)
        marks[row, column] = True
        there = np.argwhere(self.turned(marks))[0]
        return int(there[0]), int(there[1])


def _facing(collection: SpotlightCollection) -> _Facing:
    """Return the axes in which the line of sight falls most nearly along the rows."""
    east, north = (float(v) for v in -collection.look()[0, collection.antenna_m.shape[1] // 2, :2])
    if abs(east) > abs(north):
        return _Facing((1 if east > 0 else -1, 0))
    return _Facing((0, 1 if north > 0 else -1))


def _metadata(
    grid: Grid, collection: SpotlightCollection, place: Place, facing: _Facing, title: str, method: str
) -> lxml.etree._ElementTree:
    """Return the XML of the file."""
    root = lxml.etree.Element(f"{{{NAMESPACE}}}SICD", nsmap={None: NAMESPACE})
    tree = lxml.etree.ElementTree(root)
    sections = _description(title) | _image(grid, place, facing) | _collection(collection, place, method)
    axes = {name: _axis(axis, grid, collection, place) for name, axis in (("Row", facing.row), ("Col", facing.column))}
    duration_s = sections["Timeline"]["CollectDuration"]
    sections["Grid"] = {"ImagePlane": "GROUND", "Type": "PLANE", "TimeCOAPoly": np.array([[duration_s / 2]]), **axes}
    sksicd.ElementWrapper(root).from_dict(sections)
    sksicd.ElementWrapper(root)["SCPCOA"] = sksicd.compute_scp_coa(tree)
    return tree


def _description(title: str) -> dict[str, dict[str, Any]]:
    """Return who collected and who formed the image."""
    return {
        "CollectionInfo": {
            "CollectorName": "not stated",
            "CoreName": title,
            "CollectType": "MONOSTATIC",
            "RadarMode": {"ModeType": "SPOTLIGHT"},
            "Classification": "UNCLASSIFIED",
            "Parameter": [("times", NOMINAL_TIMES)],
        },
        "ImageCreation": {"Application": f"echoform {__version__}", "DateTime": NOMINAL_START},
    }


def _image(grid: Grid, place: Place, facing: _Facing) -> dict[str, dict[str, Any]]:
    """Return the pixels and where they stand on the Earth."""
    rows, columns = facing.turned(np.empty(grid.shape, dtype=bool)).shape
    return {
        "ImageData": {
            "PixelType": "RE32F_IM32F",
            "NumRows": rows,
            "NumCols": columns,
            "FirstRow": 0,
            "FirstCol": 0,
            "FullImage": {"NumRows": rows, "NumCols": columns},
            "SCPPixel": facing.index(grid.shape[0] // 2, grid.shape[1] // 2, grid.shape),
        },
        "GeoData": {
            "EarthModel": "WGS_84",
            "SCP": {"ECF": place.origin_m(), "LLH": place.latlonhae()},
            "ImageCorners": latitude_longitude_deg(place.to_earth(_corners(grid, facing))),
        },
    }


def _collection(collection: SpotlightCollection, place: Place, method: str) -> dict[str, dict[str, Any]]:
    """Return the antenna's path, its times, the band and how the image was formed."""
    path, duration_s = _path(collection, place)
    low_hz, high_hz = float(collection.frequency_hz.min()), float(collection.frequency_hz.max())
    polarisation = "UNKNOWN"
    return {
        "Timeline": {"CollectStart": NOMINAL_START, "CollectDuration": duration_s},
        "Position": {"ARPPoly": path},
        "RadarCollection": {
            "TxFrequency": {"Min": low_hz, "Max": high_hz},
            "TxPolarization": polarisation,
            "RcvChannels": {"@size": 1, "ChanParameters": [{"@index": 1, "TxRcvPolarization": polarisation}]},
        },
        "ImageFormation": {
            "RcvChanProc": {"NumChanProc": 1, "ChanIndex": [1]},
            "TxRcvPolarizationProc": polarisation,
            "TStartProc": 0.0,
            "TEndProc": duration_s,
            "TxFrequencyProc": {"MinProc": low_hz, "MaxProc": high_hz},
            "ImageFormAlgo": "OTHER",
            "STBeamComp": "NO",
            "ImageBeamComp": "NO",
            "AzAutofocus": "NO",
            "RgAutofocus": "NO",
            "Processing": [{"Type": method, "Applied": True}],
        },
    }


def _path(collection: SpotlightCollection, place: Place) -> tuple[np.ndarray, float]:
    """Return the coefficients (degree + 1, 3) of the antenna's Earth-fixed path in nominal time, and the duration."""
    local_m = collection.antenna_m[0].detach().cpu().double().numpy()
    earth_m = place.to_earth(local_m)
    step_s = nominal_interval_s((local_m,), np.linalg.norm(local_m, axis=-1))
    time_s = step_s * np.arange(len(earth_m))
    degree = min(PATH_DEGREE, len(earth_m) - 1)
    fits = [Polynomial.fit(time_s, earth_m[:, axis], degree) for axis in range(3)]
    miss_m = max(float(np.abs(fit(time_s) - earth_m[:, axis]).max()) for axis, fit in enumerate(fits))
    if miss_m > PATH_TOLERANCE_M:
        raise ValueError(
            f"the antenna's path departs by {miss_m:.3g} m from a polynomial of degree {degree}, SICD's description of it; "
            f"at most {PATH_TOLERANCE_M:g} m: write a shorter part of the collection"
        )
    return np.stack(
        [np.resize(np.append(fit.convert().coef, np.zeros(degree)), degree + 1) for fit in fits], -1
    ), time_s[-1]


def _axis(axis: tuple[int, int], grid: Grid, collection: SpotlightCollection, place: Place) -> dict[str, object]:
    """Return the direction parameters of an axis, a unit vector (east, north)."""
    spacing_m = grid.spacing_m[1] if axis[0] != 0 else grid.spacing_m[0]
    direction = np.array(axis, dtype=np.float64)
    carrier = collection.carrier()[0].cpu().numpy()
    heard = collection.kept[0].cpu().numpy() != 0
    offset = -(collection.wavenumber()[0].detach().cpu().numpy()[heard] - carrier) @ direction / (2 * np.pi)
    nyquist = 0.5 / spacing_m
    bandwidth = min(float(np.ptp(offset)), 2 * nyquist)
    middle = float(offset.max() + offset.min()) / 2
    low, high = middle - bandwidth / 2, middle + bandwidth / 2
    if low < -nyquist or high > nyquist:
        low, high = -nyquist, nyquist
    return {
        "UVectECF": direction @ place.axes()[:2],
        "SS": spacing_m,
        "ImpRespWid": WIDTH_BANDWIDTH / bandwidth,
        "Sgn": -1,
        "ImpRespBW": bandwidth,
        "KCtr": -float(carrier @ direction) / (2 * np.pi),
        "DeltaK1": low,
        "DeltaK2": high,
        "DeltaKCOAPoly": np.array([[middle]]),
    }


def _corners(grid: Grid, facing: _Facing) -> np.ndarray:
    """Return the centres of the file's corner pixels, (4, 3), metres: first row first column, then clockwise in the file."""
    position_m = grid.positions_m().numpy()
    rows = np.stack([facing.turned(position_m[..., axis]) for axis in range(3)], -1)
    return np.stack([rows[0, 0], rows[0, -1], rows[-1, -1], rows[-1, 0]])
