"""Learned primal-dual: two small networks in turns, one on the samples and one on the image, joined by A and A^H.

    h_k = h_{k-1} + G_k([h_{k-1}, A x_{k-1}^(2), y, s]),    x_k = x_{k-1} + L_k([x_{k-1}, A^H h_k^(1), s])

h and x hold several images of samples and of the scene each; the result is the first image of x. Everything starts at zero.
The dual network sees the last two axes of the measurement as an image; whatever stands before them (coils, colours, pairs of
antennas) is cut into groups of ``data_channels`` real channels that are all processed alike, so sensors need not agree in it.

Source: Adler and Oktem (2018), Learned Primal-Dual Reconstruction, IEEE Trans. Med. Imaging 37(6), algorithm 3 and section III-B;
the noise level s as a further input is ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from echoform.linalg.inner import expand
from echoform.nets.channels import from_channels, to_channels
from echoform.nets.one_pass import OnePassNetwork
from echoform.nets.sensing import Sensing


@dataclass(frozen=True)
class PDNetConfig:
    """Size of a learned primal-dual network.

    Attributes:
        image_channels: real channels of the image (1 gray, 2 complex, 3 colour).
        data_channels: real channels of the samples that are processed together (2: one complex plane of samples).
        iterations: number of primal-dual steps.
        memory: images kept in x and in h.
        features: width of the networks.
    """

    kind: ClassVar[str] = "primal-dual"

    image_channels: int = 2
    data_channels: int = 2
    iterations: int = 10
    memory: int = 5
    features: int = 32

    def build(self) -> PDNet:
        """Return a network of this size with drawn weights."""
        return PDNet(self)


class Update(nn.Module):
    """state + three convolutions of [state, what is known]."""

    def __init__(self, known: int, state: int, features: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(known + state, features, 3, padding=1),
            nn.PReLU(),
            nn.Conv2d(features, features, 3, padding=1),
            nn.PReLU(),
            nn.Conv2d(features, state, 3, padding=1),
        )

    def forward(self, state: Tensor, *known: Tensor) -> Tensor:
        """Return the new state, (B, state, H, W)."""
        return state + self.layers(torch.cat([state, *known], 1))


class PDNet(OnePassNetwork):
    """R(y, A, s_n) by learned primal-dual steps, each with its own weights.

    Args:
        config: size.

    Raises:
        ValueError: fewer than two images of memory: one is measured, another is the result.
    """

    def __init__(self, config: PDNetConfig) -> None:
        super().__init__()
        if config.memory < 2:
            raise ValueError(f"a primal-dual network needs a memory of two images or more, got {config.memory}")
        self.config = config
        image, data = config.image_channels, config.data_channels
        self.primal = nn.ModuleList(
            [Update(image + 1, config.memory * image, config.features) for _ in range(config.iterations)]
        )
        self.dual = nn.ModuleList(
            [Update(2 * data + 1, config.memory * data, config.features) for _ in range(config.iterations)]
        )

    def reconstruct(self, sensing: Sensing) -> Tensor:
        """Return the image of a normalised problem, (B, C, H', W').

        Raises:
            ValueError: the image or the samples have not the channels the network was made for.
        """
        operator, complex_image = sensing.operator, sensing.operator.dtype.is_complex
        c, d = self.config.image_channels, self.config.data_channels
        y = _planes(sensing.y, d)
        zero = to_channels(torch.zeros_like(sensing.backprojection), complex_image)
        if zero.shape[1] != c:
            raise ValueError(
                f"this PDNet takes images of {c} real channels (2: one complex image), got {zero.shape[1]}"
            )
        x, h = zero.repeat(1, self.config.memory, 1, 1), torch.zeros_like(y).repeat(1, self.config.memory, 1, 1)
        level = sensing.sigma / (2**0.5 if complex_image else 1)
        noise = expand(level, 3).expand(-1, 1, *x.shape[-2:])
        data_noise = expand(level.repeat_interleave(y.shape[0] // len(level)), 3).expand(-1, 1, *y.shape[-2:])
        for dual, primal in zip(self.dual, self.primal, strict=True):
            measured = _exactly(operator, from_channels(x[:, c : 2 * c], complex_image))
            h = dual(h, _planes(measured, d), y, data_noise)
            back = _exactly(operator.adjoint, _samples(h[:, :d], sensing.y))
            x = primal(x, to_channels(back, complex_image), noise)
        return from_channels(x[:, :c], complex_image)


def _exactly(physics: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return A x or A^H x in the precision of ``x``, whatever the convolutions around it run in."""
    with torch.autocast(x.device.type, enabled=False):
        return physics(x)


def _planes(y: Tensor, channels: int) -> Tensor:
    """Return samples (B, ..., H, W) as images, (B n, channels, H, W), n groups of planes to a scene; one axis is a row."""
    rows = y[:, None] if y.ndim == 2 else y
    real = to_channels(rows.reshape(len(y), -1, *rows.shape[-2:]), y.is_complex())
    if real.shape[1] % channels:
        raise ValueError(
            f"samples of shape {tuple(y.shape[1:])} have {real.shape[1]} real channels, no multiple of the {channels} "
            "this PDNet processes together; build one with another data_channels"
        )
    return real.reshape(-1, channels, *real.shape[-2:])


def _samples(planes: Tensor, like: Tensor) -> Tensor:
    """Return the samples of :func:`_planes`, of the shape of ``like``."""
    real = planes.reshape(len(like), -1, *planes.shape[-2:])
    return from_channels(real, like.is_complex()).reshape(like.shape)
