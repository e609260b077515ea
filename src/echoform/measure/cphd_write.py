"""Writing spotlight phase history as CPHD 1.1.0, the compensated phase history standard, through sarkit.

    S[p, n] = sum_j x_j exp(-i 2 pi f_pn dTOA_pj),     dTOA_pj = (|t_p - r_j| + |g_p - r_j| - |t_p| - |g_p|) / c

with transmitter t_p and receiver g_p (Global/SGN = -1, domain FX), which is echoform's own sign (docs/conventions.md), so
samples are written as they stand, in single precision (CF8). Frequencies are uniform within a pulse and may change from pulse
to pulse. Positions go to Earth-fixed coordinates by the East-North-Up frame of the history's place; the scene centre is both IARP
and SRP, the image area plane is east (IAX) and north (IAY), and the image grid is stored as lines along IAX and samples along
IAY. Antennas rest from pulse to echo (stop and go). Times are nominal (:mod:`echoform.measure.track`) and say so. The noise level
goes to NoiseLevel/PNRef = sigma^2. A CPHD file can mark missing pulses (SIGNAL = 0), not missing samples.

Source: NGA.STND.0068-1, CPHD Design & Implementation Description 1.1.0, sections 2, 6 and 11.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import lxml.etree
import numpy as np
import sarkit.cphd as skcphd

from echoform import __version__
from echoform.measure.atomic import atomic_path
from echoform.measure.earth import Place, latitude_longitude_deg
from echoform.measure.phase_history import PhaseHistory
from echoform.measure.track import NOMINAL_START, NOMINAL_TIMES, nominal_interval_s
from echoform.physics.spotlight_spherical import uniform_grid
from echoform.scene.collection import SPEED_OF_LIGHT_M_S
from echoform.scene.grid import Grid

NAMESPACE = "http://api.nsgreg.nga.mil/schema/cphd/1.1.0"
CHANNEL = "1"
#: half the stated swath of delays, as a share of the unambiguous one: oversampling of 1.25, the standard wants 1.2
SWATH = 0.4
_WORDS = {"F8": 1, "I8": 1, "X=F8;Y=F8;Z=F8;": 3}
_PARAMETERS = {
    "TxTime": "F8",
    "TxPos": "X=F8;Y=F8;Z=F8;",
    "TxVel": "X=F8;Y=F8;Z=F8;",
    "RcvTime": "F8",
    "RcvPos": "X=F8;Y=F8;Z=F8;",
    "RcvVel": "X=F8;Y=F8;Z=F8;",
    "SRPPos": "X=F8;Y=F8;Z=F8;",
    "aFDOP": "F8",
    "aFRR1": "F8",
    "aFRR2": "F8",
    "FX1": "F8",
    "FX2": "F8",
    "TOA1": "F8",
    "TOA2": "F8",
    "TDTropoSRP": "F8",
    "SC0": "F8",
    "SCSS": "F8",
    "SIGNAL": "I8",
}


@dataclass(frozen=True)
class _Content:
    """What is written, as plain arrays."""

    place: Place
    grid: Grid
    interval_s: float
    transmitter_m: np.ndarray  # Earth-fixed, (P, 3)
    receiver_m: np.ndarray  # Earth-fixed, (P, 3)
    range_m: np.ndarray  # half the path over the scene centre, (P,)
    bistatic: bool
    heard: np.ndarray
    first_hz: np.ndarray  # (P,), as last_hz
    last_hz: np.ndarray
    frequencies: int
    sigma: float | None
    title: str

    @property
    def step_hz(self) -> np.ndarray:
        return (self.last_hz - self.first_hz) / (self.frequencies - 1)

    @property
    def toa_s(self) -> float:
        return SWATH / float(self.step_hz.max())

    def band_hz(self) -> tuple[float, float]:
        """Return the lowest and the highest frequency of all pulses."""
        return float(self.first_hz.min()), float(self.last_hz.max())

    def one_band(self) -> bool:
        """Return whether all pulses share their band."""
        return bool(np.ptp(self.first_hz) == 0 and np.ptp(self.last_hz) == 0)

    def sent_s(self) -> np.ndarray:
        """Return when each pulse is sent."""
        return self.interval_s * np.arange(len(self.range_m))

    def back_s(self) -> np.ndarray:
        """Return when each echo of the scene centre is back."""
        return self.sent_s() + 2 * self.range_m / SPEED_OF_LIGHT_M_S


def write_cphd(history: PhaseHistory, path: Path, *, grid: Grid) -> None:
    """Write a phase history as a CPHD 1.1.0 file; the name appears only when the file is complete.

    Args:
        history: one scene; its ``place`` says where the scene centre stands.
        path: file to write.
        grid: image area and image grid stated in the file.

    Raises:
        ValueError: no place is stated, the frequencies of a pulse are not uniform and rising, samples are missing within a
            pulse, or the antenna does not move.
        OutputError: the file cannot be written there.
    """
    content, signal = _content(history, grid)
    tree = _metadata(content)
    vectors = _vectors(content, tree)
    skcphd.ElementWrapper(tree.getroot())["ReferenceGeometry"] = skcphd.compute_reference_geometry(tree, vectors)
    parts = skcphd.Metadata(xmltree=tree)
    with atomic_path(path) as part, part.open("wb") as stream, skcphd.Writer(stream, parts) as writer:
        writer.write_signal(CHANNEL, signal)
        writer.write_pvp(CHANNEL, vectors)


def _content(history: PhaseHistory, grid: Grid) -> tuple[_Content, np.ndarray]:
    collection = history.collection
    if history.place is None:
        raise ValueError("a CPHD file needs the place of the scene centre on the Earth: state latitude and longitude")
    kept = collection.kept[0].cpu().numpy() != 0
    if bool((kept.any(-1) != kept.all(-1)).any()):
        raise ValueError("samples are missing within a pulse; a CPHD file can mark only whole pulses as missing")
    frequency_hz = collection.frequencies()[0].cpu().double().expand(len(kept), -1)
    _, step_hz = uniform_grid(frequency_hz)
    if not float(step_hz.min()) > 0 or not float(frequency_hz.min()) > 0:
        raise ValueError(f"frequencies must be positive and rising, got steps of {float(step_hz.min()):g} Hz")
    receiver = collection.antenna_m if collection.receiver_m is None else collection.receiver_m
    local_m = [v[0].detach().cpu().double().numpy() for v in (collection.antenna_m, receiver)]
    range_m = np.stack([np.linalg.norm(v, axis=-1) for v in local_m]).mean(0)
    transmitter_m, receiver_m = (history.place.to_earth(v) for v in local_m)
    signal = history.samples[0, 0].detach().cpu().resolve_conj().numpy() * kept
    with np.errstate(over="ignore"):
        signal = signal.astype(np.complex64)
    if not np.isfinite(signal).all():
        raise ValueError("a sample is beyond single precision, which is all a CPHD file holds")
    content = _Content(
        place=history.place,
        grid=grid,
        interval_s=nominal_interval_s((transmitter_m, receiver_m), range_m),
        transmitter_m=transmitter_m,
        receiver_m=receiver_m,
        range_m=range_m,
        bistatic=collection.receiver_m is not None,
        heard=kept.all(-1),
        first_hz=frequency_hz[:, 0].numpy(),
        last_hz=frequency_hz[:, -1].numpy(),
        frequencies=frequency_hz.shape[1],
        sigma=history.sigma,
        title=history.title or "echoform",
    )
    return content, signal


def _vectors(content: _Content, tree: lxml.etree._ElementTree) -> np.ndarray:
    """Return the per-vector parameters; the advisory aFDOP, aFRR1 and aFRR2 stay zero, as the standard allows."""
    values = np.zeros(len(content.range_m), dtype=skcphd.get_pvp_dtype(tree))
    values["TxTime"], values["RcvTime"] = content.sent_s(), content.back_s()
    for side, position_m in (("Tx", content.transmitter_m), ("Rcv", content.receiver_m)):
        values[f"{side}Pos"], values[f"{side}Vel"] = position_m, np.gradient(position_m, content.interval_s, axis=0)
    values["SRPPos"] = content.place.origin_m()
    values["FX1"], values["FX2"] = content.first_hz, content.last_hz
    values["SC0"], values["SCSS"] = content.first_hz, content.step_hz
    values["TOA1"], values["TOA2"] = -content.toa_s, content.toa_s
    values["SIGNAL"] = content.heard
    return values


def _metadata(content: _Content) -> lxml.etree._ElementTree:
    """Return the XML of the file, all but ReferenceGeometry."""
    root = lxml.etree.Element(f"{{{NAMESPACE}}}CPHD", nsmap={None: NAMESPACE})
    tree = lxml.etree.ElementTree(root)
    first, last = content.band_hz()
    sent, reference = content.sent_s(), (content.sent_s() + content.back_s()) / 2
    parameters, layout = _layout()
    sections = {
        "CollectionID": {
            "CollectorName": "not stated",
            "CoreName": content.title,
            "CollectType": "BISTATIC" if content.bistatic else "MONOSTATIC",
            "RadarMode": {"ModeType": "SPOTLIGHT"},
            "Classification": "UNCLASSIFIED",
            "ReleaseInfo": "not stated",
        },
        "Global": {
            "DomainType": "FX",
            "SGN": -1,
            "Timeline": {
                "CollectionStart": NOMINAL_START,
                "TxTime1": sent[0],
                "TxTime2": sent[-1],
            },
            "FxBand": {"FxMin": first, "FxMax": last},
            "TOASwath": {"TOAMin": -content.toa_s, "TOAMax": content.toa_s},
        },
        "SceneCoordinates": _scene(content),
        "Data": {
            "SignalArrayFormat": "CF8",
            "NumBytesPVP": parameters,
            "NumCPHDChannels": 1,
            "Channel": [
                {
                    "Identifier": CHANNEL,
                    "NumVectors": len(content.range_m),
                    "NumSamples": content.frequencies,
                    "SignalArrayByteOffset": 0,
                    "PVPArrayByteOffset": 0,
                }
            ],
            "NumSupportArrays": 0,
        },
        "Channel": _channel(content),
        "PVP": layout,
        "Dwell": {
            "NumCODTimes": 1,
            "CODTime": [{"Identifier": "COD", "CODTimePoly": np.array([[(reference[0] + reference[-1]) / 2]])}],
            "NumDwellTimes": 1,
            "DwellTime": [{"Identifier": "Dwell", "DwellTimePoly": np.array([[reference[-1] - reference[0]]])}],
        },
        "ProductInfo": {
            "CreationInfo": [{"Application": f"echoform {__version__}", "DateTime": NOMINAL_START}],
            "Parameter": [("times", NOMINAL_TIMES)],
        },
    }
    skcphd.ElementWrapper(root).from_dict(sections)
    return tree


def _layout() -> tuple[int, dict[str, dict[str, object]]]:
    """Return the bytes of one vector's parameters and where each stands, in words of eight bytes."""
    offset, layout = 0, {}
    for name, form in _PARAMETERS.items():
        dtype = skcphd.binary_format_string_to_dtype(form)
        layout[name] = {"Offset": offset, "Size": _WORDS[form], "dtype": dtype}
        offset += _WORDS[form]
    return 8 * offset, layout


