"""The transmitted pulse: from the response over frequency to the echo as it is sampled.

    s[n, k] = 1 / F sum_m Y[n, m] P(f_m) exp(+i 2 pi f_m t_k),    f_m = (m - F // 2) F_s / F,    t_k = t_0 + k / F_s

P(f) = sum_q p(q / F_s) exp(-i 2 pi f q / F_s) is the transform of the sampled pulse, sent from t = 0 on. A scatterer with
Y = exp(-i 2 pi f tau) gives s = p(t - tau): exactly when tau falls on a sample, else p interpolated in its band; sharp ends of
a pulse have a spectrum beyond the band, which real receivers filter. The adjoint is the matched filter. The echo repeats
after F samples, so F must exceed window and pulse. Coarse version: Galerkin by default.

The window is to the frequencies what missing pulses are to the azimuth bins: of a coarse stripmap operator
(:mod:`echoform.physics.stripmap_coarse`) behind a chirp, A^H A is a Toeplitz matrix along either axis of the coarse band.

Source: Cumming and Wong, Digital Processing of Synthetic Aperture Radar Data (2005), section 3.4.
"""

from __future__ import annotations

import math

import torch
from scipy.fft import next_fast_len
from torch import Tensor

from echoform.linalg.toeplitz_axis import ToeplitzAxis
from echoform.physics.compositions import ComposedOperator
from echoform.physics.operator import LinearOperator
from echoform.physics.stripmap import StripmapOperator
from echoform.physics.stripmap_coarse import CoarseStripmap
from echoform.scene.collection import SPEED_OF_LIGHT_M_S
from echoform.scene.stripmap import StripmapCollection


class RangeChirp(LinearOperator):
    """From (1, P, F) frequencies to (1, P, N) samples of the echo.

    Args:
        pulse: p, samples from the start of transmission on, (B or 1, Q), complex.
        first_sample_s: t_0, time of the first sample after the start of transmission, (B or 1,), seconds.
        sample_rate_hz: F_s, (B or 1,), hertz.
        pulses: P.
        frequencies: F.
        samples: N, at most F.
        dtype: complex64 or complex128.

    Raises:
        ValueError: the pulse or the window is longer than F samples.
    """

    pulse: Tensor
    first_sample_s: Tensor
    sample_rate_hz: Tensor
    transfer: Tensor

    def __init__(
        self,
        pulse: Tensor,
        first_sample_s: Tensor,
        sample_rate_hz: Tensor,
        *,
        pulses: int,
        frequencies: int,
        samples: int,
        dtype: torch.dtype = torch.complex64,
    ) -> None:
        super().__init__((1, pulses, frequencies), (1, pulses, samples))
        if pulse.ndim != 2 or max(pulse.shape[1], samples) > frequencies:
            raise ValueError(
                f"{frequencies} frequencies must be no fewer than the samples ({samples}) and those of the pulse (batch, "
                f"count), got {tuple(pulse.shape)}"
            )
        self._dtype = dtype
        self.register_buffer("pulse", pulse.to(torch.complex128))
        self.register_buffer("first_sample_s", first_sample_s.double())
        self.register_buffer("sample_rate_hz", sample_rate_hz.double())
        bins = torch.fft.fftfreq(frequencies, dtype=torch.float64, device=pulse.device)
        start = torch.remainder(bins * (self.first_sample_s * self.sample_rate_hz)[:, None], 1)
        transfer = torch.fft.fft(self.pulse, n=frequencies) * torch.exp(2j * torch.pi * start)
        self.register_buffer("transfer", transfer[:, None, None].to(dtype))

    @property
    def dtype(self) -> torch.dtype:
        """The dtype given at construction."""
        return self._dtype

    def support_after(self, marks: Tensor | None) -> Tensor | None:
        """Return the support where it is whole pulses: a pulse that was not sent has no echo."""
        return marks if marks is None or marks.shape[-1] == 1 else None

    def __matmul__(self, other: LinearOperator) -> ComposedOperator:
        """Return the product, in the form of its own that it has with a coarse stripmap operator."""
        return CoarseRawStripmap(self, other) if isinstance(other, CoarseStripmap) else super().__matmul__(other)

    def forward(self, x: Tensor) -> Tensor:
        """Return the echoes, (..., B, 1, P, N)."""
        spectrum = torch.fft.ifftshift(x, dim=-1) * self.transfer
        return torch.fft.ifft(spectrum)[..., : self.range_shape[2]]

    def adjoint(self, y: Tensor) -> Tensor:
        """Return the matched filter's output over frequency, (..., B, 1, P, F)."""
        count = self.domain_shape[2]
        spectrum = torch.fft.fft(y, n=count) / count
        return torch.fft.fftshift(spectrum * self.transfer.conj(), dim=-1)


