"""Semi-synthetic MRI images: sections of a NIfTI volume, the magnitude kept, the phase smooth."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from echoform.scene.mri_images import read_sections, semi_synthetic
from echoform.scene.photographs import Photographs, read_cardiac_magnitudes, read_knee_magnitudes
from echoform.scene.random_source import RandomSource

DATA = Path(__file__).parents[3] / "shared" / "data"
SIDES = (5, 6, 4)


def nifti(volume: np.ndarray, code: int) -> bytes:
    """Return a NIfTI file of a volume, its type stated by code."""
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<4h", header, 40, 3, *volume.shape)
    struct.pack_into("<h", header, 70, code)
    struct.pack_into("<f", header, 108, 352.0)
    header[344:348] = b"n+1\0"
    return bytes(header) + volume.tobytes(order="F")


def volume() -> np.ndarray:
    values = np.arange(1, 121).reshape(SIDES).astype("<i2")
    values[:, :, 3] = 1
    return values


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_sections_of_a_volume(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"v{suffix}"
    content = nifti(volume(), 4)
    path.write_bytes(gzip.compress(content) if suffix.endswith("gz") else content)
    pictures = read_sections(path).pictures
    assert len(pictures) == 3
    assert np.allclose(pictures[1][0].numpy(), volume()[:, :, 1] / 119)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no little-endian NIfTI-1"),
        (nifti(volume(), 4)[:-7], "ends after"),
        (nifti(volume(), 32), "type 32"),
        (nifti(np.zeros(SIDES, "<i2"), 4), "no signal"),
        (nifti(np.full(SIDES, np.nan, "<f4"), 16), "no signal"),
    ],
)
def test_damaged_volumes_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "v.nii").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_sections(tmp_path / "v.nii")


def test_damaged_archives_are_refused(tmp_path: Path) -> None:
    whole = gzip.compress(nifti(volume(), 4))
    for content in (whole[:-30], b"not an archive", whole[:60] + bytes(20) + whole[80:]):
        (tmp_path / "v.nii.gz").write_bytes(content)
        with pytest.raises(ValueError, match="archive"):
            read_sections(tmp_path / "v.nii.gz")


def test_magnitude_stays_and_phase_is_smooth() -> None:
    picture = torch.ones(1, 64, 64)
    source = RandomSource(torch.Generator().manual_seed(0))
    image = semi_synthetic(source, Photographs((picture,)), 4, (64, 64)).image
    assert torch.allclose(image.abs(), torch.ones(4, 1, 64, 64), atol=1e-5)
    step = (image[..., 1:] * image[..., :-1].conj()).angle().square().mean().sqrt()
    spread = torch.tensor([float(torch.log(one.mean().abs()).neg() * 2) for one in image]).clamp_min(0).sqrt()
    assert float(step) < 0.3
    assert float(spread.max()) > 0.2
    assert not torch.allclose(image[0], image[1])


@pytest.mark.skipif(not DATA.exists(), reason="shared/data is absent")
def test_the_real_sets_are_read() -> None:
    brain = read_sections(DATA / "med_volumes_niivue" / "chris_t1.nii.gz").pictures
    assert len(brain) > 80
    assert brain[0].shape == (1, 188, 256)
    source = RandomSource(torch.Generator().manual_seed(0))
    knees, hearts = read_knee_magnitudes(DATA / "mri_knee_stanford"), read_cardiac_magnitudes(DATA / "mri_cardiac_admm")
    for pictures in (Photographs(brain), knees, hearts):
        image = semi_synthetic(source, pictures, 2, (64, 64)).image
        assert bool(torch.isfinite(image.abs()).all())
        assert float(image.abs().amax()) <= 1.001


def test_a_crop_of_nothing_moves_to_where_something_is() -> None:
    picture = torch.zeros(1, 200, 200)
    picture[:, 80:120, 80:120] = 1.0
    source = RandomSource(torch.Generator().manual_seed(0))
    drawn = Photographs((picture,)).draw(source, 200, (16, 16), largest=1.0).image
    assert bool((drawn.square().mean((1, 2, 3)) >= 0.05**2 * picture.square().mean()).all())
