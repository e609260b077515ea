"""Breast phantoms measured for MERIT (.csv): scattering parameters of one rotation, with tables beside them.

The file given holds a row per frequency and a column per channel, complex numbers written a+bi, exp(+j w t). Beside it stand
frequencies.csv (hertz), channel_names.csv (transmitter, receiver, counted from 1), antenna_locations.csv (x, y, z, metres) and
the same phantom turned about the z axis, NAME_pDDD.csv for NAME_pEEE.csv. The image is that of the difference,

    y[f, r, t] = S_given - S_turned,

in which the skin and the antennas' coupling cancel, as far as they are symmetric about the axis, and the tumour stays: once where
it is, and once, with the opposite sign, where the turn put it.

Points in three dimensions under the Born approximation (:mod:`echoform.physics.born`). Two figures are assumed, for no file
states them: the permittivity of the fat and of the liquid in which the antennas stand, and the gain and delay of the antennas,
taken to be one and none. So the image is contrast up to one complex factor, and the noise stated holds an error of the model, in
quadrature: most of what is measured is none of a weak scatterer between point antennas (benchmarks/model_error.py).

Source: O'Loughlin et al. (2018), MERIT: an open-source software library for radar-based imaging, EuCAP 2018.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import torch

from echoform.measure.errors import MeasurementFileError, quote
from echoform.measure.fresnel import scatter
from echoform.measure.measurement import Measurement, Metadata
from echoform.measure.relative_level import relative_db
from echoform.measure.signature import FileKind, require
from echoform.physics.born import BornScattering
from echoform.physics.green import Radiator
from echoform.physics.noise import GaussianNoise
from echoform.scene.cells import Cells, volume_of
from echoform.scene.grid import Grid
from echoform.scene.rig import MultistaticRig

#: relative permittivity of fat and coupling liquid: assumed, fat at 1.5 to 4.5 GHz lies between 4 and 10
PERMITTIVITY = 8.0
#: error of the model, as a share of the samples' rms
MODEL_ERROR = 0.8
#: default image: the inside of the antennas' dome
VOLUME = volume_of(Grid((24, 24), (0.0035, 0.0035)), 12, 0.004, middle_m=0.026)
#: largest file, bytes, and most Green function values asked for by one
MAX_FILE_BYTES, MAX_FIELDS = 2**26, 2**27
#: farthest antenna and highest frequency
FARTHEST_M, HIGHEST_HZ = 10.0, 1e12
DOWNLOAD = "copy or download the files again"
_NAME = re.compile(r"(.*_p)(\d+)")
_NUMBER = r"[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?"
_COMPLEX = re.compile(rf"({_NUMBER})([+-]\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)i")


def read_merit(
    path: Path, *, permittivity: float = PERMITTIVITY, cells: Cells = VOLUME, model_error: float = MODEL_ERROR
) -> Measurement:
    """Return the difference of a rotation and its sibling as a measurement of a volume, slices along the channel axis.

    Args:
        path: NAME_pDDD.csv; the other files are found beside it.
        permittivity: of the background, relative, an assumption.
        cells: the volume (or a sheet) that is imaged.
        model_error: as a share of the samples' rms, an assumption.

    Raises:
        MeasurementFileError: the file or one beside it is missing or damaged, or they do not fit each other.
    """
    require(path, FileKind.MERIT)
    other = turned_sibling(path)
    frequency = _table(path.with_name("frequencies.csv"), 1)[:, 0]
    channels = _table(path.with_name("channel_names.csv"), 2)
    antennas = _table(path.with_name("antenna_locations.csv"), 3)
    _check(path, frequency, channels, antennas)
    shape = (len(frequency), len(channels))
    difference = _scattering(path, shape) - _scattering(other, shape)
    index = torch.from_numpy(channels.astype(np.int64) - 1)
    count = len(antennas)
    if math.prod(cells.shape) * len(frequency) * count > MAX_FIELDS:
        raise _damaged(path, f"{len(frequency)} frequencies and {count} antennas", "files that fit the volume's memory")
    heard = torch.zeros(count, count, dtype=torch.float64)
    heard[index[:, 1], index[:, 0]] = 1
    y = torch.zeros(len(frequency), count, count, dtype=torch.complex128)
    y[:, index[:, 1], index[:, 0]] = torch.from_numpy(difference)
    place = torch.from_numpy(antennas)[None]
    rig = MultistaticRig(place, place, torch.from_numpy(frequency)[None], heard[None, None])
    background = torch.tensor([permittivity], dtype=torch.float64)
    operator = BornScattering(rig, cells, radiator=Radiator.POINT, permittivity=background)
    marks = (heard != 0).expand(y.shape)
    sigma = scatter(y.transpose(0, 1), marks.transpose(0, 1))
    rms = math.sqrt(float(y.abs().square().sum() / marks.sum()))
    if not rms > 0:
        expected = "another rotation, whose difference from this one is imaged"
        raise _damaged(path, f"the same numbers as in {other.name}", expected, remedy="put another rotation beside it")
    heights = cells.heights_m
    notes = {
        "frequencies x channels": f"{shape[0]} x {shape[1]}, {count} antennas",
        "frequency": f"{frequency[0] / 1e9:g} to {frequency[-1] / 1e9:g} GHz",
        "difference": f"{path.name} minus {other.name}: the tumour, and its negative where the turn put it",
        "image": f"contrast up to one complex factor, slices z = {1e3 * heights[0]:g} to {1e3 * heights[-1]:g} mm as channels",
        "assumed": f"background permittivity {permittivity:g}, point antennas without delay",
        "noise": f"random errors of {sigma:.3e} per sample ({relative_db(sigma, rms):.1f} dB of the rms), from "
        f"the roughness along frequency, and a model error of {100 * model_error:.0f} % of the rms (assumed; state another level "
        "with --sigma)",
    }
    metadata = Metadata(title=f"MERIT breast phantom, {path.stem}", source=str(path), grid=cells.grid, notes=notes)
    noise = GaussianNoise(torch.tensor([math.hypot(sigma, model_error * rms)]))
    return Measurement(y.to(torch.complex64)[None, None], operator, noise, metadata)


def turned_sibling(path: Path) -> Path:
    """Return the file of another rotation beside ``path``, the first by name; raises MeasurementFileError without one."""
    match = _NAME.fullmatch(path.stem)
    if match is None:
        raise _damaged(
            path, "a name without a rotation", "NAME_pDDD.csv, so that the other rotation can be found beside it"
        )
    others = [p for p in sorted(path.parent.glob(f"*{path.suffix}")) if p != path and _is_turn_of(p, match[1])]
    if not others:
        raise _damaged(path, "no other rotation of the phantom beside it", f"a second file {match[1]}DDD{path.suffix}")
    return others[0]


def _is_turn_of(path: Path, name: str) -> bool:
    match = _NAME.fullmatch(path.stem)
    return match is not None and match[1] == name


def _check(path: Path, frequency: np.ndarray, channels: np.ndarray, antennas: np.ndarray) -> None:
    if not ((frequency > 0) & (frequency <= HIGHEST_HZ)).all() or len(np.unique(frequency)) != len(frequency):
        raise _damaged(path.with_name("frequencies.csv"), "frequencies that are not positive or stand twice", "hertz")
    if np.abs(antennas).max() > FARTHEST_M:
        raise _damaged(path.with_name("antenna_locations.csv"), f"{np.abs(antennas).max():g} m", "x, y, z in metres")
    whole = (channels == np.round(channels)) & (channels >= 1) & (channels <= len(antennas))
    if not whole.all() or len(np.unique(channels, axis=0)) != len(channels):
        expected = f"pairs of antennas from 1 to {len(antennas)}, each once"
        raise _damaged(path.with_name("channel_names.csv"), "other numbers, or a pair twice", expected)


def _scattering(path: Path, shape: tuple[int, int]) -> np.ndarray:
    rows = []
    for number, line in enumerate(_lines(path), 1):
        matches = [_COMPLEX.fullmatch(word.strip()) for word in line.split(",")]
        if len(matches) != shape[1]:
            raise _damaged(path, f"line {number} with {len(matches)} numbers", f"{shape[1]}, one per channel")
        rows.append([_complex(path, number, line, m) for m in matches])
    if len(rows) != shape[0]:
        raise _damaged(path, f"{len(rows)} lines", f"{shape[0]}, one per frequency")
    return np.array(rows)


def _complex(path: Path, number: int, line: str, match: re.Match[str] | None) -> complex:
    value = complex(math.nan) if match is None else complex(float(match[1]), float(match[2]))
    if not np.isfinite(value):
        raise _damaged(path, f"line {number} {quote(line)}", "finite complex numbers a+bi")
    return value


def _table(path: Path, columns: int) -> np.ndarray:
    rows = []
    for number, line in enumerate(_lines(path), 1):
        try:
            values = [float(word) for word in line.split(",")]
        except ValueError:
            values = []
        if len(values) != columns or not all(map(math.isfinite, values)):
            raise _damaged(path, f"line {number} {quote(line)}", f"{columns} finite numbers")
        rows.append(values)
    if not rows:
        raise _damaged(path, "no line", f"lines of {columns} numbers")
    return np.array(rows)


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        raise _damaged(path, "no such file", "it beside the scattering file", remedy="download the whole folder")
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise _damaged(path, f"{size} bytes", f"at most {MAX_FILE_BYTES}")
    return [line for line in path.read_bytes().decode("latin-1").splitlines() if line.strip()]


def _damaged(path: Path, got: str, expected: str, *, remedy: str = DOWNLOAD) -> MeasurementFileError:
    return MeasurementFileError(path, got=got, expected=expected, remedy=remedy)
