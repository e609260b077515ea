"""Semi-synthetic magnetic resonance images: magnitudes that were measured, with a smooth phase that was drawn.

Published sets often hold magnitudes alone. Whatever number comes from such images should be called semi-synthetic.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from echoform.scene.head import with_smooth_phase
from echoform.scene.photographs import Photographs
from echoform.scene.random_source import RandomSource
from echoform.scene.scene import Scene

#: NumPy types of the NIfTI codes for 8-bit, 16-bit and floating-point voxels
VOXELS = {2: "u1", 4: "i2", 16: "f4", 512: "u2"}
#: bytes of a NIfTI-1 header, and most voxels that are read
HEADER, MAX_VOXELS = 348, 2**28
#: sections whose mean is below this share of the brightest section's are left out
EMPTY = 0.25


def semi_synthetic(
    source: RandomSource, magnitudes: Photographs, batch: int, shape: tuple[int, int], *, phase_rad: float = 2.0
) -> Scene:
    """Return crops of magnitudes with smooth random phase, (B, 1, H, W) complex64.

    Args:
        source: of randomness.
        magnitudes: pictures of one channel.
        batch: number of scenes.
        shape: (H, W).
        phase_rad: greatest standard deviation of the phase, radians.
    """
    magnitude = magnitudes.draw(source, batch, shape).image[:, 0]
    return Scene(with_smooth_phase(source, magnitude, phase_rad)[:, None])


def read_sections(path: Path) -> Photographs:
    """Read the sections across the third axis of a NIfTI-1 volume as pictures of greatest value one over the volume.

    Args:
        path: a file .nii or .nii.gz with three axes.

    Raises:
        FileNotFoundError: it is not there.
        ValueError: it is no NIfTI-1 volume in one file of three axes, is cut short, or holds no signal.
    """
    try:
        sides, voxel, content = _read_nifti(path)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path} is a damaged archive ({error}); copy it again") from error
    count = sides[0] * sides[1] * sides[2]
    if len(content) != count * voxel.itemsize:
        raise ValueError(f"{path} ends after {len(content)} of {count * voxel.itemsize} bytes; copy it again")
    volume = np.abs(np.frombuffer(content, voxel).reshape(sides, order="F").astype(np.float32))
    level = volume.mean((0, 1))
    if not (np.isfinite(level).all() and level.max() > 0):
        raise ValueError(f"{path} holds no signal, or voxels that are not finite")
    scaled = torch.from_numpy(volume / volume.max())
    return Photographs(tuple(scaled[None, :, :, k].contiguous() for k in np.flatnonzero(level > EMPTY * level.max())))


def _read_nifti(path: Path) -> tuple[list[int], np.dtype[Any], bytes]:
    """Sides, type and bytes of the voxels; raises as :func:`read_sections` and what gzip raises."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
        header = stream.read(HEADER)
        if len(header) < HEADER or header[344:347] != b"n+1" or struct.unpack_from("<i", header)[0] != HEADER:
            raise ValueError(f"{path} is no little-endian NIfTI-1 volume in one file (.nii, .nii.gz)")
        axes, *sides = struct.unpack_from("<4h", header, 40)
        (code,) = struct.unpack_from("<h", header, 70)
        (offset,) = struct.unpack_from("<f", header, 108)
        count = sides[0] * sides[1] * sides[2]
        if axes != 3 or min(sides) < 1 or count > MAX_VOXELS or code not in VOXELS or not HEADER <= offset < 2**20:
            raise ValueError(f"{path} has {axes} axes {sides} of type {code}; expected three axes of {sorted(VOXELS)}")
        stream.read(int(offset) - HEADER)
        voxel = np.dtype("<" + VOXELS[code])
        content = stream.read(count * voxel.itemsize)
    return sides, voxel, content
