"""Ground-penetrating radar lines in GSSI's .DZT format, one channel.

A header of 1024 bytes, little-endian, then the traces. Its fields used here, by byte: 2 offset of the data (in units of 1024
where it is below 1024), 4 samples per trace, 6 bits per sample (8 and 16 unsigned, 32 signed), 14 traces per metre, 26 length of
a trace in nanoseconds, 52 channels, 54 relative permittivity entered by the operator, 98 antenna. The first two samples of a
trace hold its number and marks and are overwritten by the third.

From traces s[a, t] to y = A x + n, with every step's parameters in :class:`LineProcessing`:

1. Time zero is the first break of the mean trace (the direct wave): what comes earlier is cut off.
2. Background: the mean trace is subtracted, which removes the direct wave and the ringing, and flat layers with them.
3. y[a, f] = sum_t s[a, t] exp(-i 2 pi f t) at the frequencies of the band, equally spaced by one over the trace's length.
4. The transmitted spectrum S(f) is that of the mean trace's direct wave, scaled to the largest magnitude one.

Sender and receiver are taken to stand at one place, since the file does not say how far apart they are, and soil to be
homogeneous; the operator is :class:`~echoform.physics.ground_homogeneous.HomogeneousGround` with a gain over depth. What these
leave out (the antennas' pattern, soil that varies and absorbs) is stated as noise, a share of the rms, in quadrature.

A point at the depth z is heard along the line with the power sum_a |A_aj|^2 ~ z^-3. The image is therefore reflectivity r with
its loss over depth kept in, as in every section that a user knows,

    r = g u,    g(z) = (z / 1 m)^(3/2) exp(2 i k_c z),    k_c = 2 pi f_c sqrt(eps_r) / c of the middle frequency,

so that noise is as strong at all depths, equal pixels echo equally, and A^H A is far better conditioned than in r, whose rows at
the surface outweigh deep ones by the cube of the depths' ratio. The phase moves the spectrum of u about zero.

Source: GSSI, RADAN DZT File Format (14 June 2016).
"""

from __future__ import annotations

import math
import re
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from echoform.measure.errors import MeasurementFileError, quote
from echoform.measure.measurement import Measurement, Metadata
from echoform.measure.relative_level import relative_db
from echoform.measure.signature import FileKind, require
from echoform.physics.ground_homogeneous import HomogeneousGround
from echoform.physics.noise import GaussianNoise
from echoform.scene.collection import SPEED_OF_LIGHT_M_S
from echoform.scene.grid import Grid
from echoform.scene.soil import GroundSurvey, Section

#: largest file, bytes
MAX_FILE_BYTES = 2**28
HEADER_BYTES = 1024
#: image sides are multiples of this
SIDE_MULTIPLE = 16
#: depth at which echo strength and reflectivity are the same number
REFERENCE_M = 1.0
#: bins above this multiple of the band's upper end hold noise alone
QUIET = 2.0
_SAMPLES = {8: "u1", 16: "<u2", 32: "<i4"}
DOWNLOAD = "copy or download the file again"


@dataclass(frozen=True)
class GroundTraces:
    """The traces of a line as recorded.

    Attributes:
        samples: (A, N), float64, zero at mid-scale.
        step_s: from sample to sample, seconds.
        spacing_m: from trace to trace, metres; None when the line was not taken with a survey wheel.
        permittivity: entered by the operator, relative; a guess of the moment, not a measurement.
        antenna: its name.
    """

    samples: np.ndarray
    step_s: float
    spacing_m: float | None
    permittivity: float
    antenna: str


@dataclass(frozen=True)
class LineProcessing:
    """How traces become samples of the operator.

    Attributes:
        permittivity: of the soil; the header's when absent.
        band_hz: lowest and highest frequency kept; 0.4 to 2 times the antenna's nominal frequency when absent, hertz.
        first, last: the traces kept, last not included; all when absent.
        break_level: the first break is where the mean trace first exceeds this share of its largest magnitude.
        pulse_s: length of the direct wave, seconds; its last third fades out.
        background: whether the mean trace is subtracted.
        top_m: depth of the image's uppermost row, metres.
        model_error: of the operator, as a share of the samples' rms: an assumption. Images that fit the samples better fill with
            speckle, which predicts no trace that was left out.
    """

    permittivity: float | None = None
    band_hz: tuple[float, float] | None = None
    first: int = 0
    last: int | None = None
    break_level: float = 0.02
    pulse_s: float = 7.5e-9
    background: bool = True
    top_m: float = 0.1
    model_error: float = 0.6


