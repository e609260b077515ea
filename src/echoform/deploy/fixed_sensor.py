"""A network bound to one sensor: all that depends on the sensor alone is computed once, the rest is a function of real tensors.

A measurement is prepared outside (its backprojection may need a NUFFT, which no inference engine has), the network with its
physics at every scale runs inside, and the image is put back into its units outside:

    y, s_n  ->  prepare  ->  real tensors  ->  forward (exported)  ->  real channels  ->  image

The state head is given A'^H y' and s', the official head its own input channels and A^H y.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from echoform.deploy.dense_terms import in_dense_terms
from echoform.deploy.exportable import Exportable
from echoform.linalg.inner import expand
from echoform.measure.measurement import Measurement
from echoform.nets.backbone import FACTORS
from echoform.nets.channels import from_channels, image_kind, to_channels
from echoform.nets.official import OfficialInputs, official_inputs
from echoform.nets.ram import RAM
from echoform.nets.sensing import UnitSensor, pyramid
from echoform.physics.noise import GaussianNoise, standard_normal
from echoform.physics.operator import LinearOperator


@dataclass(frozen=True)
class Prepared:
    """What the exported part is given, and what puts its output back into the image's units.

    Attributes:
        inputs: real tensors.
        scale: (B,), factor of the image.
    """

    inputs: tuple[Tensor, ...]
    scale: Tensor


class FixedSensor(Exportable):
    """A RAM bound to one sensor.

    Args:
        network: RAM.
        operator: the sensor, one for all scenes.

    Raises:
        ValueError: the network has no head for the sensor's images, or several sensors are given.
    """

    def __init__(self, network: RAM, operator: LinearOperator) -> None:
        super().__init__()
        if operator.batch != 1:
            raise ValueError(
                f"an exported network serves one sensor, got a batch of {operator.batch}: export them one by one"
            )
        self.network = network.eval()
        self.kind = image_kind(operator, network.config.image_channels)
        self.is_complex = operator.dtype.is_complex
        self.image_shape = operator.domain_shape[1:]
        self.operator = operator

    def example(self) -> Measurement:
        """Return a measurement of the sensor in which there is noise alone, of level one."""
        like = torch.zeros(1, *self.operator.range_shape, dtype=self.operator.dtype, device=self.operator.device)
        y = standard_normal(like, torch.Generator(like.device).manual_seed(0))
        marks = self.operator.support()
        return Measurement(
            y if marks is None else y * marks, self.operator, GaussianNoise(torch.ones(1).to(like.device))
        )

    def example_inputs(self) -> tuple[Tensor, ...]:
        """Return the exported part's inputs for a measurement of the sensor that is noise alone."""
        return self.prepare(self.example()).inputs

    def described(self) -> str:
        """Return the sensor's class and those of its parts."""
        return f"a sensor of {named(self.operator)}"

    @abstractmethod
    def prepare(self, measurement: Measurement) -> Prepared:
        """Return the real tensors of a measurement of this sensor."""

    @abstractmethod
    def forward(self, first: Tensor, second: Tensor, /) -> Tensor:
        """Return the padded image's real channels, (B, C', H', W'): the part that is exported."""

    @abstractmethod
    def cropped(self, image: Tensor) -> Tensor:
        """Return the image without its padding."""

    def finish(self, channels: Tensor, prepared: Prepared) -> Tensor:
        """Return the image (B, C, H, W) in its own units."""
        return expand(prepared.scale, 3) * self.cropped(from_channels(channels, self.is_complex))


class StateSensor(FixedSensor):
    """The state head in one pass: inputs A'^H y', (B, C', H', W'), and s', (B,)."""

    def __init__(self, network: RAM, operator: LinearOperator) -> None:
        super().__init__(network, operator)
        self.sensor = UnitSensor.of(operator, multiple=FACTORS[-1])
        sensing = self.sensor.sensing(self.example())
        levels = tuple(map(in_dense_terms, self.sensor.levels))
        self.template = replace(sensing, operator=in_dense_terms(sensing.operator), levels=levels)

    def prepare(self, measurement: Measurement) -> Prepared:
        """Return the normalised backprojection and noise level."""
        sensing = self.sensor.sensing(measurement)
        return Prepared((to_channels(sensing.backprojection, self.is_complex), sensing.sigma), sensing.scale)

    def forward(self, backprojection: Tensor, sigma: Tensor) -> Tensor:
        """Return the image's channels, in units of its scale."""
        sensing = replace(self.template, backprojection=from_channels(backprojection, self.is_complex), sigma=sigma)
        return to_channels(self.network.denoise_normalized(sensing, None).image, self.is_complex)

    def cropped(self, image: Tensor) -> Tensor:
        """Return the upper left corner."""
        height, width = self.image_shape
        return image[..., :height, :width]


class OfficialSensor(FixedSensor):
    """The official head: inputs [x_0, sigma, gain], (B, C' + 2, H', W'), and A^H y, (B, C', H', W')."""

    def __init__(self, network: RAM, operator: LinearOperator) -> None:
        super().__init__(network, operator)
        given = self._inputs(self.example())
        self.levels = tuple(in_dense_terms(level.operator) for level in given.levels)

    def _inputs(self, measurement: Measurement) -> OfficialInputs:
        assert self.network.fact_realign is not None
        return official_inputs(measurement, self.network.fact_realign, self.network.stopping)

    @torch.no_grad()
    def prepare(self, measurement: Measurement) -> Prepared:
        """Return the head's channels and the backprojection."""
        given = self._inputs(measurement)
        return Prepared((given.channels, given.levels[0].embedding[:, : given.image_channels]), given.rescale)

    def forward(self, channels: Tensor, backprojection: Tensor) -> Tensor:
        """Return the image's channels, in units of the rescaled measurement."""
        levels = pyramid(self.levels, from_channels(backprojection, self.is_complex))
        output, _ = self.network.body(channels, levels, self.kind)
        return output

    def cropped(self, image: Tensor) -> Tensor:
        """Return the lower right corner."""
        height, width = self.image_shape
        return image[..., -height:, -width:]


def named(operator: LinearOperator) -> str:
    """Return an operator's class and, in brackets, those of the operators it is made of."""
    parts = [named(part) for part in operator.children() if isinstance(part, LinearOperator)]
    return type(operator).__name__ + (f"({', '.join(parts)})" if parts else "")


def fixed_sensor(network: RAM, operator: LinearOperator) -> FixedSensor:
    """Return the network, whichever its head, bound to a sensor."""
    kind = OfficialSensor if network.config.embedding == 0 else StateSensor
    return kind(network, operator)
