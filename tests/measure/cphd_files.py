"""CPHD files written with sarkit alone, not by echoform: the echo of a few point targets in either signal domain.

    FX:   S[p, n] = sum_j a_j exp(i SGN 2 pi f_pn dTOA_pj)
    TOA:  s[p, m] = sum_j a_j sinc(B_p (t_pm - dTOA_pj)) exp(i SGN 2 pi f_c dTOA_pj)

with a_j conjugated where SGN = +1, as all of the signal is. Frequencies and bands may change from pulse to pulse. Geodesy is
sarkit's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import lxml.etree
import numpy as np
import sarkit.cphd as skcphd
import sarkit.wgs84

C = 299792458.0
NAMESPACE = "http://api.nsgreg.nga.mil/schema/cphd/1.1.0"
LATITUDE_DEG, LONGITUDE_DEG, HEIGHT_M = 48.2, 16.4, 170.0
PULSES, SAMPLES = 60, 160
CENTRE_HZ, BAND_HZ = 9.6e9, 300e6
RANGE_M, ELEVATION_RAD, APERTURE_RAD, INTERVAL_S = 20e3, np.radians(35), np.radians(3), 0.02
PIXELS, PIXEL_M = 64, 0.25
HALF_M = PIXELS * PIXEL_M / 2
_VECTOR, _PLAIN = "X=F8;Y=F8;Z=F8;", "F8"
_NAMES = {
    "TxTime": _PLAIN,
    "TxPos": _VECTOR,
    "TxVel": _VECTOR,
    "RcvTime": _PLAIN,
    "RcvPos": _VECTOR,
    "RcvVel": _VECTOR,
    "SRPPos": _VECTOR,
    "AmpSF": _PLAIN,
    "aFDOP": _PLAIN,
    "aFRR1": _PLAIN,
    "aFRR2": _PLAIN,
    "FX1": _PLAIN,
    "FX2": _PLAIN,
    "TOA1": _PLAIN,
    "TOA2": _PLAIN,
    "TDTropoSRP": _PLAIN,
    "SC0": _PLAIN,
    "SCSS": _PLAIN,
}


@dataclass(frozen=True)
class Target:
    """A point at (east, north), metres from the scene centre on its tangent plane."""

    east_m: float
    north_m: float
    amplitude: complex = 1.0


@dataclass(frozen=True)
class Form:
    """How the same echoes are stored."""

    domain: str = "FX"
    sign: int = -1
    hopping: bool = False
    scaled: bool = False


def frame() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Scene centre and unit vectors east, north and up, Earth-fixed."""
    place = np.array([LATITUDE_DEG, LONGITUDE_DEG, HEIGHT_M])
    east, north, up = (f(place) for f in (sarkit.wgs84.east, sarkit.wgs84.north, sarkit.wgs84.up))
    return sarkit.wgs84.geodetic_to_cartesian(place), east, north, up


def bands(form: Form) -> tuple[np.ndarray, np.ndarray]:
    """First and last frequency of each pulse; hopping ones change by tens of megahertz and a few per cent in width."""
    rng = np.random.default_rng(5)
    middle, width = np.full(PULSES, CENTRE_HZ), np.full(PULSES, BAND_HZ)
    if form.hopping:
        middle, width = middle + rng.uniform(-40e6, 40e6, PULSES), width * rng.uniform(0.9, 1.0, PULSES)
    return middle - width / 2, middle + width / 2


def write(path: Path, targets: list[Target], form: Form) -> Path:
    """Write a CPHD file of point targets by sarkit alone."""
    centre, east, north, up = frame()
    angle = np.radians(20) + APERTURE_RAD * (np.arange(PULSES) / (PULSES - 1) - 0.5)
    flat = RANGE_M * np.cos(ELEVATION_RAD)
    antenna = centre + flat * (np.cos(angle)[:, None] * east + np.sin(angle)[:, None] * north)
    antenna = antenna + RANGE_M * np.sin(ELEVATION_RAD) * up
    low, high = bands(form)
    if form.domain == "FX":
        start, step = low, (high - low) / (SAMPLES - 1)
        swath = 0.4 / step.max()
    else:
        step = 1 / (1.25 * (high - low))
        start, swath = -SAMPLES // 2 * step, 0.45 * SAMPLES * step.min()
    coordinate = start[:, None] + step[:, None] * np.arange(SAMPLES)
    signal = np.zeros((PULSES, SAMPLES), dtype=np.complex128)
    for target in targets:
        position = centre + target.east_m * east + target.north_m * north
        delay = 2 / C * (np.linalg.norm(antenna - position, axis=1) - np.linalg.norm(antenna - centre, axis=1))[:, None]
        amplitude = np.conj(target.amplitude) if form.sign > 0 else target.amplitude
        if form.domain == "FX":
            signal += amplitude * np.exp(2j * np.pi * form.sign * coordinate * delay)
        else:
            middle, width = ((low + high) / 2)[:, None], (high - low)[:, None]
            peak = np.exp(2j * np.pi * form.sign * middle * delay)
            signal += amplitude * np.sinc(width * (coordinate - delay)) * peak
    scale = np.linspace(0.5, 2, PULSES) if form.scaled else np.ones(PULSES)
    tree = _tree(form, (float(low.min()), float(high.max())), float(swath))
    vectors = np.zeros(PULSES, dtype=skcphd.get_pvp_dtype(tree))
    vectors["TxTime"] = INTERVAL_S * np.arange(PULSES)
    vectors["RcvTime"] = vectors["TxTime"] + 2 * RANGE_M / C
    for name in ("Tx", "Rcv"):
        vectors[f"{name}Pos"], vectors[f"{name}Vel"] = antenna, np.gradient(antenna, INTERVAL_S, axis=0)
    vectors["SRPPos"], vectors["AmpSF"] = centre, scale
    vectors["FX1"], vectors["FX2"], vectors["TOA1"], vectors["TOA2"] = low, high, -swath, swath
    vectors["SC0"], vectors["SCSS"] = start, step
    skcphd.ElementWrapper(tree.getroot())["ReferenceGeometry"] = skcphd.compute_reference_geometry(tree, vectors)
    with path.open("wb") as stream, skcphd.Writer(stream, skcphd.Metadata(xmltree=tree)) as writer:
        writer.write_signal("one", (signal / scale[:, None]).astype(np.complex64))
        writer.write_pvp("one", vectors)
    return path


