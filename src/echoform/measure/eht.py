"""Event Horizon Telescope visibilities as comma-separated text (the M87 release of 2019, Stokes I).

    #SRC:M87,DATE(MJD):57848,FREQ:227.0707GHz
    #time(UTC),T1,T2,U(lambda),V(lambda),Iamp(Jy),Iphase(d),Isigma(Jy)
    00.76805556,AA,PV,-4361512960.0000,...

One row per baseline and 10 s: hours, two stations, (u, v), amplitude, phase in degrees, thermal error. What the release leaves
to be known, and how it was settled here:

- (u, v) runs from T2 to T1 (ALMA, in Chile, to Pico Veleta, in Spain, has both negative although Spain lies east and north),
  so V = sum x exp(+2 pi i (u l + v m)); the reader turns (u, v) round to the sign of :mod:`echoform.physics.interferometry`.
- The error is that of one real component: between AZ, LM, PV and SM the differences of successive samples have 0.7 to 1.1 times
  the mean square that it gives, in each component. The complex noise is therefore CN(0, 2 Isigma^2).

Station phases are uncalibrated (fringes were aligned within each scan, so that scans average, but no scan's phase means
anything); amplitudes are calibrated to 10 or 20 per cent. What is free of both is in :mod:`echoform.measure.closure`.

Source: EHT Collaboration (2019), First M87 EHT Results III, ApJL 875, L3; data product 2019-D01-01.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

import torch

from echoform.measure.errors import MeasurementFileError, quote
from echoform.measure.measurement import Measurement, Metadata
from echoform.measure.signature import FileKind, require
from echoform.measure.sky_observation import SkyObservation
from echoform.measure.visibilities import Visibilities
from echoform.physics.interferometry import interferometer
from echoform.physics.noise import GaussianNoise
from echoform.scene.collection import SPEED_OF_LIGHT_M_S
from echoform.scene.sky import MICROARCSECOND_RAD, SkyGrid

#: default image: 128 microarcseconds, pixels of a tenth of the beam
GRID = SkyGrid((64, 64), 2 * MICROARCSECOND_RAD)
#: longest baseline on the ground
EARTH_DIAMETER_M = 12.8e6
#: largest file, bytes; most entries of the table times x baselines
MAX_FILE_BYTES, MAX_ENTRIES = 2**25, 2**22
#: an observation starts on its date and may run into the next day
MAX_HOURS = 48.0
#: flux density and error of one sample, Jy
MAX_JY = 1e6
#: standard deviation of the logarithm of a station's gain after calibration: our choice, LMT's pointing was poor
GAIN_SD, POOR_GAIN_SD = 0.1, {"LM": 0.5}
COLUMNS = "#time(UTC),T1,T2,U(lambda),V(lambda),Iamp(Jy),Iphase(d),Isigma(Jy)"
HEADER = re.compile(r"#SRC:([\w.+ -]{1,32}),DATE\(MJD\):(\d{1,6}),FREQ:(\d{1,6}(?:\.\d{1,9})?)GHz")
STATION = re.compile(r"\w{1,8}", re.ASCII)
EXPECTED = "hours, two stations, u, v, amplitude, phase, error"
DOWNLOAD = "copy or download the file again"
PHASES = (
    "station phases are uncalibrated: no linear image shows the source; closure quantities do (the method 'closure', "
    "echoform.recon.closure_reconstructor)"
)


def read_eht(path: Path, *, grid: SkyGrid = GRID) -> Measurement:
    """Return a file as a measurement with unit noise: y = V / sigma, A = diag(1 / sigma) F, range (1, times, baselines).

    Args:
        path: the .csv file.
        grid: image grid on the sky; the image is in Jy per pixel.

    Raises:
        MeasurementFileError: the file is not one or is damaged.
        ValueError: the grid does not suit the baselines.
    """
    table, title, frequency_hz = _read(path)
    shape, row, column = table.by_time_and_baseline()
    if math.prod(shape) > MAX_ENTRIES:
        got = f"{shape[0]} times and {shape[1]} baselines"
        raise _damaged(path, got, f"at most {MAX_ENTRIES} entries")
    weights = torch.zeros(1, *shape, dtype=torch.float64)
    uv = torch.zeros(1, *shape, 2, dtype=torch.float64)
    y = torch.zeros(1, 1, *shape, dtype=torch.complex64)
    weights[0, row, column] = 1 / table.sigma_jy
    uv[0, row, column] = table.uv_wavelengths
    y[0, 0, row, column] = (table.values / table.sigma_jy).to(y.dtype)
    limit = EARTH_DIAMETER_M * frequency_hz / SPEED_OF_LIGHT_M_S
    operator = interferometer(uv, weights, grid, largest_w_wavelengths=limit)
    field = [n * grid.pixel_rad / MICROARCSECOND_RAD for n in grid.shape[::-1]]
    longest = float(table.uv_wavelengths.norm(dim=1).max())
    notes = {
        "calibration": PHASES,
        "field of view": f"{field[0]:.4g} x {field[1]:.4g} microarcseconds, north up, east left",
        "image": "flux density, Jy per pixel; complex, though the sky is real and positive",
        "frequency": f"{frequency_hz / 1e9:g} GHz",
        "stations": f"{len(table.stations)}: {', '.join(table.stations)}",
        "samples": f"{len(table)} on {shape[1]} baselines up to {longest / 1e9:.2f} gigawavelengths, at {shape[0]} times",
        "noise": "each sample divided by its own thermal error; errors that do not close (about 2 %) are not in it",
    }
    gain_sd = torch.tensor([POOR_GAIN_SD.get(name, GAIN_SD) for name in table.stations], dtype=torch.float64)
    metadata = Metadata(title=title, source=str(path), notes=notes, sky=SkyObservation(table, grid, gain_sd))
    return Measurement(y, operator, GaussianNoise(torch.ones(1)), metadata)


def read_visibilities(path: Path) -> Visibilities:
    """Return the rows of a file in Jy, stations in alphabetical order, seconds since midnight UTC.

    Raises:
        MeasurementFileError: the file is not one or is damaged.
    """
    return _read(path)[0]


def _read(path: Path) -> tuple[Visibilities, str, float]:
    """Return the table, a title and the frequency in hertz."""
    lines = _lines(path)
    header = HEADER.fullmatch(lines[0])
    if header is None or not 0 < float(header[3]) <= 1e4:
        raise _damaged(path, f"the first line {quote(lines[0])}", "#SRC:name,DATE(MJD):day,FREQ:number GHz")
    if len(lines) < 2 or lines[1] != COLUMNS:
        raise _damaged(path, f"columns {quote(lines[1] if len(lines) > 1 else '')}", COLUMNS)
    frequency_hz = 1e9 * float(header[3])
    limit = EARTH_DIAMETER_M * frequency_hz / SPEED_OF_LIGHT_M_S
    rows = [_row(path, n, line, limit) for n, line in enumerate(lines[2:], 3) if line.strip()]
    if not rows:
        raise _damaged(path, "a header and no visibilities", EXPECTED)
    stations = tuple(sorted({name for names, _ in rows for name in names}))
    index = {name: i for i, name in enumerate(stations)}
    pairs = torch.tensor([[index[a], index[b]] for (a, b), _ in rows])
    hours, u, v, amplitude, phase, sigma = torch.tensor([n for _, n in rows], dtype=torch.float64).unbind(1)
    values, uv = torch.polar(amplitude, phase.deg2rad()), -torch.stack([u, v], 1)
    turned = pairs[:, 0] > pairs[:, 1]
    _, counts = torch.cat([hours[:, None], pairs.sort(1).values.double()], 1).unique(dim=0, return_counts=True)
    if int(counts.max()) > 1:
        raise _damaged(path, "the same time and baseline twice", "each once")
    table = Visibilities(
        stations,
        pairs.sort(1).values,
        3600 * hours,
        torch.where(turned[:, None], -uv, uv),
        torch.where(turned, values.conj(), values),
        math.sqrt(2) * sigma,
    )
    return table, f"EHT, {header[1].strip()}, MJD {header[2]}", frequency_hz


def _lines(path: Path) -> list[str]:
    require(path, FileKind.EHT)
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise _damaged(path, f"{size} bytes", f"at most {MAX_FILE_BYTES}")
    text = path.read_bytes().decode("latin-1")
    if not text.endswith("\n"):
        raise _damaged(path, "a last line without an end, so the file may be cut off", "a complete file")
    return text.splitlines()


def _row(path: Path, number: int, line: str, limit: float) -> tuple[tuple[str, str], list[float]]:
    """Return the stations and the six numbers of a line, each checked; ``limit`` is the longest |u|, |v| possible."""
    words = [word.strip() for word in line.split(",")]
    got = f"line {number} {quote(line)}"
    if len(words) != 8 or not all(STATION.fullmatch(name) for name in words[1:3]):
        raise _damaged(path, got, f"eight fields: {EXPECTED}")
    try:
        numbers = [float(word) for word in (words[0], *words[3:])]
    except ValueError:
        raise _damaged(path, got, f"numbers: {EXPECTED}") from None
    hours, u, v, amplitude, phase, sigma = numbers
    if not (all(map(math.isfinite, numbers)) and 0 <= hours <= MAX_HOURS and abs(phase) <= 360):
        raise _damaged(path, got, f"0 to {MAX_HOURS:g} hours and up to 360 degrees")
    if not (0 <= amplitude <= MAX_JY and 1e-9 <= sigma <= MAX_JY):
        raise _damaged(path, got, "an amplitude that is not negative and a positive error, Jy")
    if words[1] == words[2] or math.hypot(u, v) > limit:
        raise _damaged(path, got, f"two stations on the Earth, at most {limit:.3g} wavelengths apart")
    return (words[1], words[2]), numbers


def _damaged(path: Path, got: str, expected: str) -> MeasurementFileError:
    return MeasurementFileError(path, got=got, expected=expected, remedy=DOWNLOAD)
