"""A network behind the common door: one pass from measurement to image."""

from __future__ import annotations

from dataclasses import replace

import torch

from echoform.linalg.inner import expand
from echoform.measure.measurement import Measurement
from echoform.nets.convolution import LITTLE, prepared_bytes, prepared_for_inference
from echoform.nets.one_pass import OnePassNetwork
from echoform.nets.ram import RAM
from echoform.physics.compositions import ScaledOperator
from echoform.physics.downsampling import Downsampling
from echoform.physics.noise import GaussianNoise, PoissonGaussianNoise
from echoform.recon.reconstructor import Estimate, Reconstructor


class NetworkReconstructor(Reconstructor):
    """A network in one pass: mean = R(y, A, sigma).

    Args:
        network: RAM, as :func:`echoform.nets.weights.load` returns it, or one of the networks it is compared with.
        prepare: whether to prepare it for inference on a CPU (:func:`echoform.nets.convolution.prepared_for_inference`: quicker,
            the image changes by 1e-6); None does where that takes at most 128 MiB, so not for the official network.
    """

    def __init__(self, network: RAM | OnePassNetwork, *, prepare: bool | None = None) -> None:
        super().__init__()
        self.network = ready_for_inference(network) if prepare is None else network
        if prepare:
            self.network = prepared_for_inference(network)

    @torch.no_grad()
    def forward(self, measurement: Measurement, *, generator: torch.Generator | None = None) -> Estimate:
        """Return the one-pass estimate; nothing random is drawn.

        The official head, which takes a sensor as it is, is given one of unit norm; downsampling excepted, whose norm 1 / f its
        weights were trained with.
        """
        if isinstance(self.network, RAM) and self.network.config.embedding == 0:
            measurement = unit_norm(measurement)
        return Estimate(self.network(measurement))


def ready_for_inference(network: RAM | OnePassNetwork) -> RAM | OnePassNetwork:
    """Return the network prepared for inference where that takes little memory, else as it is."""
    return prepared_for_inference(network) if prepared_bytes(network) <= LITTLE else network


def unit_norm(measurement: Measurement) -> Measurement:
    """Return y / |A| with A / |A| and the noise to match, the same image; raises ValueError for a sensor that is zero."""
    operator, noise = measurement.operator, measurement.noise
    if isinstance(operator, Downsampling):
        return measurement
    norm = operator.norm()
    if bool((norm <= 0).any()):
        raise ValueError("the operator is zero for at least one sensor: there is nothing to reconstruct from")
    y = measurement.y / expand(norm, measurement.y.ndim - 1)
    match noise:
        case GaussianNoise():
            scaled = GaussianNoise(noise.sigma / norm)
        case PoissonGaussianNoise():
            scaled = PoissonGaussianNoise(noise.sigma / norm, noise.gain / norm)
        case _:
            raise ValueError(
                f"the official head takes GaussianNoise or PoissonGaussianNoise, got {type(noise).__name__}"
            )
    return replace(measurement, y=y, operator=ScaledOperator(operator, 1 / norm), noise=scaled)
