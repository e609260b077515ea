"""Reading compensated phase history, CPHD 1.x, domains FX and TOA, through sarkit.

    S[p, n] = sum_j x_j exp(i SGN 2 pi f_pn dTOA_pj),     dTOA_pj = (D_p(r_j) - D_p(s_p)) / c,

D_p(r) = |t_p - r| + |g_p - r| from transmitter t_p and receiver g_p, s_p the stabilisation reference point. The samples as
spectra, from either domain and with frequencies that may change from pulse to pulse, are those of
:mod:`echoform.measure.cphd_spectra`. With SGN = +1 they are conjugated; echoform's sign is -1. The local frame is
East-North-Up on the ellipsoid's tangent plane about the reference vector's SRP; where the SRP moves, samples are moved to the
common centre by exp(-i 2 pi f_pn / c (D_p(s_p) - D_p(0))). A transmitter and a receiver that differ only by the motion between
pulse and echo are replaced by their midpoint, where that is exact to 0.01 rad over the unambiguous range, and kept as a bistatic
pair otherwise. Vectors with SIGNAL other than 1 are missing. The noise level is NoiseLevel/PNRef where stated (power per sample).

Source: NGA.STND.0068-1, CPHD Design & Implementation Description 1.0.1 and 1.1.0.
"""

from __future__ import annotations

from pathlib import Path

import lxml.etree
import numpy as np
import sarkit.cphd as skcphd
import torch

from echoform.measure.cphd_channel import (
    DOWNLOAD,
    Channel,
    only_file_errors,
    read_channel,
    text_at,
    vector_at,
    whole_at,
)
from echoform.measure.cphd_spectra import SCALARS, Spectra, sign_of, spectra
from echoform.measure.earth import Place, place_at
from echoform.measure.gotcha import FARTHEST_M, to_range_reference
from echoform.measure.measurement import Measurement
from echoform.measure.phase_history import MAX_PIXELS, PhaseHistory, measurement_of_file
from echoform.scene.collection import SPEED_OF_LIGHT_M_S, SpotlightCollection
from echoform.scene.grid import Grid

#: largest phase by which transmitter and receiver may differ from one antenna at their midpoint, radians
MONOSTATIC_RAD = 0.01
#: largest departure of the file's image plane from the local frame, radians and metres
ALIGNED = 1e-7, 1e-3
_POSITIONS = ("TxPos", "RcvPos", "SRPPos")


def read_cphd(path: Path) -> Measurement:
    """Return a CPHD file's reference channel as a measurement with the plane-wave operator.

    The grid is the file's ImageGrid where that is an east-north grid about the SRP, the unambiguous extent otherwise.

    Raises:
        MeasurementFileError: the file is not one, is damaged, holds what is not supported, or no image can be formed from it.
    """
    history, grid = read_cphd_history(path)
    return measurement_of_file(path, history, remedy=DOWNLOAD, grid=grid)


def read_cphd_history(path: Path) -> tuple[PhaseHistory, Grid | None]:
    """Return samples, collection and place of the reference channel, and the file's image grid where echoform can use it.

    Raises:
        MeasurementFileError: as for :func:`read_cphd`.
    """
    channel = read_channel(path)
    with only_file_errors(path):
        return _history(channel)


def _history(channel: Channel) -> tuple[PhaseHistory, Grid | None]:
    heard = _heard(channel)
    found = spectra(channel, heard)
    transmitter_m, receiver_m, reference_m = (_positions(channel, name, heard) for name in _POSITIONS)
    centre = whole_at(channel.parameters, "RefVectorIndex")
    if not 0 <= centre < len(heard) or not heard[centre]:
        centre = int(np.flatnonzero(heard)[0])
    place = place_at(reference_m[centre])
    sent_m, back_m, centre_m = (place.to_local(v) for v in (transmitter_m, receiver_m, reference_m))
    antenna_m, receiver_m = _antennas(channel, sent_m, back_m, found)
    samples, kept = found.samples, found.inside
    if not np.isfinite(samples[kept]).all() or not np.any(samples[kept]):
        raise channel.wrong("the signal", "is not finite or nothing but zeros", "measured samples")
    samples = np.where(kept, samples if sign_of(channel) < 0 else samples.conj(), 0)
    residual_m = _residual(channel, sent_m, back_m, centre_m, found)
    if np.any(residual_m):
        samples = to_range_reference(samples, found.frequency_hz, residual_m)
    collection = SpotlightCollection(
        torch.from_numpy(antenna_m)[None],
        torch.from_numpy(found.frequency_hz if len(found.frequency_hz) == 1 else found.frequency_hz[None]),
        torch.from_numpy(kept.astype(np.float64))[None],
        None if receiver_m is None else torch.from_numpy(receiver_m)[None],
    )
    history = PhaseHistory(
        collection,
        torch.from_numpy(samples)[None, None],
        title=f"CPHD, {text_at(channel.root, 'CollectionID/CoreName')}",
        source=str(channel.path),
        sigma=_sigma(channel),
        place=place,
        notes=_notes(channel, heard, residual_m),
    )
    return history, _image_grid(channel, place)


def _heard(channel: Channel) -> np.ndarray:
    """Return which vectors hold the echo of a pulse, (P,)."""
    names = channel.vectors.dtype.names or ()
    missing = [name for name in (*_POSITIONS, *SCALARS) if name not in names]
    if missing:
        raise channel.wrong(
            "per-vector parameters", f"without {missing[0]}", f"all of {', '.join(_POSITIONS + SCALARS)}"
        )
    heard = channel.vectors["SIGNAL"] == 1 if "SIGNAL" in names else np.ones(len(channel.vectors), dtype=bool)
    if heard.sum() < 2:
        raise channel.wrong("SIGNAL", f"= 1 for {heard.sum()} vectors", "two or more pulses with signal")
    return heard


