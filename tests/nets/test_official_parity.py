"""The official network against deepinv.models.RAM with the same random weights, gains randomised so that the physics matters."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from contracts import distance
from echoform.measure.measurement import Measurement
from echoform.nets.checkpoint import from_official, read_official
from echoform.nets.ram import RAM
from echoform.nets.weights import WeightsError
from echoform.physics.convolution import circular_blur, valid_blur
from echoform.physics.deepinv_bridge import complex_channels, from_deepinv, noise_from_deepinv, real_channels
from echoform.physics.downsampling import bicubic_downsampling
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.identity import identity
from echoform.physics.masking import SampleMask
from echoform.physics.multicoil_mri import MulticoilMRI
from echoform.physics.noise import GaussianNoise, Noise
from echoform.physics.operator import LinearOperator

dinv = pytest.importorskip("deepinv", reason="deepinv is not installed: pip install 'echoform[deepinv]'")

PARITY = 1e-5


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def peers() -> tuple[nn.Module, RAM]:
    """Return deepinv's network and ours with the same drawn weights."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = dinv.models.RAM(pretrained=False).eval()
        for name, parameter in theirs.named_parameters():
            if name.endswith("gain") or name == "fact_realign":
                nn.init.uniform_(parameter, 0.5, 1.5)
    imported = from_official(theirs.state_dict())
    assert imported.unused == ()
    return theirs, imported.network


@dataclass(frozen=True)
class Case:
    """One sensor: theirs, ours (None: theirs through the bridge), the image's real shape and the noise level per real part."""

    physics: Callable[[], nn.Module]
    shape: tuple[int, int, int]
    ours: Callable[[], LinearOperator] | None = None
    complex_image: bool = False
    sigma: float = 0.05


