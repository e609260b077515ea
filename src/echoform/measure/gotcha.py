"""AFRL Gotcha phase history: one MATLAB 5 file per degree of azimuth.

The struct ``data`` holds fp (F x P, complex64), freq (Hz), the antenna's x, y, z and the range r0 to the scene centre (m), all
single precision, with

    fp[n, p] = sum_j x_j exp(-i 4 pi f_n / c (|q_p - r_j| - r0_p)).

The sign is Gorham and Moore's (2010, equation 3): focus cannot tell it, since conjugate samples are in the plane-wave model
those of the scene turned by 180 degrees. Our reference is |q_p|, so the samples are multiplied by exp(-i 4 pi f_n / c
(r0_p - |q_p|)), unless the two ranges differ by no more than the rounding of x, y, z, r0 to single precision: the samples were
compensated with unrounded values, and "correcting" by a rounding error (up to 0.7 mm, 0.3 rad at X band) blurs the image.

The autofocus solution af.r_correct, af.ph_correct is not applied: on the files at hand it raises the image's entropy.

Source: Casteel et al. (2007), Proc. SPIE 6568, 65680D; Gorham and Moore (2010), Proc. SPIE 7699, 769906.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from echoform.measure.errors import MeasurementFileError
from echoform.measure.matlab5 import load_struct
from echoform.measure.measurement import Measurement
from echoform.measure.phase_history import PhaseHistory, measurement_of_file
from echoform.scene.collection import SPEED_OF_LIGHT_M_S, SpotlightCollection

#: largest departure of a stored frequency from the uniform grid, in units of its last place
FREQUENCY_ULPS = 2.0
#: largest distance of an antenna, metres; beyond it a field is damaged
FARTHEST_M = 1e9
#: highest frequency, hertz
HIGHEST_HZ = 1e13
DOWNLOAD = "copy or download the file again"


def read_gotcha(path: Path) -> Measurement:
    """Return a Gotcha file as a measurement with the plane-wave operator on its unambiguous extent.

    Raises:
        MeasurementFileError: the file is not one, is damaged, or no image can be formed from it.
    """
    history = read_phase_history(path)
    return measurement_of_file(path, history, remedy=DOWNLOAD)


def read_phase_history(path: Path) -> PhaseHistory:
    """Return the samples and the collection of a Gotcha file.

    Raises:
        MeasurementFileError: the file is not one, or a field is missing, of a wrong dtype or shape, or not finite.
    """
    data = load_struct(path, "data")
    fp = _field(path, data, "fp", complex_values=True)
    if fp.ndim != 2 or min(fp.shape) < 2:
        raise _wrong(path, "fp", f"of shape {fp.shape}", "(frequencies, pulses), two or more of each")
    frequencies, pulses = fp.shape
    if not np.any(fp):
        raise _wrong(path, "fp", "with nothing but zeros", "measured samples")
    frequency_hz = _uniform(path, _vector(path, data, "freq", frequencies))
    antenna_m, residual_m, rounding_m = _antenna(path, data, pulses, frequency_hz)
    samples = np.ascontiguousarray(fp.T, dtype=np.complex64 if fp.dtype.itemsize == 8 else np.complex128)
    largest = f"largest difference {1e3 * np.abs(residual_m).max():.2f} mm"
    note = f"r0 equals |q| to the rounding of the file ({largest})"
    if np.any(np.abs(residual_m) > rounding_m):
        samples = to_range_reference(samples, frequency_hz, residual_m)
        note = f"phase moved from r0 to |q| ({largest})"
    collection = SpotlightCollection(
        torch.from_numpy(antenna_m)[None],
        torch.from_numpy(frequency_hz)[None],
        torch.ones(1, pulses, frequencies, dtype=torch.float64),
    )
    return PhaseHistory(
        collection,
        torch.from_numpy(samples)[None, None],
        title=f"AFRL Gotcha, {path.stem}",
        source=str(path),
        notes={"range reference": note},
    )


def to_range_reference(samples: np.ndarray, frequency_hz: np.ndarray, residual_m: np.ndarray) -> np.ndarray:
    """Return samples (P, F), referenced to r0, referenced to |q| instead: times exp(-i 4 pi f / c (r0 - |q|)).

    Args:
        samples: shape (P, F), complex.
        frequency_hz: shape (F,), or (P, F) where they change from pulse to pulse.
        residual_m: r0 - |q|, shape (P,), metres.
    """
    phase = 4 * np.pi / SPEED_OF_LIGHT_M_S * residual_m[:, None] * frequency_hz
    return (samples * np.exp(-1j * phase)).astype(samples.dtype)


def _antenna(
    path: Path, data: Mapping[str, np.ndarray | None], pulses: int, frequency_hz: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return q (P, 3), r0 - |q| (P,) and how large the latter may be by the rounding of stored numbers (P,), all in metres."""
    stored = [_length(path, data, name, pulses) for name in ("x", "y", "z", "r0")]
    half_ulp = [0.5 * np.spacing(np.abs(v)).astype(np.float64) for v in stored]
    antenna_m, reference_m = np.stack(stored[:3], -1).astype(np.float64), stored[3].astype(np.float64)
    range_m = np.linalg.norm(antenna_m, axis=-1)
    if range_m.min() <= 0 or reference_m.min() <= 0:
        raise _wrong(path, "r0", "at or behind the scene centre", "an antenna away from the scene centre")
    residual_m = reference_m - range_m
    repeat_m = SPEED_OF_LIGHT_M_S / (2 * (frequency_hz[1] - frequency_hz[0]))
    if np.abs(residual_m).max() > repeat_m / 2:
        got = f"up to {np.abs(residual_m).max():.4g} m from the antenna's distance to the origin"
        raise _wrong(path, "r0", got, f"at most {repeat_m / 2:.4g} m, half the range at which echoes repeat")
    from_position = (np.abs(antenna_m) / range_m[:, None] * np.stack(half_ulp[:3], -1)).sum(-1)
    return antenna_m, residual_m, from_position + half_ulp[3]


