"""The official head behind the common door: it meets a sensor of unit norm whatever the user's units."""

from __future__ import annotations

from dataclasses import replace

import torch

from contracts import distance
from echoform.measure.measurement import Measurement
from echoform.nets.ram import OFFICIAL, RAM
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.noise import GaussianNoise
from echoform.recon.network import NetworkReconstructor


def test_the_official_head_is_given_a_sensor_of_unit_norm() -> None:
    """Ten times the sensor, the samples and the noise are the same problem: the image does not change."""
    torch.manual_seed(0)
    network = RAM(replace(OFFICIAL, channels=(8, 8, 8, 8), blocks=1)).eval()
    mask = (torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(1)) < 0.5).float()
    y = mask * torch.randn(1, 1, 64, 64, dtype=torch.complex64, generator=torch.Generator().manual_seed(2))
    one, ten = (Measurement(c * y, FourierMask(c * mask), GaussianNoise(torch.tensor([0.1 * c]))) for c in (1.0, 10.0))
    reconstruct = NetworkReconstructor(network)
    assert distance(reconstruct(ten).mean, reconstruct(one).mean) < 1e-5
    with torch.no_grad():
        assert distance(network(ten), network(one)) > 0.1
