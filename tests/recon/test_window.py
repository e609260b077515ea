"""Where windows and looks are laid over samples and where they are refused; the level of a point under uneven samples."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from echoform.apps.methods import METHODS, compared_methods, left_out
from echoform.apps.options import Simulate
from echoform.apps.simulate import simulated
from echoform.measure.measurement import Measurement
from echoform.measure.whitened import whitened
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.identity import identity
from echoform.physics.kronecker import KroneckerOperator
from echoform.physics.masking import apply_gain, restrict
from echoform.physics.multicoil_mri import MulticoilMRI
from echoform.physics.noise import GaussianNoise
from echoform.physics.noise_coloured import ColouredGaussianNoise, DiagonalGaussianNoise, spectral_covariance
from echoform.physics.nonuniform_fourier import NonuniformFourier
from echoform.physics.operator import LinearOperator
from echoform.recon.classical.matched_filter import MatchedFilter
from echoform.recon.classical.multilook import Looks, MultilookMatchedFilter
from echoform.recon.classical.window import Taylor
from echoform.recon.reconstructor import Reconstructor

SIDE = 24


def rectangle(order: torch.Tensor | None = None) -> NonuniformFourier:
    """30 pulses, in another order if one is given, and 28 frequencies over a rectangle of the spectrum."""
    rows, columns = (torch.linspace(-2.2, 2.2, n, dtype=torch.float64) for n in (30, 28))
    rows = rows if order is None else rows[order]
    points = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))[None].flatten(-2)
    ones = torch.ones(1, points.shape[-1], dtype=torch.float64)
    return NonuniformFourier(points, ones, domain_shape=(1, SIDE, SIDE), sample_shape=(30, 28))


def ramps(rows: int, columns: int) -> KroneckerOperator:
    """A far-field radar: phases linear in element and angle, in frequency and range."""
    pixels = torch.arange(SIDE, dtype=torch.float64)
    factors = [
        torch.exp(1j * torch.linspace(-2.2, 2.2, n, dtype=torch.float64)[:, None] * pixels).to(torch.complex64)
        for n in (rows, columns)
    ]
    return KroneckerOperator(torch.ones(1, 1, 1, dtype=torch.complex64), factors[0][None, None], factors[1][None])


def random_kronecker() -> KroneckerOperator:
    generator = torch.Generator().manual_seed(2)
    row, column = (torch.randn(1, 20, SIDE, dtype=torch.complex64, generator=generator) for _ in range(2))
    return KroneckerOperator(torch.ones(1, 1, 1, dtype=torch.complex64), row[None], column)


def drawn(family: str, seed: int = 3) -> Measurement:
    return simulated(Simulate(family=family, out=Path("unused.h5"), seed=seed, pixels=SIDE, snr_db=40.0))


def quiet(operator: LinearOperator, y: torch.Tensor | None = None) -> Measurement:
    zeros = torch.zeros(1, *operator.range_shape, dtype=operator.dtype)
    return Measurement(zeros if y is None else y, operator, GaussianNoise(torch.tensor([0.1])))


NO_FREQUENCIES: dict[str, Callable[[], Measurement]] = {
    "stripmap": lambda: drawn("stripmap"),
    "pair of stripmaps": lambda: drawn("repeat-pass"),
    "interferometer": lambda: drawn("interferometry"),
    "Born": lambda: drawn("born"),
    "ground": lambda: drawn("ground"),
    "near range": lambda: drawn("near-range"),
    "pulses in no order": lambda: quiet(rectangle(torch.randperm(30, generator=torch.Generator().manual_seed(1)))),
    "random factors": lambda: quiet(random_kronecker()),
    "pixels": lambda: quiet(identity((1, SIDE, SIDE))),
}


@pytest.mark.parametrize("name", NO_FREQUENCIES)
def test_samples_that_are_no_frequencies_are_refused_and_not_windowed_unasked(name: str) -> None:
    measurement = NO_FREQUENCIES[name]()
    for method in (MatchedFilter(Taylor()), MultilookMatchedFilter(Looks(2, 1))):
        with pytest.raises(ValueError, match=r"along two spatial frequencies.*leave the window and the looks out"):
            method(measurement)
    compared = compared_methods(measurement)
    assert "backprojection" in compared
    assert not any(METHODS[key].windowed for key in compared)
    assert any("Backprojection, Taylor: left out" in line for line in left_out(measurement))
    with pytest.raises(ValueError, match="along two spatial frequencies"):
        METHODS["backprojection-taylor"].build()(measurement)


@pytest.mark.parametrize(
    "family", ["fourier", "spotlight", "spotlight-near", "polarimetry", "range-angle", "range-angle-doppler", "mri"]
)
def test_spectra_are_windowed(family: str) -> None:
    """Missing pulses, gains of channels, patterns and crosstalk included; on a coarse grid arrays may be refused."""
    for seed in range(4):
        measurement = drawn(family, seed)
        assert measurement.operator.frequency_axes()
        assert family.startswith("range") or measurement.operator.coarsen(2).frequency_axes()
        assert "backprojection-taylor" in compared_methods(measurement)
        assert left_out(measurement) == ()


def test_what_is_made_of_an_operator_keeps_what_its_axes_are() -> None:
    pulses = torch.ones(1, 1, 30, 1)
    pulses[:, :, 1::2] = 0
    phases = torch.polar(torch.ones(30, 28), torch.randn(30, 28, generator=torch.Generator().manual_seed(1)))
    density = 1 + 100 * torch.exp(30 * (torch.cos(torch.linspace(0, 6, 64, dtype=torch.float64) - 1) - 1))[None]
    coloured = ColouredGaussianNoise(spectral_covariance(density, 28).to(torch.complex64), 2)
    for operator in (rectangle(), ramps(30, 28)):
        made = [2.0 * operator, restrict(operator, pulses), apply_gain(operator, phases[None, None])]
        made.append(whitened(Measurement(quiet(operator).y, operator, coloured)).operator)
        assert all(each.frequency_axes() for each in made)
        assert not operator.H.frequency_axes()
        assert not (operator.H @ operator).frequency_axes()


def uneven() -> torch.Tensor:
    """A level that grows by 20 dB towards the band edges along both axes, (1, 1, 30, 28)."""
    rows, columns = (torch.linspace(-1, 1, n).abs() for n in (30, 28))
    return (0.01 * 10 ** (rows[:, None] + columns))[None, None]


@pytest.mark.parametrize(
    "method",
    [
        MatchedFilter(Taylor()),
        MultilookMatchedFilter(Looks(1, 2), window=Taylor()),
        MultilookMatchedFilter(Looks(2, 2)),
    ],
    ids=["window", "windowed looks", "looks"],
)
@pytest.mark.parametrize("upside_down", [False, True])
def test_the_level_of_a_point_is_kept_in_uneven_noise(method: Reconstructor, upside_down: bool) -> None:
    operator, level = rectangle(), uneven()
    x = torch.zeros(1, 1, SIDE, SIDE, dtype=torch.complex64)
    x[0, 0, 13, 9] = 2
    noise = DiagonalGaussianNoise(1e-3 / level if upside_down else level)
    image = method(Measurement(operator(x), operator, noise)).mean
    assert float(image[0, 0, 13, 9].abs()) == pytest.approx(2, rel=1e-3)


def coils() -> MulticoilMRI:
    """Two coils, deaf in the middle of the image; the samples weigh unevenly."""
    generator = torch.Generator().manual_seed(5)
    maps = torch.randn(1, 2, SIDE, SIDE, dtype=torch.complex64, generator=generator)
    maps[..., 8:16, 8:16] = 0
    return MulticoilMRI(FourierMask(1 / uneven()[..., :SIDE, :SIDE]), maps)


@pytest.mark.parametrize(
    "operator",
    [
        FourierMask(1 / uneven()[..., :SIDE, :SIDE]),
        apply_gain(rectangle(), (1 / uneven()).to(torch.complex64)),
        apply_gain(ramps(30, 28), (1 / uneven()).to(torch.complex64)),
        coils(),
    ],
    ids=["Fourier mask", "non-uniform Fourier", "Kronecker", "coils"],
)
def test_a_window_changes_no_level_on_unequal_weights(operator: LinearOperator) -> None:
    x = torch.zeros(1, 1, SIDE, SIDE, dtype=torch.complex64)
    x[0, 0, 5, 17] = 1
    measurement = quiet(operator, operator(x))
    plain, windowed = (method(measurement).mean[0, 0, 5, 17] for method in (MatchedFilter(), MatchedFilter(Taylor())))
    assert float((windowed / plain - 1).abs()) < 1e-3