def mask(side: tuple[int, int]) -> Tensor:
    kept = (torch.rand(1, 1, *side, generator=generator(1)) < 0.4).float()
    kept[..., side[0] // 2, side[1] // 2] = 1
    return kept


def maps(side: tuple[int, int]) -> Tensor:
    drawn = torch.randn(1, 4, *side, dtype=torch.complex64, generator=generator(2))
    return drawn / drawn.abs().square().sum(1, keepdim=True).sqrt()


def kernel(size: int) -> Tensor:
    drawn = torch.rand(1, 1, size, size, generator=generator(3))
    return drawn / drawn.sum()


def multicoil(side: tuple[int, int]) -> nn.Module:
    return dinv.physics.MultiCoilMRI(mask=mask(side), coil_maps=maps(side), img_size=(2, *side))


def tomography(side: int) -> nn.Module:
    physics = dinv.physics.Tomography(
        angles=10, img_width=side, circle=False, adjoint_via_backprop=True, normalize=True
    )
    return physics


def super_resolution(factor: int) -> nn.Module:
    return dinv.physics.Downsampling((3, *SQUARE), filter="bicubic", factor=factor)


SQUARE, ODD = (64, 64), (70, 85)
CASES = {
    "denoising gray": Case(dinv.physics.Denoising, (1, *SQUARE), lambda: identity((1, *SQUARE), complex_image=False)),
    "denoising colour": Case(dinv.physics.Denoising, (3, *SQUARE), lambda: identity((3, *SQUARE), complex_image=False)),
    "denoising complex": Case(dinv.physics.Denoising, (2, *SQUARE), lambda: identity((1, *SQUARE)), complex_image=True),
    "denoising 70 x 85": Case(dinv.physics.Denoising, (1, *ODD), lambda: identity((1, *ODD), complex_image=False)),
    "MRI": Case(
        lambda: dinv.physics.MRI(mask=mask(SQUARE), img_size=(2, *SQUARE)),
        (2, *SQUARE),
        lambda: FourierMask(mask(SQUARE)),
        complex_image=True,
    ),
    "MRI 70 x 85": Case(
        lambda: dinv.physics.MRI(mask=mask(ODD), img_size=(2, *ODD)),
        (2, *ODD),
        lambda: FourierMask(mask(ODD)),
        complex_image=True,
    ),
    "multi-coil MRI": Case(
        lambda: multicoil(SQUARE),
        (2, *SQUARE),
        lambda: MulticoilMRI(FourierMask(mask(SQUARE)), maps(SQUARE)),
        complex_image=True,
    ),
    "FFT blur": Case(lambda: dinv.physics.BlurFFT(img_size=(3, *SQUARE), filter=kernel(9)), (3, *SQUARE)),
    "valid blur": Case(lambda: dinv.physics.Blur(filter=kernel(7), padding="valid"), (1, *SQUARE)),
    "FFT blur, ours": Case(
        lambda: dinv.physics.BlurFFT(img_size=(3, *SQUARE), filter=kernel(9)),
        (3, *SQUARE),
        lambda: circular_blur(kernel(9), (3, *SQUARE)),
    ),
    "valid blur, ours": Case(
        lambda: dinv.physics.Blur(filter=kernel(7), padding="valid"),
        (1, *SQUARE),
        lambda: valid_blur(kernel(7), (1, *SQUARE)),
    ),
    "inpainting, ours": Case(
        lambda: dinv.physics.Inpainting((3, *SQUARE), mask=mask(SQUARE)[0]),
        (3, *SQUARE),
        lambda: SampleMask(mask(SQUARE).expand(1, 3, *SQUARE), complex_image=False),
    ),
    "down x2, theirs": Case(lambda: super_resolution(2), (3, *SQUARE)),
    "down x4, theirs": Case(lambda: super_resolution(4), (3, *SQUARE)),
    "inpainting": Case(lambda: dinv.physics.Inpainting((3, *SQUARE), mask=mask(SQUARE)[0]), (3, *SQUARE)),
    "CT": Case(lambda: tomography(64), (1, *SQUARE)),
}


def compare(peers: tuple[nn.Module, RAM], case: Case) -> float:
    """Return the distance of both networks' images over the size of theirs."""
    theirs, ours = peers
    physics = case.physics()
    physics.noise_model = dinv.physics.GaussianNoise(case.sigma)
    physics.max_iter, physics.tol = 100, 1e-7  # their default stops at 1e-4: two solvers agree only at the solution
    x = torch.rand(2, *case.shape, generator=generator(4))
    y = physics.A(x) + case.sigma * torch.randn(physics.A(x).shape, generator=generator(5))
    if case.ours is None:
        operator: LinearOperator = from_deepinv(physics, case.shape, complex_image=case.complex_image)
    else:
        operator = case.ours()
    noise: Noise = noise_from_deepinv(physics.noise_model, complex_samples=case.complex_image)
    measured = complex_channels(y) if case.complex_image else y
    with torch.no_grad():
        expected = theirs(y, physics)
        found = ours(Measurement(measured, operator, noise))
    return distance(real_channels(found) if case.complex_image else found, expected)


@pytest.mark.parametrize("name", list(CASES))
def test_equals_deepinv(peers: tuple[nn.Module, RAM], name: str) -> None:
    assert compare(peers, CASES[name]) < PARITY


def test_the_physics_matters_in_these_comparisons(peers: tuple[nn.Module, RAM]) -> None:
    """The same samples under another mask give another image: equality above is no accident of a network that ignores A."""
    _, ours = peers
    y = torch.randn(1, 1, *SQUARE, dtype=torch.complex64, generator=generator(6))
    noise = GaussianNoise(torch.tensor([0.05 * math.sqrt(2)]))
    with torch.no_grad():
        one, other = (
            ours(Measurement(m * mask(SQUARE) * y, FourierMask(m * mask(SQUARE)), noise))
            for m in (1.0, mask(SQUARE).mT)
        )
    assert distance(one, other) > 0.05


@pytest.mark.parametrize("factor", [2, 4])
def test_the_decimation_reaches_the_proximal_weight(peers: tuple[nn.Module, RAM], factor: int) -> None:
    """There the factor is lost in a wrapper, so their image is that of f = 1; told the factor by hand, they agree with us."""
    theirs, ours = peers
    physics = super_resolution(factor)
    physics.noise_model = dinv.physics.GaussianNoise(0.05)
    physics.max_iter, physics.tol = 200, 1e-8
    y = physics.A(torch.rand(1, 3, *SQUARE, generator=generator(4))) + 0.05
    noise = GaussianNoise(torch.tensor([0.05]))
    operator = bicubic_downsampling((3, *SQUARE), factor)
    snr = y.abs().mean() / (0.05 + 1e-4)
    gamma = theirs.fact_realign / (1e-4 + 1 / (snr * factor**2))

    def realigned(x: Tensor, operator: nn.Module, samples: Tensor, *_: object) -> Tensor:
        return operator.prox_l2(x, samples, gamma=gamma)

    with torch.no_grad():
        lost = theirs(y, physics)
        found = ours(Measurement(y, operator, noise))
        original, theirs.realign_input = theirs.realign_input, realigned
        told = theirs(y, physics)
        theirs.realign_input = original
    assert distance(found, told) < PARITY
    assert distance(found, lost) > 1e-3


def test_weak_measurements_are_rescaled_as_there(peers: tuple[nn.Module, RAM]) -> None:
    theirs, ours = peers
    physics = dinv.physics.Denoising(noise_model=dinv.physics.GaussianNoise(1e-3))
    y = 0.01 * torch.rand(1, 1, *SQUARE, generator=generator(7))
    with torch.no_grad():
        expected = theirs(y.clone(), physics)
        found = ours(Measurement(y, identity((1, *SQUARE), complex_image=False), GaussianNoise(torch.tensor([1e-3]))))
    assert distance(found, expected) < PARITY


def test_checkpoint_files_come_in_and_extra_keys_are_reported(peers: tuple[nn.Module, RAM], tmp_path: Path) -> None:
    theirs, ours = peers
    state = theirs.state_dict()
    torch.save({"state_dict": state | {"m_down1.enc.0.PhysicsBlock.gain": torch.ones(1)}}, tmp_path / "ram.pth.tar")
    imported = read_official(tmp_path / "ram.pth.tar")
    assert imported.unused == ("m_down1.enc.0.PhysicsBlock.gain",)
    for key, value in ours.state_dict().items():
        assert torch.equal(value, imported.network.state_dict()[key])


def test_other_files_are_refused(peers: tuple[nn.Module, RAM], tmp_path: Path) -> None:
    state = dict(peers[0].state_dict())
    with pytest.raises(WeightsError, match="no such file"):
        read_official(tmp_path / "absent")
    (tmp_path / "text").write_text("no weights")
    with pytest.raises(WeightsError, match="safely"):
        read_official(tmp_path / "text")
    torch.save({"a": 1}, tmp_path / "other")
    with pytest.raises(WeightsError, match="no state dict"):
        read_official(tmp_path / "other")
    torch.save(nn.Linear(1, 1), tmp_path / "pickle")
    with pytest.raises(WeightsError, match="safely"):
        read_official(tmp_path / "pickle")
    with pytest.raises(WeightsError, match=r"685 weights are missing|1 of 685"):
        from_official({k: v for k, v in state.items() if k != "pool1.weight"})
    with pytest.raises(WeightsError, match="shape"):
        from_official(state | {"pool1.weight": torch.ones(1)})
