"""Simulated coils: unit norm, the stated field, and maps that ESPIRiT finds again."""

from __future__ import annotations

import math

import torch

from echoform.linalg.fft import fft2c
from echoform.physics.coil_maps import coil_maps, draw_coil_maps
from echoform.physics.espirit import Espirit
from echoform.scene.random_source import RandomSource


def source(seed: int = 0) -> RandomSource:
    return RandomSource(torch.Generator().manual_seed(seed))


def test_unit_norm_over_the_coils() -> None:
    maps = draw_coil_maps(source(), 3, 8, (20, 24))
    assert maps.shape == (3, 8, 20, 24)
    assert maps.dtype == torch.complex64
    assert torch.allclose(maps.abs().square().sum(1), torch.ones(3, 20, 24), atol=1e-5)
    assert not torch.allclose(maps[0], maps[1])


def test_field_of_two_loops() -> None:
    """At the middle of the image, from (1.5, 0) and (0, -1.2): distances and angles by hand."""
    position = torch.tensor([[[1.5, 0.0], [0.0, -1.2]]])
    maps = coil_maps(position, torch.tensor([[0.3, 0.4]]), torch.tensor([[0.0, 0.5]]), (16, 16))[0, :, 8, 8]
    ratio = maps[1] / maps[0]
    assert math.isclose(float(ratio.abs()), math.sqrt((1.5**2 + 0.3**2) / (1.2**2 + 0.4**2)), rel_tol=1e-5)
    assert math.isclose(float(ratio.angle()), math.pi / 2 + 0.5 - math.pi, rel_tol=1e-5)


def test_espirit_finds_them_from_the_centre_of_k_space() -> None:
    maps = draw_coil_maps(source(3), 1, 6, (64, 64))[0]
    y, x = torch.meshgrid(torch.arange(64) - 32, torch.arange(64) - 32, indexing="ij")
    disc = ((y / 24.0) ** 2 + (x / 20.0) ** 2 < 1).float()
    kspace = fft2c(maps * disc)
    found = Espirit()(kspace[None, :, 20:44, 20:44], (64, 64))[0]
    relative = maps * torch.exp(-1j * maps[:1].angle())
    inside = ((y / 22.0) ** 2 + (x / 18.0) ** 2 < 1).float()
    left = ((found - relative).abs().square().sum(0) * inside).sum() / inside.sum()
    assert float(left) < 1e-3
