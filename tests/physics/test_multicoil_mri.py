"""Multi-coil MRI and ESPIRiT against formulas, and against sigpy on real data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from examples_mri import multicoil

from contracts import distance, image_for
from echoform.linalg.fft import fft2c
from echoform.measure.bart import read_kspace
from echoform.physics.compositions import GalerkinOperator
from echoform.physics.espirit import Espirit
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.multicoil_mri import MulticoilMRI
from mri_cases import smooth_maps

BRAIN = Path(__file__).parents[3] / "shared" / "data" / "mri_multicoil_brain" / "full.hdr"


def band_limited_maps(shape: tuple[int, int]) -> torch.Tensor:
    return smooth_maps(shape, 3)[None]


def test_samples_are_the_spectrum_of_the_weighted_image() -> None:
    operator = multicoil((8, 6), (0,), torch.complex128)
    x = image_for(operator)
    for coil in range(3):
        expected = operator.fourier.weights[:, 0] * fft2c(operator.sensitivities[:, coil] * x[:, 0])
        assert distance(operator(x)[:, coil], expected) < 1e-12


def test_one_constant_coil_is_the_fourier_mask() -> None:
    mask = FourierMask(torch.rand(1, 1, 16, 16, dtype=torch.float64))
    operator = MulticoilMRI(mask, torch.ones(1, 1, 16, 16, dtype=torch.complex128))
    coarse, galerkin = operator.coarsen(2), GalerkinOperator(mask, 2)
    x = image_for(coarse)
    assert distance(operator(image_for(operator)), mask(image_for(operator))) < 1e-12
    assert distance(coarse(x), galerkin(x)) < 1e-12


@pytest.mark.parametrize(("side", "bound"), [(32, 0.16), (128, 0.041)])
def test_coarse_version_approaches_the_galerkin_one_as_sensitivities_grow_smoother(side: int, bound: float) -> None:
    """Sensitivities of one cycle over the image: the distance falls as the cycle per coarse pixel."""
    operator = MulticoilMRI(
        FourierMask(torch.ones(1, 1, side, side, dtype=torch.float64)), band_limited_maps((side, side))
    )
    coarse, galerkin = operator.coarsen(2), GalerkinOperator(operator, 2)
    x = image_for(coarse)
    assert distance(coarse(x), galerkin(x)) < bound


def test_what_does_not_fit_is_refused() -> None:
    mask = FourierMask(torch.ones(1, 1, 8, 8))
    with pytest.raises(ValueError, match="interpolate"):
        MulticoilMRI(mask, torch.ones(1, 2, 8, 9, dtype=torch.complex64))
    with pytest.raises(ValueError, match="complex128"):
        MulticoilMRI(mask, torch.ones(1, 2, 8, 8, dtype=torch.complex128))
    with pytest.raises(ValueError, match="coils"):
        MulticoilMRI(FourierMask(torch.ones(1, 3, 8, 8)), torch.ones(1, 2, 8, 8, dtype=torch.complex64))
    with pytest.raises(ValueError, match="centre lines"):
        Espirit()(torch.ones(1, 2, 8, 8, dtype=torch.complex64), (32, 32))
    with pytest.raises(ValueError, match="no signal"):
        Espirit()(torch.zeros(1, 2, 24, 24, dtype=torch.complex64), (32, 32))


def test_espirit_finds_known_sensitivities() -> None:
    """An object inside its field of view, seen by coils of known smooth sensitivity: maps agree where the object is."""
    side = 64
    maps = smooth_maps((side, side), 5)
    maps = maps / maps.abs().square().sum(0).sqrt()
    maps = maps * torch.exp(-1j * maps[0].angle())
    y, x = torch.meshgrid(torch.arange(side) - side // 2, torch.arange(side) - side // 2, indexing="ij")
    body = ((y / 20.0) ** 2 + (x / 24.0) ** 2 < 1).to(torch.complex128) * torch.exp(0.02j * (x + y))
    kspace = fft2c(maps * body)
    centre = kspace[:, 20:44, 20:44]
    found = Espirit(eigenvalue_threshold=0.9)(centre[None], (side, side))[0]
    inside = ((y / 17.0) ** 2 + (x / 21.0) ** 2 < 1) & (found.abs().sum(0) > 0)
    assert float(inside.sum()) > 0.95 * float(((y / 17.0) ** 2 + (x / 21.0) ** 2 < 1).sum())
    agreement = (found.conj() * maps).sum(0).abs()[inside]
    assert float(agreement.min()) > 0.98
    assert float(agreement.median()) > 0.999


@pytest.mark.skipif(not BRAIN.exists(), reason="shared/data/mri_multicoil_brain is absent")
def test_espirit_equals_sigpy_on_a_brain() -> None:
    mri = pytest.importorskip("sigpy.mri", reason="sigpy is not installed: pip install sigpy")
    kspace = read_kspace(BRAIN).samples
    height, width = kspace.shape[1:]
    centre = kspace[:, height // 2 - 12 : height // 2 + 12, width // 2 - 12 : width // 2 + 12]
    ours = Espirit()(centre[None], (height, width))[0]
    options = {"calib_width": 24, "thresh": 0.02, "kernel_width": 6, "crop": 0.95, "show_pbar": False}
    theirs = torch.from_numpy(np.asarray(mri.app.EspiritCalib(kspace.numpy(), **options).run()))
    assert torch.equal(ours.abs().sum(0) > 0, theirs.abs().sum(0) > 0)
    assert distance(ours, theirs) < 3e-4
