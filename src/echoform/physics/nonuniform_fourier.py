"""Samples of the image's Fourier transform off the grid (plane-wave SAR, radial MRI, interferometry).

    y_m = w_m sum_jk x_jk exp(+i k_m . (j', k')),      j' = j - H // 2,  k' = k - W // 2,  k_m in radians per pixel

A^H A is Toeplitz and is applied with two FFTs of the doubled grid. The coarse version keeps the samples inside the coarse
band: with the Kaiser-sinc interpolation U_s unbounded by the image border, A U_s = diag(w H_s(k)) (the same sum at s k)
holds exactly, so it differs from Galerkin only through the two coarse pixels nearest the border, where the official
U_s wraps around. Its Toeplitz form is that of the fine grid, filtered and decimated; the weights H_s(k) are made when A_s or its
adjoint is called for.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from echoform.linalg.nufft import accuracy, toeplitz_apply, wrap
from echoform.linalg.nufft_each import images_to_samples, samples_to_images
from echoform.linalg.resample import COARSE_ORIGIN, transfer
from echoform.linalg.spectrum import SpectralDensity
from echoform.linalg.toeplitz_lags import ToeplitzLags, toeplitz_lags
from echoform.linalg.toeplitz_norm import toeplitz_norm
from echoform.physics.frequency_axis import runs_along_frequency
from echoform.physics.operator import NORM_TOLERANCE, LinearOperator, coarse_shape

#: lags that are kept suffice for coarse versions up to this factor
COARSEST = 8


class WeightedSum(LinearOperator):
    """Weighted Fourier sums of images, whose A^H A is Toeplitz.

    Attributes:
        toeplitz: eigenvalues of A^H A on the torus of twice the sides, (R, 1, 2H, 2W).
    """

    toeplitz: Tensor

    @abstractmethod
    def _sums(self) -> _WeightedSums:
        """The sums over samples that any sensor measures."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the samples, (..., B, C, *sample_shape)."""
        self.sensor_indices(x.shape[-4])
        return self._sums().samples(x).unflatten(-1, self.range_shape[1:])

    def adjoint(self, y: Tensor) -> Tensor:
        """Return the conjugate sum, (..., B, C, H, W)."""
        self.sensor_indices(y.shape[-len(self.range_shape) - 1])
        return self._sums().images(y.flatten(-len(self.range_shape) + 1), self.domain_shape[1:])

    def normal(self, x: Tensor) -> Tensor:
        """Return A^H A x through its Toeplitz form."""
        return toeplitz_apply(self.toeplitz, x)

    @torch.no_grad()
    def norm(self) -> Tensor:
        """Return the norm from the Toeplitz form, within half a percent and seldom from below."""
        return toeplitz_norm(self.toeplitz[:, 0], tolerance=NORM_TOLERANCE).sqrt()

    @torch.no_grad()
    def spectrum(self) -> SpectralDensity:
        """Return the Lanczos density with its mean put right: tr(A^H A) / n = sum |w|^2 is that of the torus."""
        return super().spectrum().with_mean(self.toeplitz.mean((1, 2, 3)))


class NonuniformFourier(WeightedSum):
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
    lags: Tensor
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
        self.register_buffer("kept", measured_by_any(self.weights)[None])
        lags = self._summed_lags(COARSEST)
        self.register_buffer("lags", lags.planes)
        self.register_buffer("toeplitz", lags.spectrum()[:, None])

    @property
    def dtype(self) -> torch.dtype:
        """The dtype given at construction."""
        return self._dtype

    def support(self) -> Tensor:
        """Return the measured entries, (B or 1, 1, *sample_shape)."""
        return (self.weights != 0).to(self.toeplitz.dtype).unflatten(-1, self.range_shape[1:])[:, None]

    def frequency_axes(self, *, of_input: bool = False) -> bool:
        """Return whether the points are laid out like that: those of pulses and frequencies are, baselines over time are not."""
        shape = self.range_shape[1:]
        if len(shape) < 2 or min(shape[-2:]) < 2:
            return False
        for points, weights in zip(self.points.unflatten(-1, shape), self.weights.unflatten(-1, shape), strict=True):
            for axis in (-2, -1):
                along, marks = points.movedim(axis, -1).flatten(1, -2), weights.movedim(axis, -1).flatten(0, -2) != 0
                if not runs_along_frequency(along, marks.any(0)):
                    return False
        return True

    def _sums(self) -> _WeightedSums:
        return _WeightedSums(self.points, self.weights, self.kept[0], self.dtype)

    def toeplitz_lags(self, factor: int) -> ToeplitzLags:
        """Return the lags of A^H A, as many as a grid ``factor`` times coarser needs."""
        if factor > COARSEST:
            return self._summed_lags(factor)
        return ToeplitzLags(self.lags, self.domain_shape[1:], COARSEST)

    def weighted_lags(self, factors: Tensor, factor: int) -> ToeplitzLags:
        """Return the lags of A^H diag(c) A for T real factors c of the samples, those of one sensor after the other.

        Args:
            factors: c, (B or 1, T, M), for B or one sensor.
            factor: coarsest grid wanted of them.
        """
        power = self.weights.real.square() + self.weights.imag.square()
        weighted = power[:, None] * factors.double()
        points = self.points[:, None].expand(len(weighted), weighted.shape[1], -1, -1)
        return self._lags_of(weighted.flatten(0, 1), points.flatten(0, 1), factor)

    def _summed_lags(self, factor: int) -> ToeplitzLags:
        return self._lags_of(self.weights.real.square() + self.weights.imag.square(), self.points, factor)

    def _lags_of(self, power: Tensor, points: Tensor, factor: int) -> ToeplitzLags:
        return toeplitz_lags(
            power,
            points,
            self.domain_shape[1:],
            factor=factor,
            eps=accuracy(self.dtype),
            dtype=self.dtype.to_real(),
        )

    def coarsen(self, factor: int) -> LinearOperator:
        """Return the same sum on the coarse grid, samples weighted by H_s(k) (see the module's text for the bound)."""
        return self if factor == 1 else CoarseNonuniformFourier(self, factor)


