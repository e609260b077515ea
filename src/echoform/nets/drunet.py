"""DRUNet, the denoiser of plug-and-play restoration: a residual U-Net whose last input channel is the noise level.

    D(x, s) = U([x, s 1]),    s per real channel

No layer has a bias, so D(c x, c s) = c D(x, s). Layer names follow the published weights, which load as they are.

Source: Zhang et al. (2021), Plug-and-Play Image Restoration with Deep Denoiser Prior, section 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from echoform.linalg.inner import expand
from echoform.nets.blocks import conv3
from echoform.nets.channels import from_channels, to_channels

#: sides are padded to a multiple of this, the coarsening of the body
SIDE_MULTIPLE = 8


@dataclass(frozen=True)
class DRUNetConfig:
    """Size of a DRUNet.

    Attributes:
        image_channels: real channels of the image (1 gray, 2 complex, 3 colour).
        channels: features at the four scales.
        blocks: residual blocks a stage.
    """

    image_channels: int = 2
    channels: tuple[int, int, int, int] = (64, 128, 256, 512)
    blocks: int = 4


class PlainBlock(nn.Module):
    """x + conv(ReLU(conv(x))): the residual block of :mod:`echoform.nets.blocks` without physics."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.res = nn.Sequential(conv3(channels, channels), nn.ReLU(), conv3(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output, the shape of ``x``."""
        return x + self.res(x)


class DRUNet(nn.Module):
    """The denoiser D(x, s) of complex or real images.

    Args:
        config: size; image_channels says which images it takes.
    """

    def __init__(self, config: DRUNetConfig) -> None:
        super().__init__()
        self.config = config
        c0, c1, c2, c3 = config.channels

        def stage(width: int) -> list[nn.Module]:
            return [PlainBlock(width) for _ in range(config.blocks)]

        def down(fine: int, coarse: int) -> nn.Sequential:
            return nn.Sequential(*stage(fine), nn.Conv2d(fine, coarse, 2, stride=2, bias=False))

        def up(coarse: int, fine: int) -> nn.Sequential:
            return nn.Sequential(nn.ConvTranspose2d(coarse, fine, 2, stride=2, bias=False), *stage(fine))

        self.m_head = conv3(config.image_channels + 1, c0)
        self.m_down1, self.m_down2, self.m_down3 = down(c0, c1), down(c1, c2), down(c2, c3)
        self.m_body = nn.Sequential(*stage(c3))
        self.m_up3, self.m_up2, self.m_up1 = up(c3, c2), up(c2, c1), up(c1, c0)
        self.m_tail = conv3(c0, config.image_channels)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Return D(x, s).

        Args:
            x: (B, C, H, W), sides of any length: they are padded by repeating the border.
            sigma: standard deviation of the noise, (B,) or (1,), in all for complex images.

        Raises:
            ValueError: the images have not the channels the network was made for.
        """
        complex_image = x.is_complex()
        inputs = to_channels(x, complex_image)
        batch, channels, height, width = inputs.shape
        if channels != self.config.image_channels:
            raise ValueError(
                f"this DRUNet takes images of {self.config.image_channels} real channels (2: one complex image), "
                f"got {channels}; build one with image_channels={channels}"
            )
        padding = (0, -width % SIDE_MULTIPLE, 0, -height % SIDE_MULTIPLE)
        inputs = functional.pad(inputs, padding, mode="replicate")
        level = sigma.to(inputs) / (2**0.5 if complex_image else 1)
        noise = expand(level, 3).expand(batch, 1, *inputs.shape[-2:])
        output = self._body(torch.cat([inputs, noise], 1))[..., :height, :width]
        return from_channels(output, complex_image)

    def _body(self, inputs: Tensor) -> Tensor:
        x1 = self.m_head(inputs)
        x2 = self.m_down1(x1)
        x3 = self.m_down2(x2)
        x4 = self.m_down3(x3)
        x = self.m_up3(self.m_body(x4) + x4)
        x = self.m_up2(x + x3)
        x = self.m_up1(x + x2)
        return self.m_tail(x + x1)
