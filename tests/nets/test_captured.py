"""A pass recorded as a CUDA graph: the network's own images, for further samples of the same sensor."""

from __future__ import annotations

import pytest
import torch

from echoform.measure.measurement import Measurement
from echoform.nets.captured import CapturedPass
from echoform.nets.ram import RAM, RAMConfig
from echoform.physics.convolution import valid_blur
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.identity import identity
from echoform.physics.noise import GaussianNoise

CUDA = torch.cuda.is_available()
SHAPE = (3, 64, 64)  # smaller images are padded, and their prox takes conjugate gradients


def _network(device: str) -> RAM:
    """A small official network."""
    torch.manual_seed(3)
    return RAM(RAMConfig(channels=(8, 16, 32, 64), blocks=1, image_channels=(2, 1, 3), embedding=0)).to(device).eval()


def _measured(
    operator: FourierMask | torch.nn.Module, shape: tuple[int, ...], dtype: torch.dtype, device: str
) -> Measurement:
    """Samples of nothing in particular behind a sensor."""
    samples = torch.randn(shape, generator=torch.Generator().manual_seed(5), dtype=dtype)
    return Measurement(samples, operator, GaussianNoise(torch.tensor([0.1]))).to(torch.device(device))  # pyright: ignore


def test_without_a_gpu_it_says_so() -> None:
    """Nothing is recorded on a processor, and nothing falls back in silence."""
    measurement = _measured(identity(SHAPE, complex_image=False), (1, *SHAPE), torch.float32, "cpu")
    with pytest.raises(ValueError, match="on cpu; call the network itself"):
        CapturedPass(_network("cpu"), measurement)


@pytest.mark.gpu
@pytest.mark.skipif(not CUDA, reason="needs a GPU")
@pytest.mark.parametrize("name", ["denoising", "mri"])
def test_it_gives_the_network_s_images(name: str) -> None:
    """For samples it was not recorded with, to float32's rounding; other shapes are refused."""
    if name == "denoising":
        given = _measured(identity(SHAPE, complex_image=False), (1, *SHAPE), torch.float32, "cuda")
    else:
        mask = (torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(1)) < 0.4).float()
        given = _measured(FourierMask(mask), (1, 1, 64, 64), torch.complex64, "cuda")
    network = _network("cuda")
    recorded = CapturedPass(network, given)
    for scale in (1.0, 0.3):
        samples = scale * given.y.flip(-1)
        with torch.no_grad():
            expected = network(Measurement(samples, given.operator, given.noise))
        found = recorded(samples)
        assert float((found - expected).norm()) <= 1e-5 * float(expected.norm())
    with pytest.raises(ValueError, match="record another pass"):
        recorded(given.y[..., :16])


@pytest.mark.gpu
@pytest.mark.skipif(not CUDA, reason="needs a GPU")
def test_conjugate_gradients_cannot_be_recorded() -> None:
    """A valid blur, whose prox asks the host when to stop, is refused with what to do instead."""
    kernel = torch.rand(1, 1, 5, 5, generator=torch.Generator().manual_seed(2))
    operator = valid_blur(kernel / kernel.sum(), SHAPE)
    given = _measured(operator, (1, 3, 60, 60), torch.float32, "cuda")
    with pytest.raises(ValueError, match="conjugate gradients"):
        CapturedPass(_network("cuda"), given)
