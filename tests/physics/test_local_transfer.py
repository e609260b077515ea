"""Coarse versions with the local response of U_s: against A U_s where they pay, Galerkin where they would not be true."""

from __future__ import annotations

import math

import pytest
import torch

from contracts import distance, randn
from echoform.physics.compositions import GalerkinOperator
from echoform.physics.ground_homogeneous import HomogeneousGround
from echoform.physics.ground_penetrating import GroundPenetratingRadar
from echoform.physics.local_transfer import LocalTransfer, TransferWeights, between_pixels, linear_interpolation
from echoform.physics.operator import LinearOperator
from echoform.physics.spotlight_exact import ExactSpotlight
from echoform.physics.spotlight_factorised import COARSE_ACCURACY, FactorisedSpotlight
from echoform.scene.collection import SpotlightCollection
from echoform.scene.grid import Grid
from echoform.scene.soil import GroundSurvey, Section

SIDE = 64


def spotlight(radius_m: float, frequencies: int = 48) -> SpotlightCollection:
    """X band, cells of 0.25 m from a look 25 degrees off the image's axes."""
    angle = math.radians(25) + math.radians(3.8) * torch.linspace(-0.5, 0.5, 40, dtype=torch.float64)
    antenna = radius_m * torch.stack([angle.cos(), angle.sin(), torch.full_like(angle, 0.6)], -1) / math.sqrt(1.36)
    frequency = 9.6e9 + 640e6 * torch.linspace(-0.5, 0.5, frequencies, dtype=torch.float64)
    return SpotlightCollection(antenna[None], frequency[None], torch.ones(1, 40, frequencies, dtype=torch.float64))


def survey(height_m: float) -> GroundSurvey:
    """Return twelve places at a height, sixteen frequencies, soil of permittivity six."""
    return GroundSurvey(
        torch.linspace(-0.4, 0.4, 12, dtype=torch.float64)[None],
        torch.tensor([height_m], dtype=torch.float64),
        torch.tensor([6.0], dtype=torch.float64),
        torch.tensor([3e8], dtype=torch.float64),
        torch.tensor([9e8 / 16], dtype=torch.float64),
        torch.ones(1, 16, dtype=torch.complex128),
    )


def from_galerkin(operator: LinearOperator, coarse: LinearOperator, factor: int) -> float:
    """The distance from A U_s for white noise that ends two coarse pixels before the border."""
    x = torch.zeros(1, *coarse.domain_shape, dtype=torch.complex128)
    x[..., 2:-2, 2:-2] = randn(x[..., 2:-2, 2:-2].shape, 3)
    return distance(coarse(x), GalerkinOperator(operator, factor)(x))


@pytest.mark.parametrize(("factor", "bound"), [(2, 0.04), (4, 0.05), (8, 0.07)])
@pytest.mark.parametrize("form", [ExactSpotlight, FactorisedSpotlight])
def test_spotlight_from_afar(form: type[ExactSpotlight] | type[FactorisedSpotlight], factor: int, bound: float) -> None:
    operator = form(spotlight(1e4), Grid((SIDE, SIDE), (0.2, 0.2)), dtype=torch.complex128)
    coarse = operator.coarsen(factor)
    assert isinstance(coarse, LocalTransfer)
    assert from_galerkin(operator, coarse, factor) < bound


def test_pulses_and_frequencies_beyond_the_coarse_band_cost_nothing() -> None:
    operator = ExactSpotlight(spotlight(1e4), Grid((SIDE, SIDE), (0.2, 0.2)))
    coarse = operator.coarsen(8)
    assert isinstance(coarse, LocalTransfer)
    _, pulses, frequencies = coarse.base.range_shape
    assert pulses * frequencies < 40 * 48 / 2
    assert coarse.range_shape == operator.range_shape
    assert float(coarse.samples()) <= pulses * frequencies


def test_the_factorised_sum_is_factorised_again() -> None:
    """The same samples, the same weights, sums within the accuracy of a coarse version's tree."""
    grid, collection = Grid((SIDE, SIDE), (0.2, 0.2)), spotlight(1e4)
    exact, fast = (
        form(collection, grid, dtype=torch.complex128).coarsen(2) for form in (ExactSpotlight, FactorisedSpotlight)
    )
    assert isinstance(fast, LocalTransfer)
    assert isinstance(fast.base, FactorisedSpotlight)
    x = randn((1, *fast.domain_shape), 3)
    assert distance(fast(x), exact(x)) < COARSE_ACCURACY / 5


@pytest.mark.parametrize("factor", [2, 4])
def test_the_factorised_sum_is_done_once(factor: int) -> None:
    """Its last nodes hold the response, where the exact sum takes several terms."""
    grid, collection = Grid((SIDE, SIDE), (0.2, 0.2)), spotlight(2e3, 192)
    exact, fast = (form(collection, grid).coarsen(factor) for form in (ExactSpotlight, FactorisedSpotlight))
    assert isinstance(exact, LocalTransfer)
    assert isinstance(fast, LocalTransfer)
    assert fast.image_weights.shape[1] == 1 < exact.image_weights.shape[1]
    x = randn((1, *fast.domain_shape), 3).to(torch.complex64)
    assert distance(fast(x), exact(x)) < 0.05


