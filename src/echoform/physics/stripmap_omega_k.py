"""Stripmap SAR by omega-K: exact over the whole swath (:mod:`echoform.physics.stripmap` has geometry and signs).

    Y(k_y, f) = H(k_y, f) sum_x X(k_y, x) exp(-i (k_x - k_xc) x),    k_x = sqrt(K^2 - k_y^2)

X is the image's transform along the track and H the response at the scene centre. The Stolt map is a one-dimensional
non-uniform sum for each azimuth wavenumber, type 2 in the forward operator and type 1 in its adjoint, at the accuracy of
:mod:`echoform.linalg.nufft`; for small images the exponentials are held, and a sum is a matrix product.

With azimuth transforms as long as the pulses and no pulse missing, A^H A is block-diagonal in k_y and Toeplitz in range, and is
applied with FFTs alone, so the coarse version is then A U_s; any other mask stands between the azimuth transforms, couples all
k_y, and A^H A is adjoint(forward).

Source: Cafforio, Prati and Rocca (1991), IEEE Trans. Aerosp. Electron. Syst. 27(2).
"""

from __future__ import annotations

import torch
from torch import Tensor

from echoform.linalg.nufft import wrap
from echoform.linalg.nufft_rows import points_to_rows, row_tables, rows_to_points
from echoform.physics.operator import LinearOperator
from echoform.physics.stripmap import StripmapOperator

#: exponentials held by an operator at most, 128 MiB in single precision: up to here products with them take half the time of
#: non-uniform sums and less, and a GPU's need no host
HELD = 2**24


class StripmapOmegaK(StripmapOperator):
    """The omega-K operator; arguments as :class:`StripmapOperator`. Gradients reach the image; the geometry is constant.

    Raises:
        ValueError: as there, or a number of the collection requires a gradient.
    """

    points: Tensor
    tables: Tensor | None
    toeplitz: Tensor | None

    def _prepare(self) -> None:
        if self.transfer.requires_grad:
            raise ValueError(
                "omega-K has no gradients to its geometry, but a number of the collection requires one; detach it, or take "
                "StripmapRangeDoppler"
            )
        sensors, real = range(self.batch), self.dtype.to_real()
        angles, width = torch.stack([self._angles(s) for s in sensors]), self.domain_shape[2]
        self.register_buffer("points", angles.to(real))
        tables = row_tables(angles, width).to(self.dtype) if angles.numel() * width <= HELD else None
        self.register_buffer("tables", tables)
        block_diagonal = self.azimuth_length == self.range_shape[1] and bool((self.kept == 1).all())
        spectra = torch.stack([self._toeplitz(s) for s in sensors]).to(real) if block_diagonal else None
        self.register_buffer("toeplitz", spectra)

    def _angles(self, sensor: int) -> Tensor:
        _, k_xc = self.centre_wavenumbers(sensor)
        return wrap((k_xc - self.range_wavenumber(sensor)) * self.range_spacing_m)

    def _toeplitz(self, sensor: int) -> Tensor:
        """Return the eigenvalues, (M, 2 W), of each k_y's Toeplitz matrix put on a circle, float64."""
        width = self.domain_shape[2]
        power = self._transfer(sensor).abs().square()
        lags = points_to_rows(power.to(torch.complex128), self._angles(sensor), 2 * width)
        lags[:, 0] = 0  # lag -W joins no pair of pixels and has no partner
        return torch.fft.fft(torch.fft.ifftshift(lags, dim=-1)).real

    def to_frequencies(self, ranges: Tensor, sensor: int) -> Tensor:
        """Return the sums at the Stolt angles, (..., M, F)."""
        if self.tables is None:
            return rows_to_points(ranges, self.points[sensor])
        return _each_row(self.tables[sensor], ranges)

    def to_ranges(self, spectrum: Tensor, sensor: int) -> Tensor:
        """Return the adjoint sums, (..., M, W)."""
        if self.tables is None:
            return points_to_rows(spectrum, self.points[sensor], self.domain_shape[2])
        # Conjugating the rows copies less than conjugating the tables would.
        return _each_row(self.tables[sensor].mT, spectrum.conj_physical()).conj_physical()

    def normal(self, x: Tensor) -> Tensor:
        """Return A^H A x: by FFTs when no pulse is missing from a period, else adjoint(forward)."""
        if self.toeplitz is None:
            return self.adjoint(self.forward(x))
        width, images = self.domain_shape[2], []
        for b, sensor in enumerate(self.sensor_indices(x.shape[-4])):
            padded = torch.fft.fft(self.to_doppler(x[..., b, 0, :, :], sensor), n=2 * width)
            images.append(self.from_doppler(torch.fft.ifft(self.toeplitz[sensor] * padded)[..., :width], sensor))
        return torch.stack(images, -3).unsqueeze(-3)

    def coarsen(self, factor: int) -> LinearOperator:
        """Return the coarse band, or A U_s where A^H A is applied with FFTs alone."""
        return super().coarsen(factor) if self.toeplitz is None else self.galerkin(factor)


def _each_row(matrices: Tensor, rows: Tensor) -> Tensor:
    """Return each of R matrices (R, K, N) times its row of (..., R, N), (..., R, K)."""
    together = rows.reshape(-1, *rows.shape[-2:]).permute(1, 2, 0)
    return (matrices @ together).permute(2, 0, 1).reshape(*rows.shape[:-1], matrices.shape[1])
