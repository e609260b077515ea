"""Networks from a measurement to an image in one pass, whatever they are made of: normalise, reconstruct, put the scale back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor, nn

from echoform.linalg.inner import expand
from echoform.measure.measurement import Measurement
from echoform.nets.sensing import SIDE_MULTIPLE, Sensing, normalize


class OnePassNetwork(nn.Module, ABC):
    """R(y, A, s_n), equivariant to the scale of y and A because it only ever sees the normalised problem."""

    def forward(self, measurement: Measurement, *, scale: Tensor | None = None) -> Tensor:
        """Return the image, (B, C, H, W).

        Args:
            measurement: B scenes.
            scale: RMS of the image, (B,), when known; estimated from the measurement otherwise.

        Raises:
            ValueError: the noise is not Gaussian of a positive level.
        """
        sensing = self.prepare(measurement, scale=scale)
        return sensing.restored(self.reconstruct(sensing))

    def prepare(self, measurement: Measurement, *, scale: Tensor | None = None) -> Sensing:
        """Return the normalised problem."""
        return normalize(measurement, multiple=SIDE_MULTIPLE, scale=scale)

    @abstractmethod
    def reconstruct(self, sensing: Sensing) -> Tensor:
        """Return the image of a normalised problem in its own units, (B, C, H', W')."""


@dataclass(frozen=True)
class LinearImage:
    """The matched filter of a normalised problem, x = A'^H y' / m with m = tr(A'^H A') / n: what methods start from.

    Attributes:
        image: x, (B, C, H', W').
        noise: RMS of its noise, s' / sqrt(m), (B,).
        error: RMS of x - x' for a white scene x' of RMS one: artefacts and noise, (B,).
    """

    image: Tensor
    noise: Tensor
    error: Tensor


def linear_image(sensing: Sensing) -> LinearImage:
    """Return the matched filter and what it is expected to be wrong by, error^2 = tr (A'^H A' / m - I)^2 / n + noise^2.

    Raises:
        ValueError: the operator is zero for at least one sensor.
    """
    mean = sensing.spectrum.mean(lambda eigenvalue: eigenvalue)
    if bool((mean <= 0).any()):
        raise ValueError("the operator is zero for at least one sensor: there is no image to start from")
    artefacts = sensing.spectrum.mean(lambda eigenvalue: (eigenvalue / mean[:, None] - 1).square())
    noise = sensing.sigma.square() / mean
    image = sensing.backprojection / expand(mean.to(sensing.sigma), 3)
    return LinearImage(image, noise.sqrt().to(sensing.sigma), (artefacts + noise).sqrt().to(sensing.sigma))