def read_dzt(path: Path, *, processing: LineProcessing | None = None) -> Measurement:
    """Return a line as a measurement of the vertical section below it; columns stand under the traces.

    Raises:
        MeasurementFileError: the file is not one, is damaged, has several channels, or lacks what the processing needs.
        ValueError: the processing names traces or frequencies that are not there.
    """
    chosen = LineProcessing() if processing is None else processing
    traces = read_traces(path)
    if traces.spacing_m is None:
        raise _damaged(path, "no traces per metre", "a line taken with a survey wheel")
    band = chosen.band_hz or _nominal_band(path, traces.antenna)
    eps = traces.permittivity if chosen.permittivity is None else chosen.permittivity
    if not 1 <= eps <= 100:
        raise _damaged(path, f"a permittivity of {eps:g}", "one from 1 to 100 (processing.permittivity overrides it)")
    if len(traces.samples) < 2:
        raise _damaged(path, "one trace", "a line of two traces or more", remedy="give a file with the whole line")
    part = traces.samples[chosen.first : chosen.last]
    if len(part) < 2:
        raise ValueError(f"traces {chosen.first} to {chosen.last} of {len(traces.samples)}: fewer than two are left")
    start = first_break(traces.samples, chosen.break_level)
    direct = traces.samples.mean(0)
    cut = (part - direct if chosen.background else part)[:, start:]
    length = cut.shape[1]
    frequency = np.fft.fftfreq(length, traces.step_s)
    inside = np.flatnonzero((frequency >= band[0]) & (frequency <= band[1]) & (frequency > 0))
    if len(inside) < 2:
        holds = f"the band {band[0]:g} to {band[1]:g} Hz holds {len(inside)} of the trace's frequencies"
        if chosen.band_hz is not None:
            raise ValueError(holds)
        window = f"traces of {1e9 * traces.step_s * traces.samples.shape[1]:g} ns and {traces.samples.shape[1]} samples"
        remedy = "correct their length or the antenna in the header, or name the band (processing.band_hz)"
        raise _damaged(path, f"{window}: {holds}", f"two or more of the {traces.antenna} antenna's", remedy=remedy)
    spectra = np.fft.fft(cut, axis=1)
    pulse = np.fft.fft(direct_wave(direct[start:], round(chosen.pulse_s / traces.step_s)))[inside]
    survey = _survey(traces, len(part), frequency[inside], pulse / np.abs(pulse).max(), eps)
    section = _section(traces, len(part), length, band[1], eps, chosen.top_m)
    quiet = spectra[:, np.abs(frequency) > QUIET * band[1]]
    y = torch.from_numpy(spectra[:, inside]).to(torch.complex64)[None, None]
    rms = float(y.abs().square().mean().sqrt())
    if not rms > 0:
        got = f"no signal in the band{', all traces being alike' if chosen.background else ''}"
        raise _damaged(
            path, got, "echoes that change along the line", remedy="give a line taken while the antenna moved"
        )
    sigma = math.sqrt(float((np.abs(quiet) ** 2).mean())) if quiet.size else rms
    notes = {
        "traces x samples": f"{part.shape[0]} x {part.shape[1]}",
        "spacing": f"{1e3 * traces.spacing_m:g} mm from trace to trace, {1e12 * traces.step_s:g} ps from sample to sample",
        "antenna": traces.antenna,
        "band": f"{band[0] / 1e6:g} to {band[1] / 1e6:g} MHz, {len(inside)} frequencies",
        "soil": f"homogeneous, eps_r {eps:g} ({'entered in the field' if chosen.permittivity is None else 'given'})",
        "image": f"echo strength: a reflector's own times (depth / {REFERENCE_M:g} m)^(-3/2), so that all depths weigh alike",
        "depth": f"the uppermost row (drawn at the top) lies {chosen.top_m:g} m deep",
        "preprocessing": f"time zero at sample {start} (first break of the mean trace, {chosen.break_level:g} of its maximum)"
        + (", mean trace subtracted" if chosen.background else ""),
        "geometry": "sender and receiver taken to stand at one place, on the ground",
        "noise": f"random errors of {sigma:.3e} per sample ({relative_db(sigma, rms):.1f} dB of the rms), the "
        f"level above twice the band, and a model error of {100 * chosen.model_error:.0f} % of the rms (assumed; state another "
        "level with --sigma)",
    }
    metadata = Metadata(title=f"GPR line, {path.stem}", source=str(path), grid=section.grid, notes=notes)
    noise = GaussianNoise(torch.tensor([math.hypot(sigma, chosen.model_error * rms)]))
    operator = HomogeneousGround(survey, section, row_gain=even_depths(survey, section))
    return Measurement(y, operator, noise, metadata)


def even_depths(survey: GroundSurvey, section: Section) -> Tensor:
    """Return the gain of the rows with which pixels echo equally at all depths, (R, H); g as above."""
    middle_hz = survey.start_hz + survey.spectrum.shape[1] / 2 * survey.step_hz
    wavenumber = 2 * math.pi * middle_hz * survey.permittivity.sqrt() / SPEED_OF_LIGHT_M_S
    depth = section.depths_m().to(wavenumber.device)
    return torch.polar((depth / REFERENCE_M).pow(1.5).expand(len(wavenumber), -1), 2 * wavenumber[:, None] * depth)


