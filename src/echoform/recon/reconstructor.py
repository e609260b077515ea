"""The one door of reconstruction: a measurement in, an estimate out, whatever the method."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from echoform.measure.measurement import Measurement


@dataclass(frozen=True)
class Estimate:
    """What a reconstructor returns.

    Attributes:
        mean: the image, (B, C, H, W).
        std: standard deviation per pixel, (B, C, H, W), real, when the method knows it.
        samples: posterior samples, (S, B, C, H, W), when the method draws them.
        facts: numbers about the run worth reporting: chosen parameter, iterations, final residual.
    """

    mean: Tensor
    std: Tensor | None = None
    samples: Tensor | None = None
    facts: dict[str, float] = field(default_factory=dict)


class Reconstructor(nn.Module, ABC):
    """A method that forms images from measurements."""

    @abstractmethod
    def forward(self, measurement: Measurement, *, generator: torch.Generator | None = None) -> Estimate:
        """Return the estimate of the scene.

        Args:
            measurement: samples, operator and noise, B scenes at once.
            generator: source of randomness; methods that draw nothing ignore it.
        """
