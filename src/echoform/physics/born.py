"""Multistatic microwave imaging under the first Born approximation, time convention exp(+j w t).

    y[f, r, t] = m[f, r, t] w_f sum_j G_r[f, r, j] x_j G_t[f, t, j],        w_f = k_f^2 a,     k_f = 2 pi f sqrt(eps_b) / c

x is the contrast eps / eps_b - 1 on the pixels, G_r and G_t the background's Green functions (:mod:`echoform.physics.green`)
from pixel to receiver and from transmitter to pixel, a the measure of a cell, m the 0/1 mask of heard pairs, times gains where
the operator is ``weighted``; y is the scattered field of unit sources. Lines see areas. Points see a sheet, x being contrast
times thickness (metres), or a volume of D slices, the image's channels, a being a cell's volume (:mod:`echoform.scene.cells`).
Born holds while the phase k |sqrt(eps / eps_b) - 1| times the object's size stays well under pi. The adjoint is
sum_f conj(w_f) diag(G_r^H (conj(m) Y) conj(G_t)).

Normal operator. Where m[r, t] = u[r] v[t] (of receivers and transmitters that work, with or without gains),

    A^H A = sum_f |w_f|^2 (G_r^H |u|^2 G_r) o (G_t^H |v|^2 G_t)        (elementwise, no transpose),

an n x n matrix, held when it fits ``normal_memory_bytes`` and its product costs less than the two passes. Otherwise
A^H A is the two passes, frequency by frequency. Both are matrix products over blocks of pixels
(:mod:`echoform.physics.born_products`): beyond what is held and the images and data themselves, memory stays below 32 MiB (and
one frequency's fields more while the matrix is made).

An operator that was ``prepared`` for many products holds fewer rows that say the same, where the mask leaves no matrix and
frequencies or receivers are denser than the waves need (:mod:`echoform.physics.born_rows`).

Coarse version, in the plane only: slices are kept. Where the matrix is held: exactly Galerkin, U^T (A^H A) U as a matrix,
1 / s^4 of the cost; forward and adjoint act on the fine grid. Otherwise the sum is written down again on a grid t times coarser,
with the fine cell's measure (the columns of U sum to one), behind the interpolation V from the coarse grid that G_r G_t cannot
tell from U_s (:mod:`echoform.linalg.between_grids`): 1 / t^2 of the cost and within 1.5 % of A U_s away from the border. t is the
largest up to s, whole or not, at which V meets waves of d 2 (|k| + 1 / R_min) rad a cell, R_min the smallest distance from an
antenna to a pixel; low frequencies have a t of their own where that pays (:mod:`echoform.physics.born_bands`). Galerkin on the
fine grid where t is below 5 / 4, or where fields are given. In both cases the normal operator is a matrix of the coarse pixels
where that is the cheapest form (:mod:`echoform.physics.born_coarse`).

Source: Devaney, Mathematical Foundations of Imaging (2012), sections 6.7 and 8.1; Born and Wolf (1999), section 13.1.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from math import inf, prod

import torch
from torch import Tensor

from echoform.linalg.between_grids import between_grids, coarsest_grid
from echoform.linalg.resample import downsample, upsample, upsampling_matrix
from echoform.linalg.spectrum import SpectralDensity
from echoform.physics.born_bands import Band, best_bands
from echoform.physics.born_coarse import Form, coarse_born, form_of
from echoform.physics.born_products import (
    FIELD_ENTRY_COST,
    MATRIX_ENTRY_COST,
    coarse_normal,
    factors,
    gathered,
    hadamard_normal,
    held_normal,
    scattered,
)
from echoform.physics.born_rows import fewer_rows
from echoform.physics.compositions import GalerkinOperator
from echoform.physics.green import Radiator, wavenumber
from echoform.physics.operator import LinearOperator, coarse_shape
from echoform.physics.separable import SeparableOperator
from echoform.physics.stacked import StackedOperator
from echoform.scene.cells import Cells
from echoform.scene.rig import MultistaticRig

#: default bound on the matrix of the normal operator
NORMAL_MEMORY_BYTES = 256 * 2**20
#: of the samples (1, F, R, T)
FREQUENCY_AXIS = 1


@dataclass(frozen=True)
class GivenFields:
    """Fields measured, simulated or those of an inhomogeneous background, in the place of Green functions.

    Attributes:
        incident: in place of G_t, shape (B or 1, F, T, n), complex; pixels in the order (D, H, W). G_t when absent.
        received: of unit sources in the pixels at the receivers, in place of G_r, shape (B or 1, F, R, n). G_r when absent.
    """

    incident: Tensor | None = None
    received: Tensor | None = None


class BornScattering(LinearOperator):
    """The Born operator of a rig on cells; the domain is (D, H, W), the range (1, F, R, T).

    The Green functions are held, F (R + T) n complex numbers per sensor. Gradients reach image and antenna positions.

    Args:
        rig: antennas, frequencies and heard pairs.
        cells: pixels; :func:`echoform.scene.cells.cells_of` gives those of a grid, ``volume_of`` a volume.
        radiator: 2-D lines or 3-D points.
        permittivity: eps_b, relative, shape (B or 1,), float64 or complex128 with Im eps_b <= 0; vacuum when absent.
        fields: given as numbers, in place of Green functions.
        normal_memory_bytes: bound on the matrix of the normal operator; zero never builds it.
        dtype: complex64 or complex128.

    Raises:
        ValueError: shapes disagree, an antenna stands on a cell, a line source or cell off the plane z = 0, or a line cell has a
            thickness; eps_b has gain.
    """

    transmitter_m: Tensor
    receiver_m: Tensor
    frequency_hz: Tensor
    permittivity: Tensor
    heard: Tensor
    gain: Tensor | None
    weights: Tensor
    receive: Tensor
    transmit: Tensor
    matrix: Tensor | None
    rows: Tensor | None

    def __init__(
        self,
        rig: MultistaticRig,
        cells: Cells,
        *,
        radiator: Radiator,
        permittivity: Tensor | None = None,
        fields: GivenFields | None = None,
        normal_memory_bytes: int = NORMAL_MEMORY_BYTES,
        dtype: torch.dtype = torch.complex64,
    ) -> None:
        pairs, given = rig.heard.shape[2:], fields or GivenFields()
        super().__init__(cells.shape, (1, rig.frequency_hz.shape[1], *pairs))
        self._dtype = dtype
        self.cells, self.radiator, self.factor = cells, radiator, 1
        self.normal_memory_bytes = normal_memory_bytes
        device = rig.receiver_m.device
        eps = torch.ones(1, dtype=torch.complex128) if permittivity is None else permittivity.to(torch.complex128)
        if eps.ndim != 1 or not bool(((eps.imag <= 0) & (eps.real > 0)).all()):
            raise ValueError(
                f"permittivity must be (batch,) with Re > 0 and, for exp(+j w t), Im <= 0, got {eps.tolist()}"
            )
        self.register_buffer("transmitter_m", rig.transmitter_m.double())
        self.register_buffer("receiver_m", rig.receiver_m.double())
        self.register_buffer("frequency_hz", rig.frequency_hz.double())
        self.register_buffer("permittivity", eps.to(device))
        self.register_buffer("heard", rig.heard.to(dtype.to_real()))
        self.register_buffer("gain", None)
        k = wavenumber(self.frequency_hz, self.permittivity)
        self.register_buffer("weights", (k.square() * cells.measure).to(dtype))
        count = rig.frequency_hz.shape[1], prod(cells.shape)
        receive = self._given("received", given.received, (count[0], pairs[0], count[1]))
        transmit = self._given("incident", given.incident, (count[0], pairs[1], count[1]))
        self.measured_received, self.measured_incident = receive is not None, transmit is not None
        receive = self._field(self.receiver_m, k) if receive is None else receive
        if not (self.measured_incident or self.measured_received) and _same(rig.receiver_m, rig.transmitter_m):
            transmit = receive  # held once
        self.register_buffer("receive", receive)
        self.register_buffer("transmit", self._field(self.transmitter_m, k) if transmit is None else transmit)
        self.register_buffer("matrix", self._matrix())
        self.register_buffer("rows", None)

    def _given(self, name: str, fields: Tensor | None, expected: tuple[int, int, int]) -> Tensor | None:
        """Return fields given as numbers in the operator's dtype; raises ValueError when they do not fit."""
        if fields is not None and (fields.ndim != 4 or tuple(fields.shape[1:]) != expected):
            raise ValueError(f"{name} must be (batch, {expected}), got {tuple(fields.shape)}")
        return None if fields is None else fields.to(self.dtype)

    def _field(self, antenna_m: Tensor, k: Tensor) -> Tensor:
        """Return the Green functions between antennas (B, A, 3) and cells, (B, F, A, n)."""
        if self.radiator is Radiator.LINE and bool((antenna_m[..., 2] != 0).any()):
            raise ValueError("line radiators stand in the plane z = 0; use points for antennas above it")
        if self.radiator is Radiator.LINE and (self.cells.heights_m != (0.0,) or self.cells.thickness_m is not None):
            raise ValueError("line cells are one layer in the plane z = 0 without thickness; use points for a volume")
        position = self.cells.positions_m().to(antenna_m.device)
        distance = (antenna_m[:, :, None] - position).norm(dim=-1)
        if float(distance.detach().min()) < 0.5 * max(self.cells.grid.spacing_m):
            raise ValueError("an antenna stands on a pixel, where the Green function is singular; use a smaller grid")
        fields = [self.radiator.green(distance, k[:, f, None, None]).to(self.dtype) for f in range(k.shape[1])]
        return torch.stack(fields, 1)

    def _matrix(self) -> Tensor | None:
        """Return the matrix of the normal operator on the domain, or None where the two passes are the cheaper."""
        sides = factors(self._pairs())
        if sides is None:
            return None
        pixels = self.transmit.shape[-1]
        held = self.batch * pixels**2 * self.dtype.itemsize
        if held > self.normal_memory_bytes or MATRIX_ENTRY_COST * pixels >= self.cost_per_pixel():
            return None
        power = self.weights.abs().square()
        return hadamard_normal(self.receive, self.transmit, power, *sides)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype given at construction."""
        return self._dtype

    def support(self) -> Tensor:
        """Return the heard pairs, (B or 1, 1, F or 1, R, T)."""
        return self.heard[:, None]

    def forward(self, x: Tensor) -> Tensor:
        """Return the scattered fields, (..., B, 1, F, R, T), zero where a pair is not heard."""
        pixels, lead = self._folded(upsample(x, self.factor).flatten(-3), 1, self._rows())
        many, few, turned = self._sides()
        parts = [scattered(pixels, many[:, f], few[:, f]) for f in range(many.shape[1])]
        fields = torch.stack(parts, 2)
        fields = self._unfolded(fields.mT if turned else fields, lead)
        return (fields * self.gains()).unsqueeze(-4)

    def adjoint(self, y: Tensor) -> Tensor:
        """Return the backprojection, (..., B, D, H, W)."""
        samples, lead = self._folded(y.squeeze(-4) * self.gains().conj(), 3, self._rows())
        many, few, turned = self._sides()
        samples = samples.mT if turned else samples
        total = gathered(samples[:, :, 0], many[:, 0], few[:, 0])
        for f in range(1, many.shape[1]):
            total = total + gathered(samples[:, :, f], many[:, f], few[:, f])
        image = self._unfolded(total, lead).unflatten(-1, self.cells.shape)
        return downsample(image, self.factor)

    def normal(self, x: Tensor) -> Tensor:
        """Return A^H A x, by its matrix or its rows where those are held."""
        if self.matrix is None and self.rows is None:
            return self.adjoint(self.forward(x))
        self.sensor_indices(x.shape[-4])  # raises unless there is one sensor, or one per image
        return held_normal(x.flatten(-3), self.matrix, self.rows).unflatten(-1, self.domain_shape)

    def prepared(self) -> LinearOperator:
        """Return the operator with the rows of A^H A held, where they are few and fit the memory, else itself."""
        if self.matrix is not None or self.rows is not None or self.factor != 1:
            return self
        sensors, pixels = self.batch, self.transmit.shape[-1]
        most = min(
            self.normal_memory_bytes // (sensors * pixels * self.dtype.itemsize),
            int(self.cost_per_pixel() / (4 * MATRIX_ENTRY_COST)),
        )
        gain = self.gains().expand(sensors, *self.range_shape[1:])
        rows = fewer_rows(self.receive, self.transmit, gain, most=most)
        if rows is None:
            return self
        found = self._copy()
        found.rows = rows
        return found

    def spectrum(self) -> SpectralDensity:
        """Return the Lanczos density with its mean put right where tr(A^H A) is known (on the cells themselves)."""
        density = super().spectrum()
        if self.factor != 1:
            return density
        counted, frequencies = self._pairs().abs().square(), self.range_shape[1]
        pairs = []
        for f in range(frequencies):
            received, lit = self.receive[:, f].abs().square(), self.transmit[:, f].abs().square()
            pairs.append((counted[:, f % counted.shape[1]] * (received @ lit.mT)).sum((1, 2)))
        trace = (self.weights.abs().square() * torch.stack(pairs, 1)).sum(1)
        return density.with_mean(trace / self.receive.shape[-1])

    def coarsen(self, factor: int) -> LinearOperator:
        """Return the coarse version (see the module's text for which it is, and the bound)."""
        if factor == 1:
            return self
        coarse_shape(self.domain_shape, factor)  # raises when the sides do not divide
        if self.factor == 1 and self.matrix is not None:
            return self._galerkin(self.matrix, factor)
        if self.factor != 1:
            return GalerkinOperator(self, factor)
        bands = self._bands(factor)
        if len(bands) == 1 or self._held_at_once(factor, sum(band.cost for band in bands)):
            return self._on_one_grid(factor)
        return StackedOperator([self.of_frequencies(b.frequencies)._on_one_grid(factor) for b in bands], FREQUENCY_AXIS)

    def weighted(self, gain: Tensor) -> BornScattering:
        """Return G A, g real or complex, (B or 1, F or 1, R or 1, T or 1); where it is zero a pair is no longer heard.

        Raises:
            ValueError: the operator is one on a coarse grid.
        """
        if self.factor != 1:
            raise ValueError("a coarse Born operator takes no gain: weigh the fine one and coarsen it, or compose them")
        found = self._copy()
        found.heard = self.heard * (gain != 0)
        if self.gain is not None or not bool(((gain == 0) | (gain == 1)).all()):
            found.gain = self._pairs() * gain.to(self.dtype)
        found.rows, found.matrix = None, found._matrix()
        return found

    def of_frequencies(self, chosen: slice) -> BornScattering:
        """Return the operator of some of the frequencies, which shares this one's fields."""
        found = self._copy()
        for name in ("frequency_hz", "heard", "gain", "weights", "receive", "transmit"):
            value = found._buffers[name]
            found._buffers[name] = value[:, chosen] if value is not None and value.shape[1] > 1 else value
        found._buffers["rows"] = found._buffers["matrix"] = None
        found.range_shape = (1, found.frequency_hz.shape[1], *self.range_shape[2:])
        return found

    def rig(self) -> MultistaticRig:
        """Return the rig given at construction, less what was dropped since."""
        return MultistaticRig(self.transmitter_m, self.receiver_m, self.frequency_hz, self.heard)

    def gains(self) -> Tensor:
        """Return what every sample is multiplied by, m w_f, (B or 1, F, R, T), zero where a pair is not heard."""
        return self._pairs() * self.weights[:, :, None, None]

    def cost_per_pixel(self) -> float:
        """Return the multiply-adds per pixel of forward and adjoint."""
        frequencies, receivers, transmitters = self.range_shape[1:]
        return 2 * frequencies * (receivers * transmitters + FIELD_ENTRY_COST * (receivers + transmitters))

    def _on_one_grid(self, factor: int) -> LinearOperator:
        """Return the coarse version that has one grid for all frequencies."""
        depth, *sides = self.domain_shape
        phase = max(self._phases_rad())
        step = coarsest_grid(factor, phase, (sides[0], sides[1]))
        if step == 1:
            outer, matrices = self, [upsampling_matrix(n, factor, device=self.device) for n in sides]
        else:
            outer = self._rewritten(self.cells.coarser(step))
            matrices = [between_grids(n, factor, step, phase_rad=phase, device=self.device) for n in sides]
        between = SeparableOperator(matrices[0], matrices[1], channels=depth, dtype=self.dtype)
        plain = GalerkinOperator(self, factor) if step == 1 else outer @ between
        return coarse_born(outer, between) or plain

    def _bands(self, factor: int) -> list[Band]:
        """Return the bands of frequencies that are given grids of their own; one of all where that is as cheap."""
        depth, height, width = self.domain_shape
        return best_bands(
            self._phases_rad(),
            factor,
            channels=depth,
            sides=(height, width),
            cost_per_pixel=self.cost_per_pixel() / self.range_shape[1],
        )

    def _held_at_once(self, factor: int, passes: float) -> bool:
        """Return whether a matrix on the coarse pixels, of all frequencies, is cheaper than passes of so many multiply-adds."""
        depth, height, width = self.domain_shape
        step = coarsest_grid(factor, max(self._phases_rad()), (height, width))
        shape, needed = coarse_shape(self.domain_shape, factor), int(depth * height * width / step**2)
        return form_of(self, shape, needed=needed, passes=passes) is not Form.PASSES

    def _galerkin(self, matrix: Tensor, factor: int) -> BornScattering:
        """Return A U_s, which shares this operator's fields and has the matrix U^T N U."""
        coarse = self._copy()
        coarse.factor = factor
        coarse.domain_shape = coarse_shape(self.domain_shape, factor)
        coarse.matrix = coarse_normal(matrix, self.cells.shape, factor)
        return coarse

    def _copy(self) -> BornScattering:
        found = copy(self)
        found._buffers = self._buffers.copy()  # a shallow copy shares the table of buffers itself
        return found

    def _rewritten(self, cells: Cells) -> BornScattering:
        plain = BornScattering(
            self.rig(),
            cells,
            radiator=self.radiator,
            permittivity=self.permittivity,
            normal_memory_bytes=self.normal_memory_bytes,
            dtype=self.dtype,
        )
        return plain if self.gain is None else plain.weighted(self.gain)

    def _phases_rad(self) -> list[float]:
        """Return bounds on the phase of G_r G_t across a fine cell at each frequency, their spreading counted in.

        There are none, inf, where fields are given.
        """
        if self.measured_incident or self.measured_received:
            return [inf] * self.range_shape[1]
        antennas = torch.cat([self.transmitter_m.flatten(0, 1), self.receiver_m.flatten(0, 1)]).detach()
        position = self.cells.positions_m().to(antennas.device)
        nearest = min(float((position - antenna).norm(dim=-1).min()) for antenna in antennas)
        wavenumbers = wavenumber(self.frequency_hz, self.permittivity).detach().abs().amax(0)
        return [max(self.cells.grid.spacing_m) * 2 * (k + 1 / nearest) for k in wavenumbers.tolist()]

    def _sides(self) -> tuple[Tensor, Tensor, bool]:
        """Return the fields of the larger side, of the smaller one, and whether samples (Q, M) must be turned to (R, T)."""
        turned = self.receive.shape[2] >= self.transmit.shape[2]
        many, few = (self.receive, self.transmit) if turned else (self.transmit, self.receive)
        rows = max(many.shape[0], few.shape[0])
        return many.expand(rows, -1, -1, -1), few.expand(rows, -1, -1, -1), turned

    def _pairs(self) -> Tensor:
        """Return m, (B or 1, F or 1, R, T): the mask, or what ``gain`` holds with it."""
        return self.heard if self.gain is None else self.gain

    def _folded(self, value: Tensor, ndim: int, rows: int) -> tuple[Tensor, torch.Size]:
        """Return (..., B, *sample) as (rows, L, *sample) for fields of ``rows`` sensors, with the shape of the folded axes."""
        lead = value.shape[: value.ndim - ndim]
        self.sensor_indices(lead[-1])
        return value.reshape(-1, rows, *value.shape[-ndim:]).transpose(0, 1), lead

    def _unfolded(self, value: Tensor, lead: torch.Size) -> Tensor:
        return value.transpose(0, 1).reshape(*lead, *value.shape[2:])

    def _rows(self) -> int:
        return max(self.receive.shape[0], self.transmit.shape[0])


def _same(receiver_m: Tensor, transmitter_m: Tensor) -> bool:
    """Whether both are the same antennas, so that their Green functions need not be held twice."""
    if receiver_m is transmitter_m:
        return True
    fixed = not (receiver_m.requires_grad or transmitter_m.requires_grad)
    return fixed and receiver_m.shape == transmitter_m.shape and torch.equal(receiver_m, transmitter_m)
