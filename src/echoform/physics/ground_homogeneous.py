"""Ground-penetrating radar over homogeneous soil, antenna on the ground, by the wavenumbers of the line (omega-K).

With exp(+j w t) and k = 2 pi f_n sqrt(eps_r) / c the sum of :mod:`echoform.physics.ground_penetrating` at height zero,
y[a, n] = S_n sum_j x_j exp(-2 i k R_aj) / (4 pi R_aj)^2, is a convolution along the line. Its Fourier transform
by stationary phase, to the second order, is a plane wave that travels down with twice the wavenumber (the exploding reflector):

    y[a, n] = S_n dq / 2 pi  sum_q W(q) exp(+i q x_a)  sum_j x_j z_j^(-3/2) (1 + i b / z_j) exp(-i (q x_j + p z_j)),
    p = sqrt(4 k^2 - q^2),   W = exp(-i pi / 4) sqrt(pi p / 2) / (16 pi^2 k),   b = p / (4 k^2) - 3 / (8 p).

The inner sum is a two-dimensional NUFFT at the points (p, q), Stolt's change of variables; the outer one a one-dimensional NUFFT
to where the traces were really taken, so that a finite or uneven aperture is exact. On small sections both are products of
matrices (:mod:`echoform.physics.ground_wave_tables`), in single precision of as many rows as waves can tell apart. q runs over
multiples of dq = 2 pi / L, L a whole number of pixels and so long that no repetition of the line reaches a trace. Angles from the
vertical beyond ``widest_rad`` fade out, to nothing where sin is half way from there to 1: echoes that the exact sum holds at
larger angles are missing. Otherwise the relative error is of the order of (p z)^-2. The adjoint is exact; so is the normal
operator, whose outer part is Toeplitz in q.

The coarse version is A U_s, without an error in depth, where its sums are products of matrices; along the line a wave sees U_s by
its response at q (the border apart, which U_s fills from both ends of the line). Waves with a response below BAND_EDGE are left
out, rows and waves combined within COARSE_ACCURACY. Where the tables would be too large, waves are weighted by the response at
(p, q) and summed over the coarse pixels, for spreading changes little over one: within 8 % of A U_s for images of white noise
(5 % at s k d of 4.4 rad) while a coarse pixel spans at most 8 rad of the highest frequency's phase and a quarter of its depth;
else Galerkin.

Source: Stolt (1978), Geophysics 43(1); Bleistein (1984), Mathematical Methods for Wave Phenomena, section 2.7 (stationary phase).
"""

from __future__ import annotations

import math

import torch
from scipy.fft import next_fast_len
from torch import Tensor

from echoform.linalg.nufft import image_to_samples, modes_to_points, points_to_modes, samples_to_image, wrap
from echoform.linalg.resample import transfer, upsampling_matrix
from echoform.physics.ground_wave_tables import HELD, Reduction, Waves, WaveTables, wave_tables
from echoform.physics.local_transfer import BAND_EDGE
from echoform.physics.operator import LinearOperator, coarse_shape
from echoform.scene.collection import SPEED_OF_LIGHT_M_S
from echoform.scene.soil import GroundSurvey, Section

#: default widest angle from the vertical at which echoes are modelled in full
WIDEST_RAD = math.radians(75)
#: most waves, frequencies times wavenumbers, of one sensor
MAX_WAVES = 2**26
#: largest phase of a wave over a coarse pixel, and largest height of one as a share of its depth, for sums over coarse pixels
COARSE_PHASE_RAD, COARSE_DEPTH = 8.0, 0.25
#: share of the waves that a coarse version's fewer rows may leave out, in norm
COARSE_ACCURACY = 5e-3
#: the same of the fine operator in single precision, which is rounding
ROUNDING = 2e-7


