"""Ground-penetrating radar: one antenna moved over flat soil, time convention exp(+j w t).

    y[a, n] = S_n sum_j x_j exp(-i 4 pi f_n L_aj / c) / (4 pi P_aj)^2,
    L_aj = l_air + sqrt(eps_r) l_soil (Fermat),    P_aj = l_air + l_soil,    f_n = f_0 + n df

The path refracts at the surface (:mod:`echoform.scene.soil`). With the antenna on the ground it is straight and each term is
exactly S g^2, g = exp(-i k R) / (4 pi R), k = 2 pi f sqrt(eps_r) / c; above it the phase is that of geometrical optics, and
spreading is taken as 1 / P, without the transmission through the surface. Neither loss nor dispersion in the soil.

Frequencies are equally spaced: each trace is a one-dimensional non-uniform Fourier sum at the angles 4 pi df L / c, and the
adjoint the conjugate sum at the same angles, so it is exact (:mod:`echoform.linalg.phasor_tables`). The lengths are held, A n
float64 and A n amplitudes; the phases are made for a few traces at a time, but all are held while the norm of small images is
found. A^H A is adjoint(forward). The coarse version is that of :mod:`echoform.physics.local_transfer` with a shorter Taylor
series: within 5 % of A U_s for white noise on pixels of up to 4.4 rad of the highest frequency.

Source: Daniels, Ground Penetrating Radar (2004), chapter 7; Johansson and Mast (1994), Microw. Opt. Technol. Lett. 7(12).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from echoform.linalg.phasor_tables import can_be_held, conjugate_row_sums, held_tables, row_sums
from echoform.linalg.spectrum import SpectralDensity, largest_eigenvalue
from echoform.linalg.taylor_profile import COARSE, TaylorSeries, rounding_series
from echoform.physics.local_transfer import EntryPhase, EntryPhases, coarse_version, transfer_weights
from echoform.physics.operator import NORM_TOLERANCE, LinearOperator
from echoform.scene.collection import SPEED_OF_LIGHT_M_S
from echoform.scene.soil import GroundSurvey, Section, refracted_path_m

#: phases held at a time, traces times pixels, unless one trace has more
BLOCK = 2**16


class _Sum(torch.autograd.Function):
    """The sum of one sensor or its adjoint: the backward pass is the other of the two, no phases are stored."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, operator: GroundPenetratingRadar, index: int, backwards: bool) -> Tensor:
        """Return the sum of one sensor, either way."""
        ctx.operator, ctx.index, ctx.backwards = operator, index, backwards
        value = value.resolve_conj()
        return operator.backprojected(value, index) if backwards else operator.traces(value, index)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, None, None, None]:
        return _Sum.apply(grads[0], ctx.operator, ctx.index, not ctx.backwards), None, None, None


