"""What products keep of their factors: fast normals behind phases, supports, coarse versions, weights taken by the class."""

from __future__ import annotations

import pytest
import torch
from examples_wrappers import gains, phases, range_angle, spotlight
from torch import Tensor

from contracts import dense, distance, image_for, randn
from echoform.linalg.spectrum import lanczos_density
from echoform.physics.axis_matrix import AxisMatrix
from echoform.physics.channelwise import BlockDiagonalOperator, ChannelwiseOperator
from echoform.physics.compositions import ComposedOperator
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.kronecker import KroneckerOperator
from echoform.physics.masking import SampleMask, apply_gain, restrict
from echoform.physics.nonuniform_fourier import NonuniformFourier
from echoform.physics.operator import LinearOperator
from echoform.physics.sample_errors import apply_pulse_phase
from echoform.physics.sample_gain import SampleGain

SHAPE, DOUBLE = (12, 16), torch.complex128


def radar() -> KroneckerOperator:
    return range_angle(SHAPE, (4,), DOUBLE)


def plain_mask() -> FourierMask:
    return FourierMask((randn((1, 1, *SHAPE), 3).real < 0.3).double())


class Counting(LinearOperator):
    """Passes everything on and refuses to be run forward or backward: only closed forms may be used."""

    dtype = DOUBLE

    def __init__(self, base: LinearOperator) -> None:
        super().__init__(base.domain_shape, base.range_shape)
        self.base = base

    def forward(self, x: Tensor) -> Tensor:
        raise AssertionError("forward was called")

    adjoint = forward

    def normal(self, x: Tensor) -> Tensor:
        return self.base.normal(x)

    def norm(self) -> Tensor:
        return self.base.norm()

    def coarsen(self, factor: int) -> LinearOperator:
        return Counting(self.base.coarsen(factor))


@pytest.mark.parametrize("base", [plain_mask(), spotlight(SHAPE, DOUBLE), radar()], ids=lambda b: type(b).__name__)
def test_behind_a_phase_the_normal_is_the_inner_one(base) -> None:
    phase = randn((2, base.range_shape[1]), 1).real
    operator = apply_pulse_phase(Counting(base), phase)
    x = image_for(operator)
    assert distance(operator.normal(x), base.normal(x)) < 1e-14
    assert distance(operator.normalized().normal(x), base.normalized().normal(x)) < 1e-12
    assert distance((2j * operator).normal(x), 4 * base.normal(x)) < 1e-14
    coarse = operator.coarsen(2)
    x = image_for(coarse)
    assert distance(coarse.normal(x), base.coarsen(2).normal(x)) < 1e-14
    full = apply_pulse_phase(base, phase)
    x = image_for(full)
    assert distance(full.adjoint(full(x)), base.normal(x)) < 1e-10


def test_single_precision_phases_count_as_phases() -> None:
    gain = phases((1, 200, 300), (1, 2), torch.complex64)
    assert SampleGain(gain, (1, 200, 300)).isometry() is not None
    assert SampleGain(1.0001 * gain, (1, 200, 300)).isometry() is not None
    gain[0, 0, 3, 5] *= 1.0001
    assert SampleGain(gain, (1, 200, 300)).isometry() is None


@pytest.mark.parametrize("base", [plain_mask(), spotlight(SHAPE, DOUBLE), radar()], ids=lambda b: type(b).__name__)
def test_gradients_reach_a_gain_that_is_learned(base) -> None:
    """A gain exp(a + i p) at a = 0 has modulus one, yet |A x|^2 grows with a: no short cut may lose that."""
    x, rate = image_for(base), randn(base.range_shape, 4).real
    level = torch.zeros(1, *base.range_shape, dtype=torch.float64, requires_grad=True)
    phase = randn((1, *base.range_shape), 5).real.requires_grad_()
    operator = apply_gain(base, torch.exp(torch.complex(level, phase)))
    energy = (x.conj() * operator.normal(x)).real.sum()
    by_level, by_phase = torch.autograd.grad(energy, (level, phase), retain_graph=True)
    assert distance(by_level, 2 * base(x).abs().square().sum(0, keepdim=True)) < 1e-10
    assert float(by_phase.abs().max()) < 1e-8 * float(by_level.abs().max())
    y = base(x).detach() * torch.exp(1j * rate)
    gradient = torch.autograd.grad((operator(x) - y).abs().square().sum(), phase)[0]
    residual = operator(x) - y
    assert distance(gradient, 2 * (residual.conj() * 1j * operator(x)).real.sum(0, keepdim=True)) < 1e-10


def test_supports_meet() -> None:
    base = spotlight(SHAPE, DOUBLE)
    gain = torch.ones(1, 1, 5, 7, dtype=DOUBLE)
    gain[..., 2:4] = 0
    for operator in (
        SampleGain(gain, (1, 5, 7)) @ base,
        SampleMask(gain.real) @ base,
        2 * SampleMask(gain.real) @ base,
    ):
        marks = operator.support()
        assert torch.equal(marks, base.support() * gain.real)
        assert 0 < float(operator.samples()) < float(base.samples())
    mixed = AxisMatrix(torch.eye(5, dtype=DOUBLE)[None, [1, 0, 2]], (1, 5, 7), 1) @ (SampleGain(gain, (1, 5, 7)) @ base)
    assert torch.equal(mixed.support(), (base.support() * gain.real)[:, :, [1, 0, 2]])


