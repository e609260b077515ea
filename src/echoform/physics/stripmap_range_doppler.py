"""Stripmap SAR by the range-Doppler form (:mod:`echoform.physics.stripmap` has geometry and signs).

    k_x = k_x0 + (K - K_0) / D + rest(k_y, K),    D = k_x0 / K_0 = sqrt(1 - (lambda f_D / 2 v)^2)

about the carrier, so that for each Doppler frequency the sum over range splits into known steps:

- the azimuth phase exp(-i (k_x0 - k_xc) x), whose FM rate depends on range;
- range migration, in which the cell x moves to x / D, the exact hyperbolic curve. On even pixels and frequencies the phase
  is a m n, a = dK dx / D, and m n = (m^2 + n^2 - (m - n)^2) / 2 makes of the sum a convolution between two chirps, done by
  FFTs with no interpolation: the chirp z-transform;
- secondary range compression, exp(-i x rest), here with its change over the swath. To second order
  rest = -K_0 (1 - D^2) / (2 D^3) ((K - K_0) / K_0)^2, taken to all orders: with its middle over K, for each k_y, left to the
  azimuth phase, and h the largest |rest| after that,

    exp(-i x rest) = sum_q L_q(rest) exp(-i h t_q x),    L_q the polynomials of Lagrange at Q Chebyshev nodes h t_q,

  each entry within (h X)^Q / (2^(Q-1) Q!) <= SUM_ACCURACY, X the largest |x|: one chirp z-transform for each of Q terms,
  Q = 1 where there is next to no squint, band or swath;
- everything at the scene centre, to all orders, in the response H.

The error against omega-K is thus at most SUM_ACCURACY (-54 dB) of each entry, at any squint. Held are M (L + W + Q F) numbers,
L >= W + F - 1. A^H A is adjoint(forward).

Source: Cumming and Wong, Digital Processing of Synthetic Aperture Radar Data (2005), chapter 6; Lanari (1995), IEEE Trans.
Geosci. Remote Sens. 33(5) (migration by the chirp z-transform).
"""

from __future__ import annotations

import math
from functools import reduce

import torch
from scipy.fft import next_fast_len
from torch import Tensor

from echoform.physics.stripmap import StripmapOperator
from echoform.physics.stripmap_coarse import SUM_ACCURACY, lagrange_weights, terms_needed, turns
from echoform.scene.collection import SPEED_OF_LIGHT_M_S

#: numbers transformed at a time, so that they stay in the cache
BLOCK = 1 << 16
#: terms at which the tables are refused; some ten already cost what omega-K does
MOST_TERMS = 48


