"""Stripmap SAR seen from a coarse grid: the inner part of the azimuth and range bands, at the coarse pixels.

Along the track the operators of :mod:`echoform.physics.stripmap` are Fourier sums, and across it nearly so: a wave exp(-i k . r)
sees U_s only through its real response H_s (:mod:`echoform.linalg.resample`). With the coarse pixels at (y_m, x_m)

    A_s = N IFFT_M diag(w) G,    (G u)(k_y, f) = sum_m u_m sqrt(r_m / r_c) exp(-i (k_y - k_yc) y_m - i (k_x - k_xc) x_m),
    w = H(k_y, f) H_s((k_y - k_yc) dy) H_s((k_x - k_xc) dx),

N the pulses that were kept, H the response at the scene centre. It is A U_s itself but for

- the two coarse pixels at the border that U_s fills from both ends of the image;
- azimuth bins with |H_s((k_y - k_yc) dy)| < BAND_EDGE and, bin by bin, frequencies with |H_s((k_x - k_xc) dx)| < BAND_EDGE, left
  out: about 1.4 / s of either axis remain. For white noise they hold a share sum |H|^2 |H_s H_s|^2 over those left out of the
  power, some 3 % in amplitude of A_s, 0.3 % of A_s^H A_s, where the image fills its band;
- spreading, taken for constant over the taps: at most sum_l |h_l| |l| dx / 2 r of an entry;
- COARSE_ACCURACY of an entry in the sum over range, at the corners of band and swath; the mean is a quarter of it.

Bins that are kept are neighbours, so what the missing pulses do between them is a Toeplitz matrix,

    (N IFFT_M)^H (N IFFT_M) [b, b'] = 1 / M^2 sum_n N_n exp(-2 pi i (b - b') n / M),

the spectrum of the mask up to the width of the coarse band: the mask low-passed, applied without error
(:mod:`echoform.linalg.toeplitz_axis`). A^H A on the coarse grid therefore never returns to the pulses. For the sum over range,
with |xi| small in a coarse band,

    k_x - k_xc = alpha(k_y) + beta(f) + xi(k_y, f),    exp(-i xi x) = sum_q L_q(xi) exp(-i xi_q x),

beta in the middle over the bins, L_q the polynomials of Lagrange at Q Chebyshev nodes of |xi| <= h, within
(h X)^Q / (2^(Q-1) Q!), X the largest |x|: Q products with matrices (W / s, F_s), one as a rule. Where more than MAX_TERMS were
needed, or no pulse of a period is missing (then the fine A^H A is as cheap), the coarse version is A U_s.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from echoform.linalg.bin_sums import BinSums
from echoform.linalg.resample import COARSE_ORIGIN, transfer
from echoform.linalg.toeplitz_axis import ToeplitzAxis
from echoform.physics.operator import LinearOperator, coarse_shape

if TYPE_CHECKING:
    from echoform.physics.stripmap import StripmapOperator

#: bins and frequencies whose response falls below this are left out
BAND_EDGE = 8e-2
#: largest error of the sum over range, relative to an entry: of the fine operator, and of a coarse one
SUM_ACCURACY, COARSE_ACCURACY = 2e-3, 2e-2
#: products for the sum over range at which the coarse version no longer pays
MAX_TERMS = 8


@dataclass(frozen=True)
class _Band:
    """What one sensor's A_s is made of; B azimuth bins, F_s of all frequencies, Q terms, C coarse columns."""

    bins: Tensor  # of a transform of length M, (B,)
    frequencies: tuple[int, int]  # first and end
    weights: Tensor  # w L_q, (Q, B, F)
    turns: Tensor  # of the phase reference from one coarse row to the next
    across: Tensor  # exp(-i alpha x) sqrt(r / r_c), (B, C)
    sums: Tensor  # exp(-i (beta + xi_q) x), (Q, C, F)


def terms_needed(c: float, most: int, accuracy: float) -> int:
    """Return Q: Chebyshev nodes at which exp(i c t), |t| <= 1, is interpolated within an accuracy; most + 1 if no fewer do."""
    count, error = 1, c
    while error > accuracy and count <= most:
        count += 1
        error *= c / (2 * count)
    return count


def lagrange_weights(nodes: Tensor, at: Tensor) -> Tensor:
    """Return L_q(at) of nodes (Q,), stacked before the last axis of ``at``."""
    found = []
    for q in range(len(nodes)):
        others = torch.cat([nodes[:q], nodes[q + 1 :]])
        found.append(((at[..., None] - others) / (nodes[q] - others)).prod(-1))
    return torch.stack(found, -2)


