"""Builders of spotlight operators with a receiver apart, and of the factorised one, for tests/physics/operator_examples.py."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from contracts import Example
from echoform.physics.nonuniform_fourier import NonuniformFourier
from echoform.physics.operator import LinearOperator
from echoform.physics.spotlight_exact import ExactSpotlight
from echoform.physics.spotlight_factorised import FactorisedSpotlight
from echoform.physics.spotlight_plane_wave import plane_wave_spotlight
from echoform.scene.collection import SpotlightCollection
from echoform.scene.grid import Grid

Shape = tuple[int, int]
Seeds = Sequence[int]


def track(seeds: Seeds, pulses: int, *, start_rad: float, radius_m: float) -> Tensor:
    """An arc, another start and radius for each seed, at half its radius above the ground."""
    angle = torch.linspace(0, math.radians(4), pulses, dtype=torch.float64)
    tracks = []
    for seed in seeds:
        radius, turned = radius_m + 7 * seed, angle + start_rad + 0.3 * seed
        tracks.append(radius * torch.stack([turned.cos(), turned.sin(), 0.5 + 0 * turned], -1))
    return torch.stack(tracks)


def collection(seeds: Seeds, *, bistatic: bool, pulses: int = 5, frequencies: int = 6) -> SpotlightCollection:
    generator = torch.Generator().manual_seed(7 + seeds[0])
    kept = torch.stack([torch.rand(pulses, frequencies, generator=generator.manual_seed(seed)) < 0.8 for seed in seeds])
    frequency = torch.linspace(9.2e9, 10e9, frequencies, dtype=torch.float64)[None]
    receiver = track(seeds, pulses, start_rad=0.7, radius_m=170.0) if bistatic else None
    return SpotlightCollection(track(seeds, pulses, start_rad=0.0, radius_m=200.0), frequency, kept.double(), receiver)


def exact_bistatic(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> ExactSpotlight:
    return ExactSpotlight(collection(seeds, bistatic=True), Grid(shape, (0.2, 0.25)), dtype=dtype)


def plane_wave_bistatic(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> NonuniformFourier:
    return plane_wave_spotlight(collection(seeds, bistatic=True), Grid(shape, (0.2, 0.25)), dtype=dtype)


def factorised(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> FactorisedSpotlight:
    grid = Grid(shape, (0.1, 0.12))
    return FactorisedSpotlight(collection(seeds, bistatic=False), grid, dtype=dtype, leaf=6, accuracy=0.1)


def factorised_bistatic(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> FactorisedSpotlight:
    grid = Grid(shape, (0.1, 0.12))
    return FactorisedSpotlight(collection(seeds, bistatic=True), grid, dtype=dtype, leaf=6)


FACTORISED_SPOTLIGHT: dict[type[LinearOperator], list[Example]] = {
    FactorisedSpotlight: [
        Example("factorised_spotlight", factorised),
        Example("factorised_spotlight_bistatic", factorised_bistatic),
    ],
}
