"""Coarse versions of the spotlight operators with spherical wavefronts, by :mod:`echoform.physics.local_transfer`.

At r a sample sees the wavenumber K(r) - k_c = -(kappa_n grad d_p(r) + k_c), of either sign. Only the pulses and frequencies
between the first and the last sample of the coarse band take part. Their mean wavenumber k_c' is the phase reference of A', so
that b holds exp(-i (k_c - k_c') . r) too. Measured against A U_s on white noise away from the border: 1 to 5 %. Gradients to
the antennas take the weights for constants: through few pixels they differ by some 20 % from those of A U_s.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from echoform.physics.differential_range import half_path
from echoform.physics.local_transfer import (
    EntryPhase,
    EntryPhases,
    LocalTransfer,
    TransferWeights,
    transfer_weights,
)
from echoform.physics.operator import LinearOperator
from echoform.physics.spotlight_spherical import SphericalSpotlight, of_sensor
from echoform.scene.collection import SPEED_OF_LIGHT_M_S, SpotlightCollection
from echoform.scene.grid import Grid


@dataclass(frozen=True)
class CoarseSpotlight:
    """What a spotlight operator is on the coarse pixels.

    Attributes:
        collection: the pulses and frequencies between the first and the last sample of the coarse band.
        grid: the coarse pixels.
        weights: H_s at the samples of the collection.
        phasor: exp(-i (k_c - k_c') . r), (B or 1, H / s, W / s).
        shape: (P, F) of the fine operator.
        origin: the first pulse and the first frequency.
    """

    collection: SpotlightCollection
    grid: Grid
    weights: TransferWeights
    phasor: Tensor
    shape: tuple[int, int]
    origin: tuple[int, int]

    def version(self, base: LinearOperator, weights: TransferWeights) -> LocalTransfer:
        """Return A_s of the sums A' of the collection on the coarse pixels, and of the weights of its samples."""
        image = weights.image * self.phasor[:, None]
        return LocalTransfer(base, weights.samples, image, range_shape=(1, *self.shape), origin=self.origin)


def coarse_spotlight(fine: SphericalSpotlight, factor: int) -> CoarseSpotlight | None:
    """Return the coarse version's parts, or None where the wavenumbers change too much over the image for it to be true.

    Args:
        fine: the operator.
        factor: s.
    """
    collection = fine.collection
    phases = [_entry_phase(collection, fine.carrier, fine.grid, b) for b in range(fine.batch)]
    weights = transfer_weights(factor, fine.grid.shape, phases)
    if weights is None:
        return None
    pulses, frequencies = weights.rectangle()
    part = SpotlightCollection(
        collection.antenna_m[:, pulses],
        collection.frequency_hz[:, frequencies],
        collection.kept[:, pulses, frequencies],
        None if collection.receiver_m is None else collection.receiver_m[:, pulses],
    )
    grid = fine.grid.coarser(factor)
    position = grid.positions_m()[..., :2].to(fine.carrier.device)
    turned = torch.einsum("yxa,ba->byx", position, fine.carrier - part.carrier())
    shape, origin = (fine.kept.shape[1], fine.kept.shape[2]), (pulses.start, frequencies.start)
    heard = weights.cropped(pulses, frequencies)
    return CoarseSpotlight(part, grid, heard, torch.exp(-1j * turned), shape, origin)


def _entry_phase(collection: SpotlightCollection, carrier: Tensor, grid: Grid, sensor: int) -> EntryPhases:
    def of(values: Tensor) -> Tensor:
        return of_sensor(values, sensor).detach()

    def at(pixels: Tensor, elements: Tensor | None) -> EntryPhase:
        """Return wavenumbers, paths and phase references of some pixels and pulses."""
        position = grid.positions_m().flatten(0, 1)[pixels].to(carrier.device)
        antennas = [None if place is None else of(place) for place in (collection.antenna_m, collection.receiver_m)]
        sent, heard = (place if place is None or elements is None else place[elements] for place in antennas)
        assert sent is not None
        path = half_path(sent, heard, position)
        wavenumber = 4 * torch.pi / SPEED_OF_LIGHT_M_S * of(collection.frequency_hz)
        return EntryPhase(wavenumber, path, position[:, :2] @ of(carrier))

    return at