def _tree(form: Form, band: tuple[float, float], swath: float) -> lxml.etree._ElementTree:
    centre, east, north, _ = frame()
    root = lxml.etree.Element(f"{{{NAMESPACE}}}CPHD", nsmap={None: NAMESPACE})
    offset, layout = 0, {}
    for name, kind in _NAMES.items():
        size = 3 if kind == _VECTOR else 1
        layout[name] = {"Offset": offset, "Size": size, "dtype": skcphd.binary_format_string_to_dtype(kind)}
        offset += size
    corners = [(-HALF_M, HALF_M), (HALF_M, HALF_M), (HALF_M, -HALF_M), (-HALF_M, -HALF_M)]
    ground = np.array([centre + x * east + y * north for x, y in corners])
    reference = [INTERVAL_S * p + RANGE_M / C for p in (0, PULSES - 1)]
    channel = {
        "Identifier": "one",
        "RefVectorIndex": PULSES // 2,
        "FXFixed": not form.hopping,
        "TOAFixed": True,
        "SRPFixed": True,
        "Polarization": {"TxPol": "V", "RcvPol": "V"},
        "FxC": sum(band) / 2,
        "FxBW": band[1] - band[0],
        "TOASaved": 2 * swath,
        "DwellTimes": {"CODId": "c", "DwellId": "d"},
    }
    sections = {
        "CollectionID": {
            "CollectorName": "made up",
            "CoreName": "points",
            "CollectType": "MONOSTATIC",
            "RadarMode": {"ModeType": "SPOTLIGHT"},
            "Classification": "UNCLASSIFIED",
            "ReleaseInfo": "none",
        },
        "Global": {
            "DomainType": form.domain,
            "SGN": form.sign,
            "Timeline": {
                "CollectionStart": datetime(2020, 1, 1, tzinfo=UTC),
                "TxTime1": 0.0,
                "TxTime2": INTERVAL_S * (PULSES - 1),
            },
            "FxBand": {"FxMin": band[0], "FxMax": band[1]},
            "TOASwath": {"TOAMin": -swath, "TOAMax": swath},
        },
        "SceneCoordinates": {
            "EarthModel": "WGS_84",
            "IARP": {"ECF": centre, "LLH": np.array([LATITUDE_DEG, LONGITUDE_DEG, HEIGHT_M])},
            "ReferenceSurface": {"Planar": {"uIAX": east, "uIAY": north}},
            "ImageArea": {"X1Y1": [-HALF_M, -HALF_M], "X2Y2": [HALF_M, HALF_M]},
            "ImageAreaCornerPoints": sarkit.wgs84.cartesian_to_geodetic(ground)[:, :2],
            "ImageGrid": {
                "IARPLocation": [PIXELS // 2, PIXELS // 2],
                "IAXExtent": {"LineSpacing": PIXEL_M, "FirstLine": 0, "NumLines": PIXELS},
                "IAYExtent": {"SampleSpacing": PIXEL_M, "FirstSample": 0, "NumSamples": PIXELS},
            },
        },
        "Data": {
            "SignalArrayFormat": "CF8",
            "NumBytesPVP": 8 * offset,
            "NumCPHDChannels": 1,
            "Channel": [
                {
                    "Identifier": "one",
                    "NumVectors": PULSES,
                    "NumSamples": SAMPLES,
                    "SignalArrayByteOffset": 0,
                    "PVPArrayByteOffset": 0,
                }
            ],
            "NumSupportArrays": 0,
        },
        "Channel": {
            "RefChId": "one",
            "FXFixedCPHD": not form.hopping,
            "TOAFixedCPHD": True,
            "SRPFixedCPHD": True,
            "Parameters": [channel],
        },
        "PVP": layout,
        "Dwell": {
            "NumCODTimes": 1,
            "CODTime": [{"Identifier": "c", "CODTimePoly": np.array([[sum(reference) / 2]])}],
            "NumDwellTimes": 1,
            "DwellTime": [{"Identifier": "d", "DwellTimePoly": np.array([[reference[1] - reference[0]]])}],
        },
    }
    skcphd.ElementWrapper(root).from_dict(sections)
    return lxml.etree.ElementTree(root)
