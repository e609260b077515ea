"""Polarimetric scenes: reciprocity, power, and the statistics that the shares of the mechanisms imply."""

from __future__ import annotations

import pytest
import torch

from echoform.scene.polarimetric import MADE, NATURAL, OTHER, polarimetric
from echoform.scene.random_source import RandomSource
from echoform.scene.scene import Scene, SceneClass

SHAPE = (96, 96)


def source(seed: int = 0) -> RandomSource:
    return RandomSource(torch.Generator().manual_seed(seed))


def field_of(label: SceneClass) -> Scene:
    """Developed speckle of one class all over."""
    drawn = source(1)
    return Scene(drawn.white((4, 1, *SHAPE)), masks={label: torch.ones(4, *SHAPE, dtype=torch.bool)})


def test_shares_are_shares() -> None:
    for shares in (*NATURAL.values(), *MADE.values(), OTHER):
        assert sum(shares) == pytest.approx(1)


@pytest.mark.parametrize("label", [SceneClass.WATER, SceneClass.FOREST, SceneClass.CROP])
def test_natural_surfaces_have_the_stated_coherence_and_speckle(label: SceneClass) -> None:
    a, b, c = NATURAL[label]
    hh, hv, vh, vv = polarimetric(source(), field_of(label)).image.unbind(1)
    assert torch.equal(hv, vh)
    power = [float(x.abs().square().mean()) for x in (hh, hv, vv)]
    assert power[0] == pytest.approx((a + b) / 2, rel=0.05)
    assert power[1] == pytest.approx(c / 2, rel=0.05)
    assert power[2] == pytest.approx((a + b) / 2, rel=0.05)
    coherence = float((hh * vv.conj()).mean().real) / (power[0] * power[2]) ** 0.5
    assert coherence == pytest.approx((a - b) / (a + b), abs=0.03)
    intensity = hv.abs().square()
    assert float(intensity.square().mean() / intensity.mean().square()) == pytest.approx(2.0, abs=0.2)


def test_things_made_by_people_keep_their_power_and_scatter_alike_in_a_cell() -> None:
    scene = field_of(SceneClass.VEHICLE)
    image = polarimetric(source(), scene).image
    assert torch.allclose(image.abs().square().sum(1), scene.image[:, 0].abs().square(), rtol=1e-4, atol=1e-6)
    ratio = image[:, 0] / scene.image[:, 0]
    assert float((ratio[:, :4, :4] - ratio[:, :1, :1]).abs().max()) < 1e-4
    assert float((ratio[:, :4, :4] - ratio[:, 4:8, :4]).abs().min()) > 1e-3
