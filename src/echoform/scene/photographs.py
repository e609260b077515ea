"""Photographs and measured magnitudes as scenes: crops drawn from the files of a folder, read only when asked.

A folder is read once, into bytes; crops are taken at a random scale, turned over at random, and resampled to the size asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from echoform.scene.random_source import RandomSource
from echoform.scene.scene import Scene

#: a crop whose RMS is below this share of the picture's shows nothing (the air around a body): it moves to the centre,
#: half of the way at a time and this many times at most
EMPTY, MOVES = 0.05, 6
#: endings of the files that are read
PHOTOGRAPHS = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class Photographs:
    """Pictures to draw crops from.

    Attributes:
        pictures: each (C, h, w) uint8 or float32, sizes may differ; C is 1 or 3, the same for all.
    """

    pictures: tuple[Tensor, ...]

    @cached_property
    def powers(self) -> tuple[float, ...]:
        """Mean square of each picture."""
        return tuple(float(_values(picture).square().mean()) for picture in self.pictures)

    def draw(self, source: RandomSource, batch: int, shape: tuple[int, int], *, largest: float = 3.0) -> Scene:
        """Return random crops as scenes, (B, C, H, W) float32, in [0, 1] for photographs.

        Args:
            source: of randomness.
            batch: number of scenes.
            shape: (H, W); larger than a picture, the picture is enlarged.
            largest: greatest factor by which a crop is reduced.
        """
        index = source.integers((batch,), 0, len(self.pictures)).tolist()
        scale = source.log_uniform((batch,), 1.0, max(largest, 1.0 + 1e-6)).tolist()
        corner = source.uniform((batch, 2)).tolist()
        flips = source.chance((batch, 2), 0.5).tolist()
        crops = [
            _filled_crop(self.pictures[i], EMPTY**2 * self.powers[i], shape, factor, at).flip(
                [axis for axis, flip in ((1, turned[0]), (2, turned[1])) if flip]
            )
            for i, factor, at, turned in zip(index, scale, corner, flips, strict=True)
        ]
        return Scene(torch.stack(crops).to(source.place))


def _filled_crop(picture: Tensor, least: float, shape: tuple[int, int], scale: float, corner: list[float]) -> Tensor:
    """The crop at ``corner``, or nearer to the centre where its mean square is below ``least``."""
    crop = _crop(picture, shape, scale, corner)
    for _ in range(MOVES):
        if float(crop.square().mean()) >= least:
            break
        corner = [0.5 * (at + 0.5) for at in corner]
        crop = _crop(picture, shape, scale, corner)
    return crop


def _values(picture: Tensor) -> Tensor:
    return picture.float() / 255 if picture.dtype == torch.uint8 else picture


def _crop(picture: Tensor, shape: tuple[int, int], scale: float, corner: list[float]) -> Tensor:
    """The window ``scale`` times as large as ``shape``, cut down to the picture in its own proportions, resampled."""
    height, width = picture.shape[1:]
    scale = min(scale, height / shape[0], width / shape[1])
    window = [max(1, min(have, round(scale * want))) for have, want in zip((height, width), shape, strict=True)]
    top, left = (int(at * (have - used + 1)) for at, have, used in zip(corner, (height, width), window, strict=True))
    values = _values(picture[None, :, top : top + window[0], left : left + window[1]])
    if tuple(window) == shape:
        return values[0]
    return interpolate(values, shape, mode="bilinear", antialias=True, align_corners=False)[0].clamp_min(0)


def brightness(image: Tensor) -> Tensor:
    """Return 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601) of images (..., 3, H, W), (..., 1, H, W)."""
    weights = image.new_tensor([0.299, 0.587, 0.114])[:, None, None]
    return (weights * image).sum(-3, keepdim=True)


def read_photographs(folder: Path, *, colour: bool = False, ending: str = "") -> Photographs:
    """Read every photograph of a folder.

    Args:
        folder: holds JPEG or PNG files.
        colour: three channels in place of brightness alone.
        ending: read only files whose names without suffix end in this, such as "_mean".

    Raises:
        FileNotFoundError: no photograph is there.
    """
    from PIL import Image

    paths = sorted(p for p in folder.glob("*") if p.suffix.lower() in PHOTOGRAPHS and p.stem.endswith(ending))
    if not paths:
        raise FileNotFoundError(f"no photograph ({', '.join(PHOTOGRAPHS)}) in {folder}; name a folder that holds some")
    pictures = []
    for path in paths:
        with Image.open(path) as image:
            values = np.array(image.convert("RGB" if colour else "L"))
        pictures.append(torch.from_numpy(values if colour else values[..., None]).movedim(-1, 0))
    return Photographs(tuple(pictures))


def read_knee_magnitudes(folder: Path) -> Photographs:
    """Read the two-dimensional arrays of the NPZ files of a folder as pictures of greatest value one.

    Raises:
        FileNotFoundError: no NPZ file is there.
    """
    arrays = []
    for path in sorted(folder.glob("*.npz")):
        with np.load(path, allow_pickle=False) as file:
            arrays += [file[name] for name in file.files if file[name].ndim == 2]
    return _magnitudes(arrays, folder, "NPZ files")


def read_cardiac_magnitudes(folder: Path) -> Photographs:
    """Read the arrays ``im_ori`` of the MATLAB 7.3 files of a folder as pictures of greatest value one.

    Raises:
        FileNotFoundError: no such file is there.
    """
    import h5py

    arrays = []
    for path in sorted(folder.glob("*.mat")):
        with h5py.File(path) as file:
            arrays.append(np.asarray(file["im_ori"]))
    return _magnitudes(arrays, folder, "MATLAB files with im_ori")


def _magnitudes(arrays: list[np.ndarray], folder: Path, what: str) -> Photographs:
    if not arrays:
        raise FileNotFoundError(f"no {what} in {folder}; name a folder that holds some")
    pictures = [torch.from_numpy(np.abs(a).astype(np.float32))[None] for a in arrays]
    return Photographs(tuple(p / p.amax().clamp_min(1e-12) for p in pictures))
