"""Restricted operators: M A exactly, of the same class where that keeps the fast normal."""

import pytest
import torch

from echoform.physics.compositions import ComposedOperator
from echoform.physics.diagonal import MaskedGalerkin
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.identity import ScalarOperator
from echoform.physics.masking import SampleMask, restrict
from echoform.physics.nonuniform_fourier import NonuniformFourier
from echoform.physics.operator import LinearOperator
from echoform.physics.spotlight_exact import ExactSpotlight
from echoform.physics.stacked import StackedOperator, stack
from echoform.scene.collection import SpotlightCollection
from echoform.scene.grid import Grid

SHAPE = (2, 8, 8)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def nonuniform(channels: int = 2) -> NonuniformFourier:
    points = 6 * torch.rand(1, 2, 30, generator=generator(1), dtype=torch.float64) - 3
    weights = torch.randn(2, 30, dtype=torch.complex128, generator=generator(2))
    shape = (channels, *SHAPE[1:])
    return NonuniformFourier(points, weights, domain_shape=shape, sample_shape=(5, 6), dtype=torch.complex128)


def fourier() -> FourierMask:
    return FourierMask(torch.rand(1, *SHAPE, dtype=torch.float64, generator=generator(3)))


def exact() -> ExactSpotlight:
    angle = torch.linspace(-0.02, 0.02, 4, dtype=torch.float64)
    antenna = torch.stack([900 * angle.cos(), 900 * angle.sin(), torch.full_like(angle, 800.0)], -1)[None]
    frequency = torch.linspace(9e9, 9.2e9, 6, dtype=torch.float64)[None]
    collection = SpotlightCollection(antenna, frequency, torch.ones(1, 4, 6))
    return ExactSpotlight(collection, Grid((8, 8), (0.5, 0.5)), dtype=torch.complex128)


CASES: dict[str, LinearOperator] = {
    "fourier": fourier(),
    "fourier coarse": fourier().coarsen(2),
    "nonuniform": nonuniform(),
    "exact": exact(),
    "scaled": (0.5 + 1j) * fourier(),
    "galerkin": ScalarOperator(SHAPE, torch.ones(1, dtype=torch.float64)).coarsen(2),
    "stacked": stack([fourier(), nonuniform()]),
    "stacked along rows": StackedOperator([fourier(), fourier().H], 1),
    "composed": fourier() @ ScalarOperator(SHAPE, torch.ones(1, dtype=torch.float64)),
    "scalar": ScalarOperator(SHAPE, torch.ones(1, dtype=torch.float64)),
    "adjoint": fourier().H,
}


@pytest.mark.parametrize("label", CASES)
@pytest.mark.parametrize("batch", [1, 2])
def test_restriction_is_the_mask_after_the_operator(label, batch) -> None:
    operator = CASES[label]
    before = {name: buffer.clone() for name, buffer in operator.named_buffers()}
    kept = torch.rand(batch, *operator.range_shape, generator=generator(5)) < 0.5
    if label == "nonuniform":
        kept = kept[:, :1]
    elif label == "stacked":
        kept[:, 128:] = kept[:, 128:158].repeat(1, 2)
    part = restrict(operator, kept)
    x = torch.randn(2, *operator.domain_shape, dtype=torch.complex128, generator=generator(6))
    y = torch.randn(2, *operator.range_shape, dtype=torch.complex128, generator=generator(7))
    assert torch.allclose(part(x), kept * operator(x), atol=1e-10)
    assert torch.allclose(part.adjoint(y), operator.adjoint(kept * y), atol=1e-10)
    assert torch.allclose(part.normal(x), operator.adjoint(kept * operator(x)), atol=1e-9)
    if label not in ("scalar", "adjoint"):
        assert type(part) is type(operator)
    marks = part.support()
    assert marks is not None
    assert bool(((marks != 0) <= kept).all())
    for name, buffer in operator.named_buffers():
        assert torch.equal(buffer, before[name])


def test_channels_that_differ_fall_to_a_mask_behind_the_operator() -> None:
    operator = nonuniform()
    kept = torch.rand(1, *operator.range_shape, generator=generator(5)) < 0.5
    part = restrict(operator, kept)
    assert isinstance(part, ComposedOperator)
    x = torch.randn(2, *operator.domain_shape, dtype=torch.complex128, generator=generator(6))
    assert torch.allclose(part(x), kept * operator(x), atol=1e-12)


def test_nothing_kept_is_the_zero_operator() -> None:
    for operator in CASES.values():
        part = restrict(operator, torch.zeros(1, *operator.range_shape, dtype=torch.bool))
        x = torch.randn(2, *operator.domain_shape, dtype=torch.complex128, generator=generator(6))
        assert float(part(x).abs().max()) == 0
        assert float(part.normal(x).abs().max()) == 0


def test_whole_pulses_are_not_computed_when_dropped() -> None:
    operator = exact()
    kept = torch.tensor([True, False, False, True])[None, None, :, None]
    part = restrict(operator, kept)
    assert isinstance(part, ExactSpotlight)
    assert part.kept.any(-1).tolist() == [[True, False, False, True]]
    assert torch.equal(part.carrier, operator.carrier)


def test_sample_mask_closed_forms() -> None:
    weights = torch.rand(2, *SHAPE, dtype=torch.float64, generator=generator(8))
    weights[:, :, 3:5] = 0
    operator = SampleMask(weights)
    x, y = torch.randn(2, 2, *SHAPE, dtype=torch.complex128, generator=generator(9))
    w = torch.tensor([0.3, 2.0], dtype=torch.float64)
    u = operator.prox(y, x, w)
    gradient = operator.adjoint(operator(u) - y) + w[:, None, None, None] * (u - x)
    assert float(gradient.abs().max()) < 1e-12
    assert torch.equal(operator.norm(), weights.flatten(1).amax(1))
    trace = operator.spectrum().mean(lambda node: node)
    assert torch.allclose(trace, weights.square().mean((1, 2, 3)))
    assert operator.dtype == torch.complex128
    assert SampleMask(weights.float()).dtype == torch.complex64


def test_a_coarse_mask_refuses_a_batch_that_is_not_its_sensors() -> None:
    """Forward, adjoint and normal alike; the normal of one scene for each sensor is that of each alone."""
    weights = torch.rand(2, 1, 16, 16, dtype=torch.float64, generator=generator(8))
    operator = SampleMask(weights).coarsen(2)
    assert isinstance(operator, MaskedGalerkin)
    x = torch.randn(4, 1, 8, 8, dtype=torch.complex128, generator=generator(9))
    for i, part in enumerate(operator.normal(x[:2])):
        assert torch.allclose(part[None], SampleMask(weights[i : i + 1]).coarsen(2).normal(x[i : i + 1]))
    with pytest.raises(ValueError, match="batch of 4 for 2 sensors"):
        operator.normal(x)


def test_masks_that_do_not_fit_are_refused() -> None:
    for shape in ((1, 2, 8, 7), (2, 8, 8), (1, 3, 8, 8)):
        with pytest.raises(ValueError, match="kept must broadcast"):
            restrict(fourier(), torch.ones(shape))
