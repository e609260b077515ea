"""Masks of MRI: the lines of fastmri's own masks, realised accelerations, centres, and distances of Poisson discs."""

from __future__ import annotations

import pytest
import torch

from echoform.physics.fourier_mask import FourierMask
from echoform.physics.mri_density_masks import DensityMask, GaussianDensity, PoissonDisc
from echoform.physics.mri_masks import (
    CentreFraction,
    CentreLines,
    EquispacedFractionLines,
    EquispacedLines,
    LineMask,
    MagicLines,
    OffsetMask,
    RandomLines,
    centre_mask,
    line_weights,
)

WIDTH = 368
KINDS: tuple[type[LineMask], ...] = (RandomLines, EquispacedLines, EquispacedFractionLines, MagicLines)
#: (mask, lines in all, offset, the lines that fastmri 0.3.0 measures at that offset)
FASTMRI: list[tuple[OffsetMask, int, int, list[int]]] = [
    (EquispacedLines(4, CentreFraction(0.1)), 32, 0, [0, 4, 8, 12, 15, 16, 17, 20, 24, 28]),
    (EquispacedLines(4, CentreFraction(0.1)), 32, 3, [3, 7, 11, 15, 16, 17, 19, 23, 27, 31]),
    (EquispacedLines(5, CentreFraction(0.08)), 37, 2, [2, 7, 12, 17, 18, 19, 22, 27, 32]),
    (EquispacedLines(8, CentreFraction(0.06)), 51, 1, [1, 9, 17, 24, 25, 26, 33, 41, 49]),
    (EquispacedFractionLines(4, CentreFraction(0.1)), 32, 0, [0, 6, 12, 15, 16, 17, 23, 29]),
    (EquispacedFractionLines(4, CentreFraction(0.1)), 32, 3, [3, 9, 15, 16, 17, 20, 26]),
    (EquispacedFractionLines(5, CentreFraction(0.08)), 37, 2, [2, 10, 17, 18, 19, 25, 33]),
    (EquispacedFractionLines(8, CentreFraction(0.06)), 51, 1, [1, 15, 24, 25, 26, 29, 44]),
    (MagicLines(4, CentreFraction(0.1)), 32, 0, [1, 5, 9, 13, 15, 16, 17, 21, 25, 29]),
    (MagicLines(4, CentreFraction(0.1)), 32, 3, [1, 5, 9, 13, 15, 16, 17, 21, 25, 29]),
    (MagicLines(5, CentreFraction(0.08)), 37, 2, [3, 8, 13, 17, 18, 19, 21, 26, 31, 36]),
    (MagicLines(8, CentreFraction(0.06)), 51, 1, [0, 8, 16, 24, 25, 26, 28, 36, 44]),
]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("kind", "width", "offset", "lines"), FASTMRI)
def test_lines_are_those_of_fastmri(kind: OffsetMask, width: int, offset: int, lines: list[int]) -> None:
    mask = torch.maximum(kind.pattern(width, offset), centre_mask(width, kind.centre.count(width)))
    assert torch.nonzero(mask)[:, 0].tolist() == lines


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("acceleration", "fraction"), [(4, 0.08), (8, 0.04), (10, 0.03)])
def test_realised_acceleration(kind: type[LineMask], acceleration: int, fraction: float) -> None:
    """W / a lines for random (on average) and equispaced fraction; 1/a of the rest beside the centre for the other two."""
    masks = kind(acceleration, CentreFraction(fraction)).draw(generator(), 400, WIDTH)
    assert masks.shape == (400, 1, 1, WIDTH)
    assert set(masks.unique().tolist()) == {0.0, 1.0}
    measured = float(masks.mean())
    if kind in (RandomLines, EquispacedFractionLines):
        assert measured == pytest.approx(1 / acceleration, rel=0.01)
    else:
        count = round(fraction * WIDTH)
        assert measured == pytest.approx((count + (WIDTH - count) / acceleration) / WIDTH, rel=0.02)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", [368, 171])
def test_the_centre_is_always_there(kind: type[LineMask], width: int) -> None:
    masks = kind(5, CentreLines(24)).draw(generator(), 50, width)[:, 0, 0]
    start = width // 2 - 12 + (width % 2)
    assert bool((masks[:, start : start + 24] == 1).all())
    assert float(masks[:, start - 1].mean()) < 1
    assert CentreFraction(0.08).count(368) == 29


