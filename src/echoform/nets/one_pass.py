"""Networks from a measurement to an image in one pass, whatever they are made of: normalise, reconstruct, put the scale back."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from echoform.linalg.inner import expand
from echoform.measure.measurement import Measurement
from echoform.nets.sensing import Sensing, normalize

#: sides are padded to a multiple of this
SIDE_MULTIPLE = 8


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
        sensing = normalize(measurement, multiple=SIDE_MULTIPLE, scale=scale)
        return sensing.restored(self.reconstruct(sensing))

    @abstractmethod
    def reconstruct(self, sensing: Sensing) -> Tensor:
        """Return the image of a normalised problem in its own units, (B, C, H', W')."""


def linear_image(sensing: Sensing) -> tuple[Tensor, Tensor]:
    """Return the matched filter A'^H y' / m, m = tr(A'^H A') / n, (B, C, H', W'), and its noise level s' / sqrt(m), (B,).

    Raises:
        ValueError: the operator is zero for at least one sensor.
    """
    mean = sensing.spectrum.mean(lambda eigenvalue: eigenvalue).to(sensing.sigma)
    if bool((mean <= 0).any()):
        raise ValueError("the operator is zero for at least one sensor: there is no image to start from")
    return sensing.backprojection / expand(mean, 3), sensing.sigma / mean.sqrt()
