"""Plain U-Net artefact removal: a linear image in, an image out, no physics inside.

    R(y, A, s_n) = x + U([x, s 1]),    x = A^H y / m the matched filter, s its noise level per real channel

Two convolutions a scale, halving by maxima, doubling by repetition, skips side by side. No normalisation over the batch, so that
an image never depends on its neighbours, and no bias.

Source: Ronneberger et al. (2015), U-Net; Jin et al. (2017), IEEE Trans. Image Process. 26(9), section III, for inverse problems.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn

from echoform.linalg.inner import expand
from echoform.nets.blocks import conv3
from echoform.nets.channels import from_channels, to_channels
from echoform.nets.one_pass import OnePassNetwork, linear_image
from echoform.nets.sensing import Sensing


@dataclass(frozen=True)
class UNetConfig:
    """Size of a U-Net.

    Attributes:
        image_channels: real channels of the image (1 gray, 2 complex, 3 colour).
        channels: features at the four scales.
    """

    kind: ClassVar[str] = "u-net"

    image_channels: int = 2
    channels: tuple[int, int, int, int] = (64, 128, 256, 512)

    def build(self) -> UNet:
        """Return a network of this size with drawn weights."""
        return UNet(self)


class UNet(OnePassNetwork):
    """Artefact removal on the matched filter.

    Args:
        config: size.
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        pairs = list(pairwise(config.channels))
        self.head = _twice(config.image_channels + 1, config.channels[0])
        self.down = nn.ModuleList([nn.Sequential(nn.MaxPool2d(2), _twice(a, b)) for a, b in pairs])
        self.up = nn.ModuleList([nn.Sequential(nn.Upsample(scale_factor=2), conv3(b, a), nn.ReLU()) for a, b in pairs])
        self.merge = nn.ModuleList([_twice(2 * a, a) for a, _ in pairs])
        self.tail = nn.Conv2d(config.channels[0], config.image_channels, 1, bias=False)

    def reconstruct(self, sensing: Sensing) -> Tensor:
        """Return the cleaned image of a normalised problem, (B, C, H', W')."""
        linear = linear_image(sensing)
        complex_image = linear.image.is_complex()
        level = linear.noise / (2**0.5 if complex_image else 1)
        channels = to_channels(linear.image, complex_image)
        noise = expand(level, 3).expand(-1, 1, *channels.shape[-2:])
        return linear.image + from_channels(self.body(torch.cat([channels, noise], 1)), complex_image)

    def body(self, inputs: Tensor) -> Tensor:
        """Return U of (B, image_channels + 1, H, W), sides multiples of eight."""
        skips = [self.head(inputs)]
        for down in self.down:
            skips.append(down(skips[-1]))
        x = skips.pop()
        for up, merge in zip(reversed(self.up), reversed(self.merge), strict=True):
            x = merge(torch.cat([skips.pop(), up(x)], 1))
        return self.tail(x)


def _twice(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(conv3(inputs, outputs), nn.ReLU(), conv3(outputs, outputs), nn.ReLU())