def _uniform(path: Path, stored: np.ndarray) -> np.ndarray:
    """Return the uniform float64 grid that fits the stored frequencies best, by least squares."""
    values = stored.astype(np.float64)
    if np.abs(values).max() > HIGHEST_HZ:
        raise _wrong(path, "freq", f"up to {np.abs(values).max():g} Hz", f"at most {HIGHEST_HZ:g} Hz")
    index = np.arange(values.size) - (values.size - 1) / 2
    step = float(index @ values / (index @ index))
    fitted = values.mean() + step * index
    departure = np.abs(fitted - values).max() / float(np.spacing(np.abs(values).max().astype(np.float32)))
    if not departure < FREQUENCY_ULPS:
        raise _wrong(path, "freq", f"up to {departure:.3g} float32 roundings off a uniform grid", "uniform frequencies")
    if fitted[0] <= 0 or step <= 0:
        raise _wrong(path, "freq", f"from {fitted[0]:g} Hz in steps of {step:g} Hz", "positive, rising frequencies")
    return fitted


def _length(path: Path, data: Mapping[str, np.ndarray | None], name: str, count: int) -> np.ndarray:
    values = _vector(path, data, name, count)
    if np.abs(values).max() > FARTHEST_M:
        raise _wrong(path, name, f"up to {np.abs(values).max():g} m", f"at most {FARTHEST_M:g} m")
    return values


def _vector(path: Path, data: Mapping[str, np.ndarray | None], name: str, count: int) -> np.ndarray:
    values = _field(path, data, name, complex_values=False)
    if values.size != count or values.ndim != 2 or min(values.shape) != 1:
        raise _wrong(path, name, f"of shape {values.shape}", f"{count} numbers, as fp has")
    return values.reshape(-1)


def _field(path: Path, data: Mapping[str, np.ndarray | None], name: str, *, complex_values: bool) -> np.ndarray:
    if name not in data:
        raise _wrong(path, name, "missing", f"a field '{name}'")
    values = data[name]
    if values is None or values.dtype.kind != ("c" if complex_values else "f"):
        got = "that is no array of numbers" if values is None else f"of dtype {values.dtype}"
        raise _wrong(path, name, got, "complex numbers" if complex_values else "real floating-point numbers")
    if not np.isfinite(values).all():
        raise _wrong(path, name, "with NaN or Inf", "finite numbers")
    return values


def _wrong(path: Path, name: str, got: str, expected: str) -> MeasurementFileError:
    return MeasurementFileError(path, got=f"field '{name}' {got}", expected=expected, remedy=DOWNLOAD)