def _scene(content: _Content) -> dict[str, object]:
    place, (left, right, bottom, top) = content.place, content.grid.extent_m()
    east, north, _ = place.axes()
    (height, width), (dy, dx) = content.grid.shape, content.grid.spacing_m
    corners = np.array([(left, top, 0), (right, top, 0), (right, bottom, 0), (left, bottom, 0)])  # clockwise
    return {
        "EarthModel": "WGS_84",
        "IARP": {"ECF": place.origin_m(), "LLH": place.latlonhae()},
        "ReferenceSurface": {"Planar": {"uIAX": east, "uIAY": north}},
        "ImageArea": {"X1Y1": [left, bottom], "X2Y2": [right, top]},
        "ImageAreaCornerPoints": latitude_longitude_deg(place.to_earth(corners)),
        "ImageGrid": {
            "IARPLocation": [width // 2, height // 2],
            "IAXExtent": {"LineSpacing": dx, "FirstLine": 0, "NumLines": width},
            "IAYExtent": {"SampleSpacing": dy, "FirstSample": 0, "NumSamples": height},
        },
    }


def _channel(content: _Content) -> dict[str, object]:
    first, last = content.band_hz()
    parameters = {
        "Identifier": CHANNEL,
        "RefVectorIndex": len(content.range_m) // 2,
        "FXFixed": content.one_band(),
        "TOAFixed": True,
        "SRPFixed": True,
        "SignalNormal": bool(content.heard.all()),
        "Polarization": {"TxPol": "UNSPECIFIED", "RcvPol": "UNSPECIFIED"},
        "FxC": (first + last) / 2,
        "FxBW": last - first,
        "TOASaved": 2 * content.toa_s,
        "DwellTimes": {"CODId": "COD", "DwellId": "Dwell"},
    }
    if content.sigma is not None:
        parameters["NoiseLevel"] = {"PNRef": content.sigma**2, "BNRef": 1.0}
    return {
        "RefChId": CHANNEL,
        "FXFixedCPHD": content.one_band(),
        "TOAFixedCPHD": True,
        "SRPFixedCPHD": True,
        "Parameters": [parameters],
    }
