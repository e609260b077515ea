"""The noise that a corrected measurement states is that of its samples, whatever it was before."""

from __future__ import annotations

import pytest
import torch

from echoform.measure.measurement import Measurement
from echoform.measure.whitened import whitened
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.noise import GaussianNoise, Noise
from echoform.physics.noise_coloured import ColouredGaussianNoise, DiagonalGaussianNoise, toeplitz_covariance
from echoform.recon.calibration.calibration import ChannelAxis

CHANNELS, SAMPLES, DRAWS = 16, 64, 50
COLOUR = toeplitz_covariance((0.9 ** torch.arange(CHANNELS, dtype=torch.float64))[None]).to(torch.complex128)
ALONG = toeplitz_covariance((0.9 ** torch.arange(SAMPLES, dtype=torch.float64))[None]).to(torch.complex128)
MODELS: dict[str, Noise] = {
    "white": GaussianNoise(torch.ones(1, dtype=torch.float64)),
    "a level a sample": DiagonalGaussianNoise(torch.linspace(0.5, 2, SAMPLES, dtype=torch.float64)[None, None, None]),
    "coloured along the channels": ColouredGaussianNoise(COLOUR, 1),
    "coloured along the samples": ColouredGaussianNoise(ALONG, 2),
}


@pytest.mark.parametrize("gains", [False, True], ids=["phases", "gains"])
@pytest.mark.parametrize("label", MODELS)
def test_whitened_by_what_is_stated_it_is_white(label: str, gains: bool) -> None:
    """Noise alone, drawn and corrected by gains of 6 dB: of one level in all channels only the mean is stated."""
    generator = torch.Generator().manual_seed(0)
    magnitude = torch.exp(0.7 * torch.randn(1, CHANNELS, dtype=torch.float64, generator=generator))
    magnitude = magnitude if gains else torch.ones_like(magnitude)
    phase_rad = 2 * torch.randn(1, CHANNELS, dtype=torch.float64, generator=generator)
    operator = FourierMask(torch.ones(1, 1, CHANNELS, SAMPLES, dtype=torch.float64))
    nothing = torch.zeros(DRAWS, 1, CHANNELS, SAMPLES, dtype=torch.complex128)
    noisy = Measurement(MODELS[label].sample(nothing, generator), operator, MODELS[label])
    axis = ChannelAxis(noisy, 1)
    corrected = axis.corrected(phase_rad.expand(DRAWS, -1), magnitude.expand(DRAWS, -1), {}).measurement
    white = whitened(corrected)
    power = white.y.abs().square() / white.noise.sigma.square().reshape(-1, 1, 1, 1)
    assert float(power.mean()) == pytest.approx(1.0, abs=0.02)
    if label != "coloured along the samples" or not gains:
        bound = 0.15 if label != "white" or not gains else 10.0
        assert float((power.mean((0, 1, 3)) - 1).abs().max()) < bound
