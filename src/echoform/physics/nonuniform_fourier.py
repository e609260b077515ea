"""Samples of the image's Fourier transform off the grid (plane-wave SAR, radial MRI, interferometry).

    y_m = w_m sum_jk x_jk exp(+i k_m . (j', k')),      j' = j - H // 2,  k' = k - W // 2,  k_m in radians per pixel

A^H A is Toeplitz and is applied with two FFTs of the doubled grid. The coarse version keeps the samples inside the coarse
band: with the Kaiser-sinc interpolation U_s unbounded by the image border, A U_s = diag(w H_s(k)) (the same sum at s k)
holds exactly, so it differs from Galerkin only through the two coarse pixels nearest the border, where the official
U_s wraps around, and through samples dropped because |H_s| < 1e-3.
"""

from __future__ import annotations

import torch
from torch import Tensor

from echoform.linalg.nufft import toeplitz_apply, wrap
from echoform.linalg.nufft_each import images_to_samples, samples_to_images, toeplitz_spectra
from echoform.linalg.resample import COARSE_ORIGIN, transfer
from echoform.linalg.spectrum import SpectralDensity
from echoform.physics.operator import LinearOperator, coarse_shape

#: samples whose interpolation response falls below this are left out of a coarse version
BAND_EDGE = 1e-3


class NonuniformFourier(LinearOperator):
    """A weighted non-uniform Fourier sum over the pixel grid.

    Args:
        points: k in radians per pixel, (row, column), shape (B or 1, 2, M), float64. The range is (C, *sample_shape) with
            M samples in all, in row-major order.
        weights: w, shape (B or 1, M), complex128 or float64; zero marks an entry that is not measured.
        domain_shape: (C, H, W); all channels are sampled alike.
        sample_shape: how the M samples are arranged, such as (pulses, frequencies).
        dtype: complex64 or complex128, in which images and measurements are handled.

    Raises:
        ValueError: shapes disagree.
    """

    points: Tensor
    weights: Tensor
    toeplitz: Tensor
    kept: Tensor

    def __init__(
        self,
        points: Tensor,
        weights: Tensor,
        *,
        domain_shape: tuple[int, int, int],
        sample_shape: tuple[int, ...],
        dtype: torch.dtype = torch.complex64,
    ) -> None:
        count = torch.Size(sample_shape).numel()
        if points.ndim != 3 or points.shape[1:] != (2, count) or weights.ndim != 2 or weights.shape[1] != count:
            raise ValueError(
                f"sample_shape {sample_shape} asks for points (batch, 2, {count}) and weights (batch, {count}), "
                f"got {tuple(points.shape)} and {tuple(weights.shape)}"
            )
        super().__init__(domain_shape, (domain_shape[0], *sample_shape))
        self._dtype = dtype
        rows = max(points.shape[0], weights.shape[0])
        self.register_buffer("points", wrap(points.double()).expand(rows, -1, -1))
        self.register_buffer("weights", weights.to(torch.complex128).expand(rows, -1))
        kept = torch.nonzero((self.weights != 0).any(0)).squeeze(-1)[None]
        # One sample of weight zero stands in where none is measured: the library takes no empty sum.
        self.register_buffer("kept", kept if kept.numel() else kept.new_zeros(1, 1))
        eps = 1e-13 if dtype == torch.complex128 else 1e-7
        spectra = toeplitz_spectra(self.weights.abs().square(), self.points, domain_shape[1:], eps=eps)
        self.register_buffer("toeplitz", spectra[:, None].to(dtype.to_real()))

    @property
    def dtype(self) -> torch.dtype:
        """The dtype given at construction."""
        return self._dtype

    def support(self) -> Tensor:
        """Return the measured entries, (B or 1, 1, *sample_shape)."""
        return (self.weights != 0).to(self.toeplitz.dtype).unflatten(-1, self.range_shape[1:])[:, None]

    def forward(self, x: Tensor) -> Tensor:
        """Return the samples, (..., B, C, *sample_shape)."""
        images, lead = self._by_sensor(x, 3)
        points, weights = self._heard()
        values = weights[:, None] * images_to_samples(images, points)
        full = values.new_zeros(*values.shape[:-1], self.weights.shape[1]).index_copy(-1, self.kept[0], values)
        return self._as_called(full, lead).unflatten(-1, self.range_shape[1:])

    def adjoint(self, y: Tensor) -> Tensor:
        """Return the conjugate sum, (..., B, C, H, W)."""
        samples, lead = self._by_sensor(y.flatten(-len(self.range_shape) + 1), 2)
        points, weights = self._heard()
        values = weights.conj()[:, None] * samples[..., self.kept[0]]
        return self._as_called(samples_to_images(values, points, self.domain_shape[1:]), lead)

    def _heard(self) -> tuple[Tensor, Tensor]:
        """Return points (R, 2, M) and weights (R, M) of the samples that any sensor measures."""
        kept = self.kept[0]
        return self.points[..., kept].to(self.toeplitz.dtype), self.weights[:, kept].to(self.dtype)

    def _by_sensor(self, value: Tensor, ndim: int) -> tuple[Tensor, torch.Size]:
        """Return (..., B, C, *sample) as (R, T, *sample), T values for each of R sensors, and the shape of the axes folded."""
        lead = value.shape[: value.ndim - ndim + 1]
        self.sensor_indices(lead[-2])
        rows = self.points.shape[0]
        folded = value.reshape(-1, rows, *value.shape[-ndim:])
        return folded.transpose(0, 1).flatten(1, 2), lead

    def _as_called(self, value: Tensor, lead: torch.Size) -> Tensor:
        """Return (R, T, *sample) as (..., B, C, *sample)."""
        return value.unflatten(1, (-1, lead[-1])).transpose(0, 1).reshape(*lead, *value.shape[2:])

    def normal(self, x: Tensor) -> Tensor:
        """Return A^H A x through its Toeplitz form."""
        return toeplitz_apply(self.toeplitz, x)

    def spectrum(self) -> SpectralDensity:
        """Return the Lanczos density with its mean put right: tr(A^H A) / n = sum |w|^2 is known exactly."""
        return super().spectrum().with_mean(self.weights.abs().square().sum(1))

    def coarsen(self, factor: int) -> LinearOperator:
        """Return the same sum on the coarse grid, samples weighted by H_s(k) (see the module's text for the bound)."""
        if factor == 1:
            return self
        coarse = coarse_shape(self.domain_shape, factor)
        offset = [
            factor * (c // 2) + COARSE_ORIGIN - n // 2 for c, n in zip(coarse[1:], self.domain_shape[1:], strict=True)
        ]
        response = transfer(factor, self.points[:, 0]) * transfer(factor, self.points[:, 1])
        response = torch.where(response.abs() < BAND_EDGE, torch.zeros_like(response), response)
        phase = torch.polar(torch.ones_like(response), offset[0] * self.points[:, 0] + offset[1] * self.points[:, 1])
        return NonuniformFourier(
            factor * self.points,
            self.weights * response * phase,
            domain_shape=coarse,
            sample_shape=self.range_shape[1:],
            dtype=self.dtype,
        )
