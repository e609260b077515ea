"""Bands of frequencies of a Born operator on grids of their own: which are chosen, and what they say."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from contracts import check_dot, check_normal, distance, randn
from cylinder import DOUBLE, angles, real
from echoform.linalg.resample import upsample
from echoform.physics import born_bands
from echoform.physics.born import FREQUENCY_AXIS, BornScattering
from echoform.physics.born_bands import Band, best_bands
from echoform.physics.compositions import ComposedOperator, GalerkinOperator
from echoform.physics.green import Radiator
from echoform.physics.stacked import StackedOperator
from echoform.scene.cells import cells_of
from echoform.scene.grid import Grid
from echoform.scene.rig import all_pairs, ring_m

FREQUENCY_HZ = real(1e9, 1.2e9, 3e9)


def octaves(receiver_m: torch.Tensor) -> BornScattering:
    """Three frequencies, the last of which needs more pixels at s = 4 than the others."""
    rig = all_pairs(ring_m(0.9, angles(7))[None], receiver_m, FREQUENCY_HZ[None])
    cells = cells_of(Grid((64, 96), (0.007, 0.007)))
    return BornScattering(rig, cells, radiator=Radiator.LINE, normal_memory_bytes=0, dtype=DOUBLE)


RECEIVER_M = ring_m(0.8, angles(9, 0.3))[None]


@pytest.fixture
def small_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bands that pay on images as small as a test's."""
    monkeypatch.setattr(born_bands, "BAND_COST", 1e4)


def test_the_bands_of_least_cost() -> None:
    """Low frequencies apart where that saves much, all together where it saves nothing or the image is small."""

    def chosen(phases: list[float], factor: int, side: int = 256) -> list[Band]:
        return best_bands(phases, factor, channels=1, sides=(side, side), cost_per_pixel=1728.0)

    assert [b.frequencies for b in chosen([0.4, 1.6, 1.6], 2)] == [slice(0, 1), slice(1, 3)]
    assert [b.frequencies for b in chosen([0.3, 0.5, 0.6], 4)] == [slice(0, 3)]
    assert [b.frequencies for b in chosen([0.4, 1.6, 1.6], 2, 16)] == [slice(0, 3)]
    many = chosen([0.2 + 0.05 * i for i in range(30)], 4)
    assert many[0].frequencies.start == 0
    assert many[-1].frequencies.stop == 30
    assert all(one.frequencies.stop == other.frequencies.start for one, other in pairwise(many))
    assert sum(b.cost for b in many) < 0.7 * 30 * many[-1].cost / (30 - many[-1].frequencies.start)


@pytest.mark.usefixtures("small_bands")
def test_bands_are_within_the_bound_of_one_grid() -> None:
    """Each on its own grid, all together A U_s within 1.5 % for white noise that ends before the border."""
    fine = octaves(RECEIVER_M)
    coarse = fine.coarsen(4)
    assert isinstance(coarse, StackedOperator)
    grids = [part.outer.domain_shape for part in coarse.parts if isinstance(part, ComposedOperator)]
    assert grids[0] == (1, 16, 24)
    assert grids[0][1] < grids[-1][1] < 64
    x = torch.zeros(1, *coarse.domain_shape, dtype=DOUBLE)
    x[..., 2:-2, 2:-2] = randn(x[..., 2:-2, 2:-2].shape, 3)
    assert distance(coarse(x), fine(upsample(x, 4))) < 0.015
    check_dot(coarse, 1e-10)
    check_normal(coarse)
    assert torch.equal(coarse.samples(), fine.samples())


@pytest.mark.usefixtures("small_bands")
def test_gradients_reach_the_antennas_through_bands() -> None:
    """The gradient of |A_s x|^2 is that through the fine operator, within 2 %."""
    x, found = torch.zeros(1, 1, 16, 24, dtype=DOUBLE), []
    x[..., 2:-2, 2:-2] = randn((1, 1, 12, 20), 3)
    for exact in (False, True):
        receiver_m = RECEIVER_M.clone().requires_grad_()
        fine = octaves(receiver_m)
        coarse = GalerkinOperator(fine, 4) if exact else fine.coarsen(4)
        assert exact or isinstance(coarse, StackedOperator)
        energy = (x.conj() * coarse.normal(x)).real.sum()
        found.append(torch.autograd.grad(energy, receiver_m)[0])
    assert float((found[0] - found[1]).norm() / found[1].norm()) < 0.02


def test_some_frequencies_of_an_operator() -> None:
    """Their samples are those of all, at the places of these."""
    fine = octaves(RECEIVER_M)
    x = randn((1, *fine.domain_shape), 1)
    assert torch.equal(fine.of_frequencies(slice(1, 3))(x), fine(x)[..., 1:3, :, :])


def test_bands_of_different_rigs_are_refused() -> None:
    """Samples that are laid end to end along the frequencies must be of the same pairs, and of one image."""
    fine = octaves(RECEIVER_M)
    with pytest.raises(ValueError, match="alike along the others"):
        StackedOperator([fine, octaves(RECEIVER_M[:, :5])], FREQUENCY_AXIS)
    with pytest.raises(ValueError, match="share one domain"):
        StackedOperator([fine, fine.coarsen(2)], FREQUENCY_AXIS)
