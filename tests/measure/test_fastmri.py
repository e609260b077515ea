"""The fastMRI reader on made-up files of the published layout (no real one is at hand): what comes back, and what is refused."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from mri_files import COLUMNS, ENCODED, ROWS, SLICES, coil_images, header, middle_rows, target, volume, write_fastmri

from echoform.linalg.fft import fft2c, ifft2c
from echoform.measure import raw_slice
from echoform.measure.errors import MeasurementFileError
from echoform.measure.fastmri import read_fastmri, read_fastmri_target
from echoform.measure.ismrmrd import read_ismrmrd
from echoform.measure.native import load
from echoform.measure.reading import read
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.multicoil_mri import MulticoilMRI
from mri_cases import COILS


def refusal(path: Path, slice_index: int | None = None) -> str:
    with pytest.raises(MeasurementFileError) as caught:
        read(path, slice_index=slice_index)
    message = str(caught.value)
    assert message.isprintable()
    return message


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fastmri(tmp_path_factory.mktemp("fastmri") / "file_brain_AXT2.h5", volume())


@pytest.mark.parametrize("index", [None, 0])
def test_the_slice_within_the_field_of_view_comes_back(good: Path, index: int | None) -> None:
    """Cropped samples are those of the cropped images, although there is signal beyond the field of view."""
    measurement = read(good, slice_index=index)
    number = SLICES // 2 if index is None else index
    expected = fft2c(middle_rows(coil_images(number)))
    assert isinstance(measurement.operator, MulticoilMRI)
    assert measurement.y.shape == (1, COILS, ROWS, COLUMNS)
    assert float((measurement.y[0] - expected).abs().max() / expected.abs().max()) < 1e-6
    notes = measurement.metadata.notes
    assert notes["slice"] == f"{number} of 0 to {SLICES - 1}"
    assert f"from {ENCODED} to {ROWS} rows" in notes["readout"]
    assert "centre 24 x 24" in notes["sensitivities"]


def test_the_target_is_the_root_sum_of_squares_of_what_was_read(good: Path) -> None:
    measurement = read_fastmri(good, slice_index=2)
    images = ifft2c(measurement.y)[..., COLUMNS // 2 - ROWS // 2 : COLUMNS // 2 + ROWS // 2]
    found = read_fastmri_target(good, slice_index=2)
    assert found.shape == (1, 1, ROWS, ROWS)
    assert torch.allclose(found[0, 0], images[0].abs().square().sum(0).sqrt(), rtol=1e-4)
    assert "reconstruction_rss, 32 x 32" in measurement.metadata.notes["target"]


def test_lines_outside_the_mask_are_no_samples(tmp_path: Path) -> None:
    """Of a test file: 14 centre lines and every fourth; the padding at the right is zero whatever the mask says."""
    mask = np.arange(COLUMNS) % 4 == 1
    mask[13:27] = True
    kspace = volume() * mask
    kspace[..., -3:] = 0
    measurement = read(write_fastmri(tmp_path / "m.h5", kspace, mask=mask))
    sampled = mask & (np.arange(COLUMNS) < COLUMNS - 3)
    marks = measurement.operator.support()
    assert marks is not None
    assert np.array_equal(marks[0, 0].numpy() != 0, np.broadcast_to(sampled, (ROWS, COLUMNS)))
    assert "target" not in measurement.metadata.notes
    assert "centre 24 x 14" in measurement.metadata.notes["sensitivities"]
    with pytest.raises(MeasurementFileError, match="file without target"):
        read_fastmri_target(tmp_path / "m.h5")


def test_single_coil_files_need_no_sensitivities(tmp_path: Path) -> None:
    measurement = read(write_fastmri(tmp_path / "m.h5", volume()[:, 0]))
    assert isinstance(measurement.operator, FourierMask)
    expected = fft2c(middle_rows(coil_images(1)))[0]
    assert float((measurement.y[0, 0] - expected).abs().max() / expected.abs().max()) < 1e-6


def test_the_noise_level_survives_the_crop(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    noise = 0.01 * torch.randn(1, ENCODED, COLUMNS, dtype=torch.complex64, generator=generator)
    assert float(read(write_fastmri(tmp_path / "m.h5", noise.numpy())).noise.sigma) == pytest.approx(0.01, rel=0.15)


def test_partial_readouts_are_not_cropped(tmp_path: Path) -> None:
    kspace = volume()[:, 0]
    kspace[:, :10] = 0
    measurement = read(write_fastmri(tmp_path / "m.h5", kspace))
    assert measurement.operator.domain_shape == (1, ENCODED, COLUMNS)
    assert "cannot be cropped exactly" in measurement.metadata.notes["readout"]
    assert torch.equal(measurement.y[0, 0], torch.from_numpy(kspace[1]))


def test_a_file_without_header_is_not_cropped(tmp_path: Path) -> None:
    path = write_fastmri(tmp_path / "m.h5", volume()[:, 0])
    with h5py.File(path, "r+") as file:
        del file["ismrmrd_header"]
    measurement = read(path)
    assert measurement.operator.domain_shape == (1, ENCODED, COLUMNS)
    assert "no header" in measurement.metadata.notes["readout"]


def test_files_with_newer_structures_are_read_too(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "m.h5", "w", libver=("v110", "v110")) as file:
        file["kspace"] = volume()[:, 0]
    assert read(tmp_path / "m.h5").operator.domain_shape == (1, ENCODED, COLUMNS)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("kspace", None, "'kspace' missing"),
        ("kspace", np.ones((3, 2, 8, 8), "f4"), "complex numbers"),
        ("kspace", np.ones((8, 8), "c8"), "complex numbers"),
        ("kspace", np.full((3, 16, 16), np.nan, "c8"), "NaN, Inf"),
        ("kspace", np.zeros((3, 16, 16), "c8"), "zeros only"),
        ("kspace", h5py.SoftLink("/elsewhere"), "a link"),
        ("kspace", h5py.ExternalLink("other.h5", "/kspace"), "a link"),
        ("mask", np.ones(7), "each of 40 lines"),
        ("reconstruction_rss", np.ones((2, 8, 8), "f4"), "real numbers (3, h, w)"),
        ("ismrmrd_header", "text", "no XML"),
        ("ismrmrd_header", "<a/>", "no encoding"),
        ("ismrmrd_header", "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "declares entities"),
        ("ismrmrd_header", np.ones(3), "one text"),
        ("ismrmrd_header", header().decode().replace(">64<", ">0<"), "the matrix [0"),
        ("ismrmrd_header", header().decode().replace(">64<", ">many<"), "no whole number"),
        ("ismrmrd_header", "x" * 2**21, "at most"),
    ],
)
def test_fields_that_make_no_sense_are_refused(
    good: Path, tmp_path: Path, name: str, value: object, message: str
) -> None:
    path = tmp_path / "m.h5"
    path.write_bytes(good.read_bytes())
    with h5py.File(path, "r+") as file:
        if name in file:
            del file[name]
        if value is not None:
            file[name] = value
    assert message in refusal(path)


def test_a_shape_that_the_file_cannot_hold_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.create_dataset("kspace", (4, 4000, 4000), "c8")
    assert "bytes stored" in refusal(tmp_path / "m.h5")


@pytest.mark.parametrize("index", [-1, SLICES])
def test_slices_that_are_not_there_are_refused(good: Path, index: int) -> None:
    assert "choose another slice" in refusal(good, index)


def test_other_readers_say_what_it_is(good: Path) -> None:
    with pytest.raises(MeasurementFileError, match="got a fastMRI file, expected an ISMRMRD file"):
        read_ismrmrd(good)
    with pytest.raises(MeasurementFileError, match="superblock version 0"):
        load(good)


def test_a_reader_that_does_not_end_is_stopped(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw_slice, "SECONDS", 0.001)
    assert "not read within" in refusal(good)


def test_the_test_file_is_true_to_itself() -> None:
    """The written target does not depend on the reader: it is the sum of squares of the images the k-space was made of."""
    images = middle_rows(coil_images(0))[..., COLUMNS // 2 - ROWS // 2 : COLUMNS // 2 + ROWS // 2]
    assert np.allclose(target(volume())[0], images.abs().square().sum(0).sqrt(), rtol=1e-4)