class CoarseRawStripmap(ComposedOperator):
    """Raw echoes seen from a coarse grid: RangeChirp @ CoarseStripmap, A^H A within the coarse band."""

    outer: RangeChirp
    inner: CoarseStripmap
    between: ToeplitzAxis

    def __init__(self, outer: RangeChirp, inner: CoarseStripmap) -> None:
        super().__init__(outer, inner)
        count = inner.frequencies.stop - inner.frequencies.start
        period, window = outer.domain_shape[2], outer.range_shape[2]
        mask = (torch.arange(period, device=outer.device) < window).double()
        kernel = torch.fft.fft(mask)[None] / period**2
        self.between = ToeplitzAxis(kernel, count, self.dtype)

    def normal(self, x: Tensor) -> Tensor:
        """Return A^H A x."""
        pulse = torch.fft.fftshift(self.outer.transfer, dim=-1)[:, 0, 0, self.inner.frequencies]

        def back(pixels: Tensor, sensor: int) -> Tensor:
            sent, own = pulse[sensor % len(pulse)], sensor % self.inner.batch
            band = self.inner.masked(self.inner.to_band(pixels, own) * sent, own)
            return self.inner.from_band(self.between.along_columns(band, 0) * sent.conj(), own)

        return self.each_sensor(x[..., 0, :, :], back, ndim=2, result_ndim=2).unsqueeze(-3)


def raw_stripmap(
    form: type[StripmapOperator],
    collection: StripmapCollection,
    shape: tuple[int, int],
    *,
    pulse: Tensor,
    first_sample_s: Tensor,
    samples: int,
    range_spacing_m: float,
    azimuth_length: int | None = None,
    dtype: torch.dtype = torch.complex64,
) -> ComposedOperator:
    """Return the sensor of raw echoes, RangeChirp @ stripmap, with so many frequencies that no echo wraps around in range.

    Args:
        form: StripmapOmegaK or StripmapRangeDoppler.
        collection: path, pulses and beam.
        shape: (H, W) of the image.
        pulse: p, (B or 1, Q), complex, sampled like the echo.
        first_sample_s: t_0, (B or 1,), seconds after the start of transmission.
        samples: N, samples of each echo.
        range_spacing_m: width of a pixel, metres.
        azimuth_length: as in :class:`StripmapOperator`.
        dtype: complex64 or complex128.
    """
    nearest, farthest = echo_starts(collection, shape[1], range_spacing_m, first_sample_s)
    frequencies = unwrapped_frequencies(nearest, farthest, pulse=pulse.shape[1], samples=samples)
    inner = form(
        collection,
        shape,
        range_spacing_m=range_spacing_m,
        frequencies=frequencies,
        azimuth_length=azimuth_length,
        dtype=dtype,
    )
    outer = RangeChirp(
        pulse,
        first_sample_s,
        collection.sample_rate_hz,
        pulses=collection.pulses,
        frequencies=frequencies,
        samples=samples,
        dtype=dtype,
    )
    return outer @ inner


def unwrapped_frequencies(nearest: int, farthest: int, *, pulse: int, samples: int) -> int:
    """Return the least fast number of frequencies at which echoes that start at these samples do not wrap into the window."""
    return next_fast_len(max(farthest + pulse, samples - nearest, samples, pulse))  # pyright: ignore[reportReturnType]


def echo_starts(
    collection: StripmapCollection, width: int, range_spacing_m: float, first_sample_s: Tensor
) -> tuple[int, int]:
    """Return the samples at which the earliest and the latest echo of an image start, over the whole Doppler band."""
    edges = torch.cat([collection.edge_sine(), collection.squint_sine()[None]])
    straightest = torch.where((edges[0] < 0) & (edges[1] > 0), 0.0, edges.abs().amin(0))
    sines = torch.stack([straightest, edges.abs().amax(0)])
    half_m = (width // 2) * range_spacing_m
    ends_m = torch.stack([collection.centre_range_m - half_m, collection.centre_range_m + half_m])
    distance_m = ends_m / (1 - sines.square()).sqrt()
    starts = (2 * distance_m / SPEED_OF_LIGHT_M_S - first_sample_s) * collection.sample_rate_hz
    return math.floor(float(starts.amin())), math.ceil(float(starts.amax())) + 1
