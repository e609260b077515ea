"""Spotlight SAR in the plane-wave (polar format) regime: a non-uniform Fourier sum.

    y[p, n] = sum_j x_j exp(+i (K[p, n] - k_c) . r_j),        K = (4 pi f_n / c) u_p on the ground plane

r_j is where the grid puts pixel j: what displaces all of it is a phase of the weights, exp(+i (K[p, n] - k_c) . o).
u is half the sum of the unit vectors to transmitter and receiver where these stand apart.
It is the far-field form of the exact operator: |q - r| - |q| ~ -u . r. The image carries the phase reference exp(i k_c . r),
so that its spectrum lies about zero and can be coarsened. A scatterer at r appears where the polar format puts it, at the
point with the same differential range and the same range rate at mid-aperture; the displacement is of the order |r|^2 / 2R.
The focus holds while |r| < 2 rho_a sqrt(R / lambda) (Carrara, Goodman and Majewski, Spotlight SAR, 1995, section 3.4).
"""

from __future__ import annotations

import torch
from torch import Tensor

from echoform.physics.nonuniform_fourier import NonuniformFourier
from echoform.scene.collection import SpotlightCollection
from echoform.scene.grid import Grid


def plane_wave_spotlight(
    collection: SpotlightCollection, grid: Grid, *, dtype: torch.dtype = torch.complex64
) -> NonuniformFourier:
    """Return the plane-wave spotlight operator of a collection on a ground-plane grid.

    Args:
        collection: antenna positions and frequencies, with the mask of measured samples.
        grid: image grid; its spacing should not exceed the resolution c / 2B and lambda / (2 dtheta).
        dtype: complex64 or complex128.

    Returns:
        an operator with range (1, pulses, frequencies).
    """
    spacing_m = torch.tensor([grid.spacing_m], dtype=torch.float64, device=collection.antenna_m.device)
    return plane_wave_samples(collection, grid.shape, spacing_m, offset_m=grid.offset_m, dtype=dtype)


def plane_wave_samples(
    collection: SpotlightCollection,
    shape: tuple[int, int],
    spacing_m: Tensor,
    *,
    offset_m: tuple[float, float] = (0.0, 0.0),
    dtype: torch.dtype = torch.complex64,
) -> NonuniformFourier:
    """Return the plane-wave operators of a batch of collections, each on a grid of its own pixel size.

    Args:
        collection: B collections.
        shape: (H, W), pixels, common to all.
        spacing_m: (dy, dx) of each grid, (B or 1, 2), metres, float64.
        offset_m: (o_y, o_x) of all grids, metres.
        dtype: complex64 or complex128.
    """
    along_x, along_y = (collection.wavenumber() - collection.carrier()[:, None, None, :]).unbind(-1)
    points = torch.stack([along_y * spacing_m[:, :1, None], along_x * spacing_m[:, 1:, None]], 1)
    weights = collection.kept.double()
    if any(offset_m):
        weights = weights * torch.exp(1j * (along_y * offset_m[0] + along_x * offset_m[1]))
    pulses, frequencies = points.shape[-2:]
    return NonuniformFourier(
        points.flatten(-2),
        weights.flatten(-2),
        domain_shape=(1, *shape),
        sample_shape=(pulses, frequencies),
        dtype=dtype,
    )
