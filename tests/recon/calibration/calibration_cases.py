"""Small spotlight scenes of points with known phase errors, for the tests of this folder."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from echoform.measure.measurement import Measurement, simulate
from echoform.physics.noise import GaussianNoise
from echoform.physics.operator import LinearOperator
from echoform.physics.spotlight_exact import ExactSpotlight
from echoform.physics.spotlight_plane_wave import plane_wave_spotlight
from echoform.recon.calibration.calibration import ChannelAxis
from echoform.scene.collection import SPEED_OF_LIGHT_M_S, SpotlightCollection
from echoform.scene.grid import Grid
from echoform.scene.scatterers import place

SNR_DB = 20.0


def collection(side: int, *, looking_along_x: bool = True) -> tuple[SpotlightCollection, Grid]:
    """X band, 640 MHz at 10 km, as many pulses and frequencies as pixels; pixels of 0.8 resolution cells."""
    resolution_m = SPEED_OF_LIGHT_M_S / (2 * 640e6)
    cells = torch.arange(side, dtype=torch.float64) / side - 0.5
    azimuth = SPEED_OF_LIGHT_M_S / 9.6e9 / (2 * resolution_m) * cells + (0.0 if looking_along_x else math.pi / 2)
    antenna = 10e3 * torch.stack([azimuth.cos(), azimuth.sin(), 0 * azimuth], -1)
    kept = torch.ones(1, side, side, dtype=torch.float64)
    spacing = 0.8 * resolution_m
    return SpotlightCollection(antenna[None], (9.6e9 + 640e6 * cells)[None], kept), Grid(
        (side, side), (spacing, spacing)
    )


def plane_wave(side: int) -> LinearOperator:
    return plane_wave_spotlight(*collection(side))


def plane_wave_along_y(side: int) -> LinearOperator:
    return plane_wave_spotlight(*collection(side, looking_along_x=False))


def exact(side: int) -> LinearOperator:
    return ExactSpotlight(*collection(side))


def points(side: int, count: int, seed: int) -> Tensor:
    """Points off the grid, powers within 10 dB, in the middle 80 % of the image: (1, 1, side, side)."""
    generator = torch.Generator().manual_seed(seed)
    where = side * (0.1 + 0.8 * torch.rand(1, count, 2, generator=generator))
    magnitude = 10 ** (-10 * torch.rand(1, count, generator=generator) / 20)
    phase = 2 * math.pi * torch.rand(1, count, generator=generator)
    return place(where, torch.polar(magnitude, phase), (side, side))[:, None]


def measured(operator: LinearOperator, scene: Tensor, *, seed: int = 1) -> Measurement:
    """The scene with noise SNR_DB below the mean power of a sample."""
    power = operator(scene).abs().square().mean()
    noise = GaussianNoise((power * 10 ** (-SNR_DB / 10)).sqrt()[None])
    return simulate(scene, operator, noise, generator=torch.Generator().manual_seed(seed))


def disturbed(measurement: Measurement, phase_rad: Tensor, *, axis: int = 1) -> Measurement:
    """The measurement times exp(+i phase) along one axis."""
    return replace(measurement, y=ChannelAxis(measurement, axis).rotated(-phase_rad))


def errors(pulses: int) -> dict[str, Tensor]:
    """Phase errors by name, each (1, pulses), radians."""
    generator = torch.Generator().manual_seed(7)
    t = torch.linspace(-1, 1, pulses, dtype=torch.float64)[None]
    normal = torch.randn(2, pulses, dtype=torch.float64, generator=generator)
    return {
        "quadratic, pi / 4": math.pi / 4 * t.square(),
        "quadratic, 4 pi": 4 * math.pi * t.square(),
        "sinusoidal": 1.5 * torch.sin(2 * math.pi * 3 * t),
        "random walk": 0.3 * normal[:1].cumsum(1),
        "white": 0.7 * normal[1:],
    }
