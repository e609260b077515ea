"""RADARSAT-1 fine-mode raw echoes as extracted from the CD that comes with Cumming and Wong's book: two MATLAB 5 files a scene.

``NAMEdata1.mat`` holds ``data`` (pulses x range cells, complex), ``NAME_run_params.mat`` beside it f0, PRF, Fr, Kr, Tr, R0
(metres to the first cell of the swath) and first_rg_cell, counted from one. Echo k of a pulse was received 2 r_k / c after its
start,

    r_k = R0 + (first_rg_cell - 1 + k) c / 2 Fr,    p(t) = exp(-i pi |Kr| (t - Tr / 2)^2), 0 <= t < Tr

What the files do not hold is the mission's: effective speed 7062 m/s, a 15 m antenna, a falling chirp (the file's Kr is a
magnitude) and the ambiguity of the Doppler centroid, near -6900 Hz. The centroid within one PRF is estimated from each scene.

The image covers pixels of which at least half of the echo was received, along the track and in range, for as many rows and
columns as there are pulses and cells. Echoes of scatterers outside it (up to half of one at the borders) are in the data and
not in the model.

Source: Cumming and Wong, Digital Processing of Synthetic Aperture Radar Data (2005), appendix A; Madsen (1989), IEEE Trans.
Aerosp. Electron. Syst. 25(2) for the centroid.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from echoform.measure.errors import MeasurementFileError
from echoform.measure.matlab5 import load_arrays
from echoform.measure.measurement import Measurement, Metadata
from echoform.physics.noise import GaussianNoise
from echoform.physics.range_chirp import echo_starts, raw_stripmap, unwrapped_frequencies
from echoform.physics.stripmap import StripmapOperator, unwrapped_length
from echoform.physics.stripmap_omega_k import StripmapOmegaK
from echoform.scene.collection import SPEED_OF_LIGHT_M_S
from echoform.scene.stripmap import StripmapCollection, linear_chirp

#: effective speed of the platform, metres per second
SPEED_M_S = 7062.0
#: length of the antenna, metres
ANTENNA_M = 15.0
#: Doppler centroid to within half a PRF, hertz: fixes its ambiguity
CENTROID_NEAR_HZ = -6900.0
#: share of the sampled band, at its two edges, that is searched for noise beyond the chirp
GUARD_SHARE = 0.004
#: most samples of a scene, and most azimuth bins times frequencies of its operator
MAX_SAMPLES, MAX_BINS = 2**24, 2**26
#: how the name of the file of run parameters ends
RUN_PARAMETERS = "_run_params.mat"

#: the scalars read, and between what bounds a radar's can lie
_LIMITS = {
    "f0": (1e8, 1e11),
    "PRF": (1.0, 1e5),
    "Fr": (1e5, 1e10),
    "Kr": (1e6, 1e16),
    "Tr": (1e-8, 1e-2),
    "R0": (1e3, 1e8),
    "first_rg_cell": (1.0, 1e7),
}


@dataclass(frozen=True)
class RawEchoes:
    """Raw echoes and what the run parameters say of them.

    Attributes:
        samples: (P, N), complex64.
        carrier_hz: f0.
        prf_hz: PRF.
        sample_rate_hz: Fr.
        chirp_rate_hz_s: Kr, signed.
        chirp_s: Tr.
        first_range_m: r_0, range to the first sample.
        doppler_centroid_hz: f_dc, with its ambiguity.
        sigma: noise level per sample, zero when unknown.
        source: the file.
    """

    samples: Tensor
    carrier_hz: float
    prf_hz: float
    sample_rate_hz: float
    chirp_rate_hz_s: float
    chirp_s: float
    first_range_m: float
    doppler_centroid_hz: float
    sigma: float
    source: str

    @property
    def cell_m(self) -> float:
        """c / 2 Fr, metres."""
        return SPEED_OF_LIGHT_M_S / (2 * self.sample_rate_hz)

    @property
    def pulse(self) -> Tensor:
        """The transmitted chirp, (1, Q), complex128."""
        return linear_chirp(self.chirp_rate_hz_s, self.chirp_s, self.sample_rate_hz)[None]

    def block(self, pulses: slice, cells: slice) -> RawEchoes:
        """Return a part of the echoes, steps of one; centroid and noise level stay those of the whole."""
        first = self.first_range_m + (cells.start or 0) * self.cell_m
        return replace(self, samples=self.samples[pulses, cells], first_range_m=first)

    def compressed(self) -> Tensor:
        """Return the matched filter's output in range alone, (P, N); columns cover the ranges of the image's."""
        count, length = self.samples.shape[1], self.pulse.shape[1]
        spectrum = torch.fft.fft(self.pulse[0].to(self.samples.dtype), n=count + length).conj()
        lags = torch.fft.ifft(torch.fft.fft(self.samples, n=count + length) * spectrum)
        return torch.roll(lags, length // 2, -1)[:, :count]

    def collection(self) -> StripmapCollection:
        """Return path, pulses and beam; the scene centre is where the middle of the pulse meets the middle sample."""
        numbers = (SPEED_M_S, self.carrier_hz, self.sample_rate_hz, self.prf_hz)
        sine = SPEED_OF_LIGHT_M_S * self.doppler_centroid_hz / (2 * SPEED_M_S * self.carrier_hz)
        if not abs(sine) < 1:
            raise ValueError(f"a Doppler centroid of {self.doppler_centroid_hz:g} Hz exceeds 2 v / lambda")
        start = self.samples.shape[1] // 2 - self.pulse.shape[1] // 2
        centre_m = (self.first_range_m + start * self.cell_m) * math.sqrt(1 - sine**2)
        values = [
            torch.tensor([v], dtype=torch.float64) for v in (*numbers, centre_m, self.doppler_centroid_hz, ANTENNA_M)
        ]
        return StripmapCollection(*values, kept=torch.ones(1, self.samples.shape[0], dtype=torch.float64))


def read_radarsat(path: Path) -> Measurement:
    """Return a scene as a measurement with the raw omega-K operator.

    Raises:
        MeasurementFileError: the file or its run parameters are missing, damaged or hold other things.
    """
    raw = read_raw(path)
    try:
        return measurement_from(raw)
    except ValueError as error:
        raise _wrong(path, f"a collection that cannot be imaged ({error})", "a stripmap collection") from error


def read_raw(path: Path) -> RawEchoes:
    """Return the raw echoes of a scene.

    Raises:
        MeasurementFileError: the file or its run parameters are missing, damaged or hold other things.
    """
    samples = load_arrays(path).get("data")
    if samples is None or samples.dtype.kind != "c" or samples.ndim != 2 or min(samples.shape) < 16:
        got = "no array" if samples is None else f"{samples.dtype} of shape {samples.shape}"
        raise _wrong(path, f"variable 'data' with {got}", "complex (pulses, cells), 16 or more of each")
    if samples.size > MAX_SAMPLES:
        raise _wrong(path, f"variable 'data' of shape {samples.shape}", f"at most {MAX_SAMPLES} samples")
    if not np.isfinite(samples).all() or not samples.any():
        raise _wrong(path, "variable 'data' with NaN, Inf or nothing but zeros", "measured samples")
    values = _parameters(path)
    if values["Tr"] * values["Fr"] > samples.shape[1]:
        raise _wrong(path, f"a pulse of {values['Tr']:g} s", f"one no longer than the {samples.shape[1]} samples")
    first_range_m = values["R0"] + (values["first_rg_cell"] - 1) * SPEED_OF_LIGHT_M_S / (2 * values["Fr"])
    echoes = torch.from_numpy(np.ascontiguousarray(samples, np.complex64))
    return RawEchoes(
        echoes,
        carrier_hz=values["f0"],
        prf_hz=values["PRF"],
        sample_rate_hz=values["Fr"],
        chirp_rate_hz_s=-values["Kr"],
        chirp_s=values["Tr"],
        first_range_m=first_range_m,
        doppler_centroid_hz=doppler_centroid_hz(echoes, values["PRF"], near_hz=CENTROID_NEAR_HZ),
        sigma=out_of_band_sigma(echoes, values["Kr"] * values["Tr"] / values["Fr"]),
        source=str(path),
    )


def measurement_from(raw: RawEchoes, *, form: type[StripmapOperator] = StripmapOmegaK) -> Measurement:
    """Return the measurement of raw echoes: as many rows and columns as pulses and samples, pixels as fine as these.

    Args:
        raw: a scene or a block of one.
        form: StripmapOmegaK or StripmapRangeDoppler.
    """
    collection, (pulses, cells) = raw.collection(), raw.samples.shape
    first = torch.tensor([2 * raw.first_range_m / SPEED_OF_LIGHT_M_S], dtype=torch.float64)
    _check_size(raw, collection, first)
    operator = raw_stripmap(
        form,
        collection,
        (pulses, cells),
        pulse=raw.pulse,
        first_sample_s=first,
        samples=cells,
        range_spacing_m=raw.cell_m,
    )
    assert isinstance(operator.inner, StripmapOperator)
    power = float(raw.samples.abs().square().mean())
    noise = (
        f"sigma {raw.sigma:.2f} per sample ({10 * math.log10(raw.sigma**2 / power):.1f} dB of the mean sample power), from "
        "the band beyond the chirp: receiver and 4-bit quantisation; clutter outside the image is not in it"
        if raw.sigma > 0
        else "unknown: no frequencies beyond the chirp were sampled"
    )
    notes = {
        "pulses x range cells": f"{pulses} x {cells}",
        "carrier, PRF": f"{raw.carrier_hz / 1e9:.3f} GHz, {raw.prf_hz:.2f} Hz",
        "chirp": f"{raw.chirp_rate_hz_s * raw.chirp_s / 1e6:.2f} MHz in {raw.chirp_s * 1e6:.2f} us",
        "slant range": f"{float(collection.centre_range_m) / 1e3:.3f} km at closest approach to the image centre",
        "Doppler centroid": f"{raw.doppler_centroid_hz:.1f} Hz (estimated; ambiguity from the mission, {CENTROID_NEAR_HZ:g} Hz)",
        "image": "rows along the track, columns slant range",
        "noise": noise,
    }
    title = f"RADARSAT-1 raw echoes, {Path(raw.source).stem}"
    metadata = Metadata(title=title, source=raw.source, grid=operator.inner.grid, notes=notes)
    return Measurement(raw.samples[None, None], operator, GaussianNoise(torch.tensor([raw.sigma])), metadata)


def doppler_centroid_hz(samples: Tensor, prf_hz: float, *, near_hz: float) -> float:
    """Return PRF / 2 pi arg sum s[n + 1] s[n]*, unfolded to lie within half a PRF of ``near_hz``.

    Source: Madsen (1989), IEEE Trans. Aerosp. Electron. Syst. 25(2), equation 13.
    """
    turn = torch.vdot(samples[:-1].flatten(), samples[1:].flatten())
    folded = float(torch.angle(turn)) / (2 * math.pi) * prf_hz
    return folded + prf_hz * round((near_hz - folded) / prf_hz)


def out_of_band_sigma(samples: Tensor, chirp_share: float) -> float:
    """Return the noise level per sample from the frequencies beyond the chirp; zero when there are none.

    An estimate for white noise; the window's ends leak a little of the echo there, and a receiver's filter may lower it.

    Args:
        samples: (P, N).
        chirp_share: bandwidth of the chirp over the sample rate.
    """
    count = samples.shape[1]
    power = torch.fft.fft(samples, norm="ortho").abs().double().square().mean(0)
    frequency = torch.fft.fftfreq(count, dtype=torch.float64).abs()
    quiet = power[(frequency > chirp_share / 2 + GUARD_SHARE) & (frequency < 0.5 - GUARD_SHARE)]
    return math.sqrt(float(quiet.mean())) if quiet.numel() else 0.0


def _check_size(raw: RawEchoes, collection: StripmapCollection, first_sample_s: Tensor) -> None:
    """Refuse parameters that would make the transforms too long to hold."""
    pulses, cells = raw.samples.shape
    nearest, farthest = echo_starts(collection, cells, raw.cell_m, first_sample_s)
    frequencies = unwrapped_frequencies(nearest, farthest, pulse=raw.pulse.shape[1], samples=cells)
    rows = unwrapped_length(collection, (pulses, cells), raw.cell_m)
    if rows * frequencies > MAX_BINS:
        raise ValueError(f"it asks for {rows} azimuth bins x {frequencies} frequencies, more than {MAX_BINS} in all")


def _parameters(path: Path) -> dict[str, float]:
    """Return the scalars of the run parameters beside a scene's file."""
    beside = path.with_name(re.sub(r"data\d*$", "", path.stem) + RUN_PARAMETERS)
    if not beside.is_file():
        raise MeasurementFileError(
            path,
            got=f"no run parameters beside it ({beside.name})",
            expected="raw echoes with carrier, PRF and chirp",
            remedy="put that file into the same folder",
        )
    found, values = load_arrays(beside), {}
    for name, (low, high) in _LIMITS.items():
        value = found.get(name)
        if value is None or value.size != 1 or value.dtype.kind not in "fiu":
            raise _wrong(beside, f"variable '{name}' that is no single real number", f"a number '{name}'")
        values[name] = float(value.reshape(-1)[0])
        if not low <= abs(values[name]) <= high or (values[name] < 0 and name != "Kr"):
            raise _wrong(beside, f"{name} = {values[name]:g}", f"{low:g} to {high:g}")
    return values | {"Kr": abs(values["Kr"])}


def _wrong(path: Path, got: str, expected: str) -> MeasurementFileError:
    return MeasurementFileError(path, got=got, expected=expected, remedy="copy or download the file again")
