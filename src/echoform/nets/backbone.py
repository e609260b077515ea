"""The RAM body: a four-scale U-Net whose every residual block is conditioned on the physics of its scale."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from echoform.nets.blocks import Level, Stage, conv3
from echoform.nets.narrow import NarrowConvolution

#: coarsening factors of the four scales
FACTORS = (1, 2, 4, 8)


class Backbone(nn.Module):
    """Head, three downward stages, body, three upward stages, tail, with additive skips.

    Args:
        channels: features at the four scales.
        blocks: residual blocks a stage.
        image_channels: real channels of each kind of image served (1 gray, 2 complex, 3 colour): kind i has its own
            head, tail and physics convolutions; everything else is shared.
        input_channels: channels entering the head of each kind.
        embedding: length of the noise embedding, 0 for none (the official network).

    Source: RAM paper, section 3 and figure 2.
    """

    def __init__(
        self,
        channels: Sequence[int],
        *,
        blocks: int,
        image_channels: tuple[int, ...],
        input_channels: tuple[int, ...],
        embedding: int,
    ) -> None:
        super().__init__()
        c0, c1, c2, c3 = channels

        def stage(width: int) -> Stage:
            return Stage(width, image_channels, blocks=blocks, embedding=embedding)

        self.m_head = nn.ModuleDict({f"conv{i}": conv3(c, c0) for i, c in enumerate(input_channels)})
        self.m_down1, self.m_down2, self.m_down3 = stage(c0), stage(c1), stage(c2)
        self.m_body = stage(c3)
        self.m_up3, self.m_up2, self.m_up1 = stage(c2), stage(c1), stage(c0)
        self.pool1 = nn.Conv2d(c0, c1, 2, stride=2, bias=False)
        self.pool2 = nn.Conv2d(c1, c2, 2, stride=2, bias=False)
        self.pool3 = nn.Conv2d(c2, c3, 2, stride=2, bias=False)
        self.up3 = nn.ConvTranspose2d(c3, c2, 2, stride=2, bias=False)
        self.up2 = nn.ConvTranspose2d(c2, c1, 2, stride=2, bias=False)
        self.up1 = nn.ConvTranspose2d(c1, c0, 2, stride=2, bias=False)
        self.m_tail = nn.ModuleDict({f"conv{i}": NarrowConvolution(c0, c) for i, c in enumerate(image_channels)})

    def forward(
        self, inputs: Tensor, levels: Sequence[Level], kind: int, noise: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the output image's channels, (B, image_channels[kind], H, W), and the features they were made from.

        Args:
            inputs: (B, input_channels[kind], H, W), sides multiples of 8.
            levels: the physics at factors 1, 2, 4, 8.
            kind: which kind of image.
            noise: embedding of the noise levels, (B, embedding), for networks built with one.
        """
        l1, l2, l4, l8 = levels
        skips = [self.m_head[f"conv{kind}"](inputs)]
        downward = ((self.m_down1, l1, self.pool1), (self.m_down2, l2, self.pool2), (self.m_down3, l4, self.pool3))
        for down, level, pool in downward:
            skips.append(pool(down(skips[-1], level, kind, noise)))
        x = self.m_body(skips[-1], l8, kind, noise)
        for up, stage, level in ((self.up3, self.m_up3, l4), (self.up2, self.m_up2, l2), (self.up1, self.m_up1, l1)):
            x = up(x + skips.pop())  # no map is held longer than it is needed
            x = stage(x, level, kind, noise, overwrite=True)
        features = x + skips.pop()
        return self.m_tail[f"conv{kind}"](features), features
