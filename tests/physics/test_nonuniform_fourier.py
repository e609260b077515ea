"""The non-uniform Fourier operator against the direct sum, and its coarse version against its stated bound."""

from __future__ import annotations

import pytest
import torch
from operator_examples import nonuniform, plane_wave

from contracts import SEEDS, SMALL, distance, image_for, randn
from echoform.physics.compositions import GalerkinOperator
from echoform.physics.nonuniform_fourier import NonuniformFourier
from echoform.scene.random_source import RandomSource
from echoform.train.problems.far_field_spotlight import FarFieldSpotlight
from echoform.train.problems.very_long_baselines import Interferometry


def direct_sum(operator: NonuniformFourier, x: torch.Tensor) -> torch.Tensor:
    rows, columns = (torch.arange(n, dtype=torch.float64) - n // 2 for n in operator.domain_shape[1:])
    phase_rows = torch.exp(1j * operator.points[:, 0, :, None] * rows)
    phase_columns = torch.exp(1j * operator.points[:, 1, :, None] * columns)
    values = torch.einsum("bmh,bmw,bchw->bcm", phase_rows, phase_columns, x.to(torch.complex128))
    return (operator.weights[:, None] * values).unflatten(-1, operator.range_shape[1:])


@pytest.mark.parametrize(("dtype", "bound"), [(torch.complex128, 1e-11), (torch.complex64, 1e-5)])
def test_direct_sum(dtype: torch.dtype, bound: float) -> None:
    operator = nonuniform(SMALL, SEEDS, dtype)
    x = image_for(operator)
    assert distance(operator(x).to(torch.complex128), direct_sum(operator, x)) < bound


@pytest.mark.parametrize("build", [nonuniform, plane_wave])
@pytest.mark.parametrize("factor", [2, 4, 8, 16])
def test_coarse_version_is_galerkin_inside_the_border(build, factor: int) -> None:
    """Factor 16 needs more lags than the operator keeps; some 1e-10 of |A|^2 is left of it then, and rounding shows."""
    operator = build((128, 96), SEEDS, torch.complex128)
    coarse = operator.coarsen(factor)
    x = image_for(coarse)
    x[..., :2, :] = x[..., -2:, :] = 0
    x[..., :2] = x[..., -2:] = 0
    assert distance(coarse(x), GalerkinOperator(operator, factor)(x)) < 1e-10
    assert distance(coarse.normal(x), coarse.adjoint(coarse(x))) < (1e-9 if factor < 16 else 1e-7)


def test_norm_lies_between_the_true_one_and_one_per_cent_above() -> None:
    """Spotlight with pulses missing at random, every other one or in a gap, and visibilities of few baselines."""
    families = (FarFieldSpotlight(shape=(24, 24)), Interferometry(shape=(24, 24)))
    for number, family in enumerate(families):
        operator = family.operator(family.layout(RandomSource(torch.Generator().manual_seed(number)), 12))
        unit = torch.eye(24 * 24, dtype=torch.complex64).reshape(-1, 1, 1, 24, 24).expand(-1, 12, -1, -1, -1)
        gram = operator.normal(unit).flatten(2).transpose(0, 1).to(torch.complex128)
        expected = torch.linalg.eigvalsh(gram)[:, -1].sqrt()
        ratio = operator.norm().double() / expected
        assert float(ratio.min()) > 0.999
        assert float(ratio.max()) < 1.0075


def test_shapes_that_disagree_are_refused() -> None:
    points, weights = torch.zeros(1, 2, 6, dtype=torch.float64), torch.ones(1, 5, dtype=torch.float64)
    with pytest.raises(ValueError, match="sample_shape"):
        NonuniformFourier(points, weights, domain_shape=(1, 4, 4), sample_shape=(2, 3))


def test_sensors_are_summed_over_their_own_samples() -> None:
    """Weights that are zero in one sensor, in the other, in both; gradients reach those that are not."""
    points = randn((2, 2, 7), 1).real
    weights = torch.tensor([[0, 1, 0, 2, 1, 1, 0], [1, 1, 0, 0, 1, 3, 1]], dtype=torch.float64).requires_grad_()
    operator = NonuniformFourier(points, weights, domain_shape=(1, 4, 4), sample_shape=(7,), dtype=torch.complex128)
    x, y = randn((2, 1, 4, 4), 3).requires_grad_(), randn((2, 1, 7), 4)
    expected = direct_sum(operator, x)
    assert distance(operator(x), expected) < 1e-12
    assert distance(operator.adjoint(y), torch.autograd.grad(expected, x, y, retain_graph=True)[0]) < 1e-12
    for found, known in zip(*(torch.autograd.grad(z, (x, weights), y) for z in (operator(x), expected)), strict=True):
        there = slice(None) if found.is_complex() else weights != 0
        assert distance(found[there], known[there]) < 1e-12