@pytest.mark.parametrize("base", [plain_mask(), spotlight(SHAPE, DOUBLE), radar()], ids=lambda b: type(b).__name__)
def test_the_class_takes_a_gain_it_can_hold(base) -> None:
    gain = gains((1, base.range_shape[1], 1), (1, 2), DOUBLE)
    operator = apply_gain(base, gain)
    assert type(operator) is type(base)
    reference = SampleGain(gain, base.range_shape) @ base
    assert distance(dense(operator), dense(reference)) < 1e-12
    marks, expected = operator.support(), reference.support()
    assert torch.equal(marks.expand_as(expected) if marks is not None else torch.ones_like(expected), expected)
    single = apply_gain(base, gain.to(torch.complex64))
    assert single.dtype == DOUBLE


def test_gains_that_do_not_fit_are_refused() -> None:
    base = spotlight(SHAPE, DOUBLE)
    with pytest.raises(ValueError, match="must be complex"):
        apply_gain(base, torch.ones(1, 1, 5, 7))
    with pytest.raises(ValueError, match=r"broadcast over \(batch, \(1, 5, 7\)\)"):
        apply_gain(base, torch.ones(1, 1, 7, 5, dtype=DOUBLE))


def wrapped() -> dict[str, tuple[LinearOperator, type[LinearOperator]]]:
    """Operators and the class that does the work inside once some of their samples, alike for all channels, are dropped."""
    base, gain = spotlight(SHAPE, DOUBLE), phases((1, 5, 7), (1, 2), DOUBLE)
    mixing = AxisMatrix(randn((1, 3, 3), 8), (3, 5, 7), 0)
    return {
        "phase": (apply_gain(base, gain), NonuniformFourier),
        "gain": (
            SampleGain(gain * 2, (1, 5, 7)) @ (SampleMask(torch.ones(1, 1, 5, 7).double()) @ base),
            NonuniformFourier,
        ),
        "channels": (ChannelwiseOperator(base, 3), NonuniformFourier),
        "blocks": (BlockDiagonalOperator([base, apply_gain(base, gain)]), NonuniformFourier),
        "crosstalk": (mixing @ ChannelwiseOperator(base, 3), NonuniformFourier),
        "radar": (radar(), KroneckerOperator),
    }


@pytest.mark.parametrize("label", wrapped())
@pytest.mark.parametrize("kind", ["alike", "rough"])
def test_wrapped_sensors_are_restricted(label, kind) -> None:
    operator, core = wrapped()[label]
    shape = operator.range_shape
    kept = (
        torch.rand(2, *(shape if kind == "rough" else (1, shape[1], 1)), generator=torch.Generator().manual_seed(1))
        < 0.6
    )
    part = restrict(operator, kept)
    assert distance(dense(part), dense(SampleMask(kept.expand(-1, *shape).double()) @ operator)) < 1e-12
    marks = part.support().expand(2, *shape)
    held = operator.support()
    assert torch.equal(marks != 0, (kept if held is None else kept & (held != 0)).expand(2, *shape))
    if kind == "alike":
        cores = [m for m in part.modules() if isinstance(m, core)]
        assert cores
        assert not any(isinstance(m, SampleMask) for m in part.modules() if label != "gain")
        assert all((c.support() == 0).any() for c in cores)


def low_rank(rank: int, seed: int) -> ComposedOperator:
    """A product that keeps few Fourier samples of a weighted image: rank far below the number of pixels."""
    kept = torch.zeros(1, 1, *SHAPE, dtype=torch.float64)
    kept.view(-1)[torch.randperm(kept.numel(), generator=torch.Generator().manual_seed(seed))[:rank]] = 1
    weights = 1 + torch.rand(1, 1, *SHAPE, generator=torch.Generator().manual_seed(seed + 1), dtype=torch.float64)
    return FourierMask(kept) @ SampleGain(weights.to(DOUBLE), (1, *SHAPE))


def test_the_spectral_density_of_a_product_scatters_half_as_much_as_one_probe() -> None:
    """At rank 5 one probe misses the mean by 1 / sqrt 5 = 45 % (rms); four miss it by 22 %."""
    errors = []
    for seed in range(60):
        operator = low_rank(5, 10 * seed)
        exact = dense(operator, 1).abs().square().sum() / operator.domain_shape[1] / operator.domain_shape[2]
        one = lanczos_density(operator.normal, operator.probe(), ndim=3, steps=12)
        errors.append([float(d.mean(lambda v: v) / exact - 1) for d in (one, operator.spectrum())])
    single, averaged = torch.tensor(errors).square().mean(0).sqrt().tolist()
    print(f"rms error of the mean: one probe {single:.3f}, product {averaged:.3f}")
    assert 0.3 < single < 0.6
    assert averaged < 0.3


def test_mean_eigenvalue_of_a_large_image_takes_one_product_and_agrees_with_the_trace() -> None:
    """A mask keeps a known share of the frequencies, which is the mean eigenvalue; the probe is off by 1 / sqrt(rank)."""
    kept = (torch.rand(1, 1, 512, 256, generator=torch.Generator().manual_seed(0)) < 0.3).float()
    share = float(kept.mean())
    found = float(FourierMask(kept).mean_eigenvalue())
    assert found != share
    assert abs(found - share) < 4 * share / (share * kept.numel()) ** 0.5
