"""Weights: what is stored is what is loaded, and damage is noticed; the shipped network uses the physics."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from echoform.measure.measurement import simulate
from echoform.nets import weights
from echoform.nets.ram import RAM, RAMConfig
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.noise import GaussianNoise
from echoform.train.problems.noise_levels import noise_level
from echoform.train.problems.scenes import SceneKind, draw_scene

MINIATURE = RAMConfig(channels=(4, 6, 8, 8), blocks=1, embedding=8)
CARD = weights.Card("mini", MINIATURE, ("none",), "untrained", "0", ("none",), "BSD-3-Clause")


def test_round_trip_in_half_precision(tmp_path: Path):
    net = RAM(MINIATURE)
    card = weights.store(net, CARD, tmp_path)
    assert weights.available(tmp_path) == ["mini"]
    assert card == weights.read_card("mini", where=tmp_path)
    loaded = weights.load("mini", where=tmp_path)
    for a, b in zip(net.parameters(), loaded.parameters(), strict=True):
        assert torch.equal(a.half().float(), b)


def test_damage_is_noticed(tmp_path: Path):
    weights.store(RAM(MINIATURE), CARD, tmp_path)
    file = tmp_path / "mini.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(weights.WeightsError, match="not the file its card describes"):
        weights.load("mini", where=tmp_path)
    file.unlink()
    with pytest.raises(weights.WeightsError, match="reinstall"):
        weights.load("mini", where=tmp_path)
    (tmp_path / "mini.card.yaml").write_text("network: 3")
    with pytest.raises(weights.WeightsError, match="not a card"):
        weights.load("mini", where=tmp_path)
    with pytest.raises(weights.WeightsError, match="no weights called"):
        weights.load("other", where=tmp_path)


def test_shipped_tiny_uses_the_physics():
    """Swapping A for another operator changes the image by more than 10 %."""
    net = weights.load("echoform-tiny")
    generator = torch.Generator().manual_seed(9)
    x = draw_scene(SceneKind.TARGETS, generator, 4, (32, 32))
    masks = [FourierMask((torch.rand(4, 1, 32, 32, generator=generator) < 0.5).float()) for _ in range(2)]
    noise = GaussianNoise(noise_level(masks[0](x), masks[0], torch.full((4,), 20.0)))
    m = simulate(x, masks[0], noise, generator=generator)
    with torch.no_grad():
        right, wrong = net(m), net(replace(m, operator=masks[1]))
    changes = (right - wrong).flatten(1).norm(dim=1) / right.flatten(1).norm(dim=1)
    assert float(changes.min()) > 0.1
    errors = [(image - x).flatten(1).norm(dim=1) / x.flatten(1).norm(dim=1) for image in (right, wrong)]
    assert bool((errors[0] < 0.7 * errors[1]).all())
