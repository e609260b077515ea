"""Dropping entries of an operator's range: M A on every operator, with its fast forms intact."""

from __future__ import annotations

import pytest
import torch
from operator_examples import EXAMPLES

import contracts
from contracts import SMALL, Example, data_for, distance, image_for
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.masking import restrict
from echoform.physics.nonuniform_fourier import NonuniformFourier
from echoform.physics.operator import (
    AdjointOperator,
    ComposedOperator,
    GalerkinOperator,
    ScaledOperator,
    StackedOperator,
)
from echoform.physics.spotlight_exact import ExactSpotlight

ALL = [e for kind, examples in EXAMPLES.items() if kind is not AdjointOperator for e in examples]


@pytest.mark.parametrize("example", ALL, ids=str)
@pytest.mark.parametrize("sensors", [1, 2])
def test_restricted_operator(example: Example, sensors: int) -> None:
    """(M A) x = m o (A x), (M A)^H y = A^H (m o y), and the normal follows, whichever class comes back."""
    operator = example.at(SMALL)
    kept = torch.rand(sensors, *operator.range_shape, generator=torch.Generator().manual_seed(5)) < 0.6
    less = restrict(operator, kept)
    x, y, marks = image_for(operator), data_for(operator), kept.to(torch.float64)
    before = operator(x)
    assert distance(less(x), marks * before) < 1e-12
    assert distance(less.adjoint(y), operator.adjoint(marks * y)) < 1e-12
    contracts.check_dot(less, contracts.EXACT)
    contracts.check_normal(less)
    contracts.check_support(less)
    assert torch.equal(operator(x), before), "the operator that was restricted changed"
    held = operator.support()
    held = marks if held is None else marks * held
    assert torch.equal(less.samples().expand(2), held.expand(2, *operator.range_shape).flatten(1).sum(1))


@pytest.mark.parametrize("example", ALL, ids=str)
def test_the_class_with_fast_forms_is_kept(example: Example) -> None:
    operator = example.at(SMALL)
    shape = operator.range_shape if len(operator.range_shape) == 1 else (1, *operator.range_shape[1:])
    less = restrict(operator, torch.rand(1, *shape, generator=torch.Generator().manual_seed(6)) < 0.6)
    fast = (FourierMask, NonuniformFourier, ExactSpotlight, ScaledOperator, GalerkinOperator, StackedOperator)
    assert type(less) is (type(operator) if isinstance(operator, fast) else ComposedOperator)


def test_a_pattern_that_does_not_fit_is_refused() -> None:
    operator = ALL[0].at(SMALL)
    with pytest.raises(ValueError, match="kept must broadcast"):
        restrict(operator, torch.ones(1, 1, 3, 3))
    with pytest.raises(ValueError, match="kept must broadcast"):
        restrict(operator, torch.ones(*operator.range_shape))