class GroundPenetratingRadar(LinearOperator):
    """The operator of a survey over a vertical section; the range is (1, traces, frequencies).

    Gradients reach the image, and antenna, height and permittivity where they ask for them: the phases are kept for those.

    Args:
        survey: antenna, soil and frequencies.
        section: pixels below the surface.
        dtype: complex64 or complex128.
        series: the Taylor series of each trace's sum; one as true as rounding in the dtype when absent.
    """

    antenna_x_m: Tensor
    height_m: Tensor
    permittivity: Tensor
    start_hz: Tensor
    step_hz: Tensor
    transmitted: Tensor
    optical_m: Tensor
    spreading: Tensor

    def __init__(
        self,
        survey: GroundSurvey,
        section: Section,
        *,
        dtype: torch.dtype = torch.complex64,
        series: TaylorSeries | None = None,
    ) -> None:
        traces, frequencies = survey.antenna_x_m.shape[1], survey.spectrum.shape[1]
        super().__init__((1, *section.grid.shape), (1, traces, frequencies))
        self._dtype, self.section = dtype, section
        self.series = series or rounding_series(dtype)
        self.register_buffer("antenna_x_m", survey.antenna_x_m.double())
        for name in ("height_m", "permittivity", "start_hz", "step_hz"):
            self.register_buffer(name, getattr(survey, name).double())
        self.register_buffer("transmitted", survey.spectrum.to(torch.complex128))
        depth, x = torch.meshgrid(section.depths_m(), section.grid.axes_m()[1], indexing="ij")
        index = self.permittivity.sqrt()[:, None, None]
        distance = (x.flatten().to(self.antenna_x_m.device) - self.antenna_x_m[..., None]).abs()
        air, soil = refracted_path_m(distance, self.height_m[:, None, None], depth.flatten().to(distance.device), index)
        self.register_buffer("optical_m", air + index * soil)
        self.register_buffer("spreading", (4 * torch.pi * (air + soil)).pow(-2).to(dtype.to_real()))

    @property
    def dtype(self) -> torch.dtype:
        """The dtype given at construction."""
        return self._dtype

    def forward(self, x: Tensor) -> Tensor:
        """Return the samples, (..., B, 1, traces, frequencies)."""
        return self.each_sensor(x[..., 0, :, :].flatten(-2), self._traces, ndim=1, result_ndim=2).unsqueeze(-3)

    def adjoint(self, y: Tensor) -> Tensor:
        """Return the backprojection (Kirchhoff migration with conjugate weights), (..., B, 1, H, W)."""
        images = self.each_sensor(y[..., 0, :, :], self._backprojected, ndim=2, result_ndim=1)
        return images.unflatten(-1, self.domain_shape)

    def _traces(self, pixels: Tensor, sensor: int) -> Tensor:
        if self.optical_m.requires_grad:
            return self.traces(pixels, sensor)
        return _Sum.apply(pixels, self, sensor, False)  # pyright: ignore[reportReturnType]

    def _backprojected(self, samples: Tensor, sensor: int) -> Tensor:
        if self.optical_m.requires_grad:
            return self.backprojected(samples, sensor)
        return _Sum.apply(samples, self, sensor, True)  # pyright: ignore[reportReturnType]

    @torch.no_grad()
    def norm(self) -> Tensor:
        """Return the norm of each sensor, the phasors of its traces held meanwhile where they are few enough."""
        if not can_be_held(self.range_shape[1], self.range_shape[2], self.optical_m.shape[-1]):
            return super().norm()
        starts = self.probe().flatten(1)
        return torch.cat([self._largest_eigenvalue(starts[b : b + 1], b) for b in range(self.batch)]).sqrt()

    def _largest_eigenvalue(self, start: Tensor, sensor: int) -> Tensor:
        tables = held_tables((self._phases(block, sensor) for block in self._blocks()), self.range_shape[2])
        power = self._of(self.transmitted, sensor).to(self.dtype).abs().square()

        def normal(pixels: Tensor) -> Tensor:
            return tables.conjugate_sums(power * tables.sums(pixels))

        return largest_eigenvalue(normal, start, ndim=1, tolerance=NORM_TOLERANCE).above

    def spectrum(self) -> SpectralDensity:
        """Return the Lanczos density with its mean put right: tr(A^H A) = sum_n |S_n|^2 sum_aj (4 pi P_aj)^-4."""
        power = self.transmitted.abs().square().sum(1)
        return super().spectrum().with_mean(power * self.spreading.double().square().mean(2).sum(1))

    def coarsen(self, factor: int) -> LinearOperator:
        """Return the sums on the coarse pixels with the local response of U_s, or A U_s where that would not be true."""
        if factor == 1:
            return self
        weights = transfer_weights(factor, self.section.grid.shape, [self._entry_phase(b) for b in range(self.batch)])
        if weights is None:
            return self.galerkin(factor)
        traces, frequencies = weights.rectangle()
        survey = GroundSurvey(
            self.antenna_x_m[:, traces],
            self.height_m,
            self.permittivity,
            self.start_hz + frequencies.start * self.step_hz,
            self.step_hz,
            self.transmitted[:, frequencies],
        )
        base = GroundPenetratingRadar(survey, self.section.coarser(factor), dtype=self.dtype, series=COARSE)
        shape = (self.range_shape[1], self.range_shape[2])
        return coarse_version(base, weights, shape, origin=(traces.start, frequencies.start))

    def _entry_phase(self, sensor: int) -> EntryPhases:
        index = torch.arange(self.range_shape[2], dtype=torch.float64, device=self.device)
        hz = self._of(self.start_hz, sensor) + index * self._of(self.step_hz, sensor)
        path_m, spreading = self._of(self.optical_m, sensor), self._of(self.spreading, sensor)

        def at(pixels: Tensor, elements: Tensor | None) -> EntryPhase:
            """Return the phase of traces at pixels; None: of all."""
            path, level = (
                v[:, pixels] if elements is None else v[elements[:, None], pixels] for v in (path_m, spreading)
            )
            wavenumber, zero = 4 * torch.pi / SPEED_OF_LIGHT_M_S * hz, torch.zeros_like(path[0])
            return EntryPhase(wavenumber, path, zero, level)

        return at

    def traces(self, pixels: Tensor, sensor: int) -> Tensor:
        """Return the samples (..., A, F) of the pixels (..., n) by one sensor."""
        gain, parts = self._of(self.transmitted, sensor).to(self.dtype), []
        for block in self._blocks():
            turn, angles = self._phases(block, sensor)
            parts.append(gain * row_sums(pixels, turn, angles, self.range_shape[2], self.series))
        return torch.cat(parts, -2)

    def backprojected(self, samples: Tensor, sensor: int) -> Tensor:
        """Return the pixels (..., n) of the samples (..., A, F), adjoint of :meth:`traces`."""
        gain = self._of(self.transmitted, sensor).to(self.dtype).conj()
        image = samples.new_zeros(*samples.shape[:-2], self.optical_m.shape[-1])
        for block in self._blocks():
            turn, angles = self._phases(block, sensor)
            image += conjugate_row_sums(gain * samples[..., block, :], turn, angles, self.series)
        return image

    def _blocks(self) -> list[slice]:
        """Return the traces, so many at a time that a block's phases stay in the cache."""
        count, size = self.range_shape[1], max(1, BLOCK // self.optical_m.shape[-1])
        return [slice(first, min(first + size, count)) for first in range(0, count, size)]

    def _of(self, buffer: Tensor, sensor: int) -> Tensor:
        return buffer[sensor % buffer.shape[0]]

    def _phases(self, traces: slice, sensor: int) -> tuple[Tensor, Tensor]:
        """Return amplitude and phase at the middle frequency, and the angle per step over 2 pi, (traces, n) each."""
        step = self._of(self.step_hz, sensor)
        middle = self._of(self.start_hz, sensor) + (self.range_shape[2] // 2) * step
        delay = 2 / SPEED_OF_LIGHT_M_S * self._of(self.optical_m, sensor)[traces]
        spreading, turns = self._of(self.spreading, sensor)[traces], -middle * delay
        phase = (2 * torch.pi * (turns - turns.round())).to(spreading.dtype)
        return torch.polar(spreading, phase), step * delay