def first_break(samples: np.ndarray, level: float) -> int:
    """Return the sample at which the mean trace first exceeds ``level`` of its largest magnitude."""
    mean = np.abs(samples.mean(0))
    return int(np.argmax(mean > level * mean.max()))


def direct_wave(trace: np.ndarray, length: int) -> np.ndarray:
    """Return a trace with all but its first ``length`` samples zero, their last third faded out."""
    length = max(3, min(length, len(trace)))
    window, tail = np.zeros(len(trace)), length // 3
    window[:length] = 1
    window[length - tail : length] = 0.5 + 0.5 * np.cos(np.pi * (np.arange(tail) + 1) / (tail + 1))
    return trace * window


def read_traces(path: Path) -> GroundTraces:
    """Return the traces of a .DZT file; raises MeasurementFileError for what is not one, damaged or not understood."""
    require(path, FileKind.DZT)
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise _damaged(path, f"{size} bytes", f"at most {MAX_FILE_BYTES}")
    content = path.read_bytes()
    if len(content) < HEADER_BYTES:
        raise _damaged(path, f"{len(content)} bytes", f"a header of {HEADER_BYTES}")
    offset, count, bits = struct.unpack_from("<HHH", content, 2)
    (per_metre,), (nanoseconds,) = struct.unpack_from("<f", content, 14), struct.unpack_from("<f", content, 26)
    (channels,), (eps,) = struct.unpack_from("<H", content, 52), struct.unpack_from("<f", content, 54)
    offset = offset * HEADER_BYTES if offset < HEADER_BYTES else offset
    if channels != 1:
        raise _damaged(
            path, f"{channels} channels", "one; export the channels to files of their own", remedy="split it"
        )
    if not math.isfinite(per_metre) or per_metre < 0 or not math.isfinite(eps):
        raise _damaged(path, f"{per_metre:g} traces per metre and a permittivity of {eps:g}", "finite numbers")
    body = len(content) - offset
    if count < 3 or body <= 0 or body % (count * bits // 8):
        raise _damaged(path, f"{body} bytes of data", f"a whole number of traces of {count} samples of {bits} bits")
    samples = np.frombuffer(content, _SAMPLES[bits], offset=offset).reshape(-1, count).astype(np.float64)
    samples[:, :2] = samples[:, 2:3]
    if bits != 32:
        samples -= 2.0 ** (bits - 1)
    if not np.abs(samples.mean(0)).max() > 0:
        raise _damaged(path, "traces without a signal", "a direct wave, for time zero")
    antenna = content[98:112].split(b"\0")[0].decode("latin-1").strip()
    return GroundTraces(samples, nanoseconds * 1e-9 / count, 1 / per_metre if per_metre > 0 else None, eps, antenna)


def _nominal_band(path: Path, antenna: str) -> tuple[float, float]:
    """Return 0.4 to 2 times the frequency in the antenna's name."""
    found = re.match(r"(\d{2,4}) ?MHz", antenna)
    if found is None:
        raise _damaged(
            path, f"an antenna named {quote(antenna)}", "its frequency, as in 400MHz (or processing.band_hz)"
        )
    return 0.4e6 * int(found[1]), 2e6 * int(found[1])


def _survey(traces: GroundTraces, count: int, frequency: np.ndarray, pulse: np.ndarray, eps: float) -> GroundSurvey:
    def one(value: float) -> torch.Tensor:
        return torch.tensor([value], dtype=torch.float64)

    assert traces.spacing_m is not None
    place = (torch.arange(count, dtype=torch.float64) - count // 2) * traces.spacing_m
    step = float(frequency[1] - frequency[0])
    return GroundSurvey(
        place[None], one(0.0), one(eps), one(float(frequency[0])), one(step), torch.from_numpy(pulse)[None]
    )


def _section(traces: GroundTraces, count: int, length: int, highest_hz: float, eps: float, top_m: float) -> Section:
    """Return pixels a quarter of the shortest wave high down to the depth of the last sample, one column per trace."""
    assert traces.spacing_m is not None
    speed = SPEED_OF_LIGHT_M_S / math.sqrt(eps)
    height_m = speed / (4 * highest_hz)
    rows = max(1, math.floor((speed * traces.step_s * length / 2 - top_m) / height_m))
    sides = [math.ceil(n / SIDE_MULTIPLE) * SIDE_MULTIPLE for n in (rows, count)]
    return Section(Grid((sides[0], sides[1]), (height_m, traces.spacing_m)), top_m)


def _damaged(path: Path, got: str, expected: str, *, remedy: str = DOWNLOAD) -> MeasurementFileError:
    return MeasurementFileError(path, got=got, expected=expected, remedy=remedy)
