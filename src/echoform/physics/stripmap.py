"""Stripmap SAR in the wavenumber domain: what the omega-K and the range-Doppler operator have in common.

A platform flies along y past scatterers at slant range r = r_c + x. Pulse n, sent at y_n, gives at frequency f_0 + f

    y[n, f] = sum_j x_j w exp(-i K R_nj),    R = sqrt(r_j^2 + (y_n - y_j)^2),    K = 4 pi (f_0 + f) / c

Along the track the sum is a convolution. Its transform, with k_y = 2 pi f_D / v and stationary phase (exact to 1 / k_x r), is

    Y(k_y, f) = w sqrt(2 pi r) K k_x^(-3/2) exp(-i pi / 4) sum_j x_j exp(-i (k_x r_j + k_y y_j)),    k_x = sqrt(K^2 - k_y^2)

w = sinc^2(L (k_y - K sin(theta)) / 4 pi) is the two-way pattern of an antenna of length L. The Doppler band is f_dc +- PRF / 2,
unfolded about the centroid with its ambiguities. The image carries the phase reference exp(-i (k_yc y + k_xc x)), k_yc and
k_xc the wavenumbers at the centroid and the carrier, so that its spectrum lies about zero.

Rows of the image are positions along the track, V / PRF apart, columns slant range at closest approach, about the scene centre;
shown with row 0 at the bottom the platform flies up and looks right. Azimuth transforms are longer than the image and the
pulses, so that no echo wraps around; pulses outside the collection and those not kept are masked between the transforms. The
coarse version is that of :mod:`echoform.physics.stripmap_coarse`.

Source: Cafforio, Prati and Rocca (1991), IEEE Trans. Aerosp. Electron. Syst. 27(2); Cumming and Wong (2005), chapters 5, 6 and 8.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any

import torch
from scipy.fft import next_fast_len
from torch import Tensor

from echoform.physics.operator import LinearOperator
from echoform.physics.stripmap_coarse import coarse_stripmap
from echoform.scene.collection import SPEED_OF_LIGHT_M_S
from echoform.scene.grid import Grid
from echoform.scene.stripmap import PARAMETERS, StripmapCollection


class _Pass(torch.autograd.Function):
    """One sensor's forward or adjoint of constant geometry; the backward pass is the other of the two, nothing is stored."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, operator: StripmapOperator, sensor: int, backwards: bool) -> Tensor:
        ctx.operator, ctx.sensor, ctx.backwards = operator, sensor, backwards
        return operator.focused(value, sensor) if backwards else operator.echoes(value, sensor)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, None, None, None]:
        return _Pass.apply(grads[0], ctx.operator, ctx.sensor, not ctx.backwards), None, None, None


