"""What the families of optics share: photographs of one or three channels, or pictures like them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor

from echoform.scene.dead_leaves import dead_leaves
from echoform.scene.photographs import Photographs, brightness
from echoform.scene.random_source import RandomSource
from echoform.scene.scene import Scene
from echoform.train.problems.problem import ProblemFamily

#: one of a few values
Value = TypeVar("Value")


@dataclass(frozen=True)
class Pictures:
    """How many pictures a batch holds, and of how many channels."""

    batch: int
    channels: int


@dataclass(frozen=True)
class Optics:
    """What was drawn for a batch whose sensors are told by one tensor.

    Attributes:
        pictures: of the batch.
        sensors: what the operator is built from, (B, ...) or (1, ...).
    """

    pictures: Pictures
    sensors: Tensor


Layout = TypeVar("Layout")


@dataclass(frozen=True, kw_only=True)
class PictureFamily(ProblemFamily[Layout]):
    """Ranges that the families of optics share; images are real, from 0 to 1.

    Attributes:
        channels: numbers from which each batch's is chosen: 1 for brightness, 3 for colour.
        photographs: of three channels, or None for simulated pictures alone.
        measured: share of batches made of photographs, where there are some.
    """

    channels: tuple[int, ...] = (1, 3)
    photographs: Photographs | None = None
    measured: float = 0.8

    def pictures(self, source: RandomSource, batch: int) -> Pictures:
        """Draw the number of channels."""
        return Pictures(batch, one_of(source, self.channels))

    def draw_pictures(self, source: RandomSource, pictures: Pictures) -> Scene:
        """Draw photographs, or pictures like them."""
        if self.photographs is not None and bool(source.chance((), self.measured)):
            scene = self.photographs.draw(source, pictures.batch, self.shape)
            return scene if pictures.channels == scene.image.shape[1] else Scene(brightness(scene.image))
        return dead_leaves(source, pictures.batch, self.shape, channels=pictures.channels)


def one_of(source: RandomSource, choices: tuple[Value, ...]) -> Value:
    """Return one of the choices, each as likely."""
    return choices[int(source.integers((), 0, len(choices)))]
