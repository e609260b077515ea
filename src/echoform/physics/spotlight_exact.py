"""Spotlight SAR without the plane-wave approximation: spherical wavefronts over every pixel, pulse by pulse.

    y[p, n] = sum_j x_j exp(-i k_c . r_j) exp(-i 4 pi f_n / c d_pj),        d_pj = |q_p - r_j| - |q_p|

With a receiver apart from the transmitter d_pj is half the difference of the paths: the mean of that expression over both.
k_c is the image's phase reference, that of :mod:`echoform.physics.spotlight_plane_wave`, so both operators' images agree to
first order in r. The adjoint is backprojection. With frequencies f_n = f_0 + n' df on a uniform grid, n' = n - F // 2, the sum
over pixels is, pulse by pulse, a one-dimensional non-uniform Fourier sum

    y[p, n] = sum_j (x_j e_pj) exp(-i n' t_pj),      t_pj = 4 pi df d_pj / c,      e_pj = exp(-i k_c . r_j - i 4 pi f_0 d_pj / c)

and the adjoint evaluates the conjugate sum at the same angles, so it is the exact adjoint. A pulse costs O(HW + F log F) by a
Taylor series, or F HW multiplications for each image where many are seen at once (:mod:`echoform.linalg.phasor_tables`). The
distances of one pulse, or of a few on small images, are held at a time, with gradients too: the backward pass to the image is the
other operator, that to the antenna computes each pulse again. A^H A is not Toeplitz but adjoint(forward), so norm() and
spectrum() cost tens of forward and adjoint passes; norm() holds the phasors of small images meanwhile. The coarse version is that
of :mod:`echoform.physics.spotlight_coarse`, its sums true within 5e-3, which is less than its own error.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from echoform.linalg.phasor_tables import can_be_held, conjugate_row_sums, held_tables, row_sums
from echoform.linalg.spectrum import largest_eigenvalue
from echoform.linalg.taylor_profile import COARSE, TaylorSeries, rounding_series, rows_at
from echoform.physics.differential_range import ground_half_path
from echoform.physics.operator import NORM_TOLERANCE, LinearOperator
from echoform.physics.spotlight_coarse import coarse_spotlight
from echoform.physics.spotlight_spherical import SphericalSpotlight, of_sensor
from echoform.scene.collection import SPEED_OF_LIGHT_M_S, SpotlightCollection
from echoform.scene.grid import Grid

#: phases held at a time, pulses times pixels, unless one pulse has more
BLOCK = 2**16


def _by_antenna(by_range: Tensor, antenna_m: Tensor, position_m: Tensor) -> Tensor:
    """Return sum_j w_pj d d_pj / d q_p, (P, 3), of weights w (P, M): the derivative is (q - r_j) / |q - r_j| - q / |q|."""
    offset = antenna_m[:, None] - position_m
    slope = offset / offset.norm(dim=-1, keepdim=True) - torch.nn.functional.normalize(antenna_m, dim=-1)[:, None]
    return torch.einsum("pm,pma->pa", by_range, slope)


@dataclass(frozen=True)
class _Sensor:
    """One sensor of a batch, summed some pulses at a time; lengths in metres, wavenumbers in radians per metre."""

    antenna_m: Tensor  # q, (P, 3)
    receiver_m: Tensor | None  # (P, 3) when apart from the transmitter
    carrier: Tensor  # k_c, (2,)
    middle: Tensor  # 4 pi f_0 / c
    step: Tensor  # 4 pi df / c
    kept: Tensor  # (P, F)
    rows_m: Tensor  # y, (H,)
    columns_m: Tensor  # x, (W,)
    series: TaylorSeries

    def blocks(self) -> Iterator[Tensor]:
        """Yield the pulses of which something was measured, so many at a time that a block's phases stay in the cache."""
        pulses = torch.nonzero(self.kept.any(-1)).squeeze(-1)
        size = max(1, BLOCK // (len(self.rows_m) * len(self.columns_m)))
        return iter(pulses.split(size) if len(pulses) else ())

    def geometry(self, pulses: Tensor) -> tuple[Tensor, Tensor]:
        """Return e and t / 2 pi of some pulses, each (pulses, M): phases in float64, e folded, then cast."""
        receiver = None if self.receiver_m is None else self.receiver_m[pulses]
        d = ground_half_path(self.antenna_m[pulses], receiver, self.rows_m, self.columns_m)
        along_y, along_x = (self.carrier[i] * axis for i, axis in ((1, self.rows_m), (0, self.columns_m)))
        turns = (along_y[:, None] + along_x).flatten().add(self.middle * d).mul_(-0.5 / torch.pi)
        phase = turns.sub_(turns.round()).to(self.kept.dtype).mul_(2 * torch.pi)
        return torch.complex(phase.cos(), phase.sin()), d.mul_(self.step * (0.5 / torch.pi))

    def samples(self, image: Tensor) -> Tensor:
        """Return the samples (..., P, F) of the pixels (..., M)."""
        spectra = image.new_zeros(*image.shape[:-1], *self.kept.shape)
        for pulses in self.blocks():
            e, turns = self.geometry(pulses)
            spectra[..., pulses, :] = self.kept[pulses] * row_sums(image, e, turns, self.kept.shape[1], self.series)
        return spectra

    def backprojection(self, spectra: Tensor) -> Tensor:
        """Return the pixels (..., M) of the samples (..., P, F), adjoint of :meth:`samples`."""
        image = spectra.new_zeros(*spectra.shape[:-2], len(self.rows_m) * len(self.columns_m))
        for pulses in self.blocks():
            e, turns = self.geometry(pulses)
            image += conjugate_row_sums(self.kept[pulses] * spectra[..., pulses, :], e, turns, self.series)
        return image

    def largest_eigenvalue(self, start: Tensor) -> Tensor:
        """Return that of A^H A, (1,), from a first vector (1, M), with the phasors of all pulses held."""
        pulses = torch.cat(list(self.blocks()))
        tables = held_tables((self.geometry(block) for block in self.blocks()), self.kept.shape[1])
        power = self.kept[pulses].square()

        def normal(image: Tensor) -> Tensor:
            return tables.conjugate_sums(power * tables.sums(image))

        return largest_eigenvalue(normal, start, ndim=1, tolerance=NORM_TOLERANCE).above

    def gradient(self, image: Tensor, spectra: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the gradient of Re <spectra, A image> to transmitter and receiver, (P, 3) each, and to the carrier (2,).

        With z_j = x_j e_j the value's derivative is Im(z_j conj sum_n s_n exp(i n' t_j)) to the phase of e_j and the same with
        n' s_n to t_j; then d d_j / d q = (q - r_j) / |q - r_j| - q / |q|, half of it for each antenna of a pair.
        """
        y, x = torch.meshgrid(self.rows_m, self.columns_m, indexing="ij")
        position = torch.stack([x, y, torch.zeros_like(x)], -1).flatten(0, 1)
        modes = torch.arange(self.kept.shape[1], device=image.device) - self.kept.shape[1] // 2
        to_carrier = torch.zeros_like(self.carrier)
        to_antenna, to_receiver = torch.zeros_like(self.antenna_m), torch.zeros_like(self.antenna_m)
        for pulses in self.blocks():
            e, turns = self.geometry(pulses)
            heard = self.kept[pulses] * spectra[..., pulses, :]
            sums = rows_at(torch.stack([heard, modes * heard]), turns, self.series)
            slopes = (image[..., None, :] * e * sums.conj()).imag.double()
            by_phase, by_angle = slopes.reshape(2, -1, *slopes.shape[-2:]).sum(1)
            to_carrier += by_phase.sum(0) @ position[:, :2]
            by_range = self.middle * by_phase + self.step * by_angle
            share = 1.0 if self.receiver_m is None else 0.5
            to_antenna[pulses] = share * _by_antenna(by_range, self.antenna_m[pulses], position)
            if self.receiver_m is not None:
                to_receiver[pulses] = share * _by_antenna(by_range, self.receiver_m[pulses], position)
        return to_antenna, to_receiver, to_carrier


class _Sum(torch.autograd.Function):
    """A or A^H of one sensor as one node of the graph: the backward pass is the other of the two, nothing is stored."""

    @staticmethod
    def forward(
        ctx: Any,
        value: Tensor,
        antenna_m: Tensor,
        receiver_m: Tensor | None,
        carrier: Tensor,
        sensor: _Sensor,
        backwards: bool,
    ) -> Tensor:
        """Return A x, or A^H y where ``backwards``, and keep what the other way needs."""
        ctx.save_for_backward(value, antenna_m, receiver_m, carrier)
        ctx.sensor, ctx.backwards = sensor, backwards
        return sensor.backprojection(value) if backwards else sensor.samples(value)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, Tensor | None, Tensor | None, Tensor | None, None, None]:
        """Return the gradient to the value by the adjoint of what was done, and those to the positions where asked for."""
        value, antenna_m, receiver_m, carrier = ctx.saved_tensors
        to_value, to_antenna, to_receiver, to_carrier = None, None, None, None
        if ctx.needs_input_grad[0]:
            to_value = _Sum.apply(grads[0], antenna_m, receiver_m, carrier, ctx.sensor, not ctx.backwards)
        if any(ctx.needs_input_grad[1:4]):
            if torch.is_grad_enabled():
                raise RuntimeError("second derivatives to the antenna positions are not available: drop create_graph")
            image, spectra = (grads[0], value) if ctx.backwards else (value, grads[0])
            to_antenna, to_receiver, to_carrier = ctx.sensor.gradient(image, spectra)
        return to_value, to_antenna, None if receiver_m is None else to_receiver, to_carrier, None, None


class ExactSpotlight(SphericalSpotlight):
    """The exact time-domain spotlight operator of a collection on a ground-plane grid.

    Gradients reach the image, and the positions of transmitter and receiver when the collection's require them (k_c moves
    with them).

    Args:
        collection: antenna positions, uniformly spaced frequencies, and the mask of measured samples.
        grid: image grid.
        dtype: complex64 or complex128.
        series: the Taylor series of each pulse's sum; one as true as rounding in the dtype when absent.

    Raises:
        ValueError: the frequencies are not uniformly spaced.

    Source: Jakowatz et al., Spotlight-Mode Synthetic Aperture Radar (1996), chapter 2 (the signal model).
    """

    rows_m: Tensor
    columns_m: Tensor

    def __init__(
        self,
        collection: SpotlightCollection,
        grid: Grid,
        *,
        dtype: torch.dtype = torch.complex64,
        series: TaylorSeries | None = None,
    ) -> None:
        super().__init__(collection, grid, dtype=dtype)
        self.series = series or rounding_series(dtype)
        rows, columns = (axis.to(self.antenna_m.device) for axis in grid.axes_m())
        self.register_buffer("rows_m", rows[None])
        self.register_buffer("columns_m", columns[None])

    def coarsen(self, factor: int) -> LinearOperator:
        """Return the sums on the coarse pixels with the local response of U_s, or A U_s where that would not be true."""
        if factor == 1:
            return self
        found = coarse_spotlight(self, factor)
        if found is None:
            return self.galerkin(factor)
        base = ExactSpotlight(found.collection, found.grid, dtype=self.dtype, series=COARSE)
        return found.version(base, found.weights)

    @torch.no_grad()
    def norm(self) -> Tensor:
        """Return the norm of each sensor, the phasors of its pulses held meanwhile where they are few enough."""
        (_, pulses, frequencies), pixels = self.range_shape, self.rows_m.numel() * self.columns_m.numel()
        if not can_be_held(pulses, frequencies, pixels) or not bool(self.kept.flatten(1).any(1).all()):
            return super().norm()
        starts = self.probe().flatten(1)
        return torch.cat([self._sensor(b).largest_eigenvalue(starts[b : b + 1]) for b in range(self.batch)]).sqrt()

    def _sum(self, value: Tensor, sensor: int, *, backwards: bool) -> Tensor:
        antenna, carrier = of_sensor(self.antenna_m, sensor), of_sensor(self.carrier, sensor)
        receiver = None if self.receiver_m is None else of_sensor(self.receiver_m, sensor)
        flat = value if backwards else value.flatten(-2)
        found = _Sum.apply(flat, antenna, receiver, carrier, self._sensor(sensor), backwards)
        return found.unflatten(-1, self.grid.shape) if backwards else found  # pyright: ignore

    def _sensor(self, index: int) -> _Sensor:
        """Return what is known of one sensor, apart from the graph."""
        wavenumber = 4 * torch.pi / SPEED_OF_LIGHT_M_S
        return _Sensor(
            antenna_m=of_sensor(self.antenna_m, index).detach(),
            receiver_m=None if self.receiver_m is None else of_sensor(self.receiver_m, index).detach(),
            carrier=of_sensor(self.carrier, index).detach(),
            middle=wavenumber * of_sensor(self.middle_hz, index),
            step=wavenumber * of_sensor(self.step_hz, index),
            kept=of_sensor(self.kept, index),
            rows_m=self.rows_m[0],
            columns_m=self.columns_m[0],
            series=self.series,
        )
