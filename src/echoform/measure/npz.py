"""Spotlight phase history from a NumPy .npz archive, schema in docs/npz.md.

    samples[p, n] = sum_j x_j exp(-i 2 pi f_n / c (|t_p - r_j| + |g_p - r_j| - |t_p| - |g_p|))

    samples       (P, F)           complex, required
    antenna_m     (P, 3)           floats, required: transmitter t_p, also the receiver where there is no receiver_m
    frequency_hz  (F,)             floats, required: positive, rising
    receiver_m    (P, 3)           floats: receiver g_p
    kept          (P,) or (P, F)   0 or 1 (bool, integers or floats): which pulses or samples were measured
    sigma         ()               float: standard deviation of the complex noise of a sample
    shape         (2,)             whole numbers: pixels of the image, (H, W); together with
    spacing_m     (2,)             floats: (dy, dx)
    place         (3,)             floats: latitude, longitude in degrees, height in metres; x is then east and y north

Nothing is unpickled. Names, lengths and sizes are checked against the archive's own table before memory is asked for, so a
small file cannot claim a large array.
"""

from __future__ import annotations

import math
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from echoform.measure.earth import Place
from echoform.measure.errors import MeasurementFileError, quote
from echoform.measure.gotcha import FARTHEST_M, HIGHEST_HZ
from echoform.measure.measurement import Measurement
from echoform.measure.phase_history import MAX_PIXELS, PhaseHistory, measurement_of_file
from echoform.measure.signature import FileKind, require
from echoform.scene.collection import SpotlightCollection
from echoform.scene.grid import Grid

SCHEMA = "the schema is in docs/npz.md"
REQUIRED = ("samples", "antenna_m", "frequency_hz")
OPTIONAL = ("receiver_m", "kept", "sigma", "shape", "spacing_m", "place")
#: most bytes of one array as it stands in memory, and of its header
MAX_BYTES, MAX_HEADER = 2**31, 2**14
#: the best ratio deflate can reach: more bytes than this per stored byte are not data
MAX_INFLATION = 1040
_FLOATS, _COMPLEX, _WHOLE, _MARKS = "f", "c", "iu", "biuf"


def read_npz(path: Path) -> Measurement:
    """Return a .npz archive as a measurement with the plane-wave operator on its grid or the unambiguous extent.

    Raises:
        MeasurementFileError: the file is not one, is damaged, an array is missing or of a wrong dtype, shape or value, or no
            image can be formed from it.
    """
    history, grid = read_npz_history(path)
    return measurement_of_file(path, history, remedy=SCHEMA, grid=grid)


def read_npz_history(path: Path) -> tuple[PhaseHistory, Grid | None]:
    """Return samples and collection of a .npz archive, and the grid where it states one.

    Raises:
        MeasurementFileError: as for :func:`read_npz`.
    """
    require(path, FileKind.NPZ)
    archive = _Archive(path, _arrays(path))
    samples = archive.array("samples", _COMPLEX, (None, None))
    pulses, frequencies = samples.shape
    if min(pulses, frequencies) < 2:
        raise archive.wrong("samples", f"of shape {samples.shape}", "two or more pulses and frequencies")
    antenna_m = _positions(archive, "antenna_m", pulses)
    receiver_m = _positions(archive, "receiver_m", pulses) if archive.has("receiver_m") else None
    frequency_hz = _frequencies(archive, pulses, frequencies)
    kept = _kept(archive, samples.shape)
    samples = np.where(kept, samples, 0).astype(np.complex64 if samples.dtype.itemsize == 8 else np.complex128)
    if not np.any(samples):
        raise archive.wrong("samples", "with nothing but zeros", "measured samples")
    collection = SpotlightCollection(
        antenna_m,
        torch.from_numpy(frequency_hz)[None],
        torch.from_numpy(kept.astype(np.float64))[None],
        receiver_m,
    )
    history = PhaseHistory(
        collection,
        torch.from_numpy(samples)[None, None],
        title=f"NPZ, {path.stem}",
        source=str(path),
        sigma=_sigma(archive),
        place=_place(archive),
    )
    return history, _grid(archive)


