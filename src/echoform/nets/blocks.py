"""Building blocks of the RAM body: residual blocks whose features pass through the physics.

Layer names follow the published checkpoint, so that its state dict maps one to one. No layer has a bias: with the official
head the network is equivariant to the scale of image and noise (RAM paper, section 3, "Noise conditioning & biases").
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from echoform.nets.channels import from_channels, to_channels
from echoform.nets.convolution import Convolution
from echoform.nets.narrow import NarrowConvolution
from echoform.nets.strips import convolved, in_strips
from echoform.physics.operator import LinearOperator

#: images decoded from the features of every block, and Krylov powers (A^H A)^0, (A^H A)^1 taken of each
DECODED_IMAGES = 2
KRYLOV_POWERS = 2


@dataclass(frozen=True)
class Level:
    """The physics at one scale.

    Attributes:
        operator: A_s, the sensor on this scale's grid.
        gram_scale: factor on A_s^H A_s, s^2 for a grid s times coarser, which keeps its norm near one at every scale.
        embedding: [A_s^H y, s^2 A_s^H A_s A_s^H y] as real channels, (B, 2 C, H, W).
        complex_image: whether images are complex (two real channels each).
    """

    operator: LinearOperator
    gram_scale: float
    embedding: Tensor
    complex_image: bool


def conv3(inputs: int, outputs: int) -> nn.Conv2d:
    """Return a 3 x 3 convolution without bias that keeps the size."""
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)


class Decoder(nn.Module):
    """Features to images: one 3 x 3 convolution (``zero_conv_skip`` is carried by the checkpoint and unused)."""

    def __init__(self, channels: int, image_channels: int) -> None:
        super().__init__()
        self.convin = NarrowConvolution(channels, image_channels * DECODED_IMAGES)
        self.zero_conv_skip = nn.Conv2d(channels, image_channels * DECODED_IMAGES, 1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, 2 C, H, W), two images side by side in the channel axis."""
        return self.convin(features)


class Encoder(nn.Module):
    """Images back to features: [3x3 + 1x1], then 3x3, ReLU, 3x3 beside a 1x1 skip."""

    def __init__(self, image_channels: int, channels: int) -> None:
        super().__init__()
        inputs = image_channels * KRYLOV_POWERS * (1 + DECODED_IMAGES)
        self.image_channels = image_channels
        self.convin = conv3(inputs, inputs)
        self.zero_conv_skip = nn.Conv2d(inputs, inputs, 1, bias=False)
        self.conv10 = conv3(inputs, inputs)
        self.conv20 = conv3(inputs, channels)
        self.skipconv0 = nn.Conv2d(inputs, channels, 1, bias=False)

    def prepared(self, embedding: Tensor, images: Tensor, products: Tensor) -> tuple[Tensor, Tensor]:
        """Return the maps that the last layer reads, both (B, 6 C, H, W): x after [3x3 + 1x1], and ReLU(3x3 of x).

        The weights expect [embedding, v_1, G v_1, v_2, G v_2]; permuting them is cheaper than interleaving images. The 1x1 skip
        is folded into its 3x3 (same numbers, one pass).

        Args:
            embedding: the measurement's own Krylov pair, (B, 2 C, H, W).
            images: v_1 and v_2, (B, 2 C, H, W).
            products: G v_1 and G v_2, (B, 2 C, H, W).
        """
        folded = self.convin.weight + functional.pad(self.zero_conv_skip.weight, (1, 1, 1, 1))
        measured, *pairs = folded.split(self.image_channels * KRYLOV_POWERS, 1)
        halves = [pair.chunk(KRYLOV_POWERS, 1) for pair in pairs]
        weight = torch.cat([measured, *(half[0] for half in halves), *(half[1] for half in halves)], 1)
        x = functional.conv2d(torch.cat([embedding, images, products], 1), weight, padding=1)
        return x, functional.relu(self.conv10(x), inplace=True)

    def rows(self, x: Tensor, activated: Tensor, top: int, bottom: int) -> Tensor:
        """Return the rows of the features, (B, channels, bottom - top, W), from what :meth:`prepared` returned."""
        skip = self.skipconv0(x[:, :, top:bottom])
        return skip.add_(convolved(activated, self.conv20.weight, top, bottom))


