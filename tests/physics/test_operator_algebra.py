"""Products, multiples, adjoints and stacks against the matrices they stand for."""

from __future__ import annotations

import pytest
import torch
from operator_examples import crop, gain, mask, plane_wave

from contracts import SEEDS, TINY, data_for, dense, distance, image_for
from echoform.physics.crop import padded_to_multiple
from echoform.physics.identity import blind, identity
from echoform.physics.stacked import stack

DOUBLE = torch.complex128


def test_multiple_by_a_complex_number() -> None:
    operator = mask(TINY, SEEDS, DOUBLE)
    assert distance(dense((2 - 3j) * operator), (2 - 3j) * dense(operator)) < 1e-12
    assert ((2 - 3j) * operator).dtype == DOUBLE


def test_product() -> None:
    outer, inner = gain((3, 4), SEEDS, DOUBLE), crop(TINY, SEEDS, DOUBLE)
    assert distance(dense(outer @ inner), dense(outer) @ dense(inner)) < 1e-12


def test_product_of_shapes_that_do_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot compose"):
        mask(TINY, SEEDS, DOUBLE) @ mask((6, 6), SEEDS, DOUBLE)


def test_adjoint() -> None:
    operator = plane_wave(TINY, SEEDS, DOUBLE)
    assert distance(dense(operator.H), dense(operator).mH) < 1e-11
    assert operator.H.H is operator


def test_stack() -> None:
    parts = [mask(TINY, SEEDS, DOUBLE), plane_wave(TINY, (5,), DOUBLE)]
    assert distance(dense(stack(parts)), torch.cat([dense(part) for part in parts], 1)) < 1e-12


def test_stack_of_different_domains_is_refused() -> None:
    with pytest.raises(ValueError, match="share one domain"):
        stack([mask(TINY, SEEDS, DOUBLE), mask((6, 6), SEEDS, DOUBLE)])


def test_unit_norm_per_sensor() -> None:
    operator = plane_wave(TINY, SEEDS, DOUBLE)
    singular = torch.linalg.matrix_norm(dense(operator.normalized()), ord=2)
    assert torch.allclose(singular, torch.ones(2, dtype=torch.float64), rtol=0.01)


def test_the_zero_operator_has_no_unit_norm() -> None:
    with pytest.raises(ValueError, match="zero"):
        blind((1, *TINY)).normalized()


def test_identity_and_blind() -> None:
    x = image_for(identity((1, *TINY)))
    assert torch.equal(identity((1, *TINY))(x), x)
    assert float(blind((1, *TINY))(x).abs().max()) == 0.0
    assert float(blind((1, *TINY)).norm()) == 0.0


def test_prox_where_a_multiple_is_zero_is_the_anchor() -> None:
    operator = 0.0 * mask(TINY, SEEDS, DOUBLE)
    anchor, weight = image_for(operator), torch.ones(1, dtype=torch.float64)
    assert distance(operator.prox(data_for(operator), anchor, weight), anchor) < 1e-12


def test_padding_to_a_multiple() -> None:
    operator = mask((5, 6), SEEDS, DOUBLE)
    padded = padded_to_multiple(operator, 4)
    assert padded.domain_shape == (1, 8, 8)
    assert padded_to_multiple(operator, 1) is operator
    x = image_for(padded)
    assert distance(padded(x), operator(x[..., :5, :6])) < 1e-12