def test_one_term_for_each_block() -> None:
    """Products within each block come back exactly; of what is none, as much is lost as is said."""
    elements, frequencies, bounds = 3, 10, (0, 4, 10)
    patterns = randn((2, 2, 6, 7), 1).real
    mixtures = randn((2, elements, 2, 2), 2).real
    scale = randn((2, elements, frequencies), 3).real
    block = torch.tensor([0] * 4 + [1] * 6)
    samples = (mixtures[:, :, block] * scale[..., None]).movedim(-1, 1)
    for exact, extra in ((True, 0.0), (False, 0.2)):
        weights = TransferWeights(samples + extra * randn(samples.shape, 4).real, patterns)
        for sensor in range(2):
            found, mixed, lost = weights.one_term(sensor, bounds)
            local = torch.einsum("ebq,qyx->ebyx", mixed, patterns[sensor])
            assert torch.allclose(local.square().mean((-2, -1)), torch.ones(elements, 2, dtype=torch.float64))
            given = found[..., None, None] * local[:, block]
            expected = torch.einsum("qen,qyx->enyx", weights.samples[sensor], patterns[sensor])
            assert distance(given, expected) == pytest.approx(lost, abs=1e-6)
            assert (lost < 1e-6) == exact


def test_linear_interpolation() -> None:
    at = torch.tensor([-0.7, 0.0, 1.25, 3.0, 4.5], dtype=torch.float64)
    line = 2 - 3 * torch.arange(5, dtype=torch.float64)
    assert torch.allclose(linear_interpolation(5, at) @ line, 2 - 3 * at)


def test_a_plan_refused_on_the_coarse_pixels_stays_on_the_fine_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    operator = FactorisedSpotlight(spotlight(1e4), Grid((SIDE, SIDE), (0.2, 0.2)))
    monkeypatch.setattr("echoform.physics.aperture_tree.FEW", 0)
    monkeypatch.setattr("echoform.physics.aperture_tree.GROWTH", 0)
    assert isinstance(operator.coarsen(2), GalerkinOperator)


def test_near_by_the_spotlight_stays_galerkin() -> None:
    """From 60 m the wavenumber turns by a third of the band over the image: too many terms would be needed."""
    operator = ExactSpotlight(spotlight(60.0), Grid((SIDE, SIDE), (0.2, 0.2)))
    assert isinstance(operator.coarsen(2), GalerkinOperator)


@pytest.mark.parametrize(("factor", "bound"), [(2, 0.02), (4, 0.05)])
@pytest.mark.parametrize("height_m", [0.0, 0.1])
def test_ground_penetrating(height_m: float, factor: int, bound: float) -> None:
    section = Section(Grid((SIDE, SIDE), (0.008, 0.01)), 0.3)
    operators: list[LinearOperator] = [GroundPenetratingRadar(survey(height_m), section, dtype=torch.complex128)]
    if height_m == 0:
        operators.append(HomogeneousGround(survey(0.0), section, widest_rad=1.1, dtype=torch.complex128))
    for operator in operators:
        coarse = operator.coarsen(factor)
        assert not isinstance(coarse, GalerkinOperator)
        assert from_galerkin(operator, coarse, factor) < bound


def test_pixels_too_large_for_the_wave_or_the_depth_stay_galerkin() -> None:
    section = Section(Grid((SIDE, SIDE), (0.04, 0.04)), 0.2)
    for operator in (
        GroundPenetratingRadar(survey(0.0), section),
        HomogeneousGround(survey(0.0), section, widest_rad=1.1, held=0),
    ):
        assert isinstance(operator.coarsen(8), GalerkinOperator)


@pytest.mark.parametrize("factor", [2, 4])
def test_cubics_are_known_between_the_pixels(factor: int) -> None:
    x = torch.arange(16, dtype=torch.float64)
    at = factor * torch.arange(16 // factor, dtype=torch.float64) + 0.5
    assert torch.allclose(between_pixels(16, factor) @ (x**3 - 5 * x), at**3 - 5 * at, rtol=1e-10, atol=1e-10)


def test_gradient_to_the_antenna_through_the_coarse_version() -> None:
    """The weights are constants, the phases are not: near the gradient through A U_s, not equal to it."""
    grid, found = Grid((32, 32), (0.2, 0.2)), []
    x, y = randn((1, 1, 8, 8), 4), randn((1, 1, 40, 48), 5)
    x[..., :2, :], x[..., -2:, :], x[..., :2], x[..., -2:] = 0, 0, 0, 0
    base = spotlight(1e4)
    for form in (LinearOperator.coarsen, ExactSpotlight.coarsen):
        antenna = base.antenna_m.clone().requires_grad_()
        operator = ExactSpotlight(
            SpotlightCollection(antenna, base.frequency_hz, base.kept), grid, dtype=torch.complex128
        )
        coarse = form(operator, 4)
        marks = operator.coarsen(4).support()
        assert marks is not None
        (gradient,) = torch.autograd.grad((marks * y * coarse(x).conj()).sum().real, antenna)
        found.append(gradient)
    assert float(found[0].norm()) > 0
    assert distance(found[1], found[0]) < 0.3


def test_weights_that_do_not_fit_are_refused() -> None:
    base = ExactSpotlight(spotlight(1e4), Grid((8, 8), (0.2, 0.2)))
    samples, image = torch.ones(1, 2, 40, 48), torch.ones(1, 2, 8, 8)
    with pytest.raises(ValueError, match="do not fit samples"):
        LocalTransfer(base, samples[:, :, 1:], image, range_shape=(1, 40, 48))
    with pytest.raises(ValueError, match="do not fit samples"):
        LocalTransfer(base, samples[:, :1], image, range_shape=(1, 40, 48))
    with pytest.raises(ValueError, match="reach beyond"):
        LocalTransfer(base, samples, image, range_shape=(1, 40, 48), origin=(1, 0))