class KrylovModule(nn.Module):
    """Krylov subspace module: decode, apply A_s^H A_s, stack beside the measurement's own pair, encode.

    Source: RAM paper, section 3, equation 4 and figure 2.
    """

    def __init__(self, channels: int, image_channels: tuple[int, ...]) -> None:
        super().__init__()
        self.image_channels = image_channels
        self.decoding_conv = nn.ModuleDict({f"tail{i}": Decoder(channels, c) for i, c in enumerate(image_channels)})
        self.encoding_conv = nn.ModuleDict({f"head{i}": Encoder(c, channels) for i, c in enumerate(image_channels)})

    def forward(self, features: Tensor, level: Level, kind: int) -> Callable[[int, int], Tensor]:
        """Return what gives rows of ReLU(encode([embedding, v_1, G v_1, v_2, G v_2])), G = s^2 A_s^H A_s, all in one product."""
        encoder = self.encoding_conv[f"head{kind}"]
        assert isinstance(encoder, Encoder)
        decoded = self.decoding_conv[f"tail{kind}"](features)
        images = from_channels(decoded.unflatten(1, (DECODED_IMAGES, -1)), level.complex_image)
        with torch.autocast(images.device.type, enabled=False):  # physics keeps its precision
            products = level.gram_scale * level.operator.normal(images.transpose(0, 1)).transpose(0, 1)
        real = to_channels(products, level.complex_image).flatten(1, 2).to(decoded)
        x, activated = encoder.prepared(level.embedding.to(decoded), decoded, real)
        return lambda top, bottom: functional.relu(encoder.rows(x, activated, top, bottom), inplace=True)


class ResidualBlock(nn.Module):
    """x + conv2(u) + gain * physics(u) with u = ReLU((1 + g) conv1(x) + b); g = b = 0 without noise embedding."""

    def __init__(self, channels: int, image_channels: tuple[int, ...], embedding: int) -> None:
        super().__init__()
        self.conv1 = Convolution(channels, channels)
        self.conv2 = Convolution(channels, channels)
        self.gain = nn.Parameter(torch.ones(1))
        self.PhysicsBlock = KrylovModule(channels, image_channels)
        self.modulation = nn.Linear(embedding, 2 * channels) if embedding else None
        if self.modulation is not None:
            nn.init.zeros_(self.modulation.weight)
            nn.init.zeros_(self.modulation.bias)

    def forward(
        self, x: Tensor, level: Level, kind: int, noise: Tensor | None = None, overwrite: bool = False
    ) -> Tensor:
        """Return the block's output, the shape of ``x``, in its memory where that may be overwritten and gradients are not kept.

        Args:
            x: features, (B, channels, H, W).
            level: the physics at this scale.
            kind: which kind of image.
            noise: the embedding of the noise levels, (B, E).
            overwrite: whether nobody else needs ``x`` any more.
        """
        modulated = None
        if self.modulation is not None and noise is not None:
            gain, shift = self.modulation(noise)[:, :, None, None].chunk(2, 1)
            modulated = (1 + gain, shift)

        def activated(top: int, bottom: int) -> Tensor:
            u = self.conv1.rows(x, top, bottom)
            if modulated is not None:
                u = torch.addcmul(modulated[1], u, modulated[0])
            return functional.relu(u, inplace=True)

        u = in_strips(activated, x)
        physics = self.PhysicsBlock(u, level, kind)

        def combined(top: int, bottom: int) -> Tensor:
            sum_ = self.conv2.rows(u, top, bottom).add_(x[:, :, top:bottom])
            return sum_.addcmul_(physics(top, bottom), self.gain)

        return in_strips(combined, x, into=x if overwrite else None)


class Stage(nn.Module):
    """Residual blocks at one scale."""

    def __init__(self, channels: int, image_channels: tuple[int, ...], *, blocks: int, embedding: int) -> None:
        super().__init__()
        self.enc = nn.ModuleList([ResidualBlock(channels, image_channels, embedding) for _ in range(blocks)])

    def forward(
        self, x: Tensor, level: Level, kind: int, noise: Tensor | None = None, overwrite: bool = False
    ) -> Tensor:
        """Return the features after all blocks; arguments as of :meth:`ResidualBlock.forward`."""
        for i, block in enumerate(self.enc):
            x = block(x, level, kind, noise, overwrite or i > 0)
        return x
