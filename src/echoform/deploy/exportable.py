"""What can be carried out by another engine: a function of real tensors whose shapes are fixed."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Exportable(nn.Module, ABC):
    """A module from real tensors to one real tensor; inside it may compute with complex numbers."""

    @abstractmethod
    def example_inputs(self) -> tuple[Tensor, ...]:
        """Return tensors of the shapes that the exported model takes."""

    @abstractmethod
    def described(self) -> str:
        """Return what it is in a few words, for messages."""