class HomogeneousGround(LinearOperator):
    """The operator of a survey with the antenna on homogeneous ground; the range is (1, traces, frequencies).

    Args:
        survey: antenna, soil and frequencies.
        section: pixels below the surface.
        widest_rad: angle from the vertical up to which echoes are modelled in full, between 0 and pi / 2.
        factor: s, of pixels that stand for s x s finer ones: waves are weighted by the response of U_s.
        row_gain: c, how often each row of the image counts, (R or 1, s H), complex: the operator is A diag(c), its coarse
            versions A diag(c) U_s. With a reference phase exp(2 i k z) the image's spectrum lies about zero; None: 1 everywhere.
        held: most entries of the largest table, F Q H complex numbers or fewer, with which sums are products of matrices.
        dtype: complex64 or complex128.

    Raises:
        ValueError: the antenna is above the ground, a frequency is zero, the angle is not below pi / 2, or line and depth ask for
            too many wavenumbers, or row_gain has another length than the rows.
    """

    antenna_x_m: Tensor
    permittivity: Tensor
    start_hz: Tensor
    step_hz: Tensor
    transmitted: Tensor
    row_gain: Tensor
    angles: Tensor
    points: Tensor
    gains: Tensor
    falls: Tensor
    kept: Tensor
    toeplitz: Tensor
    tables: WaveTables | None

    def __init__(
        self,
        survey: GroundSurvey,
        section: Section,
        *,
        widest_rad: float = WIDEST_RAD,
        factor: int = 1,
        row_gain: Tensor | None = None,
        held: int = HELD,
        dtype: torch.dtype = torch.complex64,
    ) -> None:
        traces, frequencies = survey.antenna_x_m.shape[1], survey.spectrum.shape[1]
        super().__init__((1, *section.grid.shape), (1, traces, frequencies))
        if bool((survey.height_m != 0).any()) or not bool((survey.start_hz > 0).all()):
            raise ValueError(
                f"the antenna must lie on the ground and send frequencies above zero, got heights {survey.height_m.tolist()} m "
                f"and first frequencies {survey.start_hz.tolist()} Hz; use GroundPenetratingRadar for an antenna above ground"
            )
        if not 0 < widest_rad < math.pi / 2:
            raise ValueError(f"widest_rad must lie between 0 and pi / 2, got {widest_rad:g}")
        self._dtype, self.section, self.widest_rad = dtype, section, widest_rad
        self.factor, self.held, self.tables = factor, held, None
        self._keep(survey, row_gain)
        device = survey.antenna_x_m.device
        steps = torch.arange(frequencies, dtype=torch.float64, device=device)
        hz = self.start_hz[:, None] + steps * self.step_hz[:, None]
        k = 2 * math.pi * hz * self.permittivity.sqrt()[:, None] / SPEED_OF_LIGHT_M_S
        reach = self._reach_m()
        self._period = self._period_pixels(reach)
        width_m = section.grid.spacing_m[1]
        lengths = torch.tensor(self._period, dtype=torch.float64, device=device) * width_m
        spacing = 2 * math.pi / lengths
        limit = _end(widest_rad) * 2 * k.amax(1)
        count = float((limit / spacing).amax())
        if not 2 * count * frequencies <= MAX_WAVES:
            raise ValueError(
                f"{2 * count:.3g} wavenumbers at {frequencies} frequencies are too many: {MAX_WAVES} in all at most"
            )
        half = math.ceil(count) + 1
        self.modes, places_m = 2 * half, self.antenna_x_m - section.grid.offset_m[1]
        q = spacing[:, None, None] * torch.arange(-half, half, dtype=torch.float64, device=device)
        p, gain, ratio = self._wavenumbers(k, q, spacing)
        depth_response, line_response = self._responses(p, q)
        heard = (depth_response * line_response).abs() >= BAND_EDGE
        gain = gain * torch.where(heard, line_response, 0.0)
        self.tables = wave_tables(
            self._waves_in_depth(p, gain, ratio),
            places_m / width_m,
            width=section.grid.shape[1],
            period=self._period,
            reduction=self._reduction((reach / width_m).tolist()),
            held=held,
            dtype=dtype,
        )
        if self.tables is None:
            self._hold_sums(p, q, (gain * depth_response, ratio), wrap(spacing[:, None] * places_m))

    def _keep(self, survey: GroundSurvey, row_gain: Tensor | None) -> None:
        """Register the survey's numbers and the gain of the rows."""
        for name in ("antenna_x_m", "permittivity", "start_hz", "step_hz"):
            self.register_buffer(name, getattr(survey, name).double())
        self.register_buffer("transmitted", survey.spectrum.to(torch.complex128))
        sensors, rows = self.batch, self.factor * self.section.grid.shape[0]
        row_gain = torch.ones(1, rows) if row_gain is None else row_gain
        if row_gain.shape[1:] != (rows,) or len(row_gain) not in (1, sensors):
            raise ValueError(f"row_gain must be (1 or {sensors}, {rows}), got {tuple(row_gain.shape)}")
        self.register_buffer("row_gain", row_gain.to(survey.antenna_x_m.device, torch.complex128))

    def _reduction(self, reach: list[float]) -> Reduction | None:
        """Return what the tables may leave out: of the fine grid rounding alone, nothing in double precision."""
        if self.factor != 1:
            return Reduction(tuple(reach), COARSE_ACCURACY)
        return Reduction(None, ROUNDING) if self.dtype == torch.complex64 else None

    def _waves_in_depth(self, p: Tensor, gain: Tensor, ratio: Tensor) -> Waves:
        """Return the waves over the rows of the fine section."""
        depth = self.section.depths_m(self.factor)
        start = torch.polar(torch.ones_like(p), wrap(-math.pi / 4 - p * float(depth[len(depth) // 2])))
        rows = None if self.factor == 1 else upsampling_matrix(len(depth), self.factor, device=p.device)
        spacing_m = self.section.grid.spacing_m[0] / self.factor
        return Waves(p * (spacing_m / (2 * math.pi)), (gain * start, gain * start * ratio), depth, self.row_gain, rows)

    def _hold_sums(self, p: Tensor, q: Tensor, weights: tuple[Tensor, Tensor], angles: Tensor) -> None:
        """Keep what the non-uniform sums over pixels and over waves take."""
        (dy, dx), depth = self.section.grid.spacing_m, self.section.depths_m()
        start = torch.polar(torch.ones_like(p), wrap(-math.pi / 4 - p * float(depth[len(depth) // 2])))
        points = torch.stack([wrap(p * dy), wrap(-q * dx).expand_as(p)], 1)
        gains = weights[0] * start, weights[0] * start * weights[1]
        dtype, heard = self.dtype, torch.nonzero((gains[0] != 0).flatten(1).any(0))[:, 0]
        self.register_buffer("angles", angles.to(dtype.to_real()))
        self.register_buffer("kept", heard[None])
        self.register_buffer("points", points.flatten(2)[..., heard].to(dtype.to_real()))
        self.register_buffer("gains", gains[0].flatten(1)[:, heard].to(dtype))
        self.register_buffer("falls", gains[1].flatten(1)[:, heard].to(dtype))
        ones = torch.ones(angles.shape[1], dtype=torch.complex128, device=angles.device)
        kernels = torch.stack([points_to_modes(ones, angle, 2 * self.modes) for angle in angles])
        self.register_buffer("toeplitz", torch.fft.fft(torch.fft.ifftshift(kernels, dim=-1)).to(dtype))

    def _reach_m(self) -> Tensor:
        """Return the largest distance along the line between a trace and a pixel of each sensor, metres."""
        x = self.section.grid.axes_m()[1].to(self.antenna_x_m.device)
        return torch.maximum(self.antenna_x_m.amax(1) - x[0], x[-1] - self.antenna_x_m.amin(1)).detach()

    def _period_pixels(self, reach_m: Tensor) -> tuple[int, ...]:
        """Return L of each sensor, pixels: at least twice the distance at which the deepest one has faded out.

        At once that distance what is left of the repetition stands at -55 dB, at twice it below -80 dB (measured). A length of
        which transforms are quick.
        """
        end = _end(self.widest_rad)
        lengths_m = 2 * (reach_m + float(self.section.depths_m()[0]) * end / math.sqrt(1 - end**2))
        pixels = [math.ceil(length / self.section.grid.spacing_m[1]) for length in lengths_m.tolist()]
        return tuple(int(next_fast_len(max(n, self.section.grid.shape[1]))) for n in pixels)  # pyright: ignore

    def _wavenumbers(self, k: Tensor, q: Tensor, spacing: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return p, the gains but for phase and responses, and the second order i b, (B, F, Q), of k (B, F) and q (B, 1, Q)."""
        sine = q.abs() / (2 * k[..., None])
        start = math.sin(self.widest_rad)
        fade = ((sine - start) / (_end(self.widest_rad) - start)).clamp(0, 1)
        fade = torch.where(sine < _end(self.widest_rad), torch.cos(fade * math.pi / 2).square(), 0.0)
        p = 2 * k[..., None] * (1 - sine.clamp_max(_end(self.widest_rad)).square()).sqrt()
        gain = (
            fade * (math.pi * p / 2).sqrt() / (16 * math.pi**2 * k[..., None]) * spacing[:, None, None] / (2 * math.pi)
        )
        return p, gain * self.transmitted[..., None], 1j * (p / (4 * k[..., None].square()) - 3 / (8 * p))

    def _responses(self, p: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
        """Return the responses of U_s in depth, where waves turn with the mean turn of ``row_gain``, and along the line."""
        if self.factor == 1:
            return torch.ones_like(p), torch.ones_like(q)
        dy, dx = (side / self.factor for side in self.section.grid.spacing_m)
        turn = (self.row_gain[:, 1:] * self.row_gain[:, :-1].conj()).sum(1).angle()
        return transfer(self.factor, p * dy + turn[:, None, None]), transfer(self.factor, q * dx)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype given at construction."""
        return self._dtype

    @property
    def survey(self) -> GroundSurvey:
        """Antenna, soil and frequencies."""
        height = torch.zeros_like(self.permittivity)
        return GroundSurvey(self.antenna_x_m, height, self.permittivity, self.start_hz, self.step_hz, self.transmitted)

    def forward(self, x: Tensor) -> Tensor:
        """Return the samples, (..., B, 1, traces, frequencies)."""

        def heard(image: Tensor, sensor: int) -> Tensor:
            if self.tables is not None:
                return self.tables.samples(image, sensor)
            return self._heard(self._waves(image, sensor), sensor)

        return self.each_sensor(x[..., 0, :, :], heard, ndim=2, result_ndim=2).unsqueeze(-3)

    def adjoint(self, y: Tensor) -> Tensor:
        """Return the backprojection (Stolt migration with conjugate weights), (..., B, 1, H, W)."""

        def image(samples: Tensor, sensor: int) -> Tensor:
            if self.tables is not None:
                return self.tables.images(samples, sensor)
            waves = points_to_modes(samples.mT, self._of(self.angles, sensor), self.modes)
            return self._image(waves, sensor)

        return self.each_sensor(y[..., 0, :, :], image, ndim=2, result_ndim=2).unsqueeze(-3)

    def normal(self, x: Tensor) -> Tensor:
        """Return A^H A x: the sum over traces is a Toeplitz product in q."""

        def back(image: Tensor, sensor: int) -> Tensor:
            if self.tables is not None:
                return self.tables.normal(image, sensor)
            waves = torch.fft.fft(self._waves(image, sensor), 2 * self.modes)
            waves = torch.fft.ifft(self._of(self.toeplitz, sensor) * waves)[..., : self.modes]
            return self._image(waves, sensor)

        return self.each_sensor(x[..., 0, :, :], back, ndim=2, result_ndim=2).unsqueeze(-3)

    def coarsen(self, factor: int) -> LinearOperator:
        """Return A U_s by tables, else the sums over the coarse pixels, else, where those do not resolve it, Galerkin."""
        if factor == 1:
            return self
        coarse_shape(self.domain_shape, factor)  # raises when the sides do not divide
        if self.factor != 1:
            return self.galerkin(factor)
        section = self.section.coarser(factor)
        coarse = HomogeneousGround(
            self.survey,
            section,
            widest_rad=self.widest_rad,
            factor=factor,
            row_gain=self.row_gain,
            held=self.held,
            dtype=self.dtype,
        )
        return coarse if coarse.tables is not None or self._resolves(factor) else self.galerkin(factor)

    def _resolves(self, factor: int) -> bool:
        """Whether phase, spreading and gain change little enough over a coarse pixel for the sums to be written down there."""
        if bool((self.row_gain != 1).any()):
            return False
        (dy, dx), depth = self.section.grid.spacing_m, float(self.section.depths_m()[-1])
        last_hz = self.start_hz + (self.range_shape[2] - 1) * self.step_hz
        k = float((2 * math.pi * last_hz * self.permittivity.sqrt() / SPEED_OF_LIGHT_M_S).max())
        return factor * dy <= COARSE_DEPTH * depth and factor * 2 * k * max(dy, dx) <= COARSE_PHASE_RAD

    def _heard(self, waves: Tensor, sensor: int) -> Tensor:
        """Return the samples (..., A, F) of the waves (..., F, Q)."""
        return modes_to_points(waves, self._of(self.angles, sensor)).mT

    def _waves(self, image: Tensor, sensor: int) -> Tensor:
        """Return the waves (..., F, Q) of an image (..., H, W)."""
        values = image_to_samples(self._by_depth(sensor) * image[..., None, :, :], self._of(self.points, sensor))
        values = self._of(self.gains, sensor) * values[..., 0, :] + self._of(self.falls, sensor) * values[..., 1, :]
        count = self.range_shape[2] * self.modes
        full = torch.zeros(*values.shape[:-1], count, dtype=values.dtype, device=values.device)
        return full.index_copy(-1, self.kept[0], values).unflatten(-1, (self.range_shape[2], self.modes))

    def _image(self, waves: Tensor, sensor: int) -> Tensor:
        """Return the image (..., H, W) of waves (..., F, Q), adjoint of :meth:`_waves`."""
        kept = waves.flatten(-2)[..., self.kept[0]]
        both = torch.stack([self._of(g, sensor).conj() * kept for g in (self.gains, self.falls)], -2)
        images = samples_to_image(both, self._of(self.points, sensor), self.section.grid.shape)
        return (self._by_depth(sensor).conj() * images).sum(-3)

    def _by_depth(self, sensor: int) -> Tensor:
        """Return c z^(-3/2) and c z^(-5/2) as images, (2, H, 1)."""
        depth, gain = self.section.depths_m().to(self.device)[:, None], self._of(self.row_gain, sensor)
        gain = gain[:: self.factor, None]  # of coarse pixels 1: others are never summed
        return torch.stack([gain * depth.pow(-1.5), gain * depth.pow(-2.5)]).to(self.dtype)

    def _of(self, buffer: Tensor, sensor: int) -> Tensor:
        return buffer[sensor % buffer.shape[0]]


def _end(widest_rad: float) -> float:
    """Return the sine of the angle at which echoes have faded out."""
    return (1 + math.sin(widest_rad)) / 2
