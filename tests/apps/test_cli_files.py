"""Every kind of file through the command line: `info` and `reconstruct` on the real ones, `convert` and SICD on made-up ones.

A new kind of file needs a row in REAL, or a made-up file in MADE (``test_every_kind_has_a_row``).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import sarkit.sicd as sksicd
import torch
from sarkit.verification import CphdConsistency, SicdConsistency

from echoform.apps.cli import main
from echoform.apps.demo import simulated_collection
from echoform.measure.cphd_write import write_cphd
from echoform.measure.earth import Place
from echoform.measure.native import save
from echoform.measure.phase_history import history_of
from echoform.measure.reading import read
from echoform.measure.signature import FileKind, identify

DATA = Path(__file__).parents[3] / "shared" / "data"
PLACE = ["--place", "39.78", "-84.08", "250"]

#: a real file of each kind below ../shared/data, and a word that `info` must print
REAL: dict[str, tuple[FileKind, str, str]] = {
    "Gotcha": (FileKind.MATLAB5, "sar_phase_gotcha/data_3dsar_pass1_az001_HH.mat", "Gotcha"),
    "RADARSAT-1": (FileKind.MATLAB5, "sar_raw_radarsat1/scene3_UBC_and_one_ship_CDdata1.mat", "RADARSAT"),
    "OpenRadar cube": (FileKind.NPY, "rf_fmcw_openradar/doppler_example_1.npy", "chirps x antennas x samples"),
    "OpenRadar 128 x 128": (FileKind.NPY, "rf_fmcw_openradar/simple_frame_1.npy", "(chirps, samples)"),
    "OpenRadar 128 x 256": (FileKind.NPY, "rf_fmcw_openradar/doppler_example.npy", "(chirps, samples)"),
    "Fresnel": (FileKind.FRESNEL, "rf_fresnel/FoamDielIntTM.exp", "Fresnel"),
    "EHT": (FileKind.EHT, "rf_vlbi_eht/SR1_M87_2017_095_lo_hops_netcal_StokesI.csv", "M87"),
    "BART": (FileKind.BART, "mri_multicoil_brain/full.hdr", "230 x 180"),
    "GSSI": (FileKind.DZT, "rf_gpr/gprpy_FILE032.DZT", "GPR line"),
    "MERIT": (FileKind.MERIT, "rf_breast_merit/B0_P3_p000.csv", "MERIT"),
}
#: so large that the whole command takes minutes: only `info` here, the image in benchmarks/radarsat.py
LARGE = {"RADARSAT-1"}


def made_native(path: Path) -> None:
    save(simulated_collection(32, 20.0, seed=3), path)


def made_cphd(path: Path) -> None:
    measurement = simulated_collection(32, 20.0, seed=3)
    grid = measurement.metadata.grid
    assert grid is not None
    write_cphd(replace(history_of(measurement), place=Place(39.78, -84.08, 250.0)), path, grid=grid)


def made_npz(path: Path) -> None:
    """Write a simulated collection as NPZ."""
    history = history_of(simulated_collection(32, 20.0, seed=3))
    np.savez(
        path,
        samples=history.samples[0, 0].numpy(),
        antenna_m=history.collection.antenna_m[0].numpy(),
        frequency_hz=history.collection.frequency_hz[0].numpy(),
    )


def made_fastmri(path: Path) -> None:
    """Two slices of one coil, 32 x 32: the second of a single pixel."""
    with h5py.File(path, "w") as file:
        file["kspace"] = np.stack([np.ones((32, 32)), np.full((32, 32), 2j)]).astype(np.complex64)


#: kinds of which there is no public file at hand
MADE: dict[str, tuple[FileKind, str, Callable[[Path], None]]] = {
    "native": (FileKind.HDF5, "m.h5", made_native),
    "CPHD": (FileKind.CPHD, "m.cphd", made_cphd),
    "NPZ": (FileKind.NPZ, "m.npz", made_npz),
    "fastMRI": (FileKind.HDF5, "m.h5", made_fastmri),
}


def test_every_kind_has_a_row() -> None:
    missing = set(FileKind) - {row[0] for row in (*REAL.values(), *MADE.values())}
    assert not missing, f"add a row to REAL or MADE for {sorted(kind.name for kind in missing)}"


def through_the_door(
    path: Path, kind: FileKind, word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], *, image: bool = True
) -> None:
    """Take a file through info and reconstruct, as a user would."""
    assert identify(path) is kind
    assert main(["info", str(path)]) == 0
    printed = capsys.readouterr()
    assert word in printed.out
    assert printed.err == ""
    if not image:
        return
    out = tmp_path / "out"
    assert main(["reconstruct", str(path), "--method", "backprojection", "--out", str(out)]) == 0
    pixels = np.load(out / "backprojection.npy", allow_pickle=False)
    assert pixels.ndim == 4
    assert np.isfinite(pixels).all()
    assert np.abs(pixels).max() > 0
    assert json.loads((out / "metrics.json").read_text())["backprojection"]["scores"]
    assert "<img" in (out / "report.html").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("label", REAL)
def test_real_files(label: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kind, name, word = REAL[label]
    if not (DATA / name).exists():
        pytest.skip(f"{name} is not in ../shared/data; it cannot be shipped")
    through_the_door(DATA / name, kind, word, tmp_path, capsys, image=label not in LARGE)


@pytest.mark.parametrize("label", MADE)
def test_made_files(label: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kind, name, make = MADE[label]
    make(tmp_path / name)
    through_the_door(tmp_path / name, kind, "32 × 32", tmp_path, capsys)


def test_a_slice_is_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, chosen = tmp_path / "m.h5", tmp_path / "chosen.h5"
    made_fastmri(path)
    assert main(["info", str(path), "--slice", "0"]) == 0
    assert "0 of 0 to 1" in capsys.readouterr().out
    assert main(["convert", str(path), "--slice", "0", "--out", str(chosen)]) == 0
    assert torch.equal(read(chosen).y, torch.ones(1, 1, 32, 32, dtype=torch.complex64))
    for file, number, remedy in ((path, "2", "choose another slice"), (chosen, "0", "leave the slice out")):
        capsys.readouterr()
        assert main(["info", str(file), "--slice", number]) == 2
        assert remedy in capsys.readouterr().err


def test_convert_there_and_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """HDF5 to CPHD, which passes sarkit's checker, and back: the same samples, the same image."""
    first, middle, last = (tmp_path / name for name in ("a.h5", "b.cphd", "c.h5"))
    made_native(first)
    assert main(["convert", str(first), "--out", str(middle), *PLACE]) == 0
    assert main(["convert", str(middle), "--out", str(last)]) == 0
    assert "Written" in capsys.readouterr().out
    with middle.open("rb") as stream:
        checker = CphdConsistency.from_file(stream, thorough=True)
        checker.check()
    assert checker.failures() == {}
    before, after = read(first), read(last)
    assert torch.equal(before.y, after.y)
    assert after.metadata.grid == before.metadata.grid
    assert after.metadata.collection is not None
    assert after.metadata.place is not None
    assert after.metadata.place.latlonhae() == pytest.approx([39.78, -84.08, 250], abs=1e-8)
    images = [m.operator.adjoint(m.y) for m in (before, after)]
    assert float((images[0] - images[1]).norm() / images[0].norm()) < 1e-5
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.h5", "b.cphd", "c.h5"]


