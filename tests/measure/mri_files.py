"""fastMRI and ISMRMRD files in small, for the tests of their readers; there is no real file of either kind at hand.

The layout follows the publications of the formats; headers and acquisitions are written by the ``ismrmrd`` package.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import ismrmrd
import numpy as np
import torch
from ismrmrd import xsd
from torch import Tensor

from contracts import randn
from echoform.linalg.fft import fft2c, ifft2c
from mri_cases import smooth_maps

#: slices, encoded rows (readout, twice the field of view), rows of the image, columns
SLICES, ENCODED, ROWS, COLUMNS = 3, 64, 32, 40
SIGMA = 0.01


def header(
    *, rows: int = ENCODED, columns: int = COLUMNS, trajectory: str = "cartesian", centre: int | None = None
) -> bytes:
    """A header of one encoding whose readout is oversampled twice."""

    def space(x: int) -> Any:
        lengths = xsd.fieldOfViewMm(x=10.0 * x, y=10.0 * columns, z=5.0)
        return xsd.encodingSpaceType(matrixSize=xsd.matrixSizeType(x=x, y=columns, z=1), fieldOfView_mm=lengths)

    limit = xsd.limitType(minimum=0, maximum=columns - 1, center=columns // 2 if centre is None else centre)
    encoding = xsd.encodingType(
        encodedSpace=space(rows),
        reconSpace=space(rows // 2),
        encodingLimits=xsd.encodingLimitsType(kspace_encoding_step_1=limit),
        trajectory=xsd.trajectoryType(trajectory),
    )
    experiment = xsd.experimentalConditionsType(H1resonanceFrequency_Hz=63870000)
    return xsd.ismrmrdHeader(experimentalConditions=experiment, encoding=[encoding]).toXML().encode()


def coil_images(number: int) -> Tensor:
    """Images of a slice, (COILS, ENCODED, COLUMNS): rough everywhere, beyond the field of view too, so that a crop shows."""
    rough = 0.3 * randn((ENCODED, COLUMNS), 10 + number)
    y, x = torch.meshgrid(torch.arange(ENCODED) - ENCODED // 2, torch.arange(COLUMNS) - COLUMNS // 2, indexing="ij")
    disc = ((y / 12.0) ** 2 + (x / 14.0) ** 2 < 1) * (1.0 + number)
    return smooth_maps((ENCODED, COLUMNS), 2) * (disc + rough)


def middle_rows(images: Tensor) -> Tensor:
    return images[..., ENCODED // 2 - ROWS // 2 : ENCODED // 2 + ROWS // 2, :]


def volume() -> np.ndarray:
    """k-space, (SLICES, COILS, ENCODED, COLUMNS) complex64."""
    return torch.stack([fft2c(coil_images(n)) for n in range(SLICES)]).numpy().astype(np.complex64)


def target(kspace: np.ndarray) -> np.ndarray:
    """Root sum of squares within the square field of view, (SLICES, ROWS, ROWS) float32."""
    side = COLUMNS // 2 - ROWS // 2
    images = middle_rows(ifft2c(torch.from_numpy(kspace)))[..., side : side + ROWS]
    return images.abs().square().sum(1).sqrt().numpy()


def write_fastmri(path: Path, kspace: np.ndarray, *, mask: np.ndarray | None = None, xml: bytes | None = None) -> Path:
    """A training file, or a test file when there is a mask."""
    with h5py.File(path, "w") as file:
        file.create_dataset("ismrmrd_header", data=(header() if xml is None else xml).decode())
        file.create_dataset("kspace", data=kspace)
        if mask is not None:
            file.create_dataset("mask", data=mask)
        elif kspace.ndim == 4:
            file.create_dataset("reconstruction_rss", data=target(kspace))
        file.attrs["acquisition"] = "AXT2"
        file.attrs["patient_id"] = "0" * 64
    return path


def line(kspace: np.ndarray, column: int, number: int) -> ismrmrd.Acquisition:
    """The acquisition of one column of a slice."""
    acquisition = ismrmrd.Acquisition.from_array(np.ascontiguousarray(kspace[number, :, :, column]))
    acquisition.center_sample = ENCODED // 2
    acquisition.idx.kspace_encode_step_1 = column
    acquisition.idx.slice = number
    return acquisition


def acquisitions(kspace: np.ndarray, columns: list[int] | None = None) -> list[ismrmrd.Acquisition]:
    """A noise scan, then all slices in turn, line by line."""
    noise = line(kspace, 0, 0)
    noise.set_flag(ismrmrd.ACQ_IS_NOISE_MEASUREMENT)
    wanted = list(range(COLUMNS)) if columns is None else columns
    return [noise, *(line(kspace, column, number) for column in wanted for number in range(len(kspace)))]


def write_ismrmrd(path: Path, lines: list[ismrmrd.Acquisition], *, xml: bytes | None = None) -> Path:
    with ismrmrd.Dataset(path, mode="w") as dataset:
        dataset.write_xml_header(header() if xml is None else xml)
        for acquisition in lines:
            dataset.append_acquisition(acquisition)
    return path
