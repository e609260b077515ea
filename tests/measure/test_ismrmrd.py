"""The ISMRMRD reader on files written by the ismrmrd package (no real one is at hand): lines in their places, and refusals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import ismrmrd
import numpy as np
import pytest
import torch
from mri_files import (
    COLUMNS,
    ENCODED,
    ROWS,
    SLICES,
    acquisitions,
    coil_images,
    header,
    line,
    middle_rows,
    volume,
    write_ismrmrd,
)

from echoform.linalg.fft import fft2c
from echoform.measure.errors import MeasurementFileError
from echoform.measure.ismrmrd import read_ismrmrd
from echoform.measure.reading import read
from echoform.physics.multicoil_mri import MulticoilMRI
from mri_cases import COILS

CENTRE = list(range(12, 28))


def refusal(path: Path) -> str:
    with pytest.raises(MeasurementFileError) as caught:
        read(path)
    message = str(caught.value)
    assert message.isprintable()
    return message


def marks(path: Path) -> list[int]:
    """The columns that were measured."""
    support = read(path).operator.support()
    assert support is not None
    assert torch.equal(support.amax(-2), support.amin(-2))
    return torch.nonzero(support[0, 0, 0])[:, 0].tolist()


@pytest.mark.parametrize("index", [None, 2])
def test_the_slice_within_the_field_of_view_comes_back(tmp_path: Path, index: int | None) -> None:
    path = write_ismrmrd(tmp_path / "m.h5", acquisitions(volume()))
    measurement = read(path, slice_index=index)
    number = SLICES // 2 if index is None else index
    expected = fft2c(middle_rows(coil_images(number)))
    assert isinstance(measurement.operator, MulticoilMRI)
    assert measurement.y.shape == (1, COILS, ROWS, COLUMNS)
    assert float((measurement.y[0] - expected).abs().max() / expected.abs().max()) < 1e-6
    assert measurement.metadata.notes["slice"] == f"{number} of 0 to {SLICES - 1}"
    assert f"from {ENCODED} to {ROWS} rows" in measurement.metadata.notes["readout"]


def test_counters_are_placed_about_the_centre_of_the_header(tmp_path: Path) -> None:
    """Counters 0 to 35 with zero frequency at 16 fill columns 4 to 39."""
    kspace = volume()[:1]
    lines = acquisitions(kspace, list(range(4, COLUMNS)))
    for acquisition in lines:
        acquisition.idx.kspace_encode_step_1 = max(acquisition.idx.kspace_encode_step_1 - 4, 0)
    path = write_ismrmrd(tmp_path / "m.h5", lines, xml=header(centre=COLUMNS // 2 - 4))
    assert marks(path) == list(range(4, COLUMNS))
    expected = fft2c(middle_rows(coil_images(0)))[..., 4:]
    assert float((read(path).y[0, ..., 4:] - expected).abs().max() / expected.abs().max()) < 1e-6


def test_partial_echoes_stand_where_their_centre_is(tmp_path: Path) -> None:
    kspace = volume()[:1]
    lines = []
    for column in range(COLUMNS):
        short = ismrmrd.Acquisition.from_array(np.ascontiguousarray(kspace[0, :, 7:, column]))
        short.idx.kspace_encode_step_1 = column
        short.center_sample, short.discard_pre = ENCODED // 2 - 7, 3
        lines.append(short)
    measurement = read(write_ismrmrd(tmp_path / "m.h5", lines))
    assert measurement.operator.domain_shape == (1, ENCODED, COLUMNS)
    assert "cannot be cropped" in measurement.metadata.notes["readout"]
    assert np.array_equal(measurement.y[0, :, 10:].numpy(), kspace[0, :, 10:])
    assert not measurement.y[0, :, :10].any()


def test_repeated_lines_are_averaged(tmp_path: Path) -> None:
    kspace = volume()[:1]
    lines = acquisitions(kspace) + [line(3 * kspace, column, 0) for column in range(COLUMNS)]
    measurement = read(write_ismrmrd(tmp_path / "m.h5", lines))
    expected = 2 * fft2c(middle_rows(coil_images(0)))
    assert float((measurement.y[0] - expected).abs().max() / expected.abs().max()) < 1e-6
    assert "up to 2 acquisitions" in measurement.metadata.notes["averages"]


def test_calibration_lines_show_the_sensitivities_only(tmp_path: Path) -> None:
    kspace = volume()[:1]
    lines = acquisitions(kspace, list(range(1, COLUMNS, 4)))
    for column in CENTRE:
        extra = line(kspace, column, 0)
        extra.set_flag(ismrmrd.ACQ_IS_PARALLEL_CALIBRATION)
        lines.append(extra)
    path = write_ismrmrd(tmp_path / "m.h5", lines)
    assert marks(path) == list(range(1, COLUMNS, 4))
    assert "centre 24 x 16 of the calibration lines" in read(path).metadata.notes["sensitivities"]
    whole = read(write_ismrmrd(tmp_path / "whole.h5", acquisitions(kspace, CENTRE))).operator
    seen = read(path).operator
    assert isinstance(seen, MulticoilMRI)
    assert isinstance(whole, MulticoilMRI)
    assert torch.equal(seen.sensitivities, whole.sensitivities)


def test_the_first_contrast_is_taken(tmp_path: Path) -> None:
    kspace = volume()[:1]
    lines = acquisitions(kspace)
    for column in range(COLUMNS):
        second = line(5 * kspace, column, 0)
        second.idx.contrast = 1
        lines.append(second)
    measurement = read(write_ismrmrd(tmp_path / "m.h5", lines))
    expected = fft2c(middle_rows(coil_images(0)))
    assert float((measurement.y[0] - expected).abs().max() / expected.abs().max()) < 1e-6
    assert measurement.metadata.notes["contrast"] == "the first of 2"


def _set(field: str, value: int) -> Callable[[list[ismrmrd.Acquisition]], None]:
    def change(lines: list[ismrmrd.Acquisition]) -> None:
        setattr(lines[-1].idx, field, value)

    return change


def _backwards(lines: list[ismrmrd.Acquisition]) -> None:
    lines[-1].set_flag(ismrmrd.ACQ_IS_REVERSE)


def _fewer_coils(lines: list[ismrmrd.Acquisition]) -> None:
    lines.append(ismrmrd.Acquisition.from_array(np.ones((1, ENCODED), np.complex64)))


def _too_long(lines: list[ismrmrd.Acquisition]) -> None:
    lines.append(ismrmrd.Acquisition.from_array(np.ones((COILS, ENCODED + 2), np.complex64)))


def _not_finite(lines: list[ismrmrd.Acquisition]) -> None:
    lines[-1].data[0, 0] = np.nan


def _only_noise(lines: list[ismrmrd.Acquisition]) -> None:
    del lines[1:]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set("kspace_encode_step_1", COLUMNS), "lines within the header's 64 x 40"),
        (_set("kspace_encode_step_2", 1), "transform it along the third axis"),
        (_backwards, "read backwards"),
        (_fewer_coils, "one number of coils"),
        (_too_long, "lines within the header's"),
        (_not_finite, "NaN, Inf"),
        (_only_noise, "noise or navigators"),
    ],
)
def test_lines_that_do_not_fit_are_refused(
    tmp_path: Path, change: Callable[[list[ismrmrd.Acquisition]], None], message: str
) -> None:
    lines = acquisitions(volume()[:1])
    change(lines)
    assert message in refusal(write_ismrmrd(tmp_path / "m.h5", lines))


@pytest.mark.parametrize(
    ("xml", "message"),
    [(header(trajectory="radial"), "a trajectory 'radial'"), (b"<a>", "no XML"), (header(columns=20), "20")],
)
def test_headers_that_do_not_fit_are_refused(tmp_path: Path, xml: bytes, message: str) -> None:
    assert message in refusal(write_ismrmrd(tmp_path / "m.h5", acquisitions(volume()[:1]), xml=xml))


def test_undersampling_without_a_centre_is_refused(tmp_path: Path) -> None:
    lines = acquisitions(volume()[:1], list(range(0, COLUMNS, 3)))
    assert "reference scan" in refusal(write_ismrmrd(tmp_path / "m.h5", lines))


def test_a_header_that_contradicts_the_samples_is_refused(tmp_path: Path) -> None:
    """An acquisition that claims another number of samples than it holds."""
    path = write_ismrmrd(tmp_path / "m.h5", acquisitions(volume()[:1]))
    with h5py.File(path, "r+") as file:
        acquisition = file["dataset/data"][5]
        acquisition["head"]["number_of_samples"] += 1
        file["dataset/data"][5] = acquisition
    assert "as long as their headers say" in refusal(path)


def test_other_files_are_not_taken_for_one(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file["dataset/xml"] = "text"
    assert "an echoform, fastMRI ('kspace') or ISMRMRD" in refusal(tmp_path / "m.h5")
    with pytest.raises(MeasurementFileError):
        read_ismrmrd(tmp_path / "m.h5")
