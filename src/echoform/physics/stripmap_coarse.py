"""Stripmap SAR seen from a coarse grid: the inner part of the azimuth and range bands, at the coarse pixels.

Along the track the operators of :mod:`echoform.physics.stripmap` are Fourier sums, and across it nearly so: a wave exp(-i k . r)
sees U_s only through its real response H_s (:mod:`echoform.linalg.resample`). With the coarse pixels at (y_m, x_m)

    A_s = N IFFT_M diag(w) G,    (G u)(k_y, f) = sum_m u_m sqrt(r_m / r_c) exp(-i (k_y - k_yc) y_m - i (k_x - k_xc) x_m),
    w = H(k_y, f) H_s((k_y - k_yc) dy) H_s((k_x - k_xc) dx),

N the pulses that were kept, H the response at the scene centre. It is A U_s itself but for

- the two coarse pixels at the border that U_s fills from both ends of the image;
- azimuth bins and frequencies with |H_s H_s| < BAND_EDGE, left out: about 1.5 / s of either axis remain. For white noise they
  hold a share sum |H|^2 |H_s H_s|^2 over those left out of the power, 1 to 2 % in amplitude where the image fills its band;
- spreading, taken for constant over the taps: at most sum_l |h_l| |l| dx / 2 r of an entry;
- SUM_ACCURACY of the sum over range.

Bins that are kept are neighbours, so what the missing pulses do between them is a Toeplitz matrix,

    (N IFFT_M)^H (N IFFT_M) [b, b'] = 1 / M^2 sum_n N_n exp(-2 pi i (b - b') n / M),

the spectrum of the mask up to the width of the coarse band: the mask low-passed, which FFTs of twice the bins apply without
error. A^H A on the coarse grid therefore never returns to the pulses. For the sum over range, with |xi| small in a coarse band,

    k_x - k_xc = alpha(k_y) + beta(f) + xi(k_y, f),    exp(-i xi x) = sum_q L_q(xi) exp(-i xi_q x),

L_q the polynomials of Lagrange at Q Chebyshev nodes of the interval of xi, within (h X)^Q / (2^(Q-1) Q!), h half of it and X the
largest |x|: Q products with matrices (W / s, F_s), one or two as a rule. Where more than MAX_TERMS were needed, or no pulse of a
period is missing (then the fine A^H A is as cheap), the coarse version is A U_s.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from scipy.fft import next_fast_len
from torch import Tensor

from echoform.linalg.resample import COARSE_ORIGIN, transfer
from echoform.physics.operator import LinearOperator, coarse_shape

if TYPE_CHECKING:
    from echoform.physics.stripmap import StripmapOperator

#: bins and frequencies whose response falls below this are left out
BAND_EDGE = 4e-2
#: largest error of the sum over range, relative to an entry
SUM_ACCURACY = 2e-3
#: products for the sum over range at which the coarse version no longer pays
MAX_TERMS = 8


@dataclass(frozen=True)
class _Band:
    """What one sensor's A_s is made of; B azimuth bins, F_s of all frequencies, Q terms, (R, C) coarse pixels."""

    bins: Tensor  # of a transform of length M, (B,)
    frequencies: tuple[int, int]  # first and end
    weights: Tensor  # w L_q, (B, Q, F)
    along: Tensor  # what the pixels are multiplied by, (R, C)
    across: Tensor  # exp(-i alpha x), (B, C)
    sums: Tensor  # exp(-i (beta + xi_q) x), (C, Q, F)