def test_every_offset_is_drawn_equally_often() -> None:
    """The share of masks that hold a line far from the centre is 1 / a, for every such line."""
    masks = EquispacedLines(4, CentreLines(10)).draw(generator(), 4000, 64)[:, 0, 0]
    assert torch.allclose(masks[:, [8, 9, 10, 11, 50, 51, 52, 53]].mean(0), torch.tensor(0.25), atol=0.03)


def test_magic_lines_complete_each_other() -> None:
    """Spacing 4: line -k is measured where line k is not, and together they make every second frequency."""
    for offset in range(4):
        pattern = MagicLines(4, CentreLines(0)).pattern(64, offset)
        k = torch.nonzero(pattern)[:, 0] - 32
        positive, negative = set(k[k > 4].tolist()), set((-k[k < -4]).tolist())
        assert not positive & negative
        assert len({n % 2 for n in positive | negative}) == 1


def test_batches_vary_and_seeds_repeat() -> None:
    kind = RandomLines(4, CentreFraction(0.08))
    first, again, other = (kind.draw(generator(seed), 3, 96) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first[0], first[1])


def test_weights_are_those_of_a_fourier_mask() -> None:
    mask = EquispacedLines(4, CentreLines(8)).draw(generator(), 2, 32)
    operator = FourierMask(line_weights(mask, 20))
    assert operator.domain_shape == (1, 20, 32)
    assert torch.equal(operator.support(), mask.expand(2, 1, 20, 32))


@pytest.mark.parametrize("kind", [RandomLines, EquispacedFractionLines])
def test_a_centre_beyond_the_acceleration_is_refused(kind: type[LineMask]) -> None:
    with pytest.raises(ValueError, match="smaller centre"):
        kind(10, CentreFraction(0.2)).draw(generator(), 1, 100)
    with pytest.raises(ValueError, match="1 or more"):
        kind(0, CentreFraction(0.2))
    with pytest.raises(ValueError, match="do not fit"):
        kind(4, CentreLines(101)).draw(generator(), 1, 100)


def test_a_centre_that_is_all_there_is() -> None:
    mask = EquispacedFractionLines(4, CentreLines(25)).draw(generator(), 1, 100)
    assert torch.equal(mask.flatten(), centre_mask(100, 25))


@pytest.mark.parametrize("kind", [GaussianDensity, PoissonDisc])
@pytest.mark.parametrize("acceleration", [4, 10])
def test_density_masks_have_their_share_and_their_centre(kind: type[DensityMask], acceleration: int) -> None:
    masks = kind(acceleration, 8).draw(generator(), 3, (64, 48))
    assert masks.shape == (3, 1, 64, 48)
    assert float(masks.mean()) == pytest.approx(1 / acceleration, rel=0.06)
    assert bool((masks[:, :, 28:36, 20:28] == 1).all())
    inner, outer = masks[..., 16:48, 12:36].mean(), masks[..., :8, :].mean()
    assert float(inner) > 2 * float(outer)


def test_gaussian_probabilities_add_up() -> None:
    kind = GaussianDensity(8, 12, width=0.3)
    chance = kind.probability((96, 80))
    assert float(chance.sum()) == pytest.approx(96 * 80 / 8, rel=1e-6)
    free = chance[48, 60:80]
    ratio = torch.log(free[1:] / free[:-1])
    r = torch.arange(20, 40, dtype=torch.float64) / 40
    assert torch.allclose(ratio, (r[:-1] ** 2 - r[1:] ** 2) / (2 * 0.3**2), atol=1e-9)


def test_poisson_discs_keep_their_distance() -> None:
    """Outside the centre no point lies within the distance of both of two points, and there is no hole of three distances."""
    mask = PoissonDisc(8, 0, taper=0.0).draw(generator(), 1, (48, 48))[0, 0]
    points = torch.nonzero(mask).double()
    apart = torch.cdist(points, points) + 1e3 * torch.eye(len(points), dtype=torch.float64)
    nearest = apart.amin(1)
    assert float(nearest.min()) >= 2.0
    everywhere = torch.cartesian_prod(torch.arange(48), torch.arange(48)).double()
    assert float(torch.cdist(everywhere, points).amin(1).max()) < 3.5


def test_density_masks_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="centre that fits"):
        GaussianDensity(10, 20).draw(generator(), 1, (32, 32))
    with pytest.raises(ValueError, match="centre that fits"):
        PoissonDisc(0.5, 2).draw(generator(), 1, (32, 32))