def _positions(channel: Channel, name: str, heard: np.ndarray) -> np.ndarray:
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
    channel: Channel, transmitter_m: np.ndarray, receiver_m: np.ndarray, found: Spectra
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the midpoints of transmitter and receiver, (P, 3), and None where they stand for both; the two otherwise."""
    middle_m = (transmitter_m + receiver_m) / 2
    distances = [np.linalg.norm(v, axis=-1) for v in (transmitter_m, receiver_m, middle_m)]
    if min(d.min() for d in distances) < 1:
        raise channel.wrong("TxPos and RcvPos", "within a metre of the SRP", "antennas away from the scene")
    radius_m = SPEED_OF_LIGHT_M_S / (4 * found.step_hz())
    angle = np.arange(8) * np.pi / 4
    rim_m = radius_m * np.stack([np.cos(angle), np.sin(angle), 0 * angle], -1)

    def delay_m(antenna_m: np.ndarray) -> np.ndarray:
        return np.linalg.norm(antenna_m[:, None] - rim_m, axis=-1) - np.linalg.norm(antenna_m, axis=-1)[:, None]

    error_m = (delay_m(transmitter_m) + delay_m(receiver_m)) / 2 - delay_m(middle_m)
    phase = 4 * np.pi * found.frequency_hz.max() / SPEED_OF_LIGHT_M_S * np.abs(error_m).max()
    return (middle_m, None) if phase <= MONOSTATIC_RAD else (transmitter_m, receiver_m)


def _residual(
    channel: Channel,
    transmitter_m: np.ndarray,
    receiver_m: np.ndarray,
    reference_m: np.ndarray,
    found: Spectra,
) -> np.ndarray:
    """Return (D(s) - D(0)) / 2, the range of the reference point over that of the centre, (P,), metres; zeros where it rests."""
    if not np.any(np.abs(reference_m) > ALIGNED[1] * 1e-3):
        return np.zeros(len(reference_m))
    there, here = (
        (np.linalg.norm(transmitter_m - p, axis=-1) + np.linalg.norm(receiver_m - p, axis=-1)) / 2
        for p in (reference_m, np.zeros(3))
    )
    limit_m = SPEED_OF_LIGHT_M_S / (4 * found.step_hz())
    if np.abs(there - here).max() > limit_m:
        got = f"moves by up to {np.abs(there - here).max():.4g} m in range"
        raise channel.wrong(
            "SRPPos", got, f"at most {limit_m:.4g} m, half the range at which echoes repeat", "cut the strip"
        )
    return there - here


def _sigma(channel: Channel) -> float | None:
    stated = channel.parameters.findtext("{*}NoiseLevel/{*}PNRef")
    if stated is None:
        return None
    power = float(stated)
    if not 0 <= power < np.inf:
        raise channel.wrong("PNRef", f"= {power}", "a power that is not negative")
    return float(np.sqrt(power))


def _image_grid(channel: Channel, place: Place) -> Grid | None:
    """Return the file's image grid where it is an east-north grid with its middle pixel on the centre."""
    scene = channel.root.find("{*}SceneCoordinates")
    if scene is None or scene.find("{*}ImageGrid") is None or scene.find("{*}ReferenceSurface/{*}Planar") is None:
        return None
    east, north, _ = place.axes()
    for name, axis in (("uIAX", east), ("uIAY", north)):
        if np.abs(vector_at(scene, f"ReferenceSurface/Planar/{name}") - axis).max() > ALIGNED[0]:
            return None
    if np.abs(vector_at(scene, "IARP/ECF") - place.origin_m()).max() > ALIGNED[1]:
        return None
    width, height = whole_at(scene, "ImageGrid/IAXExtent/NumLines"), whole_at(scene, "ImageGrid/IAYExtent/NumSamples")
    spacing_m = [float(text_at(scene, f"ImageGrid/{n}")) for n in ("IAYExtent/SampleSpacing", "IAXExtent/LineSpacing")]
    line, sample = (float(text_at(scene, f"ImageGrid/IARPLocation/{n}")) for n in ("Line", "Sample"))
    line -= whole_at(scene, "ImageGrid/IAXExtent/FirstLine")
    sample -= whole_at(scene, "ImageGrid/IAYExtent/FirstSample")
    centred = width > 1 and height > 1 and (line, sample) == (width // 2, height // 2)
    if not centred or width * height > MAX_PIXELS or not all(1e-6 < s < 1e6 for s in spacing_m):
        return None
    return Grid((height, width), (spacing_m[0], spacing_m[1]))


def _notes(channel: Channel, heard: np.ndarray, residual_m: np.ndarray) -> dict[str, str]:
    root = channel.root
    version = skcphd.VERSION_INFO[lxml.etree.QName(root).namespace]["version"]
    channels = len(root.findall("{*}Data/{*}Channel"))
    moved = np.abs(residual_m).max()
    return {
        "file": f"CPHD {version}, domain {text_at(root, 'Global/DomainType')}, reference channel of {channels}, "
        f"SGN {text_at(root, 'Global/SGN')}",
        "frame": "x east, y north on the ellipsoid's tangent plane at the SRP",
        "missing pulses": f"{(~heard).sum()} of {len(heard)} vectors hold no signal",
        "range reference": "the SRP rests" if moved == 0 else f"the SRP moves; phases moved by up to {moved:.4g} m",
    }
