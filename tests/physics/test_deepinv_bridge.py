"""The bridge to deepinv, both ways, and what sigma means on each side."""

from __future__ import annotations

import math

import pytest
import torch

from contracts import distance, randn
from echoform.measure.measurement import Measurement
from echoform.physics.deepinv_bridge import (
    complex_channels,
    from_deepinv,
    noise_from_deepinv,
    real_channels,
    to_deepinv,
)
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.noise import GaussianNoise
from echoform.recon.classical.tikhonov import Tikhonov

dinv = pytest.importorskip("deepinv", reason="deepinv is not installed: pip install 'echoform[deepinv]'")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def blur() -> torch.nn.Module:
    kernel = torch.rand(1, 1, 3, 3, generator=generator())
    return dinv.physics.BlurFFT(img_size=(2, 8, 8), filter=kernel / kernel.sum())


def mri(coils: int | None) -> torch.nn.Module:
    mask = (torch.rand(1, 1, 8, 8, generator=generator(1)) < 0.5).float()
    if coils is None:
        return dinv.physics.MRI(mask=mask[0], img_size=(2, 8, 8))
    maps = torch.randn(1, coils, 8, 8, dtype=torch.complex64, generator=generator(2))
    return dinv.physics.MultiCoilMRI(mask=mask, coil_maps=maps, img_size=(2, 8, 8))


@pytest.mark.parametrize("coils", [None, 3])
def test_complex_physics_keeps_the_contract(coils: int | None) -> None:
    operator = from_deepinv(mri(coils), (2, 8, 8), complex_image=True)
    assert operator.domain_shape == (1, 8, 8)
    assert operator.range_shape == ((1, 8, 8) if coils is None else (coils, 8, 8))
    x = randn((2, 1, 8, 8), 3).to(torch.complex64)
    y = randn((2, *operator.range_shape), 4).to(torch.complex64)
    left, right = (operator(x).conj() * y).sum(), (x.conj() * operator.adjoint(y)).sum()
    assert abs(complex(left - right)) < 1e-5 * abs(complex(left))
    assert distance(operator(1j * x), 1j * operator(x)) < 1e-6
    pair = torch.stack([x, 2j * x])
    assert distance(operator.normal(pair), operator.adjoint(operator(pair))) < 1e-5


def test_real_physics_keeps_the_contract() -> None:
    operator = from_deepinv(blur(), (2, 8, 8))
    x, y = torch.randn(2, 2, 8, 8, generator=generator(3)), torch.randn(2, 2, 8, 8, generator=generator(4))
    assert abs(float((operator(x) * y).sum() - (x * operator.adjoint(y)).sum())) < 1e-4
    assert operator.dtype == torch.float32
    assert distance(operator.normal(torch.stack([x, y]))[1], operator.normal(y)) < 1e-6


def test_our_mask_equals_their_mri_and_goes_over_there() -> None:
    """Both transforms are centred and orthonormal."""
    mask = (torch.rand(1, 1, 8, 8, generator=generator(1)) < 0.5).float()
    ours, theirs = FourierMask(mask), dinv.physics.MRI(mask=mask[0], img_size=(2, 8, 8))
    x = torch.randn(2, 2, 8, 8, generator=generator(5))
    there = to_deepinv(ours)
    assert distance(there.A(x), theirs.A(x)) < 1e-6
    assert distance(there.A_adjoint(x), theirs.A_adjoint(x)) < 1e-6
    assert abs(float(there.adjointness_test(x))) < 1e-4


def test_their_solver_runs_on_our_operator_and_ours_on_their_physics() -> None:
    mask = (torch.rand(1, 1, 8, 8, generator=generator(1)) < 0.5).float() + 0.1
    ours = FourierMask(mask)
    x = randn((1, 1, 8, 8), 6).to(torch.complex64)
    y = ours(x)
    solved = to_deepinv(ours).prox_l2(torch.zeros(1, 2, 8, 8), real_channels(y), gamma=100.0)
    expected = ours.prox(y, torch.zeros_like(x), torch.tensor([0.01]))
    assert distance(complex_channels(solved), expected) < 1e-3
    weighted = dinv.physics.MRI(mask=mask[0], img_size=(2, 8, 8))
    brought = from_deepinv(weighted, (2, 8, 8), complex_image=True)
    noise = GaussianNoise(torch.tensor([0.1]))
    mine, direct = (Tikhonov(0.05)(Measurement(y, operator, noise)).mean for operator in (brought, ours))
    assert distance(mine, direct) < 1e-3


def test_sigma_of_complex_samples_is_root_two_larger_here() -> None:
    """Their noise, seen as complex numbers, has our total variance."""
    model = dinv.physics.GaussianNoise(0.3, rng=generator(7))
    drawn = complex_channels(model(torch.zeros(1, 2, 400, 400)))
    ours = noise_from_deepinv(model, complex_samples=True)
    assert float(ours.sigma) == pytest.approx(0.3 * math.sqrt(2))
    measured = float(drawn.abs().square().mean().sqrt())
    assert measured == pytest.approx(float(ours.sigma), rel=4 / math.sqrt(2 * 160000))
    assert float(noise_from_deepinv(model, complex_samples=False).sigma) == pytest.approx(0.3)


def test_counts_come_over() -> None:
    noise = noise_from_deepinv(dinv.physics.PoissonGaussianNoise(gain=0.2, sigma=0.1), complex_samples=False)
    assert float(noise.sigma) == pytest.approx(0.1)
    assert float(noise.gain) == pytest.approx(0.2)
    with pytest.raises(ValueError, match="counts"):
        noise_from_deepinv(dinv.physics.PoissonNoise(gain=0.2), complex_samples=True)
    with pytest.raises(ValueError, match="UniformNoise"):
        noise_from_deepinv(dinv.physics.UniformNoise(), complex_samples=False)


def test_channels_come_and_go() -> None:
    for shape in ((2, 1, 4, 5), (2, 3, 4, 5)):
        value = randn(shape, 8)
        assert torch.equal(complex_channels(real_channels(value)), value)
    with pytest.raises(ValueError, match="complex_image=False"):
        complex_channels(torch.zeros(2, 3, 4, 5))
    with pytest.raises(ValueError, match="two real channels"):
        from_deepinv(blur(), (3, 8, 8), complex_image=True)
