"""Denoisers: what plug-and-play methods and unrolled networks know of them, RAM as one, and one known in closed form.

    D(x, s) ~ E[u | u + s e = x],    e ~ CN(0, I) for complex images, N(0, I) for real ones

Images are in units in which the scene has RMS one, as :func:`echoform.nets.sensing.normalize` makes them.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from echoform.linalg.fft import circulant
from echoform.linalg.inner import expand
from echoform.measure.measurement import Measurement
from echoform.nets.ram import RAM
from echoform.nets.state import DiffusionState
from echoform.physics.identity import ScalarOperator
from echoform.physics.noise import GaussianNoise


class Denoiser(Protocol):
    """D(x, s): x is (B, C, H, W), s has shape (B,) or (1,); returns the shape of x."""

    def __call__(self, x: Tensor, sigma: Tensor, /) -> Tensor:
        """Return D(x, s)."""
        ...


class RAMDenoiser(nn.Module):
    """RAM in state mode with the sensor that sees nothing (A = 0): D(x, s) = E[u | u + s e = x], u of RMS one.

    Args:
        network: RAM with the state head.
    """

    def __init__(self, network: RAM) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Return D(x, s) of complex or real images."""
        ones = torch.ones(x.shape[0], dtype=x.real.dtype, device=x.device)
        _, channels, height, width = x.shape
        nothing_seen = torch.zeros(1, dtype=x.real.dtype, device=x.device)
        sensor = ScalarOperator((channels, height, width), nothing_seen, complex_image=x.is_complex())
        nothing = Measurement(torch.zeros_like(x), sensor, GaussianNoise(ones))
        return self.network(nothing, DiffusionState(x, sigma), scale=ones)


class GaussianDenoiser(nn.Module):
    """The exact denoiser of a stationary Gaussian scene u ~ CN(0, F^H diag(P) F): D(x, s) = F^H P / (P + s^2) F x.

    Args:
        power: P on the frequency grid in FFT order (zero frequency first), (1 or B, C, H, W), positive.
    """

    power: Tensor

    def __init__(self, power: Tensor) -> None:
        super().__init__()
        self.register_buffer("power", power)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Return D(x, s)."""
        return circulant(self.power / (self.power + expand(sigma.square(), 3)), x)
