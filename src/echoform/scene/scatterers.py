"""Reflectivity of man-made things: isolated points and extended targets made of scattering centres.

Scattering centres lie off the pixel grid. A band-limited image shows each as the transform of the band about its own position;
the band is Hamming weighted, as images are weighted in practice, so that side lobes stay 42 dB down.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from echoform.scene.fields import uniform


def hamming(frequency: Tensor) -> Tensor:
    """Return 0.54 + 0.46 cos(k) at k radians per pixel."""
    return 0.54 + 0.46 * torch.cos(frequency)


def place(
    positions: Tensor,
    amplitudes: Tensor,
    shape: tuple[int, int],
    *,
    window: Callable[[Tensor], Tensor] = hamming,
) -> Tensor:
    """Return band-limited points, (B, H, W) complex64: x = F^-1 [h(k) sum_q a_q exp(-i k . r_q)].

    Args:
        positions: (B, Q, 2), (row, column) in pixels, anywhere within the grid (periodic).
        amplitudes: (B, Q) complex; zero for absent points.
        shape: (H, W).
        window: h of one axis, from k (size,) in radians per pixel to (size,) or one per scene, (B, 1, size).
    """
    tables, bands = [], []
    for axis, size in enumerate(shape):
        tables.append(_phasors(positions[..., axis], size))
        bands.append(window(2 * torch.pi * torch.fft.fftfreq(size, device=positions.device)))
    spectrum = (amplitudes[..., None] * tables[0]).mT @ tables[1]
    return torch.fft.ifft2(spectrum * (bands[0][..., :, None] * bands[1][..., None, :]).reshape(-1, *shape))


def _phasors(position: Tensor, size: int) -> Tensor:
    """Return exp(-i k r) at the frequencies of an FFT, (B, Q, size), of positions (B, Q) in pixels."""
    half = torch.arange(size // 2 + 1, device=position.device) * (2 * torch.pi / size)
    turn = position[..., None] * half
    # negative frequencies, the second half, are the conjugates of positive ones
    positive, negative = slice(0, (size + 1) // 2), slice(1, None)
    real, imaginary = turn.cos(), turn.sin().neg_()
    both = [
        torch.cat([part[..., positive], sign * part[..., negative].flip(-1)], -1)
        for part, sign in ((real, 1), (imaginary, -1))
    ]
    return torch.complex(*both)


def random_phase(generator: torch.Generator, magnitude: Tensor) -> Tensor:
    """Return the magnitudes with independent uniform phases, complex64."""
    return magnitude * torch.exp(1j * uniform(generator, tuple(magnitude.shape), 0, 2 * torch.pi))


def points(generator: torch.Generator, batch: int, shape: tuple[int, int], *, on_grid: bool) -> Tensor:
    """Return 1 to HW / 64 isolated points per scene with powers log-uniform over 40 dB, (B, H, W).

    Args:
        generator: source of randomness.
        batch: number of scenes.
        shape: (H, W).
        on_grid: make every point exactly one pixel, instead of a band-limited response anywhere.
    """
    most = max(2, shape[0] * shape[1] // 64)
    count = torch.exp(uniform(generator, (batch, 1), 0, torch.log(torch.tensor(float(most))).item())).ceil()
    present = torch.arange(most)[None, :] < count
    magnitude = 10 ** (uniform(generator, (batch, most), -40, 0) / 20) * present
    where = torch.rand((batch, most, 2), generator=generator) * torch.tensor(shape, dtype=torch.float32)
    amplitude = random_phase(generator, magnitude)
    if on_grid:
        index = (where[..., 0].long() * shape[1] + where[..., 1].long()).clamp_max(shape[0] * shape[1] - 1)
        flat = torch.zeros(batch, shape[0] * shape[1], dtype=amplitude.dtype)
        return flat.scatter_add(1, index, amplitude).reshape(batch, *shape)
    return place(where, amplitude, shape)


def targets(generator: torch.Generator, batch: int, shape: tuple[int, int]) -> Tensor:
    """Return one to three extended targets per scene: rotated outlines of scattering centres, (B, H, W).

    Each target is a rectangle (vehicle, building) or a double line (ship, aircraft body) of 8 to 60 % of the side, whose
    edges carry 24 centres of exponentially distributed power with a few dominant ones, seen brighter on one side.
    """
    per, most = 24, 3
    side = min(shape)
    count = torch.randint(1, most + 1, (batch, 1, 1), generator=generator)
    length = uniform(generator, (batch, most, 1), 0.08, 0.6) * side
    width = length * uniform(generator, (batch, most, 1), 0.1, 0.6)
    angle = uniform(generator, (batch, most, 1), 0, 2 * torch.pi)
    centre = uniform(generator, (batch, most, 1, 2), 0.2, 0.8) * torch.tensor(shape, dtype=torch.float32)
    along = uniform(generator, (batch, most, per), -0.5, 0.5)
    edge = torch.randint(0, 4, (batch, most, per), generator=generator)
    u = torch.where(edge < 2, along, (edge - 2.5).float()) * length
    v = torch.where(edge < 2, edge - 0.5, along) * width
    rows = centre[..., 0] + u * torch.cos(angle) - v * torch.sin(angle)
    columns = centre[..., 1] + u * torch.sin(angle) + v * torch.cos(angle)
    power = -torch.log(torch.rand((batch, most, per), generator=generator).clamp_min(1e-6))
    power = power * 10 ** (uniform(generator, (batch, most, per), 0, 1).pow(4) * 2)
    lit = 1 / (1 + torch.exp(-8 * v / width.clamp_min(1)))
    strength = 10 ** (uniform(generator, (batch, most, 1), -20, 0) / 20)
    present = torch.arange(most)[None, :, None] < count
    magnitude = (power.sqrt() * (0.1 + lit) * strength * present).flatten(1)
    where = torch.stack([rows, columns], -1).flatten(1, 2)
    return place(where, random_phase(generator, magnitude), shape)
