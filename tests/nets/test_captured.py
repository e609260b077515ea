"""A pass recorded as a CUDA graph: the network's own images, for further samples of the same sensor."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from echoform.linalg.cg import Stopping
from echoform.measure.measurement import Measurement
from echoform.nets.captured import CapturedPass
from echoform.nets.ram import RAM, RAMConfig
from echoform.physics.convolution import valid_blur
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.identity import identity
from echoform.physics.masking import SampleMask
from echoform.physics.multicoil_mri import MulticoilMRI
from echoform.physics.noise import GaussianNoise

CUDA = torch.cuda.is_available()
SHAPE = (3, 64, 64)


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


class HostsNumbers(TorchDispatchMode):
    """Counts how often a program asks for a number that a GPU would have to be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Carry out an operation and count it if its result goes to the host."""
        self.count += func._schema.name in ("aten::_local_scalar_dense", "aten::nonzero", "aten::equal")
        return func(*args, **(kwargs or {}))


def _blurred(device: str) -> Measurement:
    """Samples of a valid blur, whose prox takes conjugate gradients."""
    kernel = torch.rand(1, 1, 5, 5, generator=torch.Generator().manual_seed(2))
    return _measured(valid_blur(kernel / kernel.sum(), SHAPE), (1, 3, 60, 60), torch.float32, device)


def _seen(name: str) -> Measurement:
    """Samples of one of the sensors whose passes would wait for a GPU."""
    generator = torch.Generator().manual_seed(4)
    mask = (torch.rand(1, 1, 64, 64, generator=generator) < 0.4).float()
    match name:
        case "valid blur":
            return _blurred("cpu")
        case "inpainting":
            kept = mask.expand(-1, 3, -1, -1).contiguous()
            return _measured(SampleMask(kept, complex_image=False), (1, *SHAPE), torch.float32, "cpu")
        case "8 coils":
            maps = torch.randn(1, 8, 64, 64, dtype=torch.complex64, generator=generator) / 3
            return _measured(MulticoilMRI(FourierMask(mask), maps), (1, 8, 64, 64), torch.complex64, "cpu")
        case _:
            assert name == "padded"
            return _measured(identity((3, 40, 56), complex_image=False), (1, 3, 40, 56), torch.float32, "cpu")


@pytest.mark.parametrize("name", ["valid blur", "inpainting", "8 coils", "padded"])
def test_with_a_fixed_number_of_steps_a_pass_asks_the_host_for_nothing(name: str) -> None:
    """From the second pass on, and the image is that of steps until convergence."""
    network, given = _network("cpu"), _seen(name)
    with torch.no_grad():
        expected = network(given)
        network.stopping = Stopping(tolerance=0, max_iterations=16)
        with HostsNumbers() as asked:
            found = network(given)
    assert asked.count == 0
    assert float((found - expected).norm()) <= 1e-5 * float(expected.norm())


@pytest.mark.parametrize("name", ["valid blur", "8 coils"])
def test_conjugate_gradients_until_convergence_ask_the_host(name: str) -> None:
    """So that the test above can fail."""
    network, given = _network("cpu"), _seen(name)
    with torch.no_grad(), HostsNumbers() as asked:
        network(given)
    assert asked.count > 0


@pytest.mark.gpu
@pytest.mark.skipif(not CUDA, reason="needs a GPU")
def test_conjugate_gradients_are_recorded_once_their_number_is_fixed() -> None:
    """A valid blur, whose prox asks the host when to stop, is refused with what to do; then its images are the network's."""
    given, network = _blurred("cuda"), _network("cuda")
    with pytest.raises(ValueError, match="conjugate gradients"):
        CapturedPass(network, given)
    with torch.no_grad():
        expected = network(given)
    network.stopping = Stopping(tolerance=0, max_iterations=16)
    found = CapturedPass(network, given)(given.y)
    assert float((found - expected).norm()) <= 1e-5 * float(expected.norm())