def test_a_place_that_is_given_replaces_the_one_in_the_notes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made_cphd(tmp_path / "a.cphd")
    assert "latitude 39.78" in read(tmp_path / "a.cphd").metadata.notes["place"]
    given = ["--place", "10", "20", "30"]
    assert main(["convert", str(tmp_path / "a.cphd"), "--out", str(tmp_path / "b.h5"), *given]) == 0
    capsys.readouterr()
    assert main(["info", str(tmp_path / "b.h5")]) == 0
    printed = capsys.readouterr().out
    assert "latitude 10.000000 deg, longitude 20.000000 deg, height 30.0 m" in printed
    assert "39.78" not in printed


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--out", "b.cphd"], "--place"),
        (["--out", "b.cphd", "--place", "99", "0", "0"], "latitude_deg"),
        (["--out", "b.nitf"], "--out must end in"),
        (["--out", "a.h5"], "is there already"),
        (["--out", "missing/b.cphd", *PLACE], "folder does not exist"),
    ],
)
def test_conversions_that_cannot_be(
    arguments: list[str], word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    made_native(Path("a.h5"))
    content = Path("a.h5").read_bytes()
    assert main(["convert", "a.h5", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    assert word in printed.err
    assert [p.name for p in tmp_path.iterdir()] == ["a.h5"]
    assert Path("a.h5").read_bytes() == content


def test_sicd_beside_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--sicd writes the very image, and sarkit's checker finds no error in it; without a place it says what is missing."""
    path, out = tmp_path / "a.h5", tmp_path / "out"
    made_native(path)
    run = ["reconstruct", str(path), "--method", "backprojection", "--sicd", "--out", str(out)]
    assert main(run) == 2
    assert "give --place" in capsys.readouterr().err
    assert not out.exists()
    assert main([*run, *PLACE]) == 0
    with (out / "backprojection.nitf").open("rb") as stream:
        checker = SicdConsistency.from_file(stream)
        checker.check()
        stream.seek(0)
        pixels = sksicd.NitfReader(stream).read_image()
    assert checker.failures() == {}
    image = np.load(out / "backprojection.npy")[0, 0]
    np.testing.assert_array_equal(pixels, image.T[::-1, ::-1])  # seen from the east: rows go west, columns south
