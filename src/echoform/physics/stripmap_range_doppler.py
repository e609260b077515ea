"""Stripmap SAR by the range-Doppler form (:mod:`echoform.physics.stripmap` has geometry and signs).

    k_x ~ k_x0 + (K - K_0) / D + rest(K),    D = k_x0 / K_0 = sqrt(1 - (lambda f_D / 2 v)^2)

about the carrier, so that for each Doppler frequency the sum over range splits into three known steps:

- the azimuth phase exp(-i (k_x0 - k_xc) x), whose FM rate depends on range;
- range migration: the cell x moves to x / D, the exact hyperbolic curve, by a windowed sinc (the adjoint reads at x / D);
- everything at the scene centre, with migration and secondary range compression there to all orders, in the response H.

Left out is x rest(K), the change of secondary range compression over the swath; to second order its phase at the band edge is
x K_0 (1 - D^2) / (2 D^3) (B / 2 f_0)^2. Together with the interpolation near the band edge this is the operator's error against
omega-K; tests/physics/test_stripmap.py holds it to figures. A^H A is adjoint(forward).

Source: Cumming and Wong, Digital Processing of Synthetic Aperture Radar Data (2005), chapter 6.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from echoform.physics.stripmap import StripmapOperator
from echoform.scene.collection import SPEED_OF_LIGHT_M_S

#: length of the interpolator, and parameter of its Kaiser window
TAPS, KAISER = 16, 2.5
#: positions between two cells at which the interpolator is tabulated
POSITIONS = 4096
#: azimuth bins interpolated at a time, so that they stay in the cache
BLOCK = 32
#: entries up to which the interpolation of all azimuth bins is kept as matrices: 32 MiB in single precision
MATRIX_ENTRIES = 1 << 22


class StripmapRangeDoppler(StripmapOperator):
    """The range-Doppler operator; arguments as :class:`StripmapOperator`. Gradients reach the image.

    Phase and migration of a short swath are one matrix for each azimuth bin; a longer one is interpolated tap by tap.
    """

    offset_rad_m: Tensor
    stretch: Tensor
    kernel: Tensor
    migration: Tensor | None

    def _prepare(self) -> None:
        frequencies = self.range_shape[2]
        if frequencies < TAPS:
            raise ValueError(f"the interpolator needs at least {TAPS} frequencies, got {frequencies}")
        offsets, stretches = [], []
        for sensor in range(self.batch):
            k_x0 = self.range_wavenumber(sensor)[:, frequencies // 2]
            offsets.append(k_x0 - self.centre_wavenumbers(sensor)[1])
            cell_m = SPEED_OF_LIGHT_M_S / (2 * self.sample_rate_hz[sensor])
            stretches.append(self.wavenumber(sensor)[frequencies // 2] / k_x0 * (self.range_spacing_m / cell_m))
        self.register_buffer("offset_rad_m", torch.stack(offsets))
        self.register_buffer("stretch", torch.stack(stretches))
        self.register_buffer("kernel", interpolator()[None].to(device=self.device, dtype=self.dtype.to_real()))
        width, entries = self.domain_shape[2], self.batch * self.azimuth_length * self.domain_shape[2] * frequencies
        matrices = None
        if entries <= MATRIX_ENTRIES:
            each = torch.eye(width, dtype=self.dtype, device=self.device)[:, None].expand(-1, self.azimuth_length, -1)
            matrices = torch.stack([self._migrated(each, sensor).transpose(0, 1) for sensor in range(self.batch)])
        self.register_buffer("migration", matrices)

    def stolt(self, sensor: int) -> Tensor:
        """Return k_x0 + (K - K_0) / D, (M, F): k_x without the rest that is left out."""
        k_x0, k = self.range_wavenumber(sensor)[:, self.range_shape[2] // 2, None], self.wavenumber(sensor)
        k_0 = k[self.range_shape[2] // 2]
        return k_x0 + (k - k_0) * (k_0 / k_x0)

    def to_frequencies(self, ranges: Tensor, sensor: int) -> Tensor:
        """Return the migrated echoes over frequency, (..., M, F)."""
        if self.migration is None:
            cells = self._migrated(ranges, sensor)
        else:
            cells = torch.einsum("...mw,mwf->...mf", ranges, self.migration[sensor])
        return torch.fft.fftshift(torch.fft.fft(torch.fft.ifftshift(cells, dim=-1)), dim=-1)

    def to_ranges(self, spectrum: Tensor, sensor: int) -> Tensor:
        """Return the echoes read along the migration curve, (..., M, W)."""
        cells = torch.fft.fftshift(torch.fft.ifft(torch.fft.ifftshift(spectrum, dim=-1), norm="forward"), dim=-1)
        if self.migration is None:
            return self._read(cells, sensor)
        return torch.einsum("...mf,mwf->...mw", cells, self.migration[sensor].conj())

    def _migrated(self, ranges: Tensor, sensor: int) -> Tensor:
        """Return the echoes with their azimuth phase in the cells that they migrate to, (..., M, F)."""
        count = self.range_shape[2]
        wide = ranges.new_zeros(*ranges.shape[:-1], count + TAPS - 1)
        for rows in self._blocks():
            turned = ranges[..., rows, :] * self._turn_rows(rows, sensor)
            first, between = self._cells(rows, sensor)
            for tap in range(TAPS):
                index = (first + tap).expand_as(turned)
                wide[..., rows, :].scatter_add_(-1, index, turned * self.kernel[0, tap][between])
        cells = wide[..., :count]
        cells[..., : TAPS - 1] += wide[..., count:]
        return cells

    def _read(self, cells: Tensor, sensor: int) -> Tensor:
        """Return the adjoint of :meth:`_migrated`, (..., M, W)."""
        wide = torch.cat([cells, cells[..., : TAPS - 1]], -1)
        ranges = cells.new_zeros(*cells.shape[:-1], self.domain_shape[2])
        for rows in self._blocks():
            first, between = self._cells(rows, sensor)
            part, block = ranges[..., rows, :], wide[..., rows, :]
            for tap in range(TAPS):
                part += block.gather(-1, (first + tap).expand_as(part)) * self.kernel[0, tap][between]
            part *= self._turn_rows(rows, sensor).conj()
        return ranges

    def _blocks(self) -> list[slice]:
        return [slice(start, start + BLOCK) for start in range(0, self.azimuth_length, BLOCK)]

    def _turn_rows(self, rows: slice, sensor: int) -> Tensor:
        """Return exp(-i (k_x0 - k_xc) x), (rows, W)."""
        phase = -self.offset_rad_m[sensor, rows, None] * self.range_offsets_m()
        return torch.polar(torch.ones_like(phase), phase).to(self.dtype)

    def _cells(self, rows: slice, sensor: int) -> tuple[Tensor, Tensor]:
        """Return for each pixel the first cell its interpolator touches and the column of its weights, (rows, W)."""
        at = self.stretch[sensor, rows, None] * (self.range_offsets_m() / self.range_spacing_m)
        position = torch.round(at * POSITIONS).long()
        cell = torch.div(position, POSITIONS, rounding_mode="floor")
        first = cell + self.range_shape[2] // 2 - (TAPS // 2 - 1)
        return torch.remainder(first, self.range_shape[2]), position - cell * POSITIONS


def interpolator() -> Tensor:
    """Return the weights sinc(d) kaiser(d) of the cells at -7 .. 8 from a position 0 .. 1, (TAPS, POSITIONS), float64."""
    between = np.arange(POSITIONS) / POSITIONS
    distance = (np.arange(TAPS) - (TAPS // 2 - 1))[:, None] - between
    window = np.i0(KAISER * np.sqrt(1 - (2 * distance / TAPS) ** 2)) / np.i0(KAISER)
    return torch.from_numpy(np.sinc(distance) * window)
