"""3 x 3 convolutions to a few channels: one matrix product over all nine taps, then nine shifted sums.

    P[i, j] = W[:, :, i, j] x,        y[r, c] = sum_{i, j} P[i, j][r + i - 1, c + j - 1],        zeros around the map.

Libraries work in blocks of output channels, as many as the processor's registers hold (8 or 16), so that two cost what a block
would; here the product has 9 O rows. From five eighths of a block on, whole blocks are quicker, filled up with zeros.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from echoform.nets.strips import CPU_STRIP, in_one_piece

TAPS = 3
#: output channels of a block of the library's, by what PyTorch calls the processor, and the widest
BLOCKS, WIDEST = {"AVX2": 8}, 16


class NarrowConvolution(nn.Conv2d):
    """3 x 3 to few channels, zeros around the map, no bias; its parameters are those of ``nn.Conv2d``."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, TAPS, padding=1, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        """Return the convolution, (B, O, H, W)."""
        if in_one_piece() or input.device.type != "cpu" or input.dtype != self.weight.dtype:
            return functional.conv2d(input, self.weight, padding=1)
        block = BLOCKS.get(torch.backends.cpu.get_cpu_capability(), WIDEST)
        if 8 * self.out_channels < 5 * block:
            return summed_taps(input, self.weight)
        whole = functional.pad(self.weight, (0, 0, 0, 0, 0, 0, 0, -self.out_channels % block))
        return functional.conv2d(input, whole, padding=1)[:, : self.out_channels]


def summed_taps(x: Tensor, weight: Tensor) -> Tensor:
    """Return the convolution of x, (B, C, H, W), with kernels (O, C, 3, 3), the products made strip by strip."""
    batch, channels, height, width = x.shape
    taps = weight.permute(2, 3, 0, 1).reshape(-1, channels)
    sums = x.new_zeros(batch, len(weight), height + 2, width + 2)
    step = max(1, CPU_STRIP // (batch * width))
    for top in range(0, height, step):
        strip = x[:, :, top : top + step].permute(0, 2, 3, 1)
        rows = strip.shape[1]
        products = torch.matmul(taps, strip.reshape(batch, -1, channels).mT)
        products = products.view(batch, TAPS, TAPS, len(weight), rows, width)
        for i in range(TAPS):
            for j in range(TAPS):
                place = sums[:, :, top + 2 - i : top + 2 - i + rows, 2 - j : 2 - j + width]
                place += products[:, i, j]
    return sums[:, :, 1:-1, 1:-1]
