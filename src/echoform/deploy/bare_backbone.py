"""The backbone alone, for programs that bring their own physics: the residual U-Net between head and tail, no Krylov modules.

Every block is x + conv2(u), u = ReLU((1 + g) conv1(x) + b): what a block of the network gives when its ``gain`` is zero.
"""

from __future__ import annotations

import copy
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from echoform.deploy.exportable import Exportable
from echoform.nets.backbone import FACTORS
from echoform.nets.blocks import Level, ResidualBlock, Stage
from echoform.nets.channels import image_kind
from echoform.nets.ram import RAM
from echoform.physics.operator import LinearOperator


class BareBlock(nn.Module):
    """A residual block without physics.

    Args:
        block: whose convolutions it shares.
    """

    def __init__(self, block: ResidualBlock) -> None:
        super().__init__()
        self.conv1, self.conv2, self.modulation = block.conv1, block.conv2, block.modulation

    def forward(self, x: Tensor, _: Level, __: int, noise: Tensor | None = None, overwrite: bool = False) -> Tensor:
        """Return the block's output, the shape of ``x``."""
        u = self.conv1(x)
        if self.modulation is not None and noise is not None:
            gain, shift = self.modulation(noise)[:, :, None, None].chunk(2, 1)
            u = torch.addcmul(shift, u, 1 + gain)
        return x + self.conv2(functional.relu(u))


class BareBackbone(Exportable):
    """The backbone of a RAM for images of one kind and size, padded to multiples of 8 below and to the right.

    Args:
        network: RAM; it stays as it is.
        operator: a sensor of images of that kind and size; nothing else of it is used.

    Raises:
        ValueError: the network has no head for the sensor's images.
    """

    def __init__(self, network: RAM, operator: LinearOperator) -> None:
        super().__init__()
        self.kind = image_kind(operator, network.config.image_channels)
        self.sides = tuple(-(-side // FACTORS[-1]) * FACTORS[-1] for side in operator.domain_shape[1:])
        self.embedding = network.config.embedding
        self.body = copy.deepcopy(network.body).eval()
        for module in self.body.modules():
            if isinstance(module, Stage):
                module.enc = nn.ModuleList(BareBlock(cast(ResidualBlock, block)) for block in module.enc)

    def example_inputs(self) -> tuple[Tensor, ...]:
        """Return the head's channels, (1, C, H, W), and, where the network has one, the noise embedding, (1, E); all ones."""
        channels = cast(nn.Conv2d, self.body.m_head[f"conv{self.kind}"]).in_channels
        inputs = torch.ones(1, channels, *self.sides)
        return (inputs, torch.ones(1, self.embedding)) if self.embedding else (inputs,)

    def described(self) -> str:
        """Return that it is the backbone."""
        return "the backbone"

    def forward(self, channels: Tensor, noise: Tensor | None = None) -> Tensor:
        """Return the tail's channels, (1, C', H, W)."""
        no_levels = cast(list[Level], [None] * len(FACTORS))
        output, _ = self.body(channels, no_levels, self.kind, noise)
        return output
