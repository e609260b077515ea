"""Parts of operators that inference engines do not know, in terms that they do: sparse matrices as gathered neighbours."""

from __future__ import annotations

from typing import TypeVar, cast

import torch
from torch import Tensor, nn

from echoform.linalg.masked_gram import REACH, MaskedGram
from echoform.physics.operator import with_parts

Module = TypeVar("Module", bound=nn.Module)


class GatheredGram(nn.Module):
    """The product of a :class:`~echoform.linalg.masked_gram.MaskedGram`: 49 neighbours gathered, weighted and summed.

    Args:
        gram: whose weights it takes.
    """

    stencil: Tensor
    neighbours: Tensor

    def __init__(self, gram: MaskedGram) -> None:
        super().__init__()
        height, width = gram.stencil.shape[2:4]
        self.register_buffer("stencil", gram.stencil.flatten(2, 3))
        self.register_buffer("neighbours", neighbours(height, width)[None].to(gram.stencil.device))

    def forward(self, x: Tensor) -> Tensor:
        """Return U^T P U x, (..., B, C, H, W)."""
        gathered = x.flatten(-2)[..., self.neighbours[0]]
        return (gathered * self.stencil).sum(-1).unflatten(-1, tuple(x.shape[-2:]))


def neighbours(height: int, width: int) -> Tensor:
    """Return the pixels at most REACH away from each along either axis, in ascending order, (H W, 49)."""
    reach = torch.arange(-REACH, REACH + 1)
    rows = (torch.arange(height)[:, None] + reach) % height
    columns = (torch.arange(width)[:, None] + reach) % width
    return (rows[:, None, :, None] * width + columns[None, :, None, :]).reshape(height * width, -1).sort(1).values


def in_dense_terms(module: Module) -> Module:
    """Return the module with those of its parts, at whatever depth, that multiply by a sparse matrix written in dense terms."""
    if isinstance(module, MaskedGram):
        return cast(Module, GatheredGram(module))
    parts = {name: None if part is None else in_dense_terms(part) for name, part in module._modules.items()}
    return with_parts(module, parts)