@dataclass(frozen=True)
class _Archive:
    """The arrays of a file, each with its name in every error."""

    path: Path
    arrays: dict[str, np.ndarray]

    def has(self, name: str) -> bool:
        return name in self.arrays

    def array(self, name: str, kinds: str, shape: tuple[int | None, ...]) -> np.ndarray:
        """Return a finite array in native byte order of the given NumPy kinds and shape, None standing for any length."""
        if name not in self.arrays:
            raise self.wrong(name, "missing", f"the arrays {', '.join(REQUIRED)}")
        values = self.arrays[name]
        if values.dtype.kind not in kinds:
            names = {_FLOATS: "floats", _COMPLEX: "complex numbers", _WHOLE: "whole numbers", _MARKS: "0 or 1"}
            raise self.wrong(name, f"of dtype {values.dtype}", names[kinds])
        if len(values.shape) != len(shape) or any(e not in (None, n) for e, n in zip(shape, values.shape, strict=True)):
            expected = ", ".join("any" if n is None else str(n) for n in shape)
            raise self.wrong(name, f"of shape {values.shape}", f"({expected})")
        if not np.isfinite(values).all():
            raise self.wrong(name, "with NaN or Inf", "finite numbers")
        return values.astype(values.dtype.newbyteorder("="), copy=False)

    def wrong(self, name: str, got: str, expected: str) -> MeasurementFileError:
        return MeasurementFileError(self.path, got=f"array '{name}' {got}", expected=expected, remedy=SCHEMA)


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of the schema; others are refused, so that a misspelt name is not passed over."""
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(path, archive.infolist())
            return {info.filename.removesuffix(".npy"): _member(path, archive, info) for info in archive.infolist()}
    except (
        zipfile.BadZipFile,
        zlib.error,
        OSError,
        EOFError,
        ValueError,
        LookupError,
        TypeError,
        SyntaxError,
        RuntimeError,
        MemoryError,
        OverflowError,
    ) as error:
        got = f"an archive that cannot be read ({type(error).__name__}: {error})"
        raise MeasurementFileError(path, got=got, expected="an intact .npz file", remedy=SCHEMA) from error


def _check_members(path: Path, members: list[zipfile.ZipInfo]) -> None:
    names = [info.filename.removesuffix(".npy") for info in members]
    strange = [name for name in names if name not in REQUIRED + OPTIONAL or names.count(name) > 1]
    if strange:
        expected = f"each at most once: {', '.join(REQUIRED + OPTIONAL)}"
        raise MeasurementFileError(path, got=f"an array {quote(strange[0])}", expected=expected, remedy=SCHEMA)
    stored = path.stat().st_size
    for name, info in zip(names, members, strict=True):
        if info.file_size > MAX_BYTES or info.file_size > MAX_INFLATION * min(info.compress_size, stored) + MAX_HEADER:
            got = f"array '{name}' of {info.file_size} bytes"
            raise MeasurementFileError(path, got=got, expected=f"at most {MAX_BYTES}, and no bomb", remedy=SCHEMA)


def _member(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    """Return one array, once the length its header claims is the length it has."""
    with archive.open(info) as stream:
        version = np.lib.format.read_magic(stream)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = header(stream, max_header_size=MAX_HEADER)
        claimed, there = math.prod(shape) * dtype.itemsize, info.file_size - stream.tell()
    if dtype.hasobject or dtype.names is not None or claimed != there:
        got = f"array {quote(info.filename)} of dtype {quote(str(dtype))} and {there} bytes"
        raise MeasurementFileError(path, got=got, expected=f"plain numbers, {claimed} bytes", remedy=SCHEMA)
    with archive.open(info) as stream:
        return np.lib.format.read_array(stream, allow_pickle=False, max_header_size=MAX_HEADER)


def _positions(archive: _Archive, name: str, pulses: int) -> torch.Tensor:
    values = archive.array(name, _FLOATS, (pulses, 3)).astype(np.float64)
    distance = np.linalg.norm(values, axis=-1)
    if distance.min() <= 0 or distance.max() > FARTHEST_M:
        raise archive.wrong(
            name, f"{distance.min():g} to {distance.max():g} m away", f"0 to {FARTHEST_M:g} m, not at 0"
        )
    return torch.from_numpy(values)[None]


def _frequencies(archive: _Archive, pulses: int, frequencies: int) -> np.ndarray:
    """Return f, (F,), or (P, F) where they change from pulse to pulse."""
    by_pulse = archive.has("frequency_hz") and archive.arrays["frequency_hz"].ndim == 2
    shape = (pulses, frequencies) if by_pulse else (frequencies,)
    values = archive.array("frequency_hz", _FLOATS, shape).astype(np.float64)
    if values.min() <= 0 or values.max() > HIGHEST_HZ or np.diff(values).min() <= 0:
        got = f"from {values.flat[0]:g} to {values.flat[-1]:g}"
        raise archive.wrong("frequency_hz", got, f"positive, rising, at most {HIGHEST_HZ:g} Hz")
    return values


def _kept(archive: _Archive, shape: tuple[int, ...]) -> np.ndarray:
    if not archive.has("kept"):
        return np.ones(shape, dtype=bool)
    of_pulses = archive.arrays["kept"].ndim == 1
    values = archive.array("kept", _MARKS, shape[:1] if of_pulses else shape)
    if not np.isin(values, (0, 1)).all() or not values.any():
        raise archive.wrong("kept", "with other values or nothing but zeros", "0 or 1")
    return np.broadcast_to(values[:, None] if of_pulses else values, shape) != 0


def _sigma(archive: _Archive) -> float | None:
    if not archive.has("sigma"):
        return None
    sigma = float(archive.array("sigma", _FLOATS, ()))
    if sigma < 0:
        raise archive.wrong("sigma", f"= {sigma:g}", "a level that is not negative")
    return sigma


def _place(archive: _Archive) -> Place | None:
    if not archive.has("place"):
        return None
    values = archive.array("place", _FLOATS, (3,))
    try:
        return Place(*(float(v) for v in values))
    except ValueError as error:
        raise archive.wrong("place", f"where {error}", "latitude, longitude (degrees), height (metres)") from error


def _grid(archive: _Archive) -> Grid | None:
    if not (archive.has("shape") or archive.has("spacing_m")):
        return None
    height, width = (int(n) for n in archive.array("shape", _WHOLE, (2,)))
    dy, dx = (float(v) for v in archive.array("spacing_m", _FLOATS, (2,)))
    if min(height, width) < 2 or height * width > MAX_PIXELS:
        raise archive.wrong(
            "shape", f"= ({height}, {width})", f"two or more pixels a side, at most {MAX_PIXELS} in all"
        )
    if not (1e-6 < dy < 1e6 and 1e-6 < dx < 1e6):
        raise archive.wrong("spacing_m", f"= ({dy:g}, {dx:g})", "lengths between a micrometre and 1000 km")
    return Grid((height, width), (dy, dx))
