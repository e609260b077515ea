"""The sums of :mod:`echoform.physics.ground_homogeneous` written out, for sections so small that matrices take less time.

The wavenumbers q are the same at all frequencies, so that only the sum over depth differs from wave to wave:

    u[q, j] = sum_k x[j, k] exp(-i q x_k),    w[f, q] = sum_j B[f, q, j] u[q, j],    y[a, f] = sum_q exp(+i q x_a) w[f, q],
    B[f, q, j] = g[f, q] (z_j^(-3/2) + r[f, q] z_j^(-5/2)) exp(-i p[f, q] z_j)

Three products of matrices: W Q, F Q and A Q entries for a pixel row, a pixel column and a trace. Of wide sections the first sum
is a discrete Fourier transform, for q runs over multiples of 2 pi / (N dx). Exact, adjoint included. Of A^H A the traces are the
Toeplitz matrix sum_a exp(i (q' - q) x_a), which takes less time where there are many.

Where row j of the image counts c_j times, so does column j of B. A coarse version A U_s has B U_y for B, exactly; along the line
U_x is in g, by its response at q.

Where an error is allowed, be it one of rounding alone, there are fewer rows; where more is, fewer waves, too. Distances between
traces and pixels reach r, far less than the period N that keeps repetitions away. So the sum over q may be multiplied by a window
of the distance x, one up to r and zero from r + tau on, and repeated after N' = 2 r + tau. With a raised cosine the waves of that
period are

    B'[f, q', j] = sum_q C[q', q] B[f, q, j],    C = sinc(N' t) cos(pi tau t) / (1 - (2 tau t)^2),    t = (q - q') dx / 2 pi,

exactly but for q' beyond the last wave heard, left out: below 1e-3 of white noise at tau = 0.1 * 2 r (measured). Pixels are
denser in depth than waves need, too: over the depth D the columns of B, p from 0 to 2 k, span hardly more than k D / pi. The
leading ones are kept, V of K orthonormal columns,

    B' ~ B'' R,    B'' = B' G^-1 V,    R = V^H G,    G = diag of the norms of the columns of B,

and rows of the image are combined first, into K. Scaled by G all depths count alike. V and G are found from SPANNING waves,
spread evenly over wavenumbers and frequencies, which span what all do; B'' is made a few wavenumbers at a time, so that B itself
is never held.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import reduce

import torch
from scipy.fft import next_fast_len
from torch import Tensor, nn

from echoform.linalg.nufft import points_to_modes
from echoform.linalg.phasor_tables import phasor, split
from echoform.linalg.toeplitz_axis import DENSE, ToeplitzAxis

#: most entries of the largest table of a sensor, complex numbers
HELD = 2**23
#: widest section, pixels, whose columns are summed by a matrix
NARROW = 256
#: tau, as a share of 2 r, at least
TAPER = 0.1
#: most waves from which combinations of rows are found
SPANNING = 2**14
#: numbers of B made at a time
CHUNK = 2**22
#: traces whose two products take as long as a Toeplitz product by transforms (measured)
TRANSFORMED = 256
#: the golden ratio less one: its multiples, less whole numbers, fall evenly wherever one stops
GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class Reduction:
    """What allows for fewer rows, and fewer waves.

    Attributes:
        reach: r of each sensor, pixels; None where all waves are kept.
        left_out: share of B G^-1, in norm, that combining rows may leave out.
    """

    reach: tuple[float, ...] | None
    left_out: float


@dataclass(frozen=True)
class Waves:
    """What B of R sensors is made of.

    Attributes:
        turns: p / 2 pi, per row of pixels, (R, F, Q), float64; Q alike at all frequencies, multiples of 2 pi / period that lie
            evenly about step 0 at Q // 2.
        gains: g and g r, (R, F, Q), complex128; p z counts from row H // 2.
        depth_m: z_j, (H,), metres, float64.
        row_gain: c, (R or 1, H), complex128.
        rows: U_y, (H, H / s), float64, or None where the image has all rows.
    """

    turns: Tensor
    gains: tuple[Tensor, Tensor]
    depth_m: Tensor
    row_gain: Tensor
    rows: Tensor | None

    def heard(self) -> tuple[Waves, slice]:
        """Return the waves between the first and the last one heard, and which frequencies these are."""
        some = (self.gains[0].detach() != 0).any(0)
        f = torch.nonzero(some.any(1)).flatten().tolist() or [0]
        q, middle = torch.nonzero(some.any(0)).flatten(), some.shape[1] // 2
        most = int((q - middle).abs().max()) if len(q) else 0
        kept, waves = slice(f[0], f[-1] + 1), slice(max(0, middle - most), middle + most + 1)
        first, second = (g[:, kept, waves] for g in self.gains)
        return replace(self, turns=self.turns[:, kept, waves], gains=(first, second)), kept

    def rows_spanned(self) -> int:
        """Return about how many rows differ, k D / pi, at most those there are."""
        span = float((self.turns.detach().amax() - self.turns.detach().amin()) * len(self.depth_m))
        return min(math.ceil(span), self.image_rows)

    @property
    def image_rows(self) -> int:
        """Rows of the image."""
        return len(self.depth_m) if self.rows is None else self.rows.shape[1]

    def table(self, sensor: int, f: Tensor | slice, q: Tensor | slice, dtype: torch.dtype) -> Tensor:
        """Return B of one sensor's waves, (..., H), of the fine rows."""
        depth, row_gain = self.depth_m.to(self.turns.device), self.row_gain[sensor % len(self.row_gain)]
        strength = [(depth.pow(power) * row_gain).to(dtype) for power in (-1.5, -2.5)]
        first, second = (gain[sensor][f, q][..., None].to(dtype) for gain in self.gains)
        waves = _waves(self.turns[sensor][f, q], len(self.depth_m), dtype)
        return waves.mul_(first * strength[0] + second * strength[1])


