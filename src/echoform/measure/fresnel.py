"""Institut Fresnel scattering files (.exp), the 2001 and 2005 database of inhomogeneous targets, TM polarisation.

After a header of lines that begin with '#', each line holds: view, receiver angle index (1 = 0 degrees, step 1 degree), GHz,
real and imaginary part of the total field, real and imaginary part of the incident field, exp(+j w t). Antennas stand
1.67 m from the centre. Each view is heard over an arc about the direction opposite its source; the source's angle is
therefore the arc's middle plus 180 degrees. The scattered field is total minus incident, calibrated to a unit line source,

    y[f, r, t] = (E_total - E_incident)[f, r, t] g_f(2 R) / E_incident[f, r = opposite t, t],       g = -(i/4) H0^(2)(k R)

TE files are refused: their fields need the vector model.

The noise stated holds the model's error, in quadrature: Born's, as a share of the rms, grows with the phase that it neglects and
so with the highest frequency. The share at 10 GHz is that found on one target of the database (benchmarks/model_error.py).

Source: Geffrin, Sabouroux and Eyraud (2005), Inverse Problems 21, S117, sections 2 and 4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from echoform.measure.errors import MeasurementFileError, quote
from echoform.measure.measurement import Measurement, Metadata
from echoform.measure.relative_level import relative_db
from echoform.measure.signature import FileKind, require
from echoform.physics.born import BornScattering
from echoform.physics.green import Radiator, green_2d, wavenumber
from echoform.physics.noise import GaussianNoise
from echoform.scene.cells import cells_of
from echoform.scene.grid import Grid
from echoform.scene.rig import MultistaticRig, ring_m

#: distance of all antennas from the centre, metres
RADIUS_M = 1.67
#: default image: the largest targets of the database fit
GRID = Grid((64, 64), (0.0025, 0.0025))
#: largest file, bytes, and most Green function values asked for by one
MAX_FILE_BYTES, MAX_FIELDS = 2**26, 2**27
#: highest frequency, GHz
HIGHEST_GHZ = 1000.0
#: receivers are one degree apart
DEGREES = 360
#: error of the Born approximation at 10 GHz, as a share of the samples' rms, and the most that is stated
MODEL_ERROR, LARGEST_MODEL_ERROR = 0.6, 0.9
#: order of the differences along the receivers from which the noise is estimated
NOISE_ORDER = 6
EXPECTED = "view, receiver index, GHz, and total and incident field as real and imaginary parts"
DOWNLOAD = "copy or download the file again"


@dataclass(frozen=True)
class FresnelFields:
    """The fields of a file on the full set of receivers, views and frequencies that it names.

    Attributes:
        frequency_hz: (F,), rising, hertz.
        receiver_rad: (R,), rising, radians.
        source_rad: (T,), radians.
        total: complex, (F, R, T), zero where not measured.
        incident: likewise.
        heard: bool, (F, R, T).
        title: the target's name.
    """

    frequency_hz: np.ndarray
    receiver_rad: np.ndarray
    source_rad: np.ndarray
    total: np.ndarray
    incident: np.ndarray
    heard: np.ndarray
    title: str

    def up_to(self, highest_hz: float) -> FresnelFields:
        """Return the fields at the frequencies up to ``highest_hz``; raises ValueError when there is none."""
        kept = self.frequency_hz <= highest_hz
        if not kept.any():
            raise ValueError(f"no frequency up to {highest_hz:g} Hz: the lowest is {self.frequency_hz[0]:g} Hz")
        parts = {name: getattr(self, name)[kept] for name in ("frequency_hz", "total", "incident", "heard")}
        return replace(self, **parts)


def read_fresnel(
    path: Path, *, grid: Grid = GRID, highest_hz: float = math.inf, model_error: float | None = None
) -> Measurement:
    """Return a Fresnel file as a measurement with the two-dimensional Born operator.

    Args:
        path: the .exp file.
        grid: image grid about the centre of rotation.
        highest_hz: frequencies above it are left out, since Born fails first at the high ones; hertz.
        model_error: of the Born approximation, as a share of the samples' rms; one that grows with the frequency when absent.

    Raises:
        MeasurementFileError: the file is not one, is damaged, or cannot be calibrated.
        ValueError: no frequency is left.
    """
    fields = read_fields(path).up_to(highest_hz)
    samples = torch.from_numpy(calibrated(path, fields))
    heard = torch.from_numpy(fields.heard).double()
    frequencies, receivers, views = heard.shape
    if frequencies * (receivers + views) * grid.shape[0] * grid.shape[1] > MAX_FIELDS:
        got = f"{frequencies} frequencies, {receivers} receivers and {views} views"
        raise MeasurementFileError(path, got=got, expected="a file that fits the grid's memory", remedy=DOWNLOAD)
    rig = MultistaticRig(
        ring_m(RADIUS_M, torch.from_numpy(fields.source_rad))[None],
        ring_m(RADIUS_M, torch.from_numpy(fields.receiver_rad))[None],
        torch.from_numpy(fields.frequency_hz)[None],
        heard[None],
    )
    operator = BornScattering(rig, cells_of(grid), radiator=Radiator.LINE)
    sigma = scatter(samples, heard != 0)
    rms = math.sqrt(float(samples.abs().square().sum() / heard.sum()))
    if not rms > 0:
        got, expected = "a total field that is the incident one", "a field scattered by a target"
        raise MeasurementFileError(
            path, got=got, expected=expected, remedy="give a file that was measured with a target"
        )
    foretold = min(MODEL_ERROR * float(fields.frequency_hz[-1]) / 10e9, LARGEST_MODEL_ERROR)
    share = foretold if model_error is None else model_error
    notes = {
        "views x receivers x frequencies": f"{views} x {int(heard.sum(1).amax())} x {frequencies}",
        "frequency": f"{fields.frequency_hz[0] / 1e9:g} to {fields.frequency_hz[-1] / 1e9:g} GHz",
        "image": "contrast of the relative permittivity under the Born approximation",
        "calibration": "incident field at the receiver opposite each source, to that of a unit line source",
        "noise": f"random errors of {sigma:.3e} per sample ({relative_db(sigma, rms):.1f} dB of the rms), from the "
        f"roughness along the receivers, and a model error of {100 * share:.0f} % of the rms: Born neglects multiple scattering "
        "(assumed; state another level with --sigma)",
    }
    # contrast is smooth over a target and many pixels wide: bright points, as of radar, would make a lattice of it
    metadata = Metadata(title=fields.title, source=str(path), grid=grid, smooth_phase=True, notes=notes)
    y = samples.to(torch.complex64)[None, None]
    return Measurement(y, operator, GaussianNoise(torch.tensor([math.hypot(sigma, share * rms)])), metadata)


def calibrated(path: Path, fields: FresnelFields) -> np.ndarray:
    """Return the scattered fields of unit line sources, (F, R, T); raises MeasurementFileError without a reference."""
    vacuum = torch.ones(1, dtype=torch.float64)
    k = wavenumber(torch.from_numpy(fields.frequency_hz)[None], vacuum)[0]
    unit = green_2d(torch.tensor(2 * RADIUS_M, dtype=torch.float64), k).numpy()
    gap = np.angle(np.exp(1j * (fields.receiver_rad[:, None] - fields.source_rad - np.pi)))
    opposite, views = np.abs(gap).argmin(0), np.arange(len(fields.source_rad))
    reference = fields.incident[:, opposite, views]
    if not fields.heard[:, opposite, views].all() or np.abs(gap[opposite, views]).max() > np.pi / DEGREES * 1.01:
        raise _damaged(path, "a view without a receiver opposite its source", "one, for calibration")
    if not (np.abs(reference) > 0).all():
        raise _damaged(path, "an incident field of zero opposite a source", "a field to calibrate with")
    return (fields.total - fields.incident) * (unit[:, None] / reference)[:, None, :]


def scatter(samples: torch.Tensor, heard: torch.Tensor) -> float:
    """Return the level of what is independent from receiver to receiver, from sixth differences over neighbouring ones.

    A target of radius a gives fields with angular harmonics up to k a, which the differences suppress by (k a pi / 180)^6.
    Independent noise keeps its level once divided by the root of sum_k binom(6, k)^2 = binom(12, 6). An upper bound of sigma.

    Args:
        samples: (F, R, T), complex.
        heard: bool, (F, R, T).
    """
    rough, whole = samples, heard
    for _ in range(NOISE_ORDER):
        rough, whole = rough[:, 1:] - rough[:, :-1], whole[:, 1:] & whole[:, :-1]
    if not bool(whole.any()):
        return float(samples[heard].abs().square().mean().sqrt())
    return math.sqrt(float(rough[whole].abs().square().mean()) / math.comb(2 * NOISE_ORDER, NOISE_ORDER))


def read_fields(path: Path) -> FresnelFields:
    """Return the fields of a Fresnel file; raises MeasurementFileError for what is missing, damaged or of TE polarisation."""
    header, rows = _rows(path)
    if any(line.lower().startswith("polarization") and "TE" in line for line in header):
        raise _damaged(path, "TE polarisation (H //)", "TM polarisation (E //), which the scalar model describes")
    view, receiver, ghz = rows[:, 0], rows[:, 1], rows[:, 2]
    for name, values, top in (("view", view, DEGREES), ("receiver index", receiver, DEGREES)):
        if not ((values == np.round(values)) & (values >= 1) & (values <= top)).all():
            raise _damaged(path, f"a {name} that is no whole number from 1 to {top}", EXPECTED)
    if not ((ghz > 0) & (ghz <= HIGHEST_GHZ)).all():
        raise _damaged(path, f"frequencies from {ghz.min():g} to {ghz.max():g} GHz", f"up to {HIGHEST_GHZ:g} GHz")
    axes = [np.unique(column, return_inverse=True) for column in (ghz, receiver, view)]
    shape, index = tuple(len(values) for values, _ in axes), tuple(inverse for _, inverse in axes)
    counts = np.zeros(shape, dtype=np.int64)
    np.add.at(counts, index, 1)
    if counts.max() > 1:
        raise _damaged(path, "the same view, receiver and frequency twice", "each once")
    total, incident = np.zeros(shape, dtype=np.complex128), np.zeros(shape, dtype=np.complex128)
    total[index], incident[index] = rows[:, 3] + 1j * rows[:, 4], rows[:, 5] + 1j * rows[:, 6]
    receiver_rad = np.deg2rad((axes[1][0] - 1) * 360 / DEGREES)
    arcs = (counts.any(0) * np.exp(1j * receiver_rad)[:, None]).mean(0)
    if np.abs(arcs).min() < 1e-3:
        raise _damaged(path, "a view heard all around, so that its source's angle is unknown", "an arc of receivers")
    title = next((line.split(":", 1)[1] for line in header if line.startswith("Object") and ":" in line), path.stem)
    source_rad = np.mod(np.angle(-arcs), 2 * np.pi)
    return FresnelFields(
        1e9 * axes[0][0], receiver_rad, source_rad, total, incident, counts > 0, f"Institut Fresnel, {title.strip()}"
    )


def _rows(path: Path) -> tuple[list[str], np.ndarray]:
    """Return the header's lines and the numbers of all others, (N, 7), each checked."""
    require(path, FileKind.FRESNEL)
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise _damaged(path, f"{size} bytes", f"at most {MAX_FILE_BYTES}")
    header, rows = [], []
    for number, line in enumerate(path.read_bytes().decode("latin-1").splitlines(), 1):
        if line.startswith("#"):
            header.append(line.lstrip("# "))
        elif line.strip():
            try:
                values = [float(word) for word in line.split()]
            except ValueError:
                raise _damaged(path, f"line {number} {quote(line)}", EXPECTED) from None
            if len(values) != 7 or not all(map(math.isfinite, values)):
                raise _damaged(path, f"line {number} {quote(line)}", f"seven finite numbers: {EXPECTED}")
            rows.append(values)
    if not rows:
        raise _damaged(path, "a header and no fields", EXPECTED)
    return header, np.array(rows)


def _damaged(path: Path, got: str, expected: str) -> MeasurementFileError:
    return MeasurementFileError(path, got=got, expected=expected, remedy=DOWNLOAD)