class CoarseNonuniformFourier(WeightedSum):
    """A sum seen from a grid ``factor`` times coarser: the same samples, weighted by H_s(k).

    Args:
        base: the sum on the fine grid.
        factor: s.
    """

    def __init__(self, base: NonuniformFourier, factor: int) -> None:
        super().__init__(coarse_shape(base.domain_shape, factor), base.range_shape)
        self.base = base
        self.factor = factor
        self.register_buffer("toeplitz", base.toeplitz_lags(factor).coarse_spectrum(factor)[:, None])

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the fine operator."""
        return self.base.dtype

    def weights(self) -> Tensor:
        """Return w H_s(k) exp(i k . o), (R, M), complex128; o is where the coarse grid's middle stands on the fine grid."""
        points = self.base.points
        offset = [
            self.factor * (c // 2) + COARSE_ORIGIN - n // 2
            for c, n in zip(self.domain_shape[1:], self.base.domain_shape[1:], strict=True)
        ]
        response = transfer(self.factor, points[:, 0]) * transfer(self.factor, points[:, 1])
        phase = offset[0] * points[:, 0] + offset[1] * points[:, 1]
        return self.base.weights * torch.polar(response, phase)

    def support(self) -> Tensor:
        """Return the fine operator's support."""
        return self.base.support()

    def frequency_axes(self, *, of_input: bool = False) -> bool:
        """Return what the fine operator does."""
        return self.base.frequency_axes()

    def _sums(self) -> _WeightedSums:
        weights = self.weights()
        return _WeightedSums(wrap(self.factor * self.base.points), weights, measured_by_any(weights), self.dtype)


@dataclass(frozen=True)
class _WeightedSums:
    """The sum and its adjoint over the samples that any sensor measures.

    Attributes:
        points: (R, 2, M), float64.
        weights: (R, M), complex128.
        kept: index of the samples taken, (K,).
        dtype: complex, of images and samples.
    """

    points: Tensor
    weights: Tensor
    kept: Tensor
    dtype: torch.dtype

    def samples(self, x: Tensor) -> Tensor:
        """Return (..., B, C, M) from images (..., B, C, H, W)."""
        images, lead = self._by_sensor(x, 3)
        values = self._weights()[:, None] * images_to_samples(images, self._points(), self._heard())
        full = values.new_zeros(*values.shape[:-1], self.weights.shape[1]).index_copy(-1, self.kept, values)
        return self._as_called(full, lead)

    def images(self, y: Tensor, shape: tuple[int, int]) -> Tensor:
        """Return images (..., B, C, *shape) from samples (..., B, C, M)."""
        samples, lead = self._by_sensor(y, 2)
        values = self._weights().conj()[:, None] * samples[..., self.kept]
        return self._as_called(samples_to_images(values, self._points(), shape, self._heard()), lead)

    def _points(self) -> Tensor:
        return self.points[..., self.kept].to(self.dtype.to_real())

    def _weights(self) -> Tensor:
        return self.weights[:, self.kept].to(self.dtype)

    def _heard(self) -> Tensor | None:
        """Return which of the samples taken each sensor measures, (R, K); None where all do."""
        heard = self.weights[:, self.kept] != 0
        return None if bool(heard.all()) else heard

    def _by_sensor(self, value: Tensor, ndim: int) -> tuple[Tensor, torch.Size]:
        """Return (..., B, C, *sample) as (R, T, *sample), T values for each of R sensors, and the shape of the axes folded."""
        lead = value.shape[: value.ndim - ndim + 1]
        folded = value.reshape(-1, self.points.shape[0], *value.shape[-ndim:])
        return folded.transpose(0, 1).flatten(1, 2), lead

    def _as_called(self, value: Tensor, lead: torch.Size) -> Tensor:
        """Return (R, T, *sample) as (..., B, C, *sample)."""
        return value.unflatten(1, (-1, lead[-1])).transpose(0, 1).reshape(*lead, *value.shape[2:])


def measured_by_any(weights: Tensor) -> Tensor:
    """Return the index of samples that some sensor of (R, M) measures, (K,); the first where none does: sums are never empty."""
    kept = torch.nonzero((weights != 0).any(0)).squeeze(-1)
    return kept if kept.numel() else kept.new_zeros(1)
