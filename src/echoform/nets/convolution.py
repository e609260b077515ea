"""The 3 x 3 convolution of residual blocks: by rows, and by Winograd's tiles once a network is prepared for inference."""

from __future__ import annotations

from typing import TypeVar

from torch import Tensor, nn

from echoform.nets import column_tiles, winograd
from echoform.nets.strips import convolved, in_one_piece

#: memory of transformed kernels up to which a reconstructor prepares a network without being asked, in bytes
LITTLE = 2**27
#: channels from which on tiles of columns, and tiles in both directions, are quicker than the plain sum on a CPU
MIDDLE, WIDE = 64, 256

Network = TypeVar("Network", bound=nn.Module)


class Convolution(nn.Conv2d):
    """3 x 3, zeros around the map, no bias; its parameters are those of ``nn.Conv2d``."""

    kernels: Tensor | None

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1, bias=False)
        self.register_buffer("kernels", None, persistent=False)
        self.prepared_version = -1

    def prepare(self) -> None:
        """Transform the kernels; done anew when the weights have changed since."""
        transformed = winograd.transformed if self.in_channels >= WIDE else column_tiles.transformed
        self.kernels = transformed(self.weight.detach())
        self.prepared_version = self._weight_version()

    def _weight_version(self) -> int:
        """A number that changes whenever the weights are written to."""
        return 0 if self.weight.is_inference() else self.weight._version

    def rows(self, x: Tensor, top: int, bottom: int) -> Tensor:
        """Return the rows from ``top`` to ``bottom`` of the convolution of a whole map."""
        if in_one_piece() or self.kernels is None or x.device.type != "cpu" or self.kernels.dtype != x.dtype:
            return convolved(x, self.weight, top, bottom)
        if self.prepared_version != self._weight_version():
            self.prepare()
        by_tiles = winograd.convolved_by_tiles if self.in_channels >= WIDE else column_tiles.convolved_by_columns
        return by_tiles(x, self.kernels, top, bottom)


def prepared_for_inference(network: Network) -> Network:
    """Return the network itself, its convolutions of 64 channels and more ready for use without gradients, quicker on a CPU.

    The transformed kernels take 2.7 times (below 256 channels) or four times the memory of the weights they come from, 485 MB for
    the official network; its output changes by 1e-6.
    """
    for layer in _wide_layers(network):
        layer.prepare()
    return network


def prepared_bytes(network: nn.Module) -> int:
    """Return the memory that the transformed kernels of :func:`prepared_for_inference` take."""
    numbers = 0
    for layer in _wide_layers(network):
        filtering = winograd if layer.in_channels >= WIDE else column_tiles
        numbers += filtering.NUMBERS_PER_PAIR * layer.in_channels * layer.out_channels * layer.weight.element_size()
    return numbers


def _wide_layers(network: nn.Module) -> list[Convolution]:
    return [m for m in network.modules() if isinstance(m, Convolution) and m.in_channels >= MIDDLE]
