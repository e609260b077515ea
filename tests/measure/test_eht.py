"""The EHT reader: a made-up file with a known point, the real ones, one clear line for damage."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from refusals import refusal

from echoform.measure.eht import COLUMNS, GRID, read_eht, read_visibilities
from echoform.measure.native import load, save
from echoform.measure.reading import read
from vlbi_cases import UAS

FOLDER = Path(__file__).parents[3] / "shared" / "data" / "rf_vlbi_eht"
REAL = [FOLDER / f"SR1_M87_2017_{day}_lo_hops_netcal_StokesI.csv" for day in ("095", "096")]
real_files = pytest.mark.skipif(not all(p.exists() for p in REAL), reason=f"the EHT files are not at {FOLDER}")
HEADER = "#SRC:M87,DATE(MJD):57848,FREQ:227.0707GHz"
#: in gigawavelengths, east and north
PLACE = {"AA": (0.0, 0.0), "LM": (-2.1, 3.3), "PV": (4.0, 3.9), "SM": (-3.5, 1.2)}
EAST, NORTH = 6 * 2, -4 * 2  # microarcseconds


def body(*, turned: bool = False) -> list[str]:
    """A point of 0.5 Jy; (u, v) runs from the second station to the first, as in the real files."""
    found = []
    for time in (0.76805556, 0.77083334, 1.5):
        for a, b in (("AA", "LM"), ("AA", "PV"), ("LM", "PV"), ("PV", "SM")):
            first, second = (b, a) if turned else (a, b)
            u, v = (1e9 * (p - q) for p, q in zip(PLACE[first], PLACE[second], strict=True))
            # <E_1 conj E_2> of a source at (l, m): the wave reaches the station nearer to it first.
            phase = math.degrees(2 * math.pi * (u * EAST + v * NORTH) * UAS)
            phase = (phase + 180) % 360 - 180
            found.append(f"{time:011.8f},{first},{second},{u:.4f},{v:.4f},0.50000000,{phase:.6f},0.00500000")
    return found


def write(path: Path, lines: list[str], *, header: str = HEADER, columns: str = COLUMNS, end: str = "\n") -> Path:
    path.write_text("\n".join([header, columns, *lines]) + end)
    return path


@pytest.mark.parametrize("turned", [False, True])
def test_a_point_stands_where_it_was_put(tmp_path, turned) -> None:
    measurement = read(write(tmp_path / "any.name", body(turned=turned)))
    assert measurement.y.shape == (1, 1, 3, 4)
    assert measurement.metadata.title == "EHT, M87, MJD 57848"
    # complex noise of sqrt 2 times the stated error, made unit noise
    assert torch.allclose(measurement.y.abs(), torch.full((1, 1, 3, 4), 0.5 / (0.005 * 2**0.5)))
    assert measurement.noise.sigma.tolist() == [1.0]
    picture = measurement.operator.adjoint(measurement.y)[0, 0].abs()
    assert picture[32 - 4, 32 - 6] == picture.max()  # south, and east is on the left
    x = torch.zeros(1, 1, 64, 64, dtype=torch.complex64)
    x[0, 0, 28, 26] = 0.5
    assert torch.allclose(measurement.operator(x), measurement.y, atol=1e-3 * 71)
    assert "uncalibrated" in measurement.metadata.notes["calibration"]
    assert measurement.metadata.grid is None


def test_missing_rows_are_no_samples_and_the_measurement_can_be_saved(tmp_path) -> None:
    measurement = read_eht(write(tmp_path / "a.csv", body()[:-1]))
    marks = measurement.operator.support()
    assert marks is not None
    assert int(marks.sum()) == 11
    assert measurement.y[marks.expand_as(measurement.y) == 0].tolist() == [0]
    save(measurement, tmp_path / "a.h5")
    again = load(tmp_path / "a.h5")
    assert torch.equal(again.y, measurement.y)
    assert torch.equal(again.operator.adjoint(again.y), measurement.operator.adjoint(measurement.y))


def test_rows_of_the_table(tmp_path) -> None:
    table = read_visibilities(write(tmp_path / "a.csv", body(turned=True)))
    assert table.stations == ("AA", "LM", "PV", "SM")
    assert table.time_s[0] == pytest.approx(3600 * 0.76805556)
    assert table.uv_wavelengths[0].tolist() == pytest.approx([-2.1e9, 3.3e9])
    assert table.values[0].abs() == pytest.approx(0.5)
    assert table.snr()[0] == pytest.approx(100)


ROW = "01.00000000,AA,PV,-4.0e9,-3.9e9,0.5,10.0,0.005"
DAMAGE = {
    "header only": (lambda b: [], "a header and no visibilities"),
    "cut line": (lambda b: [*b[:-1], b[-1][:40]], "eight fields"),
    "words": (lambda b: [*b[:2], ROW.replace("0.5", "half")], "line 5 '01.00000000,AA"),
    "NaN": (lambda b: [ROW.replace("10.0", "nan")], "360 degrees"),
    "overflow": (lambda b: [ROW.replace("0.5", "1e999")], "360 degrees"),
    "negative time": (lambda b: ["-" + ROW], "0 to 48 hours"),
    "negative amplitude": (lambda b: [ROW.replace("0.5", "-0.5")], "amplitude that is not negative"),
    "no error": (lambda b: [ROW.replace("0.005", "0")], "positive error"),
    "one station": (lambda b: [ROW.replace("PV", "AA")], "two stations on the Earth"),
    "too far": (lambda b: [ROW.replace("-4.0e9", "-4.0e12")], "two stations on the Earth"),
    "strange name": (lambda b: [ROW.replace("PV", "\x1b[31m")], "eight fields"),
    "twice": (lambda b: [*b, b[3]], "the same time and baseline twice"),
    "twice, turned": (lambda b: [ROW, ROW.replace("AA,PV", "PV,AA")], "the same time and baseline twice"),
    "too many": (
        lambda b: [ROW.replace("01.0", f"{t / 1e4:.7f}").replace("PV", f"S{t}") for t in range(2100)],
        "at most 4194304 entries",
    ),
}


@pytest.mark.parametrize("label", DAMAGE)
def test_damage_gives_one_clear_line(tmp_path, label) -> None:
    change, message = DAMAGE[label]
    assert message in refusal(read, write(tmp_path / "a.csv", change(body())))


def test_damaged_heads(tmp_path) -> None:
    path = tmp_path / "a.csv"
    assert "cut off" in refusal(read, write(path, body(), end=""))
    assert "the first line" in refusal(read, write(path, body(), header="#SRC:M87"))
    assert "the first line" in refusal(read, write(path, body(), header=HEADER.replace("227.0707", "0")))
    assert "the first line" in refusal(read, write(path, body(), header=HEADER.replace("M87", "\x1b[31mM87")))
    assert "columns" in refusal(read, write(path, body(), columns=COLUMNS.replace("Iamp", "Qamp")))
    path.write_bytes(b"#SRC:" + bytes(range(256)) + b"\n")
    assert "the first line" in refusal(read, path)
    assert "an Event Horizon Telescope .csv file" in refusal(load, write(path, body()))


@real_files
@pytest.mark.parametrize(("path", "samples", "times"), [(REAL[0], 6453, 701), (REAL[1], 8645, 900)], ids=["095", "096"])
def test_real_files(path, samples, times) -> None:
    measurement = read(path)
    assert measurement.y.shape == (1, 1, times, 21)
    assert int(measurement.operator.samples()) == samples
    table = read_visibilities(path)
    index = {name: i for i, name in enumerate(table.stations)}
    rows = (table.pairs == torch.tensor([index["AA"], index["PV"]])).all(1)
    assert (table.uv_wavelengths[rows] > 0).all()  # Spain lies east and north of Chile
    assert GRID.pixel_rad * float(table.uv_wavelengths.abs().max()) < 0.1


@real_files
@pytest.mark.parametrize("path", REAL, ids=["095", "096"])
def test_stated_errors_are_those_of_a_real_component(path) -> None:
    """Differences of successive samples between AZ, LM, PV and SM, over the errors: 0.6 to 1.4 in mean square."""
    table = read_visibilities(path)
    index = {name: i for i, name in enumerate(table.stations)}
    ratios = []
    for names in (("AZ", "LM"), ("LM", "PV"), ("AZ", "PV"), ("LM", "SM"), ("AZ", "SM")):
        rows = (table.pairs == torch.tensor([index[n] for n in names])).all(1)
        value, sigma, time = table.values[rows], table.sigma_jy[rows], table.time_s[rows]
        follows = time.diff() < 15
        step = value.diff()[follows] * 2**0.5 / (sigma[1:].square() + sigma[:-1].square()).sqrt()[follows]
        ratios += [float(step.real.square().mean()), float(step.imag.square().mean())]
    assert min(ratios) > 0.6
    assert max(ratios) < 1.4
