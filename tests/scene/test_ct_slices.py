"""CT volumes from NIfTI files written here byte by byte, a real one, and damaged ones."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from echoform.scene.ct_slices import read_ct_slices, read_volume

REAL = Path(__file__).parents[3] / "shared" / "data" / "med_volumes_niivue"


def nifti(
    voxels: np.ndarray, kind: int, *, order: Literal["<", ">"] = "<", slope: float = 0.0, start: float = 0.0
) -> bytes:
    """A NIfTI-1 file of one piece: header, four bytes of no extension, voxels with the first axis fastest."""
    header = bytearray(352)
    struct.pack_into(f"{order}i", header, 0, 348)
    struct.pack_into(f"{order}8h", header, 40, 3, *voxels.shape, 1, 1, 1, 1)
    struct.pack_into(f"{order}h", header, 70, kind)
    struct.pack_into(f"{order}3f", header, 108, 352.0, slope, start)
    header[344:348] = b"n+1\0"
    return bytes(header) + voxels.astype(voxels.dtype.newbyteorder(order)).tobytes(order="F")


def body(sections: int = 4) -> np.ndarray:
    """Hounsfield units of a block of water with a bone in one corner, air around, the last section empty."""
    volume = np.full((20, 12, sections), -1024, np.int16)
    volume[4:16, 2:10, :-1] = 0
    volume[4:6, 2:4, :-1] = 1000
    return volume


@pytest.mark.parametrize("order", ["<", ">"])
def test_voxels_come_back(order: Literal["<", ">"], tmp_path: Path) -> None:
    values = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)
    path = tmp_path / "v.nii"
    path.write_bytes(nifti(values, 4, order=order))
    assert np.array_equal(read_volume(path), values)
    path.write_bytes(nifti(values, 4, order=order, slope=2.0, start=-1.0))
    assert np.array_equal(read_volume(path), 2.0 * values - 1)


def test_sections_hold_attenuation_relative_to_water(tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(nifti(body(), 4)))
    pictures = read_ct_slices(tmp_path).pictures
    assert len(pictures) == 3  # the empty one is left out
    assert pictures[0].shape == (1, 12, 20)
    assert sorted(set(pictures[0].flatten().tolist())) == [0.0, 1.0, 2.0]
    assert float(pictures[0][0, -3, 4]) == 2.0  # the second axis runs upwards
    stored = read_ct_slices(tmp_path, air=-1024.0, water=1000.0).pictures[0]
    assert float(stored.amax()) == 1.0
    with pytest.raises(ValueError, match="must differ"):
        read_ct_slices(tmp_path, air=0.0, water=0.0)


def test_damaged_files_are_named(tmp_path: Path) -> None:
    good = nifti(body(), 4)
    path = tmp_path / "v.nii.gz"
    bad = {
        "not a whole gzip file": gzip.compress(good)[:-40],
        "not a NIfTI-1 file": gzip.compress(b"x" * 400),
        "too few": gzip.compress(good[:-2]),
        "voxels of type 32": gzip.compress(nifti(body(), 32)),
    }
    for said, data in bad.items():
        path.write_bytes(data)
        with pytest.raises(ValueError, match=said):
            read_volume(path)
    path.unlink()
    with pytest.raises(FileNotFoundError, match="no CT volume"):
        read_ct_slices(tmp_path)


@pytest.mark.skipif(not REAL.exists(), reason="no volumes at ../shared/data/med_volumes_niivue")
def test_a_real_volume_is_read() -> None:
    volume = read_volume(REAL / "CT_pitch.nii.gz")
    assert volume.shape == (175, 248, 58)
    assert (float(volume.min()), float(volume.max())) == (0.0, 255.0)
