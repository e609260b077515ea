"""The non-uniform Fourier operator against the direct sum, and its coarse version against its stated bound."""

from __future__ import annotations

import pytest
import torch
from operator_examples import nonuniform, plane_wave

from contracts import LARGE, SEEDS, SMALL, distance, image_for
from echoform.physics.nonuniform_fourier import BAND_EDGE, NonuniformFourier
from echoform.physics.operator import GalerkinOperator


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
@pytest.mark.parametrize("factor", [2, 4, 8])
def test_coarse_version_keeps_its_bound_sample_by_sample(build, factor: int) -> None:
    """Samples kept are those of A U_s; one left out would have held at most BAND_EDGE of the sum without U_s."""
    operator = build((64, 96), SEEDS, torch.complex128)
    coarse = operator.coarsen(factor)
    x = image_for(coarse)
    x[..., :2, :] = x[..., -2:, :] = 0
    x[..., :2] = x[..., -2:] = 0
    galerkin = GalerkinOperator(operator, factor)(x)
    difference, marks = (coarse(x) - galerkin).abs(), coarse.support()
    assert float((marks * difference).max()) < 1e-10 * float(galerkin.abs().max())
    plain = NonuniformFourier(
        factor * operator.points,
        operator.weights,
        domain_shape=coarse.domain_shape,
        sample_shape=operator.range_shape[1:],
        dtype=operator.dtype,
    )
    assert bool((difference <= BAND_EDGE * plain(x).abs() + 1e-10).all())
    assert float(marks.sum()) < float(operator.support().sum()), "nothing was left out: the test shows nothing"


def test_coarse_samples_outside_the_band_are_dropped() -> None:
    operator = nonuniform(LARGE, SEEDS, torch.complex128)
    share = [float(operator.coarsen(s).samples().sum() / operator.samples().sum()) for s in (2, 4, 8)]
    assert share == sorted(share, reverse=True)
    assert share[2] < 0.15


def test_shapes_that_disagree_are_refused() -> None:
    points, weights = torch.zeros(1, 2, 6, dtype=torch.float64), torch.ones(1, 5, dtype=torch.float64)
    with pytest.raises(ValueError, match="sample_shape"):
        NonuniformFourier(points, weights, domain_shape=(1, 4, 4), sample_shape=(2, 3))
