"""One door for files: chosen by content, and one clear line for everything that is not a measurement."""

import io
import os
import pickle
import zipfile
from pathlib import Path

import measure_cases
import numpy as np
import pytest
import torch
from refusals import refusal

from echoform.measure.errors import MeasurementFileError
from echoform.measure.gotcha import read_gotcha
from echoform.measure.native import load, save
from echoform.measure.reading import read

READERS = {"read": read, "load": load, "read_gotcha": read_gotcha}


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def zipped() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("data.pkl", pickle.dumps([1]))
    return stream.getvalue()


def numpy_array() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.ones(3))
    return stream.getvalue()


STRANGERS = {
    "empty": (b"", "an empty file"),
    "zip": (zipped(), "a zip archive"),
    "npy": (numpy_array(), "a NumPy .npy file"),
    "text": (b"f, re, im\n1, 2, 3\n", "a text file"),
    "gzip": (b"\x1f\x8b\x08\x00", "a gzip archive"),
    "noise": (bytes(range(128, 256)), "bytes of an unknown format"),
    "matlab 7.3": (b"MATLAB 7.3 MAT-file" + b" " * 493 + b"\x89HDF\r\n\x1a\n", "a MATLAB 7.3 file"),
    "matlab 4": (b"\x00\x00\x00\x00\x01\x00\x00\x00" * 20, "bytes of an unknown format"),
    "hdf5 signature alone": (b"\x89HDF\r\n\x1a\n", "damaged content"),
    "matlab header alone": (b"MATLAB 5.0 MAT-file".ljust(126) + b"IM", "no variable 'data'"),
}


@pytest.mark.parametrize("suffix", [".h5", ".mat", ""])
@pytest.mark.parametrize("label", STRANGERS)
def test_strangers_are_named_whatever_their_extension(tmp_path, label, suffix) -> None:
    content, message = STRANGERS[label]
    path = tmp_path / f"file{suffix}"
    path.write_bytes(content)
    assert message in refusal(read, path)
    for reader in (load, read_gotcha):
        refusal(reader, path)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("reader", READERS)
def test_pickles_are_never_opened(tmp_path, protocol, reader) -> None:
    trap = tmp_path / "sprung"
    for suffix in (".h5", ".mat", ".pt"):
        path = tmp_path / f"file{suffix}"
        path.write_bytes(pickle.dumps(Trap(trap), protocol=protocol))
        line = refusal(READERS[reader], path)
        if protocol >= 2:
            assert "a Python pickle" in line
        assert not trap.exists()


def test_torch_files_are_not_opened(tmp_path) -> None:
    torch.save({"y": torch.ones(2)}, tmp_path / "m.h5")
    assert "a zip archive (or .npz, .pt)" in refusal(read, tmp_path / "m.h5")


@pytest.mark.parametrize("reader", READERS)
def test_places_that_are_no_files(tmp_path, reader) -> None:
    (tmp_path / "folder.h5").mkdir()
    assert "a folder" in refusal(READERS[reader], tmp_path / "folder.h5")
    assert "no such file" in refusal(READERS[reader], tmp_path / "missing.h5")
    assert "a device or pipe" in refusal(READERS[reader], Path("/dev/null"))
    os.mkfifo(tmp_path / "pipe")
    assert "a device or pipe" in refusal(READERS[reader], tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    refusal(READERS[reader], tmp_path / "loop")
    with pytest.raises(MeasurementFileError):
        READERS[reader](tmp_path / ("x" * 300))
    with pytest.raises(MeasurementFileError):
        READERS[reader](tmp_path / "nul\0byte")


def test_newlines_and_escapes_in_a_name_stay_on_one_line(tmp_path) -> None:
    path = tmp_path / "a\nb\x1b[31m.h5"
    path.write_bytes(b"text")
    with pytest.raises(MeasurementFileError) as caught:
        read(path)
    assert str(caught.value).isprintable()
    assert caught.value.path == path


def test_unreadable_file(tmp_path, monkeypatch) -> None:
    path = tmp_path / "m.h5"
    path.write_bytes(b"text")

    def denied(self, *_):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", denied)
    assert "Permission denied" in refusal(read, path)


@pytest.mark.parametrize("name", ["m.h5", "m.mat", "m"])
def test_content_decides_and_not_the_name(tmp_path, name) -> None:
    path = tmp_path / name
    native = measure_cases.measurement(measure_cases.operators()["mask"])
    save(native, path)
    assert torch.equal(read(path).y, native.y)
    assert "an HDF5 file, expected a MATLAB 5 file" in refusal(read_gotcha, path)
    measure_cases.write_gotcha(path, measure_cases.gotcha_fields())
    assert read(path).y.shape == (1, 1, 24, 40)
    assert "a MATLAB 5 file, expected an HDF5 file" in refusal(load, path)
