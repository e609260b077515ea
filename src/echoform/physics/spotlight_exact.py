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
of :mod:`echoform.physics.spotlight_coarse` with a shorter Taylor series, whose error (0.4 % rms) is far less than its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

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
class ExactSums:
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
        """Return the samples (..., P, F) of the pixels (..., H, W)."""
        pixels = image.flatten(-2)
        spectra = pixels.new_zeros(*pixels.shape[:-1], *self.kept.shape)
        for pulses in self.blocks():
            e, turns = self.geometry(pulses)
            spectra[..., pulses, :] = self.kept[pulses] * row_sums(pixels, e, turns, self.kept.shape[1], self.series)
        return spectra

    def backprojection(self, spectra: Tensor) -> Tensor:
        """Return the pixels (..., H, W) of the samples (..., P, F), adjoint of :meth:`samples`."""
        shape = len(self.rows_m), len(self.columns_m)
        image = spectra.new_zeros(*spectra.shape[:-2], shape[0] * shape[1])
        for pulses in self.blocks():
            e, turns = self.geometry(pulses)
            image += conjugate_row_sums(self.kept[pulses] * spectra[..., pulses, :], e, turns, self.series)
        return image.unflatten(-1, shape)

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
            slopes = (image.flatten(-2)[..., None, :] * e * sums.conj()).imag.double()
            by_phase, by_angle = slopes.reshape(2, -1, *slopes.shape[-2:]).sum(1)
            to_carrier += by_phase.sum(0) @ position[:, :2]
            by_range = self.middle * by_phase + self.step * by_angle
            share = 1.0 if self.receiver_m is None else 0.5
            to_antenna[pulses] = share * _by_antenna(by_range, self.antenna_m[pulses], position)
            if self.receiver_m is not None:
                to_receiver[pulses] = share * _by_antenna(by_range, self.receiver_m[pulses], position)
        return to_antenna, to_receiver, to_carrier


class ExactSpotlight(SphericalSpotlight):
    """The exact time-domain spotlight operator of a collection on a ground-plane grid.

    Gradients reach the image, and the positions of transmitter and receiver when the collection's require them (k_c moves
    with them); none reach the frequencies.

    Args:
        collection: antenna positions, uniformly spaced frequencies alike for all pulses, and the mask of measured samples.
        grid: image grid.
        dtype: complex64 or complex128.
        series: the Taylor series of each pulse's sum; one as true as rounding in the dtype when absent.

    Raises:
        ValueError: the frequencies are not uniformly spaced, or change from pulse to pulse.

    Source: Jakowatz et al., Spotlight-Mode Synthetic Aperture Radar (1996), chapter 2 (the signal model).
    """

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
        return torch.cat([self._sums(b).largest_eigenvalue(starts[b : b + 1]) for b in range(self.batch)]).sqrt()

    def _sums(self, sensor: int) -> ExactSums:
        return exact_sums(self, sensor, self.series)


def exact_sums(operator: SphericalSpotlight, sensor: int, series: TaylorSeries) -> ExactSums:
    """Return the exact sums of one sensor of either form, apart from the graph."""
    wavenumber = 4 * torch.pi / SPEED_OF_LIGHT_M_S
    receiver_m = operator.receiver_m
    return ExactSums(
        antenna_m=of_sensor(operator.antenna_m, sensor).detach(),
        receiver_m=None if receiver_m is None else of_sensor(receiver_m, sensor).detach(),
        carrier=of_sensor(operator.carrier, sensor).detach(),
        middle=wavenumber * of_sensor(operator.middle_hz, sensor),
        step=wavenumber * of_sensor(operator.step_hz, sensor),
        kept=of_sensor(operator.kept, sensor),
        rows_m=operator.rows_m[0],
        columns_m=operator.columns_m[0],
        series=series,
    )