def terms_needed(c: float, most: int) -> int:
    """Return Q: Chebyshev nodes at which exp(i c t), |t| <= 1, is interpolated within SUM_ACCURACY; most + 1 if no fewer do."""
    count, error = 1, c
    while error > SUM_ACCURACY and count <= most:
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
    _, rows, columns = coarse_shape(fine.domain_shape, factor)
    length, spacing_m = fine.azimuth_length, fine.speed_m_s[sensor] / fine.prf_hz[sensor]
    k_yc, k_xc = fine.centre_wavenumbers(sensor)
    shift = fine.azimuth_wavenumber(sensor) - k_yc
    order = torch.argsort(shift)
    order = order[_between_edges(transfer(factor, shift[order] * spacing_m).abs())]

    k_x = fine.range_wavenumber(sensor)[order] - k_xc
    along_y = shift[order] * spacing_m
    response = transfer(factor, along_y)[:, None] * transfer(factor, k_x * fine.range_spacing_m)
    heard = response.abs() >= BAND_EDGE
    band = _between_edges(response.abs().amax(0))
    k_x, heard = k_x[:, band], heard[:, band]

    x_m = (factor * torch.arange(columns, dtype=torch.float64, device=k_x.device) + COARSE_ORIGIN - width // 2) * (
        fine.range_spacing_m
    )
    middle = k_x.shape[0] // 2, k_x.shape[1] // 2
    alpha, beta = k_x[:, middle[1]], k_x[middle[0]] - k_x[middle]
    rest = torch.where(heard, k_x - alpha[:, None] - beta, 0.0)
    lowest, highest = (float(end) for end in rest.detach().aminmax())
    centre, half = (highest + lowest) / 2, (highest - lowest) / 2
    count = terms_needed(half * float(x_m.abs().max()), MAX_TERMS)
    if count > MAX_TERMS:
        return None
    steps = torch.arange(count, dtype=torch.float64, device=k_x.device)
    nodes = torch.cos(math.pi * (steps + 0.5) / count)
    parts = lagrange_weights(nodes, (rest - centre) / max(half, 1e-300))

    start = COARSE_ORIGIN - height // 2
    moved = turns(along_y * start + 2 * math.pi * order * (height // 2) / length)
    weights = fine.transfer[sensor][order, band] * (response[:, band] * heard) * moved[:, None]
    phase = -k_yc * spacing_m * factor * torch.arange(rows, dtype=torch.float64, device=k_x.device)
    spreading = (1 + x_m / fine.centre_range_m[sensor]).sqrt()
    shifted = (beta + half * nodes[:, None])[None] * x_m[:, None, None]
    return _Band(
        order,
        (band.start, band.stop),
        weights[:, None] * parts,
        turns(phase)[:, None] * spreading,
        turns((alpha + centre)[:, None] * x_m),
        turns(shifted),
    )


class CoarseStripmap(LinearOperator):
    """A_s of a stripmap operator, written down again on the coarse grid; its own coarse versions are Galerkin.

    Args:
        base: the operator.
        factor: s.
        bands: of each of its sensors.
    """

    bins: Tensor
    weights: Tensor
    along: Tensor
    across: Tensor
    sums: Tensor
    between: Tensor

    def __init__(self, base: StripmapOperator, factor: int, bands: list[_Band]) -> None:
        super().__init__(coarse_shape(base.domain_shape, factor), base.range_shape)
        self.base, self.factor = base, factor
        length, dtype = base.azimuth_length, base.dtype
        #: the frequencies that any sensor hears
        self.frequencies = slice(min(b.frequencies[0] for b in bands), max(b.frequencies[1] for b in bands))
        terms, count = (max(b.weights.shape[axis] for b in bands) for axis in (1, 0))
        width = self.frequencies.stop - self.frequencies.start
        weights, sums, across, bins = [], [], [], []
        for b in bands:
            own, q, _ = b.weights.shape
            place = slice(b.frequencies[0] - self.frequencies.start, b.frequencies[1] - self.frequencies.start)
            weights.append(b.weights.new_zeros(count, terms, width))
            weights[-1][:own, :q, place] = b.weights
            sums.append(b.sums.new_zeros(len(b.sums), terms, width))
            sums[-1][:, :q, place] = b.sums
            across.append(b.across.new_zeros(count, b.across.shape[1]))
            across[-1][:own] = b.across
            bins.append((b.bins[0] + torch.arange(count, device=b.bins.device)) % length)
        self.register_buffer("bins", torch.stack(bins))
        self.register_buffer("weights", torch.stack(weights).to(dtype))
        self.register_buffer("sums", torch.stack(sums).flatten(2).to(dtype))
        self.register_buffer("across", torch.stack(across).to(dtype))
        self.register_buffer("along", torch.stack([b.along for b in bands]).to(dtype))
        mask = torch.fft.fft(base.kept.double(), n=length) / length**2
        self.register_buffer("between", toeplitz_eigenvalues(mask, count).to(dtype.to_real()))
        # exp(-2 pi i b s m / M) for all b is a transform of length M / g, g the common divisor of s and M
        common = math.gcd(factor, length)
        self._step, self._length = factor // common, length // common

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
        spectrum = torch.fft.fft(pixels * self.along[sensor], n=self._length, dim=-2)
        ranges = spectrum[..., self._rows(sensor), :] * self.across[sensor]
        terms = (ranges @ self.sums[sensor]).unflatten(-1, self.weights.shape[2:])
        return (terms * self.weights[sensor]).sum(-2)

    def from_band(self, band: Tensor, sensor: int) -> Tensor:
        """Return coarse pixels, the adjoint of :meth:`to_band`."""
        terms = (band[..., None, :] * self.weights[sensor].conj()).flatten(-2)
        ranges = (terms @ self.sums[sensor].mH) * self.across[sensor].conj()
        spectrum = ranges.new_zeros(*ranges.shape[:-2], self._length, ranges.shape[-1])
        spectrum = spectrum.index_add(-2, self._rows(sensor), ranges)
        image = torch.fft.ifft(spectrum, dim=-2, norm="forward")[..., : self.domain_shape[1], :]
        return image * self.along[sensor].conj()

    def masked(self, band: Tensor, sensor: int) -> Tensor:
        """Return what going to the pulses that were kept and back makes of the band, (..., B, F_s)."""
        return toeplitz_along(band, self.between[sensor], -2)

    def _rows(self, sensor: int) -> Tensor:
        return (self._step * self.bins[sensor]) % self._length

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


def toeplitz_eigenvalues(kernel: Tensor, count: int) -> Tensor:
    """Return the real eigenvalues of a circle that holds the Hermitian Toeplitz matrix T[b, b'] = t[b - b'] of some bins.

    Args:
        kernel: t, (..., M), one period of it.
        count: B, bins; at most M.

    Returns:
        shape (..., L), with L >= 2 B - 1, or M where that is shorter.
    """
    period = kernel.shape[-1]
    length: int = next_fast_len(2 * count - 1)  # pyright: ignore[reportAssignmentType]
    if length < period:
        between = kernel.new_zeros(*kernel.shape[:-1], length - 2 * count + 1)
        kernel = torch.cat([kernel[..., :count], between, kernel[..., period - count + 1 :]], -1)
    return torch.fft.fft(kernel).real


def toeplitz_along(values: Tensor, eigenvalues: Tensor, axis: int) -> Tensor:
    """Return the product with the matrix of :func:`toeplitz_eigenvalues`, (L,), along an axis counted from the end."""
    count = values.shape[axis]
    spectrum = torch.fft.fft(values, n=len(eigenvalues), dim=axis)
    spectrum = spectrum * eigenvalues.reshape(-1, *[1] * (-axis - 1))
    return torch.fft.ifft(spectrum, dim=axis).narrow(axis, 0, count)


def coarse_stripmap(fine: StripmapOperator, factor: int) -> CoarseStripmap | None:
    """Return the coarse version, or None where the sum over range takes too many terms for it to pay."""
    bands = [coarse_band(fine, factor, sensor) for sensor in range(fine.batch)]
    whole = [band for band in bands if band is not None]
    return CoarseStripmap(fine, factor, whole) if len(whole) == len(bands) else None
