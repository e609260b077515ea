"""Measured CT volumes as scenes: sections of NIfTI files, in attenuation relative to water (air 0, water 1).

    value = max(0, (stored - air) / (water - air)),       air -1000 and water 0 in Hounsfield units

Source: the NIfTI-1 standard (nifti1.h, Cox et al., 2004): header of 348 bytes, then voxels, the first axis fastest.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
import torch

from echoform.scene.photographs import Photographs

#: bytes of the header
HEADER = 348
#: numbers that name a type of voxel
TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2"}
#: share of a section that must be denser than half of water
FILLED = 0.1


def read_ct_slices(folder: Path, *, axis: int = 2, air: float = -1000.0, water: float = 0.0) -> Photographs:
    """Read the sections of every .nii or .nii.gz volume of a folder in which a good part is body.

    Args:
        folder: holds CT volumes.
        axis: of the volume, across which sections are taken; 2 is from feet to head in most files.
        air: what a volume stores for air; files cut down to 8 bits do not hold Hounsfield units.
        water: what it stores for water.

    Raises:
        FileNotFoundError: no such file is there, or none has a section with a body.
        ValueError: a file is damaged or of a kind that is not read, or air and water are the same.
    """
    if air == water:
        raise ValueError(f"air and water must differ, both are {air}")
    pictures = []
    for path in sorted(p for p in folder.glob("*") if p.name.endswith((".nii", ".nii.gz"))):
        volume = np.moveaxis(read_volume(path), axis, 0)
        value = torch.from_numpy(np.maximum((volume - air) / (water - air), 0).astype(np.float32)).mT.flip(-2)
        filled = (value > 0.5).float().mean((1, 2)) > FILLED
        pictures += [section[None].contiguous() for section in value[filled]]
    if not pictures:
        raise FileNotFoundError(f"no CT volume (.nii, .nii.gz) with a body in {folder}; name a folder that holds some")
    return Photographs(tuple(pictures))


def read_volume(path: Path) -> np.ndarray:
    """Return the first three axes of a NIfTI-1 volume, scaled as its header says, float32.

    Raises:
        ValueError: the file is damaged or of a kind that is not read.
    """
    try:
        data = gzip.decompress(path.read_bytes()) if path.name.endswith(".gz") else path.read_bytes()
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: not a whole gzip file ({error}); copy it again") from error
    if len(data) < HEADER or data[344:347] not in (b"n+1", b"ni1"):
        raise ValueError(f"{path}: not a NIfTI-1 file; convert it (for example with dcm2niix) first")
    order = "<" if struct.unpack_from("<i", data)[0] == HEADER else ">"
    axes, *shape = struct.unpack_from(f"{order}8h", data, 40)
    (kind,) = struct.unpack_from(f"{order}h", data, 70)
    offset, slope, start = struct.unpack_from(f"{order}3f", data, 108)
    if kind not in TYPES or axes < 3 or min(shape[:3]) < 1:
        raise ValueError(f"{path}: voxels of type {kind} and axes {shape[:axes]}; needs three axes of numbers")
    count, wide = int(np.prod([int(n) for n in shape[:3]])), np.dtype(f"{order}{TYPES[kind]}")
    if not offset >= HEADER or len(data) < int(offset) + count * wide.itemsize:
        raise ValueError(f"{path}: {len(data)} bytes are too few for {shape[:3]} voxels; copy it again")
    voxels = np.frombuffer(data, wide, count, int(offset)).reshape(shape[:3], order="F").astype(np.float32)
    return voxels * slope + start if slope else voxels
