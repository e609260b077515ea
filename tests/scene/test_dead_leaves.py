"""Pictures like photographs: their values, their leaves, and their spectrum beside that of photographs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from echoform.scene.dead_leaves import RADIUS, Leaves, _covers, _octaves, dead_leaves
from echoform.scene.photographs import Photographs, brightness, read_photographs
from echoform.scene.random_source import RandomSource

PHOTOGRAPHS = Path(__file__).parents[3] / "shared" / "data" / "natural_bsds500"


def source(seed: int = 0) -> RandomSource:
    return RandomSource(torch.Generator().manual_seed(seed))


def octave_power_db(image: Tensor) -> Tensor:
    """Mean power of the brightness's spectrum in four octaves of frequency, decibels."""
    gray = brightness(image)[:, 0]
    power = torch.fft.fft2(gray - gray.mean((1, 2), keepdim=True)).abs().square().mean(0)
    k = torch.fft.fftfreq(image.shape[-1])
    radius = (k[:, None].square() + k.square()).sqrt()
    bands = [(radius >= low) & (radius < 2 * low) for low in (0.03, 0.06, 0.12, 0.24)]
    return 10 * torch.log10(torch.stack([power[band].mean() for band in bands]))


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_are_pictures(channels: int) -> None:
    image = dead_leaves(source(), 40, (48, 64), channels=channels).image
    assert image.shape == (40, channels, 48, 64)
    assert image.dtype == torch.float32
    assert float(image.amin()) >= 0
    assert float(image.amax()) <= 1
    assert float((image == 1).float().mean()) < 0.1
    assert 0.3 < float(image.mean()) < 0.6
    assert bool((image.std((1, 2, 3)) > 0.005).all())
    assert torch.equal(image, dead_leaves(source(), 40, (48, 64), channels=channels).image)


def test_small_sides_and_odd_ones_serve() -> None:
    for shape in ((16, 16), (17, 33), (5, 90)):
        assert bool(torch.isfinite(dead_leaves(source(), 2, shape).image).all())


def test_every_octave_covers_the_same_area() -> None:
    """The area of the discs of each octave is the picture's times one number, as a density r^-3 asks for."""
    octaves = _octaves((128, 128))
    radii = [radius for radius, _ in octaves]
    assert radii == [RADIUS[0] * 2**n for n in range(len(radii))]
    area = [number * radius**2 for radius, number in octaves if number > 6]
    assert max(area) / min(area) < 1.1


def test_leaves_cover_what_their_shapes_say() -> None:
    """A disc and a square of the same radius, unturned and turned by 45 degrees, counted against their areas."""
    side, radius = 101, 30.0
    half = 0.5**0.5
    leaves = Leaves(
        torch.full((1, 3, 2), 50.0),
        torch.full((1, 3), radius),
        torch.tensor([[[1.0, 0.0], [1.0, 0.0], [half, half]]]),
        torch.tensor([[[1.0, 1.0], [1.0, 0.5], [1.0, 1.0]]]),
        torch.tensor([[False, True, True]]),
    )
    place = torch.arange(side).expand(1, 3, -1)
    disc, bar, diamond = _covers(leaves, slice(0, 3), place, place)[0]
    assert float(disc.sum()) == pytest.approx(3.14159 * radius**2, rel=0.01)
    assert float(bar.sum()) == pytest.approx(61 * 31, rel=0.001)
    assert float(diamond.sum()) == pytest.approx(4 * radius**2, rel=0.02)
    assert bool(diamond[50, 90])
    assert not bool(bar[50, 90])


@pytest.mark.skipif(not PHOTOGRAPHS.exists(), reason="BSDS500 is not at ../shared/data/natural_bsds500")
def test_the_spectrum_is_that_of_photographs_within_some_decibels() -> None:
    drawn = source(3)
    pictures = read_photographs(PHOTOGRAPHS, colour=True)
    few = Photographs(pictures.pictures[::4])
    real = octave_power_db(few.draw(drawn, 300, (64, 64)).image)
    simulated = octave_power_db(dead_leaves(drawn, 300, (64, 64)).image)
    assert bool(((real - simulated).abs() < 3).all()), (real, simulated)
