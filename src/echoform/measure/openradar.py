"""FMCW frames as OpenRadar stores them: one NumPy .npy array (chirps, virtual antennas, samples) of complex numbers.

The files hold samples and nothing else. What they were taken with is an assumption, :class:`FrameSetup`, whose defaults are the
figures printed in OpenRadar's own notebooks for its example frames (a 77 GHz TI board, two transmitters taking turns, four
receivers); every number in metres, metres per second or radians rests on them, and they stand in the measurement's notes.

A trap: the example frames hold the converter's signed 16-bit words read as unsigned ones, so that -1 stands as 65535. Where
all parts are whole numbers from 0 to 65535 and some exceed 32767, 65536 is subtracted from those.

Samples are kept as complex64, which holds 16-bit words exactly. A chirp's echo is beat = tx rx* (positive range at positive
frequency). The header is parsed by a fixed pattern and the data are
never unpickled.

Source: Lee et al., OpenRadar (2019), github.com/PreSenseRadar/OpenRadar, "Presense Applied Radar" notebooks.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from echoform.measure.errors import MeasurementFileError, quote
from echoform.measure.measurement import Measurement, Metadata
from echoform.measure.phase_history import noise_floor
from echoform.measure.relative_level import relative_db
from echoform.measure.signature import FileKind, require
from echoform.physics.noise import GaussianNoise
from echoform.physics.range_angle_doppler import migration_cells, mimo_radar, range_doppler
from echoform.scene.array import MimoArray, filled_array
from echoform.scene.waveform import FmcwWaveform

#: most samples of one frame
MAX_SAMPLES = 2**24
#: rows of the angle axis per virtual antenna: a quarter of the resolution each
ROWS_PER_ANTENNA = 4
EXPECTED = (
    "complex samples of shape (chirps, virtual antennas, samples), (chirps, samples) or (virtual antennas, samples)"
)
#: least rows of a frame with two axes that are taken to be chirps
MIN_CHIRPS = 16
DOWNLOAD = "copy or download the file again"
_DTYPES = {"<c8", ">c8", "<c16", ">c16"}
_HEADER = re.compile(r"\{'descr': '([^'\\]*)', 'fortran_order': (True|False), 'shape': \(([0-9, ]*)\),? ?\}\s*")


@dataclass(frozen=True)
class FrameSetup:
    """What an OpenRadar frame was taken with: assumed, since no file says so.

    Attributes:
        start_hz: frequency at the first sample, hertz.
        slope_hz_per_s: S, hertz per second.
        sample_rate_hz: 1 / T_s, hertz.
        chirp_period_s: from chirp to chirp, idle time and ramp, seconds.
        transmitters: T, taking turns (TDM).
        receivers: R; virtual antenna q = i R + j is transmitter i with receiver j.
        spacing_wavelengths: of the receivers, along a line from left to right; the transmitters stand R times that apart.
    """

    start_hz: float = 77.4201e9
    slope_hz_per_s: float = 60e12
    sample_rate_hz: float = 2.5e6
    chirp_period_s: float = 92e-6
    transmitters: int = 2
    receivers: int = 4
    spacing_wavelengths: float = 0.5

    def waveform(self, chirps: int, samples: int) -> FmcwWaveform:
        """Return the waveform of a frame, its carrier at the middle sample."""

        def one(value: float) -> Tensor:
            return torch.tensor([value], dtype=torch.float64)

        return FmcwWaveform(
            carrier_hz=one(self.start_hz + self.slope_hz_per_s * (samples // 2) / self.sample_rate_hz),
            slope_hz_per_s=one(self.slope_hz_per_s),
            sample_period_s=one(1 / self.sample_rate_hz),
            samples=samples,
            chirp_period_s=one(self.chirp_period_s),
            chirps=chirps,
            transmitter_slots=tuple(range(self.transmitters)),
        )

    def array(self, waveform: FmcwWaveform) -> MimoArray:
        """Return the uniform virtual line."""
        spacing_m = self.spacing_wavelengths * float(waveform.wavelength_m())
        return filled_array(self.transmitters, self.receivers, spacing_m)


def read_openradar(path: Path, *, setup: FrameSetup | None = None, velocities: int = 1) -> Measurement:
    """Return an OpenRadar frame as a measurement with a range-angle(-Doppler) operator.

    Columns are the N ranges c / 2B apart, rows 4 Q angles equally spaced in sin(theta) from -1, channels the velocities about
    zero: one for the still scene, as many as there are chirps for the whole cube. A frame with two axes (chirps, samples) is
    that of one antenna: its rows are the velocities instead, zero at index chirps // 2, and ``velocities`` is not used.

    Args:
        path: the .npy file.
        setup: what it was taken with; the assumed figures of OpenRadar's examples when absent.
        velocities: number of channels, the middle one (index velocities // 2) standing still.

    Raises:
        MeasurementFileError: the file is not such a frame, is damaged, or has other antennas than the setup.
        ValueError: ``velocities`` is not between 1 and the number of chirps.
    """
    return _measurement(path, FrameSetup() if setup is None else setup, velocities=velocities)


def _measurement(path: Path, setup: FrameSetup, *, velocities: int = 1, one_chirp: bool = False) -> Measurement:
    """Return the measurement; with ``one_chirp`` two axes are those of all antennas at one chirp."""
    frame, unsigned = _signed(_load(path))
    if one_chirp:
        frame = frame[None]
    _check(path, frame, setup)
    if not 1 <= velocities <= len(frame):
        raise ValueError(f"velocities must be between 1 and {len(frame)}, the number of chirps, got {velocities}")
    waveform = setup.waveform(frame.shape[0], frame.shape[-1])
    samples = torch.from_numpy(frame)[None, None] if frame.ndim == 2 else torch.from_numpy(frame)[None]
    if frame.ndim == 2:
        operator = range_doppler(
            waveform,
            ranges_m=waveform.range_axis_m(),
            velocities_m_s=waveform.velocity_axis_m_s(),
            dtype=samples.dtype,
        )
    else:
        operator = mimo_radar(
            waveform,
            setup.array(waveform),
            ranges_m=waveform.range_axis_m(),
            angles_rad=sine_axis_rad(ROWS_PER_ANTENNA * frame.shape[1]),
            velocities_m_s=waveform.velocity_axis_m_s(velocities),
            dtype=samples.dtype,
        )
    sigma = noise_floor(samples)
    notes = _notes(frame, waveform, setup)
    notes["samples"] = (
        "signed 16-bit words read as unsigned, put right: 65536 subtracted above 32767" if unsigned else "as stored"
    )
    if frame.ndim == 3 and velocities < len(frame):
        notes["moving targets"] = (
            f"only {velocities} of {len(frame)} velocities are modelled; other echoes stay in the misfit"
        )
    rms = math.sqrt(float(samples.abs().double().square().mean()))
    notes["noise"] = (
        f"sigma {sigma:.3e} per sample ({relative_db(sigma, rms):.1f} dB of the mean sample power): an upper "
        "bound, the level of the quietest tenth of the range bins, clutter included"
    )
    metadata = Metadata(title=f"OpenRadar FMCW frame, {path.stem}", source=str(path), notes=notes)
    return Measurement(samples, operator, GaussianNoise(torch.tensor([sigma])), metadata)


def read_openradar_frame(path: Path) -> Measurement:
    """Return :func:`read_openradar` of a frame whose axes are told from its shape; the notes say how they were taken.

    Three axes are (chirps, virtual antennas, samples). Two are one chirp of all antennas where the first has as many rows as the
    assumed setup has virtual antennas, and the chirps of one antenna where it has :data:`MIN_CHIRPS` or more.

    Raises:
        MeasurementFileError: as there, or two axes that may be anything.
    """
    setup, (shape, _) = FrameSetup(), _header(path)
    antennas = setup.transmitters * setup.receivers
    if len(shape) == 3:
        return read_openradar(path)
    if shape[0] == antennas:
        taken = f"(virtual antennas, samples): one chirp of the {antennas} antennas, so rows of the image are angles"
    elif shape[0] >= MIN_CHIRPS:
        taken = "(chirps, samples): one antenna, so rows of the image are velocities"
    else:
        remedy = (
            f"{antennas} rows are taken for antennas, {MIN_CHIRPS} or more for chirps; call read_openradar for others"
        )
        raise MeasurementFileError(path, got=f"a NumPy .npy file of shape {shape}", expected=EXPECTED, remedy=remedy)
    measurement = _measurement(path, setup, one_chirp=shape[0] == antennas)
    notes = {"taken as": f"{taken}; told from the shape {shape[0]} x {shape[1]} alone"} | measurement.metadata.notes
    return replace(measurement, metadata=replace(measurement.metadata, notes=notes))


def sine_axis_rad(count: int) -> Tensor:
    """Return angles whose sines are 2 (h - count // 2) / count, shape (1, count), radians: -90 degrees first, 0 in the middle."""
    index = torch.arange(count, dtype=torch.float64) - count // 2
    return torch.asin((2 * index / count).clamp(-1, 1))[None]


def _notes(frame: np.ndarray, waveform: FmcwWaveform, setup: FrameSetup) -> dict[str, str]:
    shape = " x ".join(str(n) for n in frame.shape)
    rows = "velocities" if frame.ndim == 2 else "angles, equally spaced in sine, left (negative) to right"
    still = migration_cells(waveform, setup.array(waveform), velocity_m_s=1.0).by_motion
    return {
        "chirps x antennas x samples" if frame.ndim == 3 else "chirps x samples": shape,
        "assumed": f"the file states no parameters: {setup.start_hz / 1e9:.4f} GHz + {setup.slope_hz_per_s / 1e12:g} MHz/us, "
        f"{setup.sample_rate_hz / 1e6:g} MS/s, a chirp every {setup.chirp_period_s * 1e6:g} us, {setup.transmitters} "
        f"transmitters taking turns x {setup.receivers} receivers, {setup.spacing_wavelengths:g} wavelength apart, first "
        "antenna leftmost, beat = tx rx*; ranges, velocities, angles and which side is right follow from that",
        "axes": f"columns: ranges from 0 in steps of {100 * float(waveform.range_resolution_m()):.2f} cm; rows: {rows}; "
        f"velocities in steps of {float(waveform.velocity_resolution_m_s()):.3f} m/s, positive when receding",
        "migration": f"a target at {1 / float(still):.2f} m/s crosses one range cell in the frame; faster ones smear",
        "near range": "the direct leakage from transmitter to receiver fills the first ranges",
    }


def _signed(frame: np.ndarray) -> tuple[np.ndarray, bool]:
    """Return the frame with unsigned words made signed, and whether that was needed."""
    parts = frame.view(np.float32)
    whole = bool((parts == np.round(parts)).all() and parts.min() >= 0 and parts.max() <= 65535)
    if not whole or parts.max() <= 32767:
        return frame, False
    return np.where(parts > 32767, parts - 65536, parts).view(np.complex64), True


def _header(path: Path) -> tuple[tuple[int, ...], int]:
    """Return the shape and the bytes per entry of a .npy file, once its size bears them out."""
    require(path, FileKind.NPY)
    try:
        with path.open("rb") as stream:
            start = stream.read(12)
            width = 2 if start[6:7] == b"\x01" else 4
            length = int.from_bytes(start[8 : 8 + width], "little")
            if start[6:8] not in (b"\x01\x00", b"\x02\x00", b"\x03\x00") or length > 2**16:
                raise _wrong(path, "a NumPy .npy file with an unknown header", "version 1, 2 or 3")
            text = (start[8 + width :] + stream.read(max(0, length - (4 - width)))).decode("latin-1")
        size = path.stat().st_size - 8 - width - length
    except OSError as error:
        raise _wrong(path, f"an unreadable file ({error})", "a .npy file") from error
    shape, item = _claims(path, text)
    if size != math.prod(shape) * item:
        raise _wrong(path, f"{size} bytes of data", f"{math.prod(shape) * item} bytes, as the header says")
    return shape, item


def _load(path: Path) -> np.ndarray:
    """Return the array of a .npy file, complex and of two or three axes; every claim of the header is checked first."""
    _header(path)
    try:
        stored = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise _wrong(path, f"a .npy file that cannot be read ({error})", "a whole .npy file") from error
    with np.errstate(over="ignore"):
        frame = np.ascontiguousarray(stored, dtype=np.complex64)
    if not np.isfinite(frame).all():
        raise _wrong(path, "NaN, Inf or numbers beyond single precision", "finite samples")
    return frame


def _claims(path: Path, text: str) -> tuple[tuple[int, ...], int]:
    """Return shape and bytes per entry that a header claims."""
    found = _HEADER.fullmatch(text)
    if found is None:
        raise _wrong(path, f"a .npy header that cannot be read, {quote(text)}", "a plain array")
    descr, _, inner = found.groups()
    if descr not in _DTYPES:
        remedy = "an OpenRadar frame holds complex64 or complex128; save others with echoform.measure.native.save"
        raise MeasurementFileError(
            path, got=f"a NumPy .npy file of dtype {quote(descr)}", expected=EXPECTED, remedy=remedy
        )
    digits = [part.strip() for part in inner.split(",") if part.strip()]
    if not all(part.isdigit() and len(part) < 10 for part in digits):
        raise _wrong(path, f"a .npy file of shape ({inner[:80]})", EXPECTED)
    shape = tuple(int(part) for part in digits)
    if len(shape) not in (2, 3) or min(shape) < 1 or math.prod(shape) > MAX_SAMPLES or shape[-1] < 2:
        raise _wrong(path, f"a NumPy .npy file of shape {shape}", f"{EXPECTED}, at most {MAX_SAMPLES} in all")
    return shape, int(descr[2:])


def _check(path: Path, frame: np.ndarray, setup: FrameSetup) -> None:
    if not np.any(frame):
        raise _wrong(path, "nothing but zeros", "measured samples")
    antennas = setup.transmitters * setup.receivers
    if frame.ndim == 3 and frame.shape[1] != antennas:
        raise MeasurementFileError(
            path,
            got=f"a frame of shape {frame.shape}",
            expected=f"(chirps, {antennas}, samples) for {setup.transmitters} transmitters x {setup.receivers} receivers",
            remedy="pass its own FrameSetup to echoform.measure.openradar.read_openradar",
        )


def _wrong(path: Path, got: str, expected: str) -> MeasurementFileError:
    return MeasurementFileError(path, got=got, expected=expected, remedy=DOWNLOAD)