def _between_edges(response: Tensor) -> slice:
    """Return the indices from the first to the last with a response of at least BAND_EDGE, one where there is none."""
    found = torch.nonzero(response >= BAND_EDGE).flatten().tolist() or [0]
    return slice(found[0], found[-1] + 1)


def turns(phase: Tensor) -> Tensor:
    """Return exp(-i phase)."""
    return torch.polar(torch.ones_like(phase), -phase)


def coarse_band(fine: StripmapOperator, factor: int, sensor: int) -> _Band | None:
    """Return what one sensor's coarse version is made of, or None where the sum over range takes too many terms."""
    _, height, width = fine.domain_shape
    columns = coarse_shape(fine.domain_shape, factor)[2]
    length, spacing_m = fine.azimuth_length, fine.speed_m_s[sensor] / fine.prf_hz[sensor]
    k_yc, k_xc = fine.centre_wavenumbers(sensor)
    shift = fine.azimuth_wavenumber(sensor) - k_yc
    order = torch.argsort(shift)
    order = order[_between_edges(transfer(factor, shift[order] * spacing_m).abs())]

    k_x = fine.range_wavenumber(sensor)[order] - k_xc
    across_x = transfer(factor, k_x * fine.range_spacing_m)
    band = _between_edges(across_x.abs().amax(0))
    k_x, across_x = k_x[:, band], across_x[:, band]
    heard = across_x.abs() >= BAND_EDGE

    x_m = (factor * torch.arange(columns, dtype=torch.float64, device=k_x.device) + COARSE_ORIGIN - width // 2) * (
        fine.range_spacing_m
    )
    alpha = k_x[:, k_x.shape[1] // 2]
    beta, rest = _split(k_x - alpha[:, None], heard)
    half = float(rest.detach().abs().amax())
    count = terms_needed(half * float(x_m.abs().max()), MAX_TERMS, COARSE_ACCURACY)
    if count > MAX_TERMS:
        return None
    steps = torch.arange(count, dtype=torch.float64, device=k_x.device)
    nodes = torch.cos(math.pi * (steps + 0.5) / count)
    parts = lagrange_weights(nodes, rest / max(half, 1e-300)).movedim(-2, 0)

    along_y, start = shift[order] * spacing_m, COARSE_ORIGIN - height // 2
    moved = turns(along_y * start + 2 * math.pi * order * (height // 2) / length) * transfer(factor, along_y)
    weights = fine.transfer[sensor][order, band] * (across_x * heard) * moved[:, None]
    spreading = (1 + x_m / fine.centre_range_m[sensor]).sqrt()
    shifted = (beta + half * nodes[:, None])[:, None] * x_m[:, None]
    return _Band(
        order,
        (band.start, band.stop),
        weights * parts,
        -k_yc * spacing_m * factor / (2 * math.pi),
        turns(alpha[:, None] * x_m) * spreading,
        turns(shifted),
    )


def _split(bent: Tensor, heard: Tensor) -> tuple[Tensor, Tensor]:
    """Return beta, (F,), in the middle of what is heard of each column of ``bent``, (B, F), and the rest, 0 where none is."""
    least, most = bent.detach().aminmax()
    beta = (torch.where(heard, bent, least).amax(0) + torch.where(heard, bent, most).amin(0)) / 2
    return beta, torch.where(heard, bent - beta, 0.0)


class CoarseStripmap(LinearOperator):
    """A_s of a stripmap operator, written down again on the coarse grid; its own coarse versions are Galerkin.

    Args:
        base: the operator.
        factor: s.
        bands: of each of its sensors.
    """

    bins: Tensor
    weights: Tensor
    along: BinSums
    across: Tensor
    sums: Tensor
    between: ToeplitzAxis

    def __init__(self, base: StripmapOperator, factor: int, bands: list[_Band]) -> None:
        super().__init__(coarse_shape(base.domain_shape, factor), base.range_shape)
        self.base, self.factor = base, factor
        length, dtype = base.azimuth_length, base.dtype
        #: the frequencies that any sensor hears
        self.frequencies = slice(min(b.frequencies[0] for b in bands), max(b.frequencies[1] for b in bands))
        terms, count = (max(b.weights.shape[axis] for b in bands) for axis in (0, 1))
        width = self.frequencies.stop - self.frequencies.start
        weights, sums, across, bins = [], [], [], []
        for b in bands:
            q, own, _ = b.weights.shape
            place = slice(b.frequencies[0] - self.frequencies.start, b.frequencies[1] - self.frequencies.start)
            weights.append(b.weights.new_zeros(terms, count, width))
            weights[-1][:q, :own, place] = b.weights
            sums.append(b.sums.new_zeros(terms, b.sums.shape[1], width))
            sums[-1][:q, :, place] = b.sums
            across.append(b.across.new_zeros(count, b.across.shape[1]))
            across[-1][:own] = b.across
            bins.append((b.bins[0] + torch.arange(count, device=b.bins.device)) % length)
        self.register_buffer("bins", torch.stack(bins))
        self.register_buffer("weights", torch.stack(weights).to(dtype))
        self.register_buffer("sums", torch.stack(sums).to(dtype))
        self.register_buffer("across", torch.stack(across).to(dtype))
        self.along = BinSums(
            self.bins,
            torch.stack([b.turns for b in bands]),
            step=factor,
            period=length,
            rows=self.domain_shape[1],
            dtype=dtype,
        )
        mask = torch.fft.fft(base.kept.double(), n=length) / length**2
        self.between = ToeplitzAxis(mask, count, dtype)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the fine operator."""
        return self.base.dtype

    def support(self) -> Tensor:
        """Return the pulses that were measured, (B, 1, P, 1)."""
        return self.base.support()

    def forward(self, x: Tensor) -> Tensor:
        """Return the samples over pulses and frequencies, (..., B, 1, P, F)."""
        return self.each_sensor(x[..., 0, :, :], self._echoes, ndim=2, result_ndim=2).unsqueeze(-3)

    def adjoint(self, y: Tensor) -> Tensor:
        """Return the focused image, (..., B, 1, H, W)."""
        return self.each_sensor(y[..., 0, :, :], self._focused, ndim=2, result_ndim=2).unsqueeze(-3)

    def normal(self, x: Tensor) -> Tensor:
        """Return A_s^H A_s x within the coarse band."""

        def back(pixels: Tensor, sensor: int) -> Tensor:
            return self.from_band(self.masked(self.to_band(pixels, sensor), sensor), sensor)

        return self.each_sensor(x[..., 0, :, :], back, ndim=2, result_ndim=2).unsqueeze(-3)

    def to_band(self, pixels: Tensor, sensor: int) -> Tensor:
        """Return w G u, (..., B, F_s), of coarse pixels (..., H, W)."""
        ranges = self.along.sums(pixels, sensor) * self.across[sensor]
        terms = zip(self.sums[sensor], self.weights[sensor], strict=True)
        return reduce(torch.add, ((ranges @ sums) * weights for sums, weights in terms))

    def from_band(self, band: Tensor, sensor: int) -> Tensor:
        """Return coarse pixels, the adjoint of :meth:`to_band`: its transpose, between conjugates of what is small."""
        heard, terms = band.conj_physical(), zip(self.sums[sensor], self.weights[sensor], strict=True)
        ranges = reduce(torch.add, ((heard * weights) @ sums.mT for sums, weights in terms)) * self.across[sensor]
        return self.along.transposed(ranges, sensor).conj_physical()

    def masked(self, band: Tensor, sensor: int) -> Tensor:
        """Return what going to the pulses that were kept and back makes of the band, (..., B, F_s)."""
        return self.between.along_rows(band, sensor)

    def _echoes(self, pixels: Tensor, sensor: int) -> Tensor:
        band = self.to_band(pixels, sensor)
        spectrum = band.new_zeros(*band.shape[:-2], self.base.azimuth_length, band.shape[-1])
        spectrum = spectrum.index_copy(-2, self.bins[sensor], band)
        pulses = torch.fft.ifft(spectrum, dim=-2)[..., : self.range_shape[1], :] * self.base.kept[sensor, :, None]
        margins = self.frequencies.start, self.range_shape[2] - self.frequencies.stop
        return torch.nn.functional.pad(pulses, margins)

    def _focused(self, samples: Tensor, sensor: int) -> Tensor:
        heard = samples[..., self.frequencies] * self.base.kept[sensor, :, None]
        spectrum = torch.fft.fft(heard, n=self.base.azimuth_length, dim=-2, norm="forward")
        return self.from_band(spectrum[..., self.bins[sensor], :], sensor)


def coarse_stripmap(fine: StripmapOperator, factor: int) -> CoarseStripmap | None:
    """Return the coarse version, or None where the sum over range takes too many terms for it to pay."""
    bands = [coarse_band(fine, factor, sensor) for sensor in range(fine.batch)]
    whole = [band for band in bands if band is not None]
    return CoarseStripmap(fine, factor, whole) if len(whole) == len(bands) else None
