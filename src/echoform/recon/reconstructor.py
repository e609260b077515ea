"""The one door of reconstruction: a measurement in, an estimate out, whatever the method and whatever the noise."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from echoform.measure.measurement import Measurement
from echoform.measure.whitened import single_level


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
    """A method that forms images from measurements, ``method(measurement)``.

    Methods know one noise level per scene. A measurement whose noise has a level per sample, or is correlated, is whitened before
    it reaches them: they see (W y, W A) with W C W^H = I, so that every one of them weighs its samples by what they
    tell. Weights given to a method, and the facts it returns, then belong to the whitened samples.
    """

    def __call__(self, measurement: Measurement, *, generator: torch.Generator | None = None) -> Estimate:
        """Return the estimate of the scene; see :meth:`forward`, which is not for calling.

        Raises:
            ValueError: noise that is not white has a level of zero, or does not fit the samples.
        """
        return super().__call__(single_level(measurement), generator=generator)

    @abstractmethod
    def forward(self, measurement: Measurement, *, generator: torch.Generator | None = None) -> Estimate:
        """Return the estimate of the scene.

        Args:
            measurement: samples, operator and noise of one level per scene, B scenes at once.
            generator: source of randomness; methods that draw nothing ignore it.
        """
