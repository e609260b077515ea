"""Which scenes a network is trained on, and how real chips join the simulated ones."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from echoform.scene.fields import uniform
from echoform.scene.scatterers import points, random_phase, targets
from echoform.scene.textures import clutter, coherent_objects, speckled_regions


class SceneKind(Enum):
    """Strata of scenes, from the most to the least structured."""

    POINTS = 0
    TARGETS = 1
    OBJECTS = 2
    REGIONS = 3
    CLUTTER = 4
    CHIP = 5


#: pixels along a side of a chip
CHIP_SIDE = 64


@dataclass(frozen=True)
class Chips:
    """Real complex chips, (N, 64, 64) complex64 of unit RMS each."""

    images: Tensor

    @staticmethod
    def load(paths: list[Path]) -> Chips:
        """Read `iq` (n, 64, 64, 2) int16 arrays of NPZ files; chips with no signal at all are left out."""
        arrays = []
        for path in paths:
            with np.load(path, allow_pickle=False) as file:
                iq = file["iq"].astype(np.float32)
            arrays.append(iq[..., 0] + 1j * iq[..., 1])
        images = torch.from_numpy(np.concatenate(arrays))
        rms = images.abs().square().mean((1, 2)).sqrt()
        keep = rms > 0
        return Chips(images[keep] / rms[keep, None, None])

    def draw(self, generator: torch.Generator, batch: int, shape: tuple[int, int]) -> Tensor:
        """Return random crops with random global phase, flips and transposition, (B, H, W).

        Raises:
            ValueError: a side is longer than a chip.
        """
        if max(shape) > CHIP_SIDE:
            raise ValueError(f"chips are 64 x 64 pixels, asked for {shape}; draw smaller images, or no chips")
        index = torch.randint(0, len(self.images), (batch,), generator=generator)
        crops = []
        for i in index.tolist():
            row, column = (
                int(torch.randint(0, CHIP_SIDE - n + 1, (1,), generator=generator)) if n < CHIP_SIDE else 0
                for n in shape
            )
            crop = self.images[i, row : row + shape[0], column : column + shape[1]]
            flips = torch.randint(0, 2, (3,), generator=generator).tolist()
            crop = crop.flip([axis for axis in (0, 1) if flips[axis]])
            crops.append(crop.mT if flips[2] and shape[0] == shape[1] else crop)
        return random_phase(generator, torch.ones(batch))[:, None, None] * torch.stack(crops)


def draw_scene(
    kind: SceneKind, generator: torch.Generator, batch: int, shape: tuple[int, int], *, chips: Chips | None = None
) -> Tensor:
    """Return scenes of one kind, (B, 1, H, W) complex64 of unit RMS.

    Points and targets lie in clutter 15 to 60 dB (power per pixel against the mean power of the scene's bright part)
    below them, so a scene spans 60 dB and more between its strongest and weakest pixels.

    Raises:
        ValueError: chips are asked for and none were given.
    """
    if kind is SceneKind.CHIP:
        if chips is None:
            raise ValueError("real chips were asked for, but none were loaded")
        x = chips.draw(generator, batch, shape)
    elif kind is SceneKind.POINTS or kind is SceneKind.TARGETS:
        if kind is SceneKind.POINTS:
            bright = points(generator, batch, shape, on_grid=bool(torch.rand((), generator=generator) < 0.5))
        else:
            bright = targets(generator, batch, shape)
        back = clutter(generator, batch, shape) if torch.rand((), generator=generator) < 0.5 else None
        back = speckled_regions(generator, batch, shape) if back is None else back
        below = 10 ** (uniform(generator, (batch, 1, 1), -60, -15) / 20)
        x = unit_rms(bright) + below * unit_rms(back)
    elif kind is SceneKind.OBJECTS:
        x = coherent_objects(generator, batch, shape)
    elif kind is SceneKind.REGIONS:
        x = speckled_regions(generator, batch, shape)
    else:
        x = clutter(generator, batch, shape)
    return unit_rms(x)[:, None]


def unit_rms(x: Tensor) -> Tensor:
    """Return images (..., H, W) divided by their own RMS."""
    return x / x.abs().square().mean((-2, -1), keepdim=True).sqrt().clamp_min(1e-12)
