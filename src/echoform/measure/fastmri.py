"""fastMRI files (.h5): Cartesian k-space of a volume, of which one slice is read.

Rows are the readout, columns the phase-encoding lines. Zero frequency stands at index n // 2 and the transform is the centred
orthonormal one, so samples are taken as they are. The readout is oversampled (640 samples for 320 pixels) and is cropped to the
field of view in the header; columns are not cropped, since undersampled lines alias along them. The file's target, the root sum
of squares of the coils' images within the square field of view, is a magnitude: see :func:`read_fastmri_target`.

Source: Zbontar et al. (2018), arXiv:1811.08839, appendix "File format".
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from echoform.measure.hdf5_slices import TARGETS
from echoform.measure.kspace import KSpace, kspace_measurement, mark_measured, within_field_of_view
from echoform.measure.measurement import Measurement
from echoform.measure.mri_header import parse_header
from echoform.measure.raw_slice import RawSlice, SliceFormat, raw_slice
from echoform.physics.espirit import Espirit


def read_fastmri(path: Path, *, slice_index: int | None = None, espirit: Espirit | None = None) -> Measurement:
    """Return a slice of a fastMRI file as a measurement.

    Args:
        path: the file.
        slice_index: which slice, from 0; the middle one when None.
        espirit: how the sensitivities are estimated; the defaults of :class:`Espirit` when None.

    Raises:
        MeasurementFileError: the file is damaged, of another kind, without such a slice or without a sampled centre.
    """
    return fastmri_measurement(raw_slice(path, slice_index), espirit=espirit)


def fastmri_measurement(raw: RawSlice, *, espirit: Espirit | None = None) -> Measurement:
    """Return the measurement of a slice already fetched; raises as :func:`read_fastmri`."""
    raw.require(SliceFormat.FASTMRI)
    samples = torch.from_numpy(raw.arrays["kspace"])
    if "mask" in raw.arrays:
        samples = samples * torch.from_numpy(raw.arrays["mask"])
    try:
        encoding = parse_header(raw.header) if raw.header else None
    except ValueError as error:
        raw.fail(f"an ismrmrd_header that makes no sense: {error}", "the header of the scan")
    kspace, readout = within_field_of_view(KSpace(samples, mark_measured(samples)), encoding)
    notes = {"slice": raw.place(), "readout": readout}
    for name in TARGETS:
        if name in raw.arrays:
            height, width = raw.arrays[name].shape
            notes["target"] = f"{name}, {height} x {width}, a magnitude: read_fastmri_target"
    title = f"fastMRI {raw.path.stem}, slice {raw.index}"
    return kspace_measurement(raw.path, kspace, title=title, notes=notes, espirit=espirit)


def read_fastmri_target(path: Path, *, slice_index: int | None = None) -> Tensor:
    """Return the magnitude that the file's makers reconstructed from all samples, (1, 1, h, w), the middle of the image.

    Raises:
        MeasurementFileError: as :func:`read_fastmri`, or the file holds none (test files do not).
    """
    raw = raw_slice(path, slice_index)
    raw.require(SliceFormat.FASTMRI)
    for name in TARGETS:
        if name in raw.arrays:
            return torch.from_numpy(raw.arrays[name])[None, None]
    raw.fail("a file without target", " or ".join(TARGETS), "take a file of the training or validation set")
