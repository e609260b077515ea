"""A network behind the common door: one pass from measurement to image."""

from __future__ import annotations

import torch

from echoform.measure.measurement import Measurement
from echoform.nets.one_pass import OnePassNetwork
from echoform.nets.ram import RAM
from echoform.recon.reconstructor import Estimate, Reconstructor


class NetworkReconstructor(Reconstructor):
    """A network in one pass: mean = R(y, A, sigma).

    Args:
        network: RAM, as :func:`echoform.nets.weights.load` returns it, or one of the networks it is compared with.
    """

    def __init__(self, network: RAM | OnePassNetwork) -> None:
        super().__init__()
        self.network = network

    @torch.no_grad()
    def forward(self, measurement: Measurement, *, generator: torch.Generator | None = None) -> Estimate:
        """Return the one-pass estimate; nothing random is drawn."""
        return Estimate(self.network(measurement))
