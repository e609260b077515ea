"""Which points of two phase-encoding axes are measured: densities that fall away from zero frequency.

With r the distance from the centre of the grid, one at the middle of its nearer edge, and n the share 1 / a of the points:

    Gaussian         every point independently with probability min(1, c exp(-r^2 / 2 s^2)), c such that they add up to n
    Poisson disc     points in random order, each kept unless it lies within rho(r) = rho_0 (1 + t r) of one kept before:
                     no holes and no clumps; rho_0 is sought such that n are kept

Both join a fully sampled square about the centre, which counts towards n. Masks are 0/1 weights (B, 1, H, W) of a FourierMask.

Source: Lustig et al. (2007), Magnetic Resonance in Medicine 58 (incoherent sampling of variable density); Bridson (2007),
SIGGRAPH sketches (Poisson disc).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

#: steps of the bisections for c and rho_0
STEPS = 40
#: share by which the number of Poisson-disc points may miss the one wanted
MISS = 0.02


def _radius(shape: tuple[int, int]) -> Tensor:
    """r on the centred grid, float64."""
    rows, columns = ((torch.arange(n, dtype=torch.float64) - n // 2) / (n / 2) for n in shape)
    return (rows[:, None].square() + columns.square()).sqrt()


def _centre(shape: tuple[int, int], side: int) -> Tensor:
    """Whether a point lies in the square about index n // 2, bool."""
    marks = torch.zeros(shape, dtype=torch.bool)
    top, left = (n // 2 - side // 2 for n in shape)
    marks[top : top + side, left : left + side] = True
    return marks


@dataclass(frozen=True)
class DensityMask(ABC):
    """A kind of mask, from which masks are drawn.

    Attributes:
        acceleration: a, points in all over points measured.
        centre: side of the square that is always measured, points.
    """

    acceleration: float
    centre: int

    def draw(self, generator: torch.Generator, batch: int, shape: tuple[int, int]) -> Tensor:
        """Return masks, (B, 1, H, W) float32; ``generator`` is one of the CPU.

        Raises:
            ValueError: the acceleration is below one, the centre does not fit the grid or is more than 1 / a of it.
        """
        height, width = shape
        wanted = height * width / self.acceleration
        if self.acceleration < 1 or not 0 <= self.centre <= min(shape) or self.centre**2 > wanted:
            raise ValueError(
                f"acceleration {self.acceleration:g} leaves {wanted:g} of {height} x {width} points, which must hold a centre of "
                f"{self.centre} x {self.centre}; choose an acceleration of at least 1 and a centre that fits"
            )
        return self._draw(generator, batch, shape, _centre(shape, self.centre), wanted)[:, None].float()

    @abstractmethod
    def _draw(
        self, generator: torch.Generator, batch: int, shape: tuple[int, int], centre: Tensor, wanted: float
    ) -> Tensor:
        """Return masks with about ``wanted`` points, the centre among them, (B, H, W) bool."""


@dataclass(frozen=True)
class GaussianDensity(DensityMask):
    """Independent points of Gaussian density; see the top of this file.

    Attributes:
        width: s.
    """

    width: float = 0.5

    def probability(self, shape: tuple[int, int]) -> Tensor:
        """Return the probability of every point, (H, W) float64, one in the centre."""
        centre = _centre(shape, self.centre)
        wanted = centre.numel() / self.acceleration
        bell = torch.exp(-_radius(shape).square() / (2 * self.width**2))
        low, high = 0.0, 1 / float(bell.min())
        for _ in range(STEPS):
            c = (low + high) / 2
            chance = torch.where(centre, 1.0, (c * bell).clamp_max(1))
            low, high = (c, high) if float(chance.sum()) < wanted else (low, c)
        return torch.where(centre, 1.0, (high * bell).clamp_max(1))

    def _draw(
        self, generator: torch.Generator, batch: int, shape: tuple[int, int], centre: Tensor, wanted: float
    ) -> Tensor:
        return torch.rand((batch, *shape), generator=generator, dtype=torch.float64) < self.probability(shape)


@dataclass(frozen=True)
class PoissonDisc(DensityMask):
    """Points that keep their distance; see the top of this file.

    Attributes:
        taper: t, by how much the distance grows towards the edge.
    """

    taper: float = 2.0

    def _draw(
        self, generator: torch.Generator, batch: int, shape: tuple[int, int], centre: Tensor, wanted: float
    ) -> Tensor:
        return torch.stack([self._one(generator, shape, centre, wanted) for _ in range(batch)])

    def _one(self, generator: torch.Generator, shape: tuple[int, int], centre: Tensor, wanted: float) -> Tensor:
        outside = torch.nonzero(~centre.flatten())[:, 0]
        order = outside[torch.randperm(len(outside), generator=generator)].numpy()
        growth = (1 + self.taper * _radius(shape)).numpy()
        low, high = 0.0, float(max(shape))
        mask = centre.numpy()
        for _ in range(STEPS):
            distance = (low + high) / 2
            mask = centre.numpy() | _scattered(order, distance * growth)
            found = int(mask.sum())
            if abs(found - wanted) <= max(MISS * wanted, 1):
                break
            low, high = (distance, high) if found > wanted else (low, distance)
        return torch.from_numpy(mask)


def _scattered(order: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Keep points in this order, each blocking the disc of its own ``distance`` about it; (H, W) bool."""
    height, width = distance.shape
    free, kept = np.ones((height, width), dtype=bool), np.zeros((height, width), dtype=bool)
    squares = np.arange(-max(height, width), max(height, width) + 1) ** 2
    middle = max(height, width)
    for place in order.tolist():
        row, column = divmod(place, width)
        if not free[row, column]:
            continue
        kept[row, column] = True
        reach = int(distance[row, column])
        top, bottom = max(row - reach, 0), min(row + reach + 1, height)
        left, right = max(column - reach, 0), min(column + reach + 1, width)
        near = (
            squares[middle + top - row : middle + bottom - row, None]
            + squares[middle + left - column : middle + right - column]
            < distance[row, column] ** 2
        )
        free[top:bottom, left:right] &= ~near
    return kept
