"""Random fields: white complex noise, smooth Gaussian fields, smooth phase.

Every function draws a whole batch from one generator, on the generator's device.
"""

from __future__ import annotations

import torch
from torch import Tensor


def uniform(generator: torch.Generator, shape: tuple[int, ...], low: float, high: float) -> Tensor:
    """Return independent uniform numbers in [low, high)."""
    return torch.empty(shape, device=generator.device).uniform_(low, high, generator=generator)


def white(generator: torch.Generator, shape: tuple[int, ...]) -> Tensor:
    """Return independent CN(0, 1) entries, complex64: fully developed speckle of unit mean intensity."""
    return torch.view_as_complex(torch.randn((*shape, 2), generator=generator, device=generator.device) * 0.5**0.5)


def smooth(generator: torch.Generator, batch: int, shape: tuple[int, int]) -> Tensor:
    """Return real Gaussian fields (batch, H, W) of zero mean and unit variance with a random power-law spectrum.

    The power falls as (k^2 + k_0^2)^-a with a uniform in [1.2, 3] and correlation length 1 / k_0 between 3 pixels and a
    third of the side.
    """
    height, width = shape
    device = generator.device
    ky = torch.fft.fftfreq(height, device=device)[:, None]
    kx = torch.fft.fftfreq(width, device=device)[None, :]
    exponent = uniform(generator, (batch, 1, 1), 1.2, 3.0)
    length = torch.exp(uniform(generator, (batch, 1, 1), 1.1, torch.log(torch.tensor(min(shape) / 3)).item()))
    amplitude = (ky**2 + kx**2 + (1 / (2 * torch.pi * length)) ** 2) ** (-exponent / 2)
    amplitude[:, 0, 0] = 0
    drawn = torch.randn((batch, height, width), generator=generator, device=device)
    field = torch.fft.ifft2(amplitude * torch.fft.fft2(drawn)).real
    return field / field.square().mean((-2, -1), keepdim=True).sqrt()


def smooth_phase(generator: torch.Generator, batch: int, shape: tuple[int, int]) -> Tensor:
    """Return exp(i phi) with phi a smooth field of standard deviation between 0.2 and 2 radians plus a random constant."""
    strength = uniform(generator, (batch, 1, 1), 0.2, 2.0)
    constant = uniform(generator, (batch, 1, 1), 0.0, 2 * torch.pi)
    return torch.exp(1j * (strength * smooth(generator, batch, shape) + constant))
