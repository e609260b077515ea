"""Patches of clutter: each law's log-cumulants, whose closed forms tests/scene/test_clutter.py holds to scipy."""

import pytest
import torch

from echoform.scene import clutter_patch
from echoform.scene.clutter import Clutter
from echoform.scene.clutter_laws import G0Clutter, KClutter, LogNormalClutter, WeibullClutter
from echoform.scene.frame import Frame
from echoform.scene.random_source import RandomSource
from echoform.scene.scene import SceneClass
from scene.scene_cases import frame, source

ONE = torch.ones(1)
LAWS = [
    ("NU", 2.0, KClutter(2 * ONE)),
    ("ALPHA", 4.0, G0Clutter(-4 * ONE)),
    ("WEIBULL", 1.2, WeibullClutter(1.2 * ONE)),
    ("DEVIATION", 1.5, LogNormalClutter(1.5 * ONE)),
]


@pytest.mark.parametrize("number", range(4), ids=[name for name, _, _ in LAWS])
def test_a_patch_follows_its_law(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of half a million independent pixels of mean one: the first two log-cumulants, each to about four standard errors."""
    name, value, law = LAWS[number]
    monkeypatch.setattr(clutter_patch, name, (value, value))
    monkeypatch.setattr(clutter_patch, "TEXTURE_M", (0.01, 0.02))
    image = clutter_patch.LAWS[number](source(7), frame(32, (128, 128)), torch.ones(32, 128, 128))
    assert isinstance(law, Clutter)
    logarithm = image.abs().double().square().log()
    expected = law.log_cumulants()[:, 0]
    assert float(logarithm.mean()) == pytest.approx(float(expected[0]), abs=0.01)
    assert float(logarithm.var()) == pytest.approx(float(expected[1]), rel=0.02)


def test_every_law_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty patches call all four laws; what a patch shows is bare ground everywhere."""
    called = []

    def watched(number: int):
        """A law that notes that it was called."""

        def law(random: RandomSource, pixels: Frame, mean: torch.Tensor) -> torch.Tensor:
            called.append(number)
            return mean.to(torch.complex64)

        return law

    monkeypatch.setattr(clutter_patch, "LAWS", tuple(watched(number) for number in range(4)))
    for seed in range(40):
        scene = clutter_patch.clutter_patch(source(seed), frame(2, (16, 16)))
    assert set(called) == {0, 1, 2, 3}
    assert set(scene.masks) == {SceneClass.BARE}
    assert bool(scene.masks[SceneClass.BARE].all())
    assert scene.image.shape == (2, 1, 16, 16)
