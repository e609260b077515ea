"""Pairs of passes: power, coherence and phase of speckle against what was drawn, and means over neighbours against PyTorch's."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import avg_pool2d

from echoform.scene.joined import joined
from echoform.scene.neighbourhood import WINDOW, mean_intensity
from echoform.scene.random_source import RandomSource
from echoform.scene.repeat_pass import COHERENCE, STILL, repeat_pass
from echoform.scene.scene import Scene, SceneClass

SHAPE = (96, 96)


def source(seed: int = 0) -> RandomSource:
    """Randomness of a seed."""
    return RandomSource(torch.Generator().manual_seed(seed))


def speckle(label: SceneClass | None) -> Scene:
    """Developed speckle of one class all over, or of none."""
    masks = {} if label is None else {label: torch.ones(6, *SHAPE, dtype=torch.bool)}
    return Scene(source(1).white((6, 1, *SHAPE)), masks=masks)


@pytest.mark.parametrize("label", [SceneClass.WATER, SceneClass.CROP, SceneClass.URBAN, None])
def test_passes_have_the_coherence_and_phase_stated(label: SceneClass | None) -> None:
    """Of 9216 looks, the sum of x_2 conj(x_1 g) / |g| is g's modulus to about 1 / 96 and has no phase left."""
    scene = repeat_pass(source(), speckle(label))
    first, second = scene.image.unbind(1)
    assert scene.interferogram is not None
    low, high = STILL if label is None else COHERENCE[label]
    modulus = scene.interferogram.abs()
    assert float(modulus.min()) >= low - 1e-6
    assert float(modulus.max()) <= high + 1e-6
    straight = second * (first * torch.exp(1j * scene.interferogram.angle())).conj()
    looks = straight.mean((1, 2)) / first.abs().square().mean((1, 2))
    noise = 4 / math.sqrt(SHAPE[0] * SHAPE[1])
    assert torch.allclose(looks.real, modulus.mean((1, 2)), atol=noise)
    assert float(looks.imag.abs().max()) < noise
    power = [float(x.abs().square().mean()) for x in (first, second)]
    assert power[1] == pytest.approx(power[0], rel=0.03)


def test_pairs_stay_pairs_in_a_batch() -> None:
    """Each keeps its interferogram; pairs and single images do not mix."""
    pairs = [repeat_pass(source(seed), speckle(SceneClass.CROP)) for seed in (1, 2)]
    batch = joined(pairs)
    assert batch.interferogram is not None
    for i, pair in enumerate(pairs):
        assert torch.equal(batch.image[6 * i : 6 * i + 6], pair.image)
        assert torch.equal(batch.interferogram[6 * i : 6 * i + 6], pair.interferogram)
    single = [replace(pair, interferogram=None) for pair in pairs]
    assert joined(single).interferogram is None
    with pytest.raises(ValueError, match="1 of 2 batches have an interferogram"):
        joined([pairs[0], single[1]])


def test_the_phase_is_smooth() -> None:
    """Between neighbours it changes by less than half a turn almost everywhere, so that it can be unwrapped."""
    pair = repeat_pass(source(3), speckle(SceneClass.URBAN)).interferogram
    assert pair is not None
    step = (pair[:, :, 1:] * pair[:, :, :-1].conj()).angle().abs()
    assert float((step > math.pi / 2).double().mean()) < 0.01


def test_means_over_neighbours_are_those_of_a_pooling() -> None:
    """Images that are not square, windows cut off at the border."""
    image = source(2).white((3, 2, 13, 18))
    expected = avg_pool2d(image.abs().square(), WINDOW, stride=1, padding=WINDOW // 2, count_include_pad=False)
    assert torch.allclose(mean_intensity(image), expected, rtol=1e-5)
