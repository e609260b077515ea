"""The sums of :mod:`echoform.physics.ground_homogeneous` written out, for sections so small that matrices take less time.

The wavenumbers q are the same at all frequencies, so that only the sum over depth differs from wave to wave:

    u[q, j] = sum_k x[j, k] exp(-i q x_k),    w[f, q] = sum_j B[f, q, j] u[q, j],    y[a, f] = sum_q exp(+i q x_a) w[f, q],
    B[f, q, j] = g[f, q] (z_j^(-3/2) + r[f, q] z_j^(-5/2)) exp(-i p[f, q] z_j)

Three products of matrices: W Q, F Q and A Q entries for a pixel row, a pixel column and a trace. Of wide sections the first sum
is a discrete Fourier transform, for q runs over multiples of 2 pi / (N dx). Exact, adjoint included.

Where an error is allowed, be it one of rounding alone, there are fewer rows; where more is, fewer waves, too. Distances between
traces and pixels reach r, far less than the period N that keeps repetitions away. So the sum over q may be multiplied by a window
of the distance x, one up to r and zero from r + tau on, and repeated after N' = 2 r + tau. With a raised cosine the waves of that
period are

    B'[f, q', j] = sum_q C[q', q] B[f, q, j],    C = sinc(N' t) cos(pi tau t) / (1 - (2 tau t)^2),    t = (q - q') dx / 2 pi,

exactly but for q' beyond the last wave heard, left out: below 1e-3 of white noise at tau = 0.1 * 2 r (measured). Pixels are
denser in depth than waves need, too: over the depth D the columns of B', p from 0 to 2 k, span hardly more than k D / pi. The
leading ones are kept, V of K orthonormal columns,

    B' ~ B'' R,    B'' = B' G^-1 V,    R = V^H G,    G = diag of the norms of the columns of B',

and rows of the image are combined first, into K. Scaled by G all depths count alike. V and G are found from SPANNING waves,
spread evenly over wavenumbers and frequencies, which span what all do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from scipy.fft import next_fast_len
from torch import Tensor, nn

from echoform.linalg.phasor_tables import phasor, split

#: most entries of the largest table of a sensor, complex numbers
HELD = 2**23
#: widest section, pixels, whose columns are summed by a matrix
NARROW = 256
#: tau, as a share of 2 r, at least
TAPER = 0.1
#: most waves from which combinations of rows are found
SPANNING = 2**14
#: the golden ratio less one: its multiples, less whole numbers, fall evenly wherever one stops
GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class Reduction:
    """What allows for fewer rows, and fewer waves.

    Attributes:
        reach: r of each sensor, pixels; None where all waves are kept.
        left_out: share of B' G^-1, in norm, that combining rows may leave out.
    """

    reach: tuple[float, ...] | None
    left_out: float


class WaveTables(nn.Module):
    """Tables of R sensors, complex, for images (H, W), F frequencies, Q wavenumbers and A traces.

    Attributes:
        depths: B, (R, Q, F, H).
        traces: exp(+i q x_a), (R, A, Q).
        columns: exp(-i q x_k), (R, Q, W), or, of wide sections, exp(+i q x_(W // 2)) counted from the left, (R, Q).
        bins: where the wavenumbers stand in a transform of N columns, (R, Q).
        shape: H and W.
        period: N of each.
        rows: R, (R, K, H), where rows are combined; ``depths`` is B'' then, with K for H.
    """

    depths: Tensor
    traces: Tensor
    columns: Tensor
    bins: Tensor
    rows: Tensor | None

    def __init__(
        self, depths: Tensor, traces: Tensor, *, width: int, period: tuple[int, ...], rows: Tensor | None = None
    ) -> None:
        super().__init__()
        steps = _steps(depths.shape[1], depths)
        columns = steps * (width // 2) if width > NARROW else -steps[:, None] * _steps(width, depths)
        self.register_buffer("depths", depths)
        self.register_buffer("traces", traces)
        self.register_buffer("columns", torch.stack([phasor(columns / n, depths.dtype) for n in period]))
        self.register_buffer("bins", torch.stack([steps.long() % n for n in period]))
        self.register_buffer("rows", rows)
        self.shape, self.period = ((depths if rows is None else rows).shape[-1], width), period

    def samples(self, image: Tensor, sensor: int) -> Tensor:
        """Return y, (..., A, F), of images (..., H, W)."""
        depths, traces = self._of(sensor)
        flat = image.reshape(-1, *self.shape)
        if self.rows is not None:
            flat = self.rows[sensor % len(self.rows)] @ flat
        waves = self._across(flat, sensor) @ depths.mT
        sums = torch.einsum("aq,qtf->taf", traces, waves)
        return sums.reshape(*image.shape[:-2], *sums.shape[1:])

    def images(self, samples: Tensor, sensor: int) -> Tensor:
        """Return the images (..., H, W) of samples (..., A, F), adjoint of :meth:`samples`."""
        depths, traces = self._of(sensor)
        flat = samples.reshape(-1, *samples.shape[-2:])
        # conjugated are the small arrays, not the large table
        waves = torch.einsum("aq,taf->qtf", traces, flat.conj()) @ depths
        image = self._back(waves, sensor)
        if self.rows is not None:
            image = self.rows[sensor % len(self.rows)].mT @ image
        return image.conj_physical().reshape(*samples.shape[:-2], *self.shape)

    def _across(self, flat: Tensor, sensor: int) -> Tensor:
        """Return u, (Q, T, H), of T images (T, H, W)."""
        row = sensor % len(self.period)
        if self.columns.ndim == 3:
            return torch.einsum("qk,tjk->qtj", self.columns[row], flat)
        waves = torch.fft.fft(flat, self.period[row])[..., self.bins[row]] * self.columns[row]
        return waves.permute(2, 0, 1).contiguous()  # products of a batch are quick where it is contiguous

    def _back(self, waves: Tensor, sensor: int) -> Tensor:
        """Return sum_q exp(-i q x_k) v of v (Q, T, H), (T, H, W): the transpose of :meth:`_across`."""
        row = sensor % len(self.period)
        if self.columns.ndim == 3:
            return torch.einsum("qk,qtj->tjk", self.columns[row], waves)
        turned = waves.permute(1, 2, 0) * self.columns[row]
        full = turned.new_zeros(*turned.shape[:2], self.period[row]).index_add(-1, self.bins[row], turned)
        return torch.fft.fft(full)[..., : self.shape[1]]

    def _of(self, sensor: int) -> tuple[Tensor, Tensor]:
        return self.depths[sensor % len(self.depths)], self.traces[sensor % len(self.traces)]


def wave_tables(
    points: Tensor,
    gains: tuple[Tensor, Tensor],
    depth_m: Tensor,
    places: Tensor,
    *,
    width: int,
    period: tuple[int, ...],
    reduction: Reduction | None,
    dtype: torch.dtype,
) -> WaveTables:
    """Return the tables of sensors from what their non-uniform sums are made of.

    Args:
        points: (p, -q) in radians per pixel, (R, 2, F, Q), float64; q alike at all frequencies, multiples of 2 pi / period
            that lie evenly about step 0 at Q // 2.
        gains: g and g r, (R, F, Q), complex128.
        depth_m: z_j of the rows, (H,), metres, float64.
        places: of the traces, pixels from column W // 2, (R, A), float64.
        width: W.
        period: N of each sensor's line, at least W.
        reduction: None for tables without an error.
        dtype: complex, of the tables.
    """
    frequencies, count = gains[0].shape[1:]
    turns = points / (2 * math.pi)
    falling = depth_m.to(points.device)
    strength = [falling.pow(power).to(dtype.to_real()) for power in (-1.5, -2.5)]
    depths = []
    for turn, parts in zip(turns[:, 0].mT.flatten(1), zip(*gains, strict=True), strict=True):
        first, second = (part.mT.reshape(-1, 1).to(dtype) for part in parts)
        waves = _waves(turn, len(falling), dtype).mul_(first * strength[0] + second * strength[1])
        depths.append(waves.unflatten(0, (count, frequencies)))
    table, rows = torch.stack(depths), None
    if reduction is not None:
        if reduction.reach is not None:
            table, period = _windowed(table, period, reduction.reach, width)
        table, rows = _combined(table, reduction.left_out)
    lengths = torch.tensor(period, dtype=torch.float64, device=places.device)[:, None, None]
    traces = phasor(places[..., None] / lengths * _steps(table.shape[1], places), dtype)
    return WaveTables(table, traces, width=width, period=period, rows=rows)


def _windowed(
    depths: Tensor, period: tuple[int, ...], reach: tuple[float, ...], width: int
) -> tuple[Tensor, tuple[int, ...]]:
    """Return B' of B, (R, Q, F, H), and its periods."""
    steps = _steps(depths.shape[1], depths)
    heard = [float((steps * (table != 0).flatten(1).any(1)).abs().amax()) for table in depths.detach()]
    lengths = tuple(int(next_fast_len(max(width, math.ceil(2 * (1 + TAPER) * r)))) for r in reach)  # pyright: ignore
    halves = [math.ceil(last * new / old) for last, old, new in zip(heard, period, lengths, strict=True)]
    found, kept = [], _steps(2 * max(halves) + 1, depths)
    for table, old, new, r, half in zip(depths, period, lengths, reach, halves, strict=True):
        t = steps / old - kept[:, None] / new
        bent = 2 * (new - 2 * r) * t
        # cos(pi z / 2) / (1 - z^2) with no pole
        taper = math.pi / 4 * (torch.sinc((1 + bent) / 2) + torch.sinc((1 - bent) / 2))
        window = torch.sinc(new * t) * taper * (kept.abs() <= half)[:, None]
        found.append(torch.tensordot(window.to(table.dtype), table, 1))
    return torch.stack(found), lengths


def _combined(depths: Tensor, left_out: float) -> tuple[Tensor, Tensor]:
    """Return B'' and R of B', (R, Q, F, H), V and G taken for constants; sensors that need fewer than K have zeros."""
    _, count, frequencies, _ = depths.shape
    table = depths.detach().flatten(1, 2)
    if count * frequencies > SPANNING:
        index = torch.arange(SPANNING, dtype=torch.float64, device=depths.device)
        q, f = index * (count / SPANNING), (index * GOLDEN).frac() * frequencies
        table = depths.detach()[:, q.long(), f.long()]
    table = table.to(torch.complex128)
    scale = torch.linalg.vector_norm(table, dim=1, keepdim=True).clamp_min(torch.finfo(depths.dtype).tiny)
    table = table / scale
    powers, directions = torch.linalg.eigh(table.mH @ table)  # powers rise
    needed = powers.cumsum(1) > left_out**2 * powers.sum(1, keepdim=True)
    leading = (directions * needed[:, None])[..., -int(needed.sum(1).amax()) :]
    combined = depths @ (leading / scale.mT)[:, None].to(depths.dtype)
    return combined, (leading.mH * scale).to(depths.dtype)


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
