"""Random damage: a file of each kind, cut and with bytes changed, gives a measurement or one clear line, never another exception.

A new kind of file needs a row here: how to write a small good one (``test_every_kind_has_a_row``).
"""

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import measure_cases
import mri_files
import numpy as np
import pytest
import test_cphd
import test_eht
import test_fresnel
import test_npz
import test_openradar
import test_radarsat

from echoform.apps.cli import main
from echoform.measure.errors import MeasurementFileError
from echoform.measure.native import save
from echoform.measure.reading import read
from echoform.measure.signature import FileKind, identify

CUTS, FLIPS = 12, 24
DATA = Path(__file__).parents[3] / "shared" / "data"
MERIT = ("B0_P3_p000.csv", "B0_P3_p036.csv", "antenna_locations.csv", "channel_names.csv", "frequencies.csv")


def native(folder: Path) -> Path:
    path = folder / "m.h5"
    save(measure_cases.measurement(measure_cases.operators()["mask"]), path)
    return path


def real(folder: Path, *names: str) -> Path:
    """The first of some real files, copied with the others; the test is skipped where they are not at hand."""
    for name in names:
        if not (DATA / name).exists():
            pytest.skip(f"{name} is not in ../shared/data; it cannot be shipped")
        shutil.copyfile(DATA / name, folder / Path(name).name)
    return folder / Path(names[0]).name


def bart(folder: Path) -> Path:
    """Three coils of a point's flat spectrum with noise."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((32, 36, 3, 2)) @ [0.1, 0.1j]
    (folder / "slice.hdr").write_text("# Dimensions\n1 32 36 3 1 \n")
    (folder / "slice.cfl").write_bytes((1 + noise).astype("<c8").tobytes(order="F"))
    return folder / "slice.hdr"


def ismrmrd(folder: Path) -> Path:
    return mri_files.write_ismrmrd(folder / "m.h5", mri_files.acquisitions(mri_files.volume()[:1]))


#: how a small good file of each kind is made in a folder, with the files it needs beside it
ROWS: dict[str, tuple[FileKind, Callable[[Path], Path]]] = {
    "native": (FileKind.HDF5, native),
    "fastMRI": (FileKind.HDF5, lambda f: mri_files.write_fastmri(f / "m.h5", mri_files.volume())),
    "ISMRMRD": (FileKind.HDF5, ismrmrd),
    "Gotcha": (FileKind.MATLAB5, lambda f: measure_cases.write_gotcha(f / "m.mat", measure_cases.gotcha_fields())),
    "RADARSAT-1": (FileKind.MATLAB5, test_radarsat.write_scene),
    "OpenRadar cube": (FileKind.NPY, lambda f: test_openradar.written(f / "m.npy", test_openradar.frame())),
    "OpenRadar frame": (FileKind.NPY, lambda f: test_openradar.written(f / "m.npy", test_openradar.frame()[:, 0])),
    "Fresnel": (FileKind.FRESNEL, lambda f: test_fresnel.write(f / "m.exp", test_fresnel.lines())),
    "EHT": (FileKind.EHT, lambda f: test_eht.write(f / "m.csv", test_eht.body())),
    "BART": (FileKind.BART, bart),
    "GSSI": (FileKind.DZT, lambda f: real(f, "rf_gpr/gprpy_FILE032.DZT")),
    "MERIT": (FileKind.MERIT, lambda f: real(f, *(f"rf_breast_merit/{name}" for name in MERIT))),
    "CPHD": (FileKind.CPHD, lambda f: test_cphd.written(f / "m.cphd")),
    "NPZ": (FileKind.NPZ, lambda f: test_npz.written(f / "m.npz")),
}


@pytest.fixture(scope="module", params=ROWS)
def good(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[FileKind, Path]:
    kind, make = ROWS[request.param]
    return kind, make(tmp_path_factory.mktemp("good"))


def test_every_kind_has_a_row() -> None:
    missing = set(FileKind) - {kind for kind, _ in ROWS.values()}
    assert not missing, f"add a row to ROWS for {sorted(kind.name for kind in missing)}"


def test_the_good_file_is_read(good) -> None:
    kind, path = good
    assert identify(path) is kind
    assert read(path).y.shape[0] >= 1


def outcome(path: Path) -> str | None:
    """Return the line of the refusal, or None when the file is read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # overflow in numbers that a changed byte made huge
        try:
            read(path)
        except MeasurementFileError as error:
            line = str(error)
            assert line.isprintable()
            assert len(line) < 2000
            return line
    return None


def copied(source: Path, folder: Path) -> Path:
    """Copy a file with those that stand beside it."""
    shutil.copytree(source.parent, folder, dirs_exist_ok=True)
    return folder / source.name


def test_cut_files(good, tmp_path) -> None:
    path = copied(good[1], tmp_path)
    content = path.read_bytes()
    rng = np.random.default_rng(1)
    before = sorted(tmp_path.iterdir())
    refusals = 0
    for length in rng.integers(1, len(content), CUTS):
        path.write_bytes(content[:length])
        refusals += outcome(path) is not None
        assert sorted(tmp_path.iterdir()) == before
    assert refusals >= CUTS // 2  # a text file may be cut where a line ends


def test_changed_bytes(good, tmp_path) -> None:
    """Two thirds of the changes fall into the first 64 or 1024 bytes, where the structure is."""
    path = copied(good[1], tmp_path)
    content = path.read_bytes()
    rng = np.random.default_rng(2)
    refusals = 0
    for trial in range(FLIPS):
        damaged = bytearray(content)
        reach = min((64, 1024, len(content))[trial % 3], len(content))
        for position in rng.integers(0, reach, 1 + trial % 4):
            damaged[position] = (0, 255, int(rng.integers(256)))[int(rng.integers(3))]
        path.write_bytes(damaged)
        refusals += outcome(path) is not None
    assert refusals > 0


#: what is done to the bytes of a file: its end lost, in the middle of a number or line; all after its signature overwritten
DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "truncated": lambda content: content[: 2 * len(content) // 3 + 3],
    "hostile": lambda content: content[:64] + b"\xff" * (len(content) - 64),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("command", ["info", "reconstruct", "compare"])
def test_the_command_line_refuses(good, command, damage, tmp_path, monkeypatch, capsys) -> None:
    """One line on the error stream, exit code 2, nothing written."""
    kind, source = good
    path = copied(source, tmp_path / "input")
    samples = path.with_suffix(".cfl") if kind is FileKind.BART else path
    samples.write_bytes(DAMAGES[damage](samples.read_bytes()))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    before = {p: p.read_bytes() for p in path.parent.iterdir()}
    assert main([command, str(path)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"echoform: {tmp_path}")
    assert printed.err.count("\n") == 1
    assert list((tmp_path / "work").iterdir()) == []
    assert {p: p.read_bytes() for p in path.parent.iterdir()} == before
