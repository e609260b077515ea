"""Multilook backprojection: equivalent looks of simulated speckle, coarser resolution, the level of a point kept."""

from __future__ import annotations

import math

import pytest
import torch

from echoform.assess.metrics import equivalent_looks
from echoform.measure.measurement import Measurement, simulate
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.noise import GaussianNoise
from echoform.physics.nonuniform_fourier import NonuniformFourier
from echoform.recon.classical.multilook import Looks, MultilookMatchedFilter, expected_looks, intervals
from echoform.recon.classical.window import Hamming

DOUBLE = torch.complex128


def speckle(batch: int, side: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(batch, 1, side, side, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed))


def full(side: int) -> FourierMask:
    return FourierMask(torch.ones(1, 1, side, side, dtype=torch.float64))


def look_at(x: torch.Tensor, operator, method: MultilookMatchedFilter):
    noise = GaussianNoise(torch.tensor([0.1], dtype=torch.float64))
    return method(simulate(x, operator, noise, generator=torch.Generator().manual_seed(2)))


@pytest.mark.parametrize(
    ("looks", "window"),
    [
        (Looks(1, 1), None),
        (Looks(4, 1), None),
        (Looks(1, 4), None),
        (Looks(2, 2), None),
        (Looks(4, 4), None),
        (Looks(3, 1, 0.5), None),
        (Looks(4, 1, 0.5), Hamming()),
    ],
    ids=str,
)
def test_equivalent_looks_of_speckle(looks: Looks, window) -> None:
    """8 scenes of 96 x 96 independent pixels. With n / L resolution cells of gamma-distributed intensity the estimate of L
    scatters by about sqrt(2 (1 + 1 / L) L / n): the bound is four of these."""
    side, batch = 96, 8
    estimate = look_at(speckle(batch, side), full(side), MultilookMatchedFilter(looks, window=window))
    expected = estimate.facts["expected_enl"]
    if looks.overlap == 0:
        assert expected == pytest.approx(looks.count)
    else:
        assert 1 < expected < looks.count
    measured = float(equivalent_looks(estimate.mean.reshape(1, 1, batch * side, side)))
    cells = batch * side**2 / (looks.count * (1.4 if window else 1.0))
    bound = 4 * math.sqrt(2 * (1 + 1 / expected) / cells)
    print(f"{looks}: expected {expected:.3f}, measured {measured:.3f}, bound {100 * bound:.1f} %")
    assert abs(measured / expected - 1) < bound
    assert estimate.mean.dtype == DOUBLE
    assert float(estimate.mean.imag.abs().max()) == 0


def test_resolution_is_coarser_by_the_looks_and_the_level_of_a_point_is_kept() -> None:
    side = 128
    marks = torch.zeros(1, 1, side, side, dtype=torch.float64)
    marks[..., 16:112, 16:112] = 1  # 96 of 128 bins each way
    x = torch.zeros(1, 1, side, side, dtype=DOUBLE)
    x[..., 60, 70] = 2j
    estimate = MultilookMatchedFilter(Looks(4, 2))(
        Measurement(FourierMask(marks)(x), FourierMask(marks), GaussianNoise(torch.zeros(1)))
    )
    image = estimate.mean
    assert float(image[0, 0, 60, 70].real) == pytest.approx(2.0, rel=1e-9)
    assert int(image[0, 0].real.argmax()) == 60 * side + 70
    # All looks of one point have the same magnitude: the mean intensity is |sinc|^2 of one look.
    power = image[0, 0].abs().square()
    for line, looks, centre in ((power[:, 70], 4, 60), (power[60], 2, 70)):
        band = 96 / looks
        offset = torch.arange(side, dtype=torch.float64) - centre
        expected = (
            4
            * torch.where(
                offset == 0,
                torch.ones_like(offset),
                torch.sin(math.pi * offset * band / side) / (band * torch.sin(math.pi * offset / side)),
            ).square()
        )
        torch.testing.assert_close(line, expected, rtol=1e-6, atol=1e-9)


def test_off_the_grid_with_missing_pulses() -> None:
    rows = torch.linspace(-2, 2, 24, dtype=torch.float64)
    points = torch.stack(torch.meshgrid(rows, rows, indexing="ij"))[None].flatten(-2)
    weights = torch.ones(1, 24, 24, dtype=torch.float64)
    weights[:, 5:8] = 0
    operator = NonuniformFourier(
        points, weights.flatten(1), domain_shape=(1, 32, 32), sample_shape=(24, 24), dtype=DOUBLE
    )
    x = torch.zeros(1, 1, 32, 32, dtype=DOUBLE)
    x[..., 14, 17] = 1
    measurement = Measurement(operator(x), operator, GaussianNoise(torch.zeros(1)))
    image = MultilookMatchedFilter(Looks(2, 2))(measurement).mean
    assert float(image[0, 0, 14, 17].real) == pytest.approx(1, rel=1e-6)
    assert int(image[0, 0].real.argmax()) == 14 * 32 + 17


def test_intervals_cover_the_measured_band() -> None:
    marks = torch.zeros(20)
    marks[3:15] = 1
    assert intervals(marks, 3, 0.0).sum(1).tolist() == [4, 4, 4]
    assert intervals(marks, 3, 0.0).sum(0).tolist() == [0] * 3 + [1] * 12 + [0] * 5
    half = intervals(marks, 3, 0.5)
    assert half.sum(1).tolist() == [6, 6, 6]
    assert bool(half.any(0)[3:15].all())
    assert expected_looks(torch.eye(5, dtype=torch.float64)) == pytest.approx(5)
    assert expected_looks(torch.ones(5, 3, dtype=torch.float64)) == pytest.approx(1)


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Looks(0, 1)
    with pytest.raises(ValueError, match="overlap"):
        Looks(2, 1, 1.0)
    with pytest.raises(ValueError, match="fewer"):
        look_at(speckle(1, 8), full(8), MultilookMatchedFilter(Looks(9, 1)))
    flat = NonuniformFourier(
        torch.zeros(1, 2, 5, dtype=torch.float64),
        torch.ones(1, 5, dtype=torch.float64),
        domain_shape=(1, 8, 8),
        sample_shape=(5,),
    )
    with pytest.raises(ValueError, match="two axes"):
        look_at(speckle(1, 8).to(torch.complex64), flat, MultilookMatchedFilter())
