"""The sums of :mod:`echoform.physics.ground_homogeneous` written out, for sections so small that matrices take less time.

The wavenumbers q are the same at all frequencies, so that only the sum over depth differs from wave to wave:

    u[q, j] = sum_k x[j, k] exp(-i q x_k),    w[f, q] = sum_j B[f, q, j] u[q, j],    y[a, f] = sum_q exp(+i q x_a) w[f, q],
    B[f, q, j] = g[f, q] (z_j^(-3/2) + r[f, q] z_j^(-5/2)) exp(-i p[f, q] z_j)

Three products of matrices: W Q, F Q and A Q entries for a pixel row, a pixel column and a trace. Exact, adjoint included.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from echoform.linalg.phasor_tables import phasor, split

#: most entries of the largest table of a sensor, complex numbers
HELD = 2**23


class WaveTables(nn.Module):
    """Tables of R sensors, complex, for images (H, W), F frequencies, Q wavenumbers and A traces.

    Attributes:
        columns: exp(-i q x_k), (R, Q, W).
        depths: B, (R, Q, F, H).
        traces: exp(+i q x_a), (R, A, Q).
    """

    columns: Tensor
    depths: Tensor
    traces: Tensor

    def __init__(self, columns: Tensor, depths: Tensor, traces: Tensor) -> None:
        super().__init__()
        for name, value in (("columns", columns), ("depths", depths), ("traces", traces)):
            self.register_buffer(name, value)

    def samples(self, image: Tensor, sensor: int) -> Tensor:
        """Return y, (..., A, F), of images (..., H, W)."""
        columns, depths, traces = self._of(sensor)
        flat = image.reshape(-1, *image.shape[-2:])
        waves = torch.einsum("qk,tjk->qtj", columns, flat) @ depths.mT
        sums = torch.einsum("aq,qtf->taf", traces, waves)
        return sums.reshape(*image.shape[:-2], *sums.shape[1:])

    def images(self, samples: Tensor, sensor: int) -> Tensor:
        """Return the images (..., H, W) of samples (..., A, F), adjoint of :meth:`samples`."""
        columns, depths, traces = self._of(sensor)
        flat = samples.reshape(-1, *samples.shape[-2:])
        # conjugated are the small arrays, not the large table
        waves = torch.einsum("aq,taf->qtf", traces, flat.conj()) @ depths
        sums = torch.einsum("qk,qtj->tjk", columns, waves).conj_physical()
        return sums.reshape(*samples.shape[:-2], *sums.shape[1:])

    def _of(self, sensor: int) -> tuple[Tensor, Tensor, Tensor]:
        columns, depths, traces = (table[sensor % len(table)] for table in (self.columns, self.depths, self.traces))
        return columns, depths, traces


def wave_tables(
    points: Tensor, gains: tuple[Tensor, Tensor], depth_m: Tensor, width: int, angles: Tensor, dtype: torch.dtype
) -> WaveTables:
    """Return the tables of sensors from what their non-uniform sums are made of.

    Args:
        points: (p, -q) in radians per pixel, (R, 2, F, Q), float64; -q alike at all frequencies.
        gains: g and g r, (R, F, Q), complex128.
        depth_m: z_j of the rows, (H,), metres, float64.
        width: W.
        angles: the traces', radians per step of q, (R, A), float64; the Q wavenumbers lie evenly about step 0 at Q // 2.
        dtype: complex, of the tables.
    """
    frequencies, count = gains[0].shape[1:]
    turns = points / (2 * math.pi)
    columns = phasor(turns[:, 1, 0, :, None] * _steps(width, points), dtype)
    traces = phasor(angles[..., None] / (2 * math.pi) * _steps(count, points), dtype)
    falling = depth_m.to(points.device)
    strength = [falling.pow(power).to(dtype.to_real()) for power in (-1.5, -2.5)]
    depths = []
    for turn, parts in zip(turns[:, 0].mT.flatten(1), zip(*gains, strict=True), strict=True):
        first, second = (part.mT.reshape(-1, 1).to(dtype) for part in parts)
        waves = _waves(turn, len(falling), dtype).mul_(first * strength[0] + second * strength[1])
        depths.append(waves.unflatten(0, (count, frequencies)))
    return WaveTables(columns, torch.stack(depths), traces)


def _waves(turns: Tensor, height: int, dtype: torch.dtype) -> Tensor:
    """Return exp(2 pi i turns n'), (N, H), n' = n - H // 2, as products of two short tables."""
    length, groups = split(height)
    near, far = (
        phasor(turns[:, None] * n, dtype) for n in (_range(length, turns) - height // 2, length * _range(groups, turns))
    )
    return (far[:, :, None] * near[:, None]).flatten(1)[:, :height]


def _range(count: int, like: Tensor) -> Tensor:
    return torch.arange(count, dtype=torch.float64, device=like.device)


def _steps(count: int, like: Tensor) -> Tensor:
    """Return n - N // 2."""
    return _range(count, like) - count // 2
