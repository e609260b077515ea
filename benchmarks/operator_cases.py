"""Every operator of the library at the size of an everyday image, for benchmarks/operators.py: one line of CASES each."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from echoform.physics.born import BornScattering
from echoform.physics.channelwise import ChannelwiseOperator
from echoform.physics.crop import CropOperator
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.green import Radiator
from echoform.physics.ground_homogeneous import HomogeneousGround
from echoform.physics.ground_penetrating import GroundPenetratingRadar
from echoform.physics.identity import ScalarOperator
from echoform.physics.interferometry import interferometer
from echoform.physics.masking import SampleMask
from echoform.physics.moving_pattern import apply_moving_pattern
from echoform.physics.multicoil_mri import MulticoilMRI
from echoform.physics.near_range_array import near_range_array
from echoform.physics.nonuniform_fourier import NonuniformFourier
from echoform.physics.operator import LinearOperator
from echoform.physics.polarimetry import apply_crosstalk
from echoform.physics.range_angle_doppler import mimo_radar, range_doppler
from echoform.physics.range_chirp import raw_stripmap
from echoform.physics.sample_errors import apply_channel_gain, apply_image_gain, apply_pulse_phase, notch
from echoform.physics.spotlight_exact import ExactSpotlight
from echoform.physics.spotlight_factorised import FactorisedSpotlight
from echoform.physics.spotlight_plane_wave import plane_wave_spotlight
from echoform.physics.stacked import stack
from echoform.physics.stripmap import StripmapOperator
from echoform.physics.stripmap_omega_k import StripmapOmegaK
from echoform.physics.stripmap_range_doppler import StripmapRangeDoppler
from echoform.scene.antenna_pattern import moving_beam, off_boresight_rad, sinc_pattern
from echoform.scene.array import filled_array, polar_positions_m
from echoform.scene.cells import cells_of, volume_of
from echoform.scene.collection import SPEED_OF_LIGHT_M_S, SpotlightCollection
from echoform.scene.grid import Grid
from echoform.scene.rig import MultistaticRig, all_pairs, ring_m
from echoform.scene.sky import SkyGrid
from echoform.scene.soil import GroundSurvey, Section
from echoform.scene.stripmap import StripmapCollection, linear_chirp
from echoform.scene.waveform import FmcwWaveform, OfdmWaveform

SEED = 7


class NormalForm(enum.Enum):
    """What A^H A is, and so what is asked of it against adjoint(forward)."""

    TOEPLITZ = 5.0  # a Toeplitz or circulant kernel from non-uniform samples: at least 5 times faster
    CHEAPER = 0.95  # whichever form is cheaper: never slower, up to the scatter of the timing


@dataclass(frozen=True)
class Case:
    """An operator by name.

    Attributes:
        name: row of the table.
        build: (side, dtype) -> operator on side x side pixels, its samples in proportion.
        form: of the normal operator.
        side: pixels at which it is measured.
    """

    name: str
    build: Callable[[int, torch.dtype], LinearOperator]
    form: NormalForm = NormalForm.CHEAPER
    side: int = 256


def wide(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def randn(*shape: int, dtype: torch.dtype = torch.complex128) -> Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(SEED))


def uniform(*shape: int) -> Tensor:
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(SEED))


def mask(side: int, dtype: torch.dtype) -> FourierMask:
    return FourierMask((uniform(1, 1, side, side) < 0.4).to(dtype.to_real()))


def scattered_points(side: int, dtype: torch.dtype) -> NonuniformFourier:
    count = side * side // 2
    points = (uniform(1, 2, count) - 0.5) * 2 * math.pi
    ones = torch.ones(1, count, dtype=torch.float64)
    return NonuniformFourier(points, ones, domain_shape=(1, side, side), sample_shape=(count,), dtype=dtype)


def look(count: int, aperture_deg: float, centre_deg: float = 0.0) -> Tensor:
    """Return unit vectors to antennas evenly along an arc, 30 degrees above the ground, (count, 3)."""
    angle = math.radians(centre_deg) + math.radians(aperture_deg) * torch.linspace(
        -0.5, 0.5, count, dtype=torch.float64
    )
    c, s = math.cos(math.radians(30)), math.sin(math.radians(30))
    return torch.stack([c * angle.cos(), c * angle.sin(), torch.full_like(angle, s)], -1)


def collection(side: int) -> SpotlightCollection:
    """10 km, X band, cells of about 0.25 m; 0.6 pulses and 0.8 frequencies a pixel side."""
    pulses, frequencies = 6 * side // 10, 8 * side // 10
    frequency = 9.6e9 + 640e6 * torch.linspace(-0.5, 0.5, frequencies, dtype=torch.float64)
    kept = torch.ones(1, pulses, frequencies, dtype=torch.float64)
    return SpotlightCollection(1e4 * look(pulses, 3.8)[None], frequency[None], kept)


def bistatic(side: int) -> SpotlightCollection:
    base = collection(side)
    return replace(base, receiver_m=9e3 * look(base.kept.shape[1], 3.0, 40.0)[None])


def ground_grid(side: int) -> Grid:
    return Grid((side, side), (0.2, 0.2))


def plane_wave(side: int, dtype: torch.dtype) -> NonuniformFourier:
    return plane_wave_spotlight(collection(side), ground_grid(side), dtype=dtype)


def visibilities(side: int, dtype: torch.dtype) -> NonuniformFourier:
    """Earth-rotation tracks of 27 stations."""
    place = randn(27, 2).abs() * torch.sign(uniform(27, 2) - 0.5) * 1e3
    pairs = torch.triu_indices(27, 27, 1)
    baseline = place[pairs[0]] - place[pairs[1]]
    turn = torch.linspace(0, math.pi / 2, max(4, side // 2), dtype=torch.float64)
    u = baseline[:, :1] * turn.cos() - baseline[:, 1:] * turn.sin()
    v = baseline[:, :1] * turn.sin() + baseline[:, 1:] * turn.cos()
    uv = torch.stack([u, v], -1)[None]
    grid = SkyGrid((side, side), 0.4 / float(uv.abs().max()))
    weights = torch.ones(uv.shape[:-1], dtype=torch.float64)
    return interferometer(uv, weights, grid, largest_w_wavelengths=1e-3, dtype=dtype)


def track(side: int) -> StripmapCollection:
    """X band at 600 m, a tenth of the pulses missing."""
    kept = (uniform(1, side) > 0.1).double()
    return StripmapCollection(wide(100), wide(1e10), wide(2e8), wide(300), wide(600), wide(0.0), wide(0.3), kept)


def stripmap(form: type[StripmapOperator], side: int, dtype: torch.dtype) -> StripmapOperator:
    return form(track(side), (side, side), range_spacing_m=0.75, frequencies=5 * side // 4, dtype=dtype)


def raw_echoes(side: int, dtype: torch.dtype) -> LinearOperator:
    """A window over the whole image and a chirp of 0.5 us."""
    first_s = 2 * (600 - 0.375 * side) / SPEED_OF_LIGHT_M_S
    return raw_stripmap(
        StripmapOmegaK,
        track(side),
        (side, side),
        pulse=linear_chirp(1e14, 5e-7, 2e8)[None],
        first_sample_s=wide(first_s),
        samples=side + 100,
        range_spacing_m=0.75,
        dtype=dtype,
    )


def chirps(samples: int, count: int, slots: tuple[int, ...]) -> FmcwWaveform:
    return FmcwWaveform(wide(77e9), wide(30e12), wide(1e-7), samples, wide(40e-6), count, slots)


def polar(side: int, extent_m: float) -> dict[str, Any]:
    ranges = torch.linspace(0.05, 0.6, side, dtype=torch.float64)[None] * extent_m
    return {"ranges_m": ranges, "angles_rad": torch.linspace(-0.8, 0.8, side, dtype=torch.float64)[None]}


def fmcw_range_angle(side: int, dtype: torch.dtype) -> LinearOperator:
    waveform = chirps(side, 1, (0, 0))
    return mimo_radar(
        waveform, filled_array(2, 32, 0.00195), **polar(side, float(waveform.range_extent_m())), dtype=dtype
    )


def fmcw_tdm(side: int, dtype: torch.dtype) -> LinearOperator:
    waveform = chirps(side, 16, (0, 1))
    axes = {**polar(side, float(waveform.range_extent_m())), "velocities_m_s": waveform.velocity_axis_m_s(8)}
    return mimo_radar(waveform, filled_array(2, 8, 0.00195), **axes, dtype=dtype)


def ofdm(side: int, dtype: torch.dtype) -> LinearOperator:
    waveform = OfdmWaveform(wide(28e9), wide(240e3), side, wide(5e-6), 1, (0,))
    return mimo_radar(
        waveform, filled_array(1, 32, 0.0053), **polar(side, float(waveform.range_extent_m())), dtype=dtype
    )


def fmcw_range_doppler(side: int, dtype: torch.dtype) -> LinearOperator:
    waveform = chirps(side, side, (0,))
    axes = {"ranges_m": waveform.range_axis_m(side), "velocities_m_s": waveform.velocity_axis_m_s(side)}
    return range_doppler(waveform, **axes, dtype=dtype)


def near_range(side: int, dtype: torch.dtype) -> LinearOperator:
    """Return a filled array, half a wavelength apart, before pixels it sees without the far-field approximation."""
    waveform, array = chirps(max(8, side // 4), 1, (0,)), filled_array(1, max(4, side // 8), 0.00195)
    axes = {
        "ranges_m": torch.linspace(0.3, 3, side, dtype=torch.float64)[None],
        "angles_rad": torch.linspace(-0.8, 0.8, side, dtype=torch.float64)[None],
    }
    return near_range_array(waveform, array, positions_m=polar_positions_m(array, **axes), dtype=dtype)


def ring(count: int, radius_m: float) -> Tensor:
    return ring_m(radius_m, 2 * math.pi * torch.arange(count, dtype=torch.float64) / count)[None]


def born(side: int, dtype: torch.dtype, *, count: int = 24, heard: float = 1.0) -> BornScattering:
    """Return a ring of antennas about a square, every pair heard or a share of them."""
    rig = all_pairs(ring(count, 0.9), ring(count, 0.8), torch.linspace(2e9, 4e9, 4, dtype=torch.float64)[None])
    if heard < 1:
        pairs = (uniform(1, 1, count, count) < heard).double()
        rig = MultistaticRig(rig.transmitter_m, rig.receiver_m, rig.frequency_hz, pairs)
    return BornScattering(
        rig, cells_of(Grid((side, side), (0.5 / side, 0.5 / side))), radiator=Radiator.LINE, dtype=dtype
    )


def born_wide(side: int, dtype: torch.dtype) -> BornScattering:
    """Cells of an eighth of the shortest wavelength: the wave fills the fine grid."""
    cell = SPEED_OF_LIGHT_M_S / 4e9 / 8
    frequency = torch.linspace(2e9, 4e9, 4, dtype=torch.float64)[None]
    rig = all_pairs(ring(24, 0.9 * side * cell), ring(24, 0.8 * side * cell), frequency)
    return BornScattering(rig, cells_of(Grid((side, side), (cell, cell))), radiator=Radiator.LINE, dtype=dtype)


def born_volume(side: int, dtype: torch.dtype) -> BornScattering:
    rig = all_pairs(ring(24, 0.9), ring(24, 0.8), torch.linspace(2e9, 4e9, 4, dtype=torch.float64)[None])
    cells = volume_of(Grid((side, side), (0.4 / side, 0.4 / side)), 8, 0.02)
    return BornScattering(rig, cells, radiator=Radiator.POINT, dtype=dtype)


def survey(side: int, height_m: float) -> GroundSurvey:
    """0.3 to 1.2 GHz over 1.2 m, as many traces as a quarter of the side."""
    traces, count = max(6, side // 4), max(8, side // 4)
    x = torch.linspace(-0.6, 0.6, traces, dtype=torch.float64)[None]
    return GroundSurvey(
        x, wide(height_m), wide(6.0), wide(3e8), wide(9e8 / count), torch.ones(1, count, dtype=torch.complex128)
    )


def ground(side: int, dtype: torch.dtype) -> GroundPenetratingRadar:
    return GroundPenetratingRadar(
        survey(side, 0.1), Section(Grid((side, side), (1 / side, 1.2 / side)), 0.15), dtype=dtype
    )


def homogeneous(side: int, dtype: torch.dtype) -> HomogeneousGround:
    section = Section(Grid((side, side), (1 / side, 1.2 / side)), 0.3)
    return HomogeneousGround(survey(side, 0.0), section, widest_rad=1.1, dtype=dtype)


def long_line(side: int, dtype: torch.dtype) -> HomogeneousGround:
    """4 m long and 3 m deep, a trace and a frequency for every pixel: three pixels a wavelength."""
    x = torch.linspace(-2, 2, side, dtype=torch.float64)[None]
    spectrum = torch.ones(1, side, dtype=torch.complex128)
    taken = GroundSurvey(x, wide(0.0), wide(6.0), wide(3e8), wide(9e8 / side), spectrum)
    section = Section(Grid((side, side), (3 / side, 4 / side)), 0.3)
    return HomogeneousGround(taken, section, widest_rad=1.1, dtype=dtype)


def multicoil(side: int, dtype: torch.dtype) -> MulticoilMRI:
    spectrum = torch.zeros(8, side, side, dtype=torch.complex128)
    spectrum[:, side // 2 - 1 : side // 2 + 2, side // 2 - 1 : side // 2 + 2] = randn(8, 3, 3)
    maps = torch.fft.ifft2(torch.fft.ifftshift(spectrum, dim=(-2, -1)), norm="forward") / 3
    return MulticoilMRI(mask(side, dtype), maps[None].to(dtype))


def stepped_frequencies(side: int) -> Tensor:
    return collection(side).frequency_hz


def notched(side: int, dtype: torch.dtype) -> LinearOperator:
    return notch(plane_wave(side, dtype), stepped_frequencies(side), [(9.55e9, 9.6e9)])


def pulse_phase(side: int, dtype: torch.dtype) -> LinearOperator:
    base = plane_wave(side, dtype)
    return apply_pulse_phase(base, uniform(1, base.range_shape[1]))


def channel_gain(side: int, dtype: torch.dtype) -> LinearOperator:
    base = fmcw_range_angle(side, dtype)
    return apply_channel_gain(base, 1 + 0.2 * randn(1, base.range_shape[1]), 1)


def antenna_pattern(side: int, dtype: torch.dtype) -> LinearOperator:
    """Two-way amplitude of a beam whose half-power width covers the image's sides."""
    grid, middle = ground_grid(side), collection(side).antenna_m[0, collection(side).kept.shape[1] // 2]
    width = torch.tensor(side * grid.spacing_m[0] / float(middle.norm()), dtype=torch.float64)
    angle = off_boresight_rad(middle, torch.zeros(3, dtype=torch.float64), grid.positions_m())
    return apply_image_gain(plane_wave(side, dtype), sinc_pattern(angle, width).square()[None, None])


def moving_antenna_pattern(side: int, dtype: torch.dtype) -> LinearOperator:
    """The same beam, swept by half its width over the aperture."""
    seen, grid = collection(side), ground_grid(side)
    width = wide(side * grid.spacing_m[0] / 1e4)
    error = width[:, None] * torch.linspace(-0.25, 0.25, seen.kept.shape[1], dtype=torch.float64)
    gain = moving_beam(seen, grid, sinc_pattern, beamwidth_rad=width, azimuth_error_rad=error)
    return apply_moving_pattern(plane_wave(side, dtype), gain)


def polarimetric(side: int, dtype: torch.dtype) -> LinearOperator:
    matrix = torch.eye(4, dtype=torch.complex128) + 0.05 * randn(4, 4)
    return apply_crosstalk(ChannelwiseOperator(plane_wave(side, dtype), 4), matrix[None])


T, SMALL = NormalForm.TOEPLITZ, 64
CASES = [
    Case("Fourier mask", mask),
    Case("Non-uniform Fourier, points at random", scattered_points, T),
    Case("Spotlight, plane wave", plane_wave, T),
    Case("Spotlight, plane wave, bistatic", lambda n, t: plane_wave_spotlight(bistatic(n), ground_grid(n), dtype=t), T),
    Case("Interferometer (VLBI)", visibilities, T),
    Case("Spotlight, exact", lambda n, t: ExactSpotlight(collection(n), ground_grid(n), dtype=t)),
    Case("Spotlight, exact, bistatic", lambda n, t: ExactSpotlight(bistatic(n), ground_grid(n), dtype=t)),
    Case("Spotlight, factorised", lambda n, t: FactorisedSpotlight(collection(n), ground_grid(n), dtype=t)),
    Case("Stripmap, omega-K, 10 % of pulses missing", lambda n, t: stripmap(StripmapOmegaK, n, t)),
    Case("Stripmap, range-Doppler, 10 % missing", lambda n, t: stripmap(StripmapRangeDoppler, n, t)),
    Case("Stripmap, raw echoes", raw_echoes),
    Case("FMCW range-angle, 64 elements", fmcw_range_angle),
    Case("FMCW range-Doppler", fmcw_range_doppler),
    Case("FMCW TDM, 8 velocities, 16 chirps", fmcw_tdm),
    Case("OFDM range-angle, 32 elements", ofdm),
    Case("Near-range array", near_range),
    Case("Born, lines, all pairs", born),
    Case("Born, lines, all pairs, matrix held", lambda n, t: born(n, t, count=48), side=SMALL),
    Case("Born, lines, 30 % of the pairs", lambda n, t: born(n, t, heard=0.3)),
    Case("Born, lines, 8 cells a wavelength", born_wide),
    Case("Born, volume of 8 slices", born_volume, side=SMALL),
    Case("Ground-penetrating, antenna raised", ground),
    Case("Ground-penetrating, homogeneous", homogeneous),
    Case("Ground-penetrating, homogeneous, long line", long_line),
    Case("MRI, 8 coils", multicoil),
    Case("Pulse phase on plane wave", pulse_phase, T),
    Case("Spectral notch on plane wave", notched, T),
    Case("Antenna pattern on plane wave", antenna_pattern, T),
    Case("Moving antenna pattern on plane wave", moving_antenna_pattern),
    Case("Crosstalk on 4 plane-wave channels", polarimetric),
    Case("Channel gain on FMCW", channel_gain),
    Case("Stack of mask and plane wave", lambda n, t: stack([mask(n, t), plane_wave(n, t)])),
    Case("Sample mask (inpainting)", lambda n, t: SampleMask((uniform(1, 1, n, n) < 0.5).to(t.to_real()))),
    Case("Crop", lambda n, t: CropOperator((1, n, n), (1, 3 * n // 4, 3 * n // 4), dtype=t)),
    Case("Identity", lambda n, t: ScalarOperator((1, n, n), torch.ones(1, dtype=t.to_real()))),
]