class StripmapOperator(LinearOperator):
    """Azimuth transforms, reference functions and masks; how range becomes frequency is left to the two forms.

    Args:
        collection: path, pulses and beam of each sensor.
        shape: (H, W), positions along the track and slant ranges.
        range_spacing_m: width of a pixel, metres; c / 2 F_s is as fine as the samples. With squint k_x spans more than the
            sampled band, by its change over the Doppler band: finer pixels keep the image's spectrum from folding.
        frequencies: F, the range is (1, P, F) at f = (m - F // 2) F_s / F.
        azimuth_length: length of the azimuth transforms; None for one at which no echo wraps around. P makes the pulses
            a period, and A^H A block-diagonal.
        dtype: complex64 or complex128.

    Raises:
        ValueError: the scene reaches the path, or the azimuth transforms are shorter than the image or the pulses.
    """

    speed_m_s: Tensor
    carrier_hz: Tensor
    sample_rate_hz: Tensor
    prf_hz: Tensor
    centre_range_m: Tensor
    doppler_centroid_hz: Tensor
    antenna_m: Tensor
    kept: Tensor
    transfer: Tensor
    turn: Tensor
    spreading: Tensor

    def __init__(
        self,
        collection: StripmapCollection,
        shape: tuple[int, int],
        *,
        range_spacing_m: float,
        frequencies: int,
        azimuth_length: int | None = None,
        dtype: torch.dtype = torch.complex64,
    ) -> None:
        super().__init__((1, *shape), (1, collection.pulses, frequencies))
        self._dtype = dtype
        self.range_spacing_m = range_spacing_m
        rows = collection.batch
        for name in PARAMETERS:
            self.register_buffer(name, getattr(collection, name).double().expand(rows))
        self.register_buffer("kept", collection.kept.to(dtype.to_real()).expand(rows, -1))
        near_m = self.centre_range_m - (shape[1] // 2) * range_spacing_m
        if not range_spacing_m > 0 or bool((near_m <= 0).any()):
            raise ValueError(
                f"{shape[1]} pixels of {range_spacing_m:g} m about {self.centre_range_m.tolist()} m reach the path; "
                "take fewer or smaller ones"
            )
        self.azimuth_length = azimuth_length or unwrapped_length(collection, shape, range_spacing_m)
        if self.azimuth_length < max(shape[0], collection.pulses):
            raise ValueError(
                f"azimuth_length {self.azimuth_length} is shorter than {shape[0]} image rows or {collection.pulses} pulses"
            )
        offsets = self.range_offsets_m()
        self.register_buffer("transfer", torch.stack([self._transfer(s) for s in range(rows)]).to(dtype))
        along_m = (torch.arange(shape[0], dtype=torch.float64, device=self.device) - shape[0] // 2)[None] * (
            collection.pulse_spacing_m()[:, None]
        )
        phase = 2 * torch.pi * (self.doppler_centroid_hz / self.speed_m_s)[:, None] * along_m
        self.register_buffer("turn", torch.polar(torch.ones_like(phase), phase).to(dtype))
        relative = 1 + offsets / self.centre_range_m[:, None]
        self.register_buffer("spreading", relative.sqrt().to(dtype.to_real()))
        self._prepare()

    @abstractmethod
    def _prepare(self) -> None:
        """Register what the form's sums over range need, once all else is known."""

    @property
    def dtype(self) -> torch.dtype:
        """The dtype given at construction."""
        return self._dtype

    @property
    def grid(self) -> Grid:
        """The first sensor's pixels, metres: along the track and slant range, about the scene centre."""
        _, height, width = self.domain_shape
        spacing_m = float((self.speed_m_s[0] / self.prf_hz[0]).detach())
        return Grid((height, width), (spacing_m, self.range_spacing_m))

    @property
    def collection(self) -> StripmapCollection:
        """Path, pulses and beam of each sensor."""
        return StripmapCollection(*(getattr(self, name) for name in PARAMETERS), kept=self.kept)

    def support(self) -> Tensor:
        """Return the pulses that were measured, (B, 1, P, 1)."""
        return self.kept[:, None, :, None]

    def forward(self, x: Tensor) -> Tensor:
        """Return the samples over pulses and frequencies, (..., B, 1, P, F)."""
        return self._each(x, backwards=False)

    def adjoint(self, y: Tensor) -> Tensor:
        """Return the focused image, (..., B, 1, H, W)."""
        return self._each(y, backwards=True)

    def _each(self, value: Tensor, *, backwards: bool) -> Tensor:
        through = torch.is_grad_enabled() and self.transfer.requires_grad

        def one_pass(part: Tensor, sensor: int) -> Tensor:
            if through:
                return self.focused(part, sensor) if backwards else self.echoes(part, sensor)
            return _Pass.apply(part, self, sensor, backwards)  # pyright: ignore[reportReturnType]

        return self.each_sensor(value[..., 0, :, :], one_pass, ndim=2, result_ndim=2).unsqueeze(-3)

    def echoes(self, pixels: Tensor, sensor: int) -> Tensor:
        """Return the samples (..., P, F) of an image (..., H, W) by one sensor."""
        spectrum = self.to_frequencies(self.to_doppler(pixels, sensor), sensor) * self.transfer[sensor]
        pulses = torch.fft.ifft(spectrum, dim=-2)[..., : self.range_shape[1], :]
        return pulses * self.kept[sensor, :, None]

    def focused(self, samples: Tensor, sensor: int) -> Tensor:
        """Return the image (..., H, W) of samples (..., P, F), adjoint of :meth:`echoes` (its factors M and 1 / M cancel)."""
        spectrum = torch.fft.fft(samples * self.kept[sensor, :, None], n=self.azimuth_length, dim=-2)
        return self.from_doppler(self.to_ranges(spectrum * self.transfer[sensor].conj(), sensor), sensor)

    def to_doppler(self, pixels: Tensor, sensor: int) -> Tensor:
        """Return the spectrum along the track, (..., M, W), of an image (..., H, W)."""
        weighted = pixels * (self.turn[sensor][:, None] * self.spreading[sensor])
        return torch.fft.fft(weighted, n=self.azimuth_length, dim=-2)

    def from_doppler(self, spectrum: Tensor, sensor: int) -> Tensor:
        """Return the image of a spectrum (..., M, W), M^-1 times the adjoint of :meth:`to_doppler`."""
        image = torch.fft.ifft(spectrum, dim=-2)[..., : self.domain_shape[1], :]
        return image * (self.turn[sensor].conj()[:, None] * self.spreading[sensor])

    def coarsen(self, factor: int) -> LinearOperator:
        """Return the coarse band at the coarse pixels, or A U_s where that would not pay."""
        if factor == 1:
            return self
        return coarse_stripmap(self, factor) or self.galerkin(factor)

    @abstractmethod
    def to_frequencies(self, ranges: Tensor, sensor: int) -> Tensor:
        """Return sum_x X(k_y, x) exp(-i (k_x - k_xc) x), (..., M, F), from the spectrum along the track (..., M, W)."""

    @abstractmethod
    def to_ranges(self, spectrum: Tensor, sensor: int) -> Tensor:
        """Return (..., M, W) from (..., M, F), the adjoint of :meth:`to_frequencies`."""

    def range_offsets_m(self) -> Tensor:
        """Return x of the columns, (W,), metres, float64."""
        width = self.domain_shape[2]
        index = torch.arange(width, dtype=torch.float64, device=self.centre_range_m.device)
        return (index - width // 2) * self.range_spacing_m

    def azimuth_wavenumber(self, sensor: int) -> Tensor:
        """Return k_y of the azimuth bins in FFT order, (M,): the Doppler frequencies unfolded about the centroid."""
        prf, centroid = self.prf_hz[sensor], self.doppler_centroid_hz[sensor]
        folded = torch.fft.fftfreq(self.azimuth_length, dtype=torch.float64, device=prf.device) * prf
        return 2 * torch.pi / self.speed_m_s[sensor] * (folded + prf * torch.round((centroid - folded) / prf))

    def wavenumber(self, sensor: int) -> Tensor:
        """Return K = 4 pi (f_0 + f) / c of the frequencies, (F,)."""
        count, rate = self.range_shape[2], self.sample_rate_hz[sensor]
        offset = (torch.arange(count, dtype=torch.float64, device=rate.device) - count // 2) * rate / count
        return 4 * torch.pi / SPEED_OF_LIGHT_M_S * (self.carrier_hz[sensor] + offset)

    def range_wavenumber(self, sensor: int) -> Tensor:
        """Return k_x = sqrt(K^2 - k_y^2), the Stolt map, (M, F)."""
        k_y = self.azimuth_wavenumber(sensor)[:, None]
        return (self.wavenumber(sensor).square() - k_y.square()).sqrt()

    def centre_wavenumbers(self, sensor: int) -> tuple[Tensor, Tensor]:
        """Return (k_yc, k_xc) at the Doppler centroid and the carrier, radians per metre."""
        k_y = 2 * torch.pi * self.doppler_centroid_hz[sensor] / self.speed_m_s[sensor]
        k = 4 * torch.pi * self.carrier_hz[sensor] / SPEED_OF_LIGHT_M_S
        return k_y, (k.square() - k_y.square()).sqrt()

    def _transfer(self, sensor: int) -> Tensor:
        """Return the response of a scatterer at the scene centre over azimuth bins and frequencies, (M, F), complex128."""
        k_x = self.range_wavenumber(sensor)
        if not bool((k_x > 0).all()):
            raise ValueError("Doppler frequencies exceed 2 v / lambda at the lowest frequency; check PRF and bandwidth")
        k, k_y = self.wavenumber(sensor), self.azimuth_wavenumber(sensor)[:, None]
        range_m, spacing_m = self.centre_range_m[sensor], self.speed_m_s[sensor] / self.prf_hz[sensor]
        k_yc, k_xc = self.centre_wavenumbers(sensor)
        sine = k_yc / (4 * torch.pi * self.carrier_hz[sensor] / SPEED_OF_LIGHT_M_S)
        beam = torch.sinc(self.antenna_m[sensor] * (k_y - k * sine) / (4 * torch.pi)).square()
        level = (2 * torch.pi * range_m).sqrt() * k * k_x**-1.5 / spacing_m
        bins = torch.arange(self.azimuth_length, dtype=torch.float64, device=k.device)
        shift = (self.domain_shape[1] // 2 - self.range_shape[1] // 2) % self.azimuth_length
        start = 2 * torch.pi * torch.remainder(bins * shift, self.azimuth_length) / self.azimuth_length
        phase = start[:, None] - torch.pi / 4 - k_x * range_m - k_y * (range_m * k_yc / k_xc)
        return torch.polar(beam * level, phase)


def unwrapped_length(collection: StripmapCollection, shape: tuple[int, int], range_spacing_m: float) -> int:
    """Return the shortest fast multiple of 8 of the azimuth transforms at which no echo of the image wraps around.

    Row j is heard at pulses j - (r tan(theta) - r_c tan(theta_c)) PRF / v, theta over the Doppler band.
    """
    sine, edges = collection.squint_sine(), collection.edge_sine()
    tangent, edge_tangents = sine / (1 - sine**2).sqrt(), edges / (1 - edges**2).sqrt()
    half_m = (shape[1] // 2 + 1) * range_spacing_m
    reach = torch.stack(
        [
            ((collection.centre_range_m + side * half_m) * edge - collection.centre_range_m * tangent).abs()
            for side in (-1, 1)
            for edge in edge_tangents
        ]
    ).amax(0)
    pulses = math.ceil(float((reach / collection.pulse_spacing_m()).detach().amax()))
    needed = math.ceil((shape[0] + collection.pulses) / 2) + pulses + 1
    eighth = math.ceil(max(needed, shape[0], collection.pulses) / 8)
    return 8 * next_fast_len(eighth)  # pyright: ignore[reportOperatorIssue]
