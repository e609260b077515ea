"""The official head behind the common door: it meets a sensor of unit norm whatever the user's units."""

from __future__ import annotations

from dataclasses import replace

import torch

from contracts import distance
from echoform.measure.measurement import Measurement
from echoform.nets.convolution import LITTLE, MIDDLE, WIDE, prepared_bytes
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


def test_a_reconstructor_prepares_small_networks_and_others_when_asked() -> None:
    torch.manual_seed(0)
    small = RAM(replace(OFFICIAL, channels=(8, 8, MIDDLE, WIDE), blocks=1)).eval()
    mask = (torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(1)) < 0.5).float()
    y = mask * torch.randn(1, 1, 64, 64, dtype=torch.complex64, generator=torch.Generator().manual_seed(2))
    m = Measurement(y, FourierMask(mask), GaussianNoise(torch.tensor([0.1])))
    plain = NetworkReconstructor(small, prepare=False)(m).mean
    assert not any(name.endswith("kernels") for name, _ in small.named_buffers())
    prepared = NetworkReconstructor(small)(m).mean
    kernels = [b for name, b in small.named_buffers() if name.endswith("kernels")]
    assert sum(b.nbytes for b in kernels) == prepared_bytes(small) > 0
    assert not torch.equal(prepared, plain)
    assert distance(prepared, plain) < 1e-6
    with torch.device("meta"):
        official = RAM(OFFICIAL)
    assert prepared_bytes(official) > LITTLE
    NetworkReconstructor(official)
    assert not any(name.endswith("kernels") for name, _ in official.named_buffers())
