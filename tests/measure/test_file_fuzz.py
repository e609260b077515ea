"""Random damage: a file of each kind, cut and with bytes changed, gives a measurement or one clear line, never another exception.

A new kind of file needs a row here: how to write a small good one (``test_every_kind_has_a_row``).
"""

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import measure_cases
import numpy as np
import pytest
import test_cphd
import test_eht
import test_fresnel
import test_npz
import test_openradar
import test_radarsat

from echoform.measure.errors import MeasurementFileError
from echoform.measure.native import save
from echoform.measure.reading import read
from echoform.measure.signature import FileKind, identify

CUTS, FLIPS = 12, 24


def native(folder: Path) -> Path:
    path = folder / "m.h5"
    save(measure_cases.measurement(measure_cases.operators()["mask"]), path)
    return path


def bart(folder: Path) -> Path:
    """Three coils of a point's flat spectrum with noise."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((32, 36, 3, 2)) @ [0.1, 0.1j]
    (folder / "slice.hdr").write_text("# Dimensions\n1 32 36 3 1 \n")
    (folder / "slice.cfl").write_bytes((1 + noise).astype("<c8").tobytes(order="F"))
    return folder / "slice.hdr"


#: how a small good file of each kind is made in a folder, with the files it needs beside it
ROWS: dict[str, tuple[FileKind, Callable[[Path], Path]]] = {
    "native": (FileKind.HDF5, native),
    "Gotcha": (FileKind.MATLAB5, lambda f: measure_cases.write_gotcha(f / "m.mat", measure_cases.gotcha_fields())),
    "RADARSAT-1": (FileKind.MATLAB5, test_radarsat.write_scene),
    "OpenRadar cube": (FileKind.NPY, lambda f: test_openradar.written(f / "m.npy", test_openradar.frame())),
    "OpenRadar frame": (FileKind.NPY, lambda f: test_openradar.written(f / "m.npy", test_openradar.frame()[:, 0])),
    "Fresnel": (FileKind.FRESNEL, lambda f: test_fresnel.write(f / "m.exp", test_fresnel.lines())),
    "EHT": (FileKind.EHT, lambda f: test_eht.write(f / "m.csv", test_eht.body())),
    "BART": (FileKind.BART, bart),
    "CPHD": (FileKind.CPHD, lambda f: test_cphd.written(f / "m.cphd")),
    "NPZ": (FileKind.NPZ, lambda f: test_npz.written(f / "m.npz")),
}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {}
    for label, (_, make) in ROWS.items():
        made[label] = make(tmp_path_factory.mktemp(label.replace(" ", "-")))
    return made


def test_every_kind_has_a_row() -> None:
    missing = set(FileKind) - {kind for kind, _ in ROWS.values()}
    assert not missing, f"add a row to ROWS for {sorted(kind.name for kind in missing)}"


@pytest.mark.parametrize("label", ROWS)
def test_the_good_file_is_read(good, label) -> None:
    assert identify(good[label]) is ROWS[label][0]
    assert read(good[label]).y.shape[0] >= 1


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


@pytest.mark.parametrize("label", ROWS)
def test_cut_files(good, label, tmp_path) -> None:
    path = copied(good[label], tmp_path)
    content = path.read_bytes()
    rng = np.random.default_rng(1)
    before = sorted(tmp_path.iterdir())
    refusals = 0
    for length in rng.integers(1, len(content), CUTS):
        path.write_bytes(content[:length])
        refusals += outcome(path) is not None
        assert sorted(tmp_path.iterdir()) == before
    assert refusals >= CUTS // 2  # a text file may be cut where a line ends


@pytest.mark.parametrize("label", ROWS)
def test_changed_bytes(good, label, tmp_path) -> None:
    """Some of the changes fall into the first kilobyte, where the structure is."""
    path = copied(good[label], tmp_path)
    content = path.read_bytes()
    rng = np.random.default_rng(2)
    refusals = 0
    for trial in range(FLIPS):
        damaged = bytearray(content)
        reach = min(1024, len(content)) if trial % 2 else len(content)
        for position in rng.integers(0, reach, 1 + trial % 4):
            damaged[position] = rng.choice([0, 255, rng.integers(256)])
        path.write_bytes(damaged)
        refusals += outcome(path) is not None
    assert refusals > 0
