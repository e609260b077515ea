"""Builders of spotlight operators with a receiver apart, and of the factorised one, for tests/physics/operator_examples.py."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from contracts import Example, randn
from echoform.physics.local_transfer import LocalTransfer
from echoform.physics.nonuniform_fourier import NonuniformFourier
from echoform.physics.operator import LinearOperator
from echoform.physics.spotlight_exact import ExactSpotlight
from echoform.physics.spotlight_factorised import FactorisedSpotlight
from echoform.physics.spotlight_plane_wave import plane_wave_spotlight
from echoform.scene.collection import SpotlightCollection
from echoform.scene.grid import Grid

Shape = tuple[int, int]
Seeds = Sequence[int]


#: coarse versions with the local response of U_s: what the terms left out hold, at most
REWRITTEN = {"coarsen_bound": 0.06, "coarsen_margin": 2, "coarsen_keeps_samples": False}


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


def exact_far(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> ExactSpotlight:
    """From ten times as far, so that the coarse version is written down again (near by it is Galerkin)."""
    near = collection(seeds, bistatic=True)
    assert near.receiver_m is not None
    far = SpotlightCollection(10 * near.antenna_m, near.frequency_hz, near.kept, 10 * near.receiver_m)
    return ExactSpotlight(far, Grid(shape, (0.1, 0.12)), dtype=dtype)


def local_transfer(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> LocalTransfer:
    """Three terms on a part of the samples, some of them dropped."""
    base = ExactSpotlight(collection(seeds, bistatic=False), Grid(shape, (0.2, 0.25), (0.1, -0.05)), dtype=dtype)
    samples = torch.stack([randn((3, 5, 6), seed).real for seed in seeds])
    samples[:, :, 1, 2:4] = 0
    image = torch.stack([randn((3, *shape), seed + 5) for seed in seeds])
    return LocalTransfer(base, samples, image, range_shape=(1, 7, 9), origin=(1, 3))


#: for the entry of the exact operator
FAR_SPOTLIGHT = [Example("exact_far", exact_far, **REWRITTEN)]
FACTORISED_SPOTLIGHT: dict[type[LinearOperator], list[Example]] = {
    FactorisedSpotlight: [
        Example("factorised_spotlight", factorised, **REWRITTEN),
        Example("factorised_spotlight_bistatic", factorised_bistatic, **REWRITTEN),
    ],
    LocalTransfer: [Example("local_transfer", local_transfer)],
}
