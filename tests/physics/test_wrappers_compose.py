"""What goes wrong with samples composes with every sensor there is: gains, phases, missing samples, patterns, whitening."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from operator_examples import EXAMPLES
from torch import Tensor

from contracts import EXACT, SEEDS, TINY, Example, check_dot, check_normal, distance, image_for, randn
from echoform.physics.masking import apply_gain, restrict
from echoform.physics.moving_pattern import apply_moving_pattern
from echoform.physics.noise_coloured import ColouredGaussianNoise, DiagonalGaussianNoise
from echoform.physics.operator import LinearOperator
from echoform.physics.sample_errors import apply_image_gain, keep_along
from echoform.physics.whitening import whiten

IMAGE = [example for examples in EXAMPLES.values() for example in examples if example.image]


def values(shape: tuple[int, ...], seed: int, *, real: bool) -> Tensor:
    drawn = 1 + 0.5 * randn((1, *shape), seed)
    return drawn.real if real else drawn


def gain(operator: LinearOperator) -> tuple[LinearOperator, Callable[[Tensor, Tensor], Tensor]]:
    g = values(operator.range_shape, 1, real=not operator.dtype.is_complex)
    return apply_gain(operator, g), lambda x, y: g * y


def gain_along_the_first_axis(operator: LinearOperator) -> tuple[LinearOperator, Callable[[Tensor, Tensor], Tensor]]:
    axes = len(operator.range_shape) - 1
    g = values((operator.range_shape[0], *[1] * axes), 2, real=not operator.dtype.is_complex)
    return apply_gain(operator, g), lambda x, y: g * y


def missing(operator: LinearOperator) -> tuple[LinearOperator, Callable[[Tensor, Tensor], Tensor]]:
    kept = randn((1, *operator.range_shape), 3).real < 0.6
    return restrict(operator, kept), lambda x, y: kept * y


def missing_along_the_last_axis(operator: LinearOperator) -> tuple[LinearOperator, Callable[[Tensor, Tensor], Tensor]]:
    count, axis = operator.range_shape[-1], len(operator.range_shape) - 1
    kept = torch.arange(count)[None] % 3 != 1
    return keep_along(operator, kept, axis), lambda x, y: kept * y


def pattern(operator: LinearOperator) -> tuple[LinearOperator, Callable[[Tensor, Tensor], Tensor]]:
    g = values((1, *operator.domain_shape[1:]), 4, real=not operator.dtype.is_complex)
    return apply_image_gain(operator, g), lambda x, y: operator(g * x)


def moving_pattern(operator: LinearOperator) -> tuple[LinearOperator, Callable[[Tensor, Tensor], Tensor]]:
    """Of two terms, against one pattern at a time."""
    if len(operator.range_shape) < 2:
        pytest.skip("the samples have one axis")
    count, real = operator.range_shape[1], not operator.dtype.is_complex
    u, v = values((2, count), 7, real=real), values((2, *operator.domain_shape[1:]), 8, real=real)
    g = torch.einsum("bqp,bqyx->bpyx", u, v)

    def pulse_by_pulse(x: Tensor, y: Tensor) -> Tensor:
        seen = [operator(g[:, None, p] * x).select(2, p) for p in range(count)]
        return torch.stack(seen, 2)

    return apply_moving_pattern(operator, g), pulse_by_pulse


def levels(operator: LinearOperator) -> tuple[LinearOperator, Callable[[Tensor, Tensor], Tensor]]:
    sigma = 0.3 + randn((1, *operator.range_shape), 5).abs()
    y = torch.zeros(2, *operator.range_shape, dtype=operator.dtype)
    return whiten(y, operator, DiagonalGaussianNoise(sigma))[1], lambda x, y: y / sigma


def colour(operator: LinearOperator) -> tuple[LinearOperator, Callable[[Tensor, Tensor], Tensor]]:
    """Where all samples are there: missing ones have tests of their own."""
    if operator.support() is not None:
        pytest.skip("some samples are missing")
    count, axis = operator.range_shape[-1], len(operator.range_shape) - 1
    factor = randn((1, count, count), 6)
    factor = factor if operator.dtype.is_complex else factor.real
    covariance = factor @ factor.mH + count * torch.eye(count)
    y = torch.zeros(2, *operator.range_shape, dtype=operator.dtype)
    lower = torch.linalg.cholesky(covariance)

    def white(x: Tensor, y: Tensor) -> Tensor:
        lines = y.reshape(len(y), -1, count).mT
        return torch.linalg.solve_triangular(lower, lines, upper=False).mT.reshape(y.shape)

    return whiten(y, operator, ColouredGaussianNoise(covariance, axis))[1], white


WRAPPERS = [
    gain,
    gain_along_the_first_axis,
    missing,
    missing_along_the_last_axis,
    pattern,
    moving_pattern,
    levels,
    colour,
]


@pytest.mark.parametrize("example", IMAGE, ids=str)
@pytest.mark.parametrize("wrap", WRAPPERS, ids=lambda f: f.__name__)
def test_a_wrapped_sensor_is_a_sensor(example: Example, wrap) -> None:
    operator = example.at(TINY, SEEDS)
    wrapped, expected = wrap(operator)
    x = image_for(operator)
    found = wrapped(x)
    assert distance(found, expected(x, operator(x))) < EXACT
    check_dot(wrapped, EXACT)
    check_normal(wrapped)
    prepared = wrapped.prepared()
    assert distance(prepared.normal(x), wrapped.normal(x)) < EXACT