class WaveTables(nn.Module):
    """Tables of R sensors, complex, for images (H, W), F frequencies, Q wavenumbers and A traces.

    Attributes:
        depths: B, (R, Q, F', H), of the frequencies between the first and the last one heard.
        traces: exp(+i q x_a), (R, A, Q).
        between: what traces make of waves in A^H A, None where two products with ``traces`` take less time.
        columns: exp(-i q x_k), (R, Q, W), or, of wide sections, exp(+i q x_(W // 2)) counted from the left, (R, Q).
        bins: where the wavenumbers stand in a transform of N columns, (R, Q).
        shape: H and W.
        period: N of each.
        rows: R, (R, K, H), where rows are combined; ``depths`` is B'' then, with K for H.
        frequencies: how many are not heard before F' and after them.
    """

    depths: Tensor
    traces: Tensor
    columns: Tensor
    bins: Tensor
    rows: Tensor | None

    def __init__(
        self,
        depths: Tensor,
        places: Tensor,
        *,
        width: int,
        period: tuple[int, ...],
        rows: Tensor | None = None,
        frequencies: tuple[int, int] = (0, 0),
    ) -> None:
        super().__init__()
        dtype, count = depths.dtype, depths.shape[1]
        steps = _steps(count, depths)
        columns = steps * (width // 2) if width > NARROW else -steps[:, None] * _steps(width, depths)
        lengths = torch.tensor(period, dtype=torch.float64, device=places.device)[:, None]
        self.register_buffer("depths", depths)
        self.register_buffer("traces", phasor((places / lengths)[..., None] * steps, dtype))
        self.register_buffer("columns", torch.stack([phasor(columns / n, dtype) for n in period]))
        self.register_buffer("bins", torch.stack([steps.long() % n for n in period]))
        self.register_buffer("rows", rows)
        self.shape, self.period, self.frequencies = (
            ((depths if rows is None else rows).shape[-1], width),
            period,
            frequencies,
        )
        cost = count if count <= DENSE else 2 * TRANSFORMED
        self.between = (
            ToeplitzAxis(_lags(places / lengths, count), count, dtype) if cost < 2 * places.shape[1] else None
        )

    def samples(self, image: Tensor, sensor: int) -> Tensor:
        """Return y, (..., A, F), of images (..., H, W)."""
        traces = self.traces[sensor % len(self.traces)]
        sums = torch.einsum("aq,qtf->taf", traces, self._waves(image.reshape(-1, *self.shape), sensor))
        sums = torch.nn.functional.pad(sums, self.frequencies)
        return sums.reshape(*image.shape[:-2], *sums.shape[1:])

    def images(self, samples: Tensor, sensor: int) -> Tensor:
        """Return the images (..., H, W) of samples (..., A, F), adjoint of :meth:`samples`."""
        before, after = self.frequencies
        flat = samples.reshape(-1, *samples.shape[-2:])[..., before : samples.shape[-1] - after]
        # conjugated are the small arrays, not the large table
        waves = torch.einsum("aq,taf->qtf", self.traces[sensor % len(self.traces)], flat.conj())
        return self._image(waves, sensor).reshape(*samples.shape[:-2], *self.shape)

    def normal(self, image: Tensor, sensor: int) -> Tensor:
        """Return A^H A of images (..., H, W)."""
        if self.between is None:
            return self.images(self.samples(image, sensor), sensor)
        waves = self._waves(image.reshape(-1, *self.shape), sensor)
        heard = self.between.along_rows(waves.flatten(1), sensor % len(self.traces)).reshape(waves.shape)
        # products of a batch are quick where it is contiguous, which transforms along rows do not leave it
        return self._image(heard.conj_physical().contiguous(), sensor).reshape(image.shape)

    def _waves(self, flat: Tensor, sensor: int) -> Tensor:
        """Return w, (Q, T, F'), of T images (T, H, W)."""
        if self.rows is not None:
            flat = self.rows[sensor % len(self.rows)] @ flat
        return self._across(flat, sensor) @ self.depths[sensor % len(self.depths)].mT

    def _image(self, waves: Tensor, sensor: int) -> Tensor:
        """Return the T images (T, H, W) of conjugated waves (Q, T, F')."""
        image = self._back(waves @ self.depths[sensor % len(self.depths)], sensor)
        if self.rows is not None:
            image = self.rows[sensor % len(self.rows)].mT @ image
        return image.conj_physical()

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


def wave_tables(
    waves: Waves,
    places: Tensor,
    *,
    width: int,
    period: tuple[int, ...],
    reduction: Reduction | None,
    held: int,
    dtype: torch.dtype,
) -> WaveTables | None:
    """Return the tables of sensors, or None where the largest has more entries than may be held.

    Args:
        waves: of all wavenumbers.
        places: of the traces, pixels from column W // 2, (R, A), float64.
        width: W.
        period: N of each sensor's line, at least W.
        reduction: None for tables without an error.
        held: most entries of a sensor's B'', complex numbers.
        dtype: complex, of the tables.
    """
    frequencies = waves.turns.shape[1]
    waves, kept = waves.heard()
    count = waves.turns.shape[2]
    windows = None
    if reduction and reduction.reach:
        windows, period = _windows(waves, period, reduction.reach, width)
    entries = waves.turns.shape[1] * (count if windows is None else windows.shape[1])
    if entries * (waves.rows_spanned() if reduction else waves.image_rows) > held:
        return None
    into, rows = _combinations(waves, reduction.left_out) if reduction else (None, None)
    if entries * (waves.image_rows if into is None else into.shape[-1]) > held:
        return None
    found = []
    for sensor in range(len(waves.turns)):
        parts, step = [], max(1, CHUNK // (waves.turns.shape[1] * len(waves.depth_m)))
        for first in range(0, count, step):
            some = slice(first, first + step)
            part = waves.table(sensor, slice(None), some, dtype)
            part = (part if into is None else part @ into[sensor].to(dtype)).transpose(0, 1)
            parts.append(part if windows is None else torch.tensordot(windows[sensor, :, some].to(dtype), part, 1))
        found.append(torch.cat(parts) if windows is None else reduce(torch.add, parts))
    return WaveTables(
        torch.stack(found),
        places,
        width=width,
        period=period,
        rows=None if rows is None else rows.to(dtype),
        frequencies=(kept.start, frequencies - kept.stop),
    )


def _windows(
    waves: Waves, period: tuple[int, ...], reach: tuple[float, ...], width: int
) -> tuple[Tensor, tuple[int, ...]]:
    """Return C, (R, Q', Q), and the periods N'."""
    steps, sensors = _steps(waves.turns.shape[2], waves.turns), len(waves.turns)
    period = tuple(period[k % len(period)] for k in range(sensors))
    reach = tuple(reach[k % len(reach)] for k in range(sensors))
    last = [float((steps * (gain != 0).any(0)).abs().amax()) for gain in waves.gains[0].detach()]
    lengths = tuple(int(next_fast_len(max(width, math.ceil(2 * (1 + TAPER) * r)))) for r in reach)  # pyright: ignore
    halves = [math.ceil(most * new / old) for most, old, new in zip(last, period, lengths, strict=True)]
    kept, found = _steps(2 * max(halves) + 1, waves.turns), []
    for old, new, r, half in zip(period, lengths, reach, halves, strict=True):
        t = steps / old - kept[:, None] / new
        bent = 2 * (new - 2 * r) * t
        # cos(pi z / 2) / (1 - z^2) with no pole
        taper = math.pi / 4 * (torch.sinc((1 + bent) / 2) + torch.sinc((1 - bent) / 2))
        found.append(torch.sinc(new * t) * taper * (kept.abs() <= half)[:, None])
    return torch.stack(found), lengths


def _combinations(waves: Waves, left_out: float) -> tuple[Tensor, Tensor]:
    """Return U_y G^-1 V, (R, H, K), and R, (R, K, H / s), constants; sensors that need fewer than K have zeros."""
    _, frequencies, count = waves.turns.shape
    index = torch.arange(min(SPANNING, frequencies * count), dtype=torch.float64, device=waves.turns.device)
    if len(index) == frequencies * count:
        q, f = index.long() // frequencies, index.long() % frequencies
    else:
        q, f = (index * (count / len(index))).long(), ((index * GOLDEN).frac() * frequencies).long()
    tables, rows = [], None if waves.rows is None else waves.rows.to(index.device, torch.complex128)
    for sensor in range(len(waves.turns)):
        table = waves.table(sensor, f, q, torch.complex128).detach()
        tables.append(table if rows is None else table @ rows)
    table = torch.stack(tables)
    scale = torch.linalg.vector_norm(table, dim=1, keepdim=True)
    scale = scale.clamp_min(torch.finfo(torch.float32).tiny)
    table = table / scale
    powers, directions = torch.linalg.eigh(table.mH @ table)  # powers rise
    needed = powers.cumsum(1) > left_out**2 * powers.sum(1, keepdim=True)
    leading = (directions * needed[:, None])[..., -int(needed.sum(1).amax()) :]
    into = leading / scale.mT
    return into if rows is None else rows @ into, leading.mH * scale


def _lags(turns: Tensor, count: int) -> Tensor:
    """Return sum_a exp(-2 pi i m turns_a), (R, 2 Q), of m from 0 to Q - 1 and, behind them, from -Q to -1."""
    ones = torch.ones(turns.shape[1], dtype=torch.complex128, device=turns.device)
    angles = 2 * math.pi * (turns - turns.round())
    return torch.fft.ifftshift(torch.stack([points_to_modes(ones, angle, 2 * count) for angle in angles]), dim=-1)


def _waves(turns: Tensor, height: int, dtype: torch.dtype) -> Tensor:
    """Return exp(2 pi i turns n'), (..., H), n' = n - H // 2, as products of two short tables."""
    length, groups = split(height)
    near, far = (
        phasor(turns[..., None] * n, dtype)
        for n in (_range(length, turns) - height // 2, length * _range(groups, turns))
    )
    return (far[..., None] * near[..., None, :]).flatten(-2)[..., :height]


def _range(count: int, like: Tensor) -> Tensor:
    return torch.arange(count, dtype=torch.float64, device=like.device)


def _steps(count: int, like: Tensor) -> Tensor:
    """Return n - N // 2."""
    return _range(count, like) - count // 2
