"""The pretended GPU computes what the CPU does, and raises where a real one would; networks and samplers run on it."""

from __future__ import annotations

import pytest
import torch

import contracts
from echoform.nets import weights
from echoform.physics.identity import ScalarOperator
from echoform.recon.diffusion.posterior import PosteriorSampler, Trajectory
from echoform.recon.network import NetworkReconstructor
from echoform.train.problems.catalogue import FAMILIES
from echoform.train.problems.problem import draw_problem
from echoform.train.problems.stream import problem_generator
from pretended_gpu import pretended_gpu


def test_results_are_those_of_the_cpu_and_views_share_memory() -> None:
    """Transforms, lazy conjugates, lists of places, products, and writing through a view."""
    x = torch.randn(3, 4, dtype=torch.complex64, generator=torch.Generator().manual_seed(1))
    expected = torch.fft.fft2(x).conj().T[[0, -1]] @ (2 * x + 1)[:, :3]
    with pretended_gpu() as device:
        there = x.to(device)
        found = torch.fft.fft2(there).conj().T[[0, -1]] @ (2 * there + 1)[:, :3]
        assert found.device == device
        assert torch.equal(found.cpu(), expected)
        there[0].mul_(0)
        assert there.cpu().abs().sum(1)[0] == 0
        assert torch.tensor([1.0, 2.0], device=device).tolist() == [1.0, 2.0]


def test_two_devices_in_one_operation_raise() -> None:
    """But for single numbers and places of the CPU, which a GPU takes too."""
    here = torch.ones(3)
    with pretended_gpu() as device:
        there = here.to(device)
        assert (there * torch.tensor(2.0)).device == device  # a number of the CPU may go along, as on a GPU
        assert there[torch.tensor([0, 2])].device == device  # and so may places
        with pytest.raises(RuntimeError, match=r"expected all tensors on one device, got \(3,\) on pretended:0"):
            there + here
        with pytest.raises(RuntimeError, match="is indexed by one on"):
            here[there.long()]


def test_numbers_of_a_generator_elsewhere_raise() -> None:
    with pretended_gpu() as device, pytest.raises(RuntimeError, match="the generator lies on cpu"):
        torch.rand(3, generator=torch.Generator(), device=device)


class LeftBehind(ScalarOperator):
    """An operator whose gain is no buffer, so that it does not move with it."""

    def __init__(self) -> None:
        super().__init__((1, 4, 4), torch.ones(1))
        self.window = torch.ones(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return A x by a tensor that is left behind."""
        return super().forward(x) * self.window


def test_a_tensor_left_behind_is_found() -> None:
    with pretended_gpu() as device, pytest.raises(RuntimeError, match="expected all tensors on one device"):
        contracts.check_device(LeftBehind(), device)


def test_one_pass_and_posterior_samples_are_those_of_the_cpu() -> None:
    """Tiny's image and the mean of two samples, network and measurement moved, noise drawn by a generator of the CPU."""
    problem = draw_problem(problem_generator(6, 0), FAMILIES[0], 1)
    network, trajectory = weights.load("echoform-tiny"), Trajectory(2)

    def images(on: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the one-pass image and the samples' mean, made on a device."""
        moved, measurement = network.to(on), problem.to(on).measurement
        sampler, generator = PosteriorSampler(moved, samples=2, trajectory=trajectory), torch.Generator().manual_seed(1)
        return NetworkReconstructor(moved)(measurement).mean, sampler(measurement, generator=generator).mean

    expected = images(torch.device("cpu"))
    with pretended_gpu() as device:
        found = images(device)
        assert all(image.device == device for image in found)
        found = [image.cpu() for image in found]
    for image, reference in zip(found, expected, strict=True):
        assert float((image - reference).norm()) < 1e-5 * float(reference.norm())