class StripmapRangeDoppler(StripmapOperator):
    """The range-Doppler operator; arguments as :class:`StripmapOperator`.

    Gradients reach the image and whichever numbers of the collection require one, of speed, carrier, sampling rate, PRF, closest
    range, centroid and antenna: autograd goes through the phases, where a constant collection stores nothing. Always constant are
    ``kept``, ``range_spacing_m``, the lengths of the transforms and the ambiguity that a Doppler bin belongs to.

    Raises:
        ValueError: as there, or secondary range compression changes so much over the swath that MOST_TERMS are not enough.
    """

    before: Tensor
    tilts: Tensor
    chirp: Tensor
    after: Tensor

    def _prepare(self) -> None:
        width, count, x = self.domain_shape[2], self.range_shape[2], self.range_offsets_m()
        pixel, frequency = _centred(width, x), _centred(count, x)
        # what m - n runs over, from 1 - W to F - 1, the negative ones at the end of the circle
        length: int = next_fast_len(width + count - 1)  # pyright: ignore[reportAssignmentType]
        lag = torch.arange(length, dtype=torch.float64, device=x.device)
        lag = torch.where(lag < count, lag, lag - length) - count // 2 + width // 2
        lines = [self._expansion(sensor) for sensor in range(self.batch)]
        halves = [float(rest.detach().abs().amax()) for _, _, rest in lines]
        terms = max(terms_needed(half * float(x.abs().amax()), MOST_TERMS, SUM_ACCURACY) for half in halves)
        if terms > MOST_TERMS:
            raise ValueError(
                f"secondary range compression changes by up to {max(halves) * float(x.abs().amax()):.0f} radians over the swath, "
                f"which takes more than {MOST_TERMS} terms; use StripmapOmegaK, or a narrower swath, band or squint"
            )
        nodes = torch.cos(math.pi * (torch.arange(terms, dtype=torch.float64, device=x.device) + 0.5) / terms)
        before, tilts, chirps, after = [], [], [], []
        for (offset, step, rest), half in zip(lines, halves, strict=True):
            weights = lagrange_weights(nodes, rest / max(half, 1e-300))
            before.append(turns(offset * x + step * pixel.square() / 2))
            tilts.append(turns(half * nodes[:, None] * x))
            chirps.append(torch.fft.fft(turns(-step * lag.square() / 2)))
            after.append(weights * turns(step * frequency.square() / 2)[:, None])
        for name, tables in (("before", before), ("tilts", tilts), ("chirp", chirps), ("after", after)):
            self.register_buffer(name, torch.stack(tables).to(self.dtype))

    def _expansion(self, sensor: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return k_x - k_xc - a m / dx - rest and a, (M, 1), and the rest with its middle over K left out, (M, F)."""
        k_x, k = self.range_wavenumber(sensor), self.wavenumber(sensor)
        middle = len(k) // 2
        k_x0, slope = k_x[:, middle, None], k[middle] / k_x[:, middle, None]
        rest = k_x - k_x0 - (k - k[middle]) * slope
        centre = (rest.amax(1, keepdim=True) + rest.amin(1, keepdim=True)).detach() / 2
        spacing = 4 * torch.pi * self.sample_rate_hz[sensor] / (SPEED_OF_LIGHT_M_S * len(k))
        return k_x0 - self.centre_wavenumbers(sensor)[1] + centre, slope * spacing * self.range_spacing_m, rest - centre

    def to_frequencies(self, ranges: Tensor, sensor: int) -> Tensor:
        """Return the migrated and dispersed echoes over frequency, (..., M, F)."""
        count, length, blocks = self.range_shape[2], self.chirp.shape[-1], []
        for rows in self._blocks(ranges):
            turned, chirp = ranges[..., rows, :] * self.before[sensor, rows], self.chirp[sensor, rows]
            terms = (
                torch.fft.ifft(torch.fft.fft(turned * tilt, n=length) * chirp)[..., :count] * weight
                for tilt, weight in zip(self.tilts[sensor], self.after[sensor, rows].unbind(1), strict=True)
            )
            blocks.append(reduce(torch.add, terms))
        return torch.cat(blocks, -2)

    def to_ranges(self, spectrum: Tensor, sensor: int) -> Tensor:
        """Return (..., M, W), the adjoint of :meth:`to_frequencies`: the same steps backwards, conjugated."""
        width, length, blocks = self.domain_shape[2], self.chirp.shape[-1], []
        for rows in self._blocks(spectrum):
            heard, chirp = spectrum[..., rows, :], self.chirp[sensor, rows].conj().resolve_conj()
            terms = (
                torch.fft.ifft(torch.fft.fft(heard * weight.conj(), n=length) * chirp)[..., :width] * tilt.conj()
                for tilt, weight in zip(self.tilts[sensor], self.after[sensor, rows].unbind(1), strict=True)
            )
            blocks.append(reduce(torch.add, terms) * self.before[sensor, rows].conj())
        return torch.cat(blocks, -2)

    def _blocks(self, values: Tensor) -> list[slice]:
        """Return slices of the azimuth bins, so many at a time of values (..., M, N)."""
        rows = max(1, BLOCK // max(1, values.shape[:-2].numel() * self.chirp.shape[-1]))
        return [slice(start, start + rows) for start in range(0, self.azimuth_length, rows)]


def _centred(count: int, like: Tensor) -> Tensor:
    """Return the indices n - N // 2, (N,), float64."""
    return torch.arange(count, dtype=torch.float64, device=like.device) - count // 2
