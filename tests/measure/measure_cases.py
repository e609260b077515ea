"""One measurement per class of operator, and a Gotcha-like MATLAB file: what the tests of this room share."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from echoform.linalg.taylor_profile import COARSE
from echoform.measure.measurement import Measurement, Metadata
from echoform.physics.axis_matrix import AxisMatrix
from echoform.physics.born import FREQUENCY_AXIS, BornScattering, GivenFields
from echoform.physics.channelwise import BlockDiagonalOperator, ChannelwiseOperator
from echoform.physics.compositions import GalerkinOperator, ScaledOperator
from echoform.physics.compressed_sensing import SineTransform, compressed_sensing
from echoform.physics.convolution import CircularConvolution, valid_blur
from echoform.physics.crop import CropOperator
from echoform.physics.downsampling import Downsampling
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.green import Radiator
from echoform.physics.ground_homogeneous import HomogeneousGround
from echoform.physics.ground_penetrating import GroundPenetratingRadar
from echoform.physics.identity import ScalarOperator
from echoform.physics.kronecker import KroneckerOperator
from echoform.physics.local_transfer import LocalTransfer, TransferWeights
from echoform.physics.masking import SampleMask
from echoform.physics.moving_pattern import MovingPattern
from echoform.physics.multicoil_mri import MulticoilMRI
from echoform.physics.near_range_array import NearRangeArray
from echoform.physics.noise import GaussianNoise
from echoform.physics.nonuniform_fourier import NonuniformFourier
from echoform.physics.operator import LinearOperator
from echoform.physics.pansharpening import SpectralResponse, pansharpening
from echoform.physics.polarimetry import apply_crosstalk
from echoform.physics.range_chirp import RangeChirp
from echoform.physics.sample_gain import SampleGain
from echoform.physics.separable import SeparableOperator
from echoform.physics.spotlight_exact import ExactSpotlight
from echoform.physics.spotlight_factorised import FactorisedSpotlight
from echoform.physics.spotlight_plane_wave import plane_wave_spotlight
from echoform.physics.stacked import StackedOperator, stack
from echoform.physics.stripmap import StripmapOperator
from echoform.physics.stripmap_omega_k import StripmapOmegaK
from echoform.physics.stripmap_range_doppler import StripmapRangeDoppler
from echoform.physics.tomography import Tomography
from echoform.scene.array import MimoArray, uniform_line
from echoform.scene.beams import FanBeam, ParallelBeam, uniform_angles_rad
from echoform.scene.cells import cells_of, volume_of
from echoform.scene.collection import SPEED_OF_LIGHT_M_S, SpotlightCollection
from echoform.scene.grid import Grid
from echoform.scene.rig import MultistaticRig, ring_m
from echoform.scene.soil import GroundSurvey, Section
from echoform.scene.stripmap import StripmapCollection

GOTCHA = Path(__file__).parents[3] / "shared" / "data" / "sar_phase_gotcha"
SHAPE = (1, 8, 16)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


#: pixels below the ground
SECTION = Section(Grid(SHAPE[1:], (0.05, 0.04)), 0.1)


def collection(pulses: int = 5, frequencies: int = 7, *, azimuth_deg: float = 0.0) -> SpotlightCollection:
    """Return four degrees of a circle at X band, nothing measured at the second pulse."""
    angle = torch.deg2rad(azimuth_deg + torch.linspace(-2, 2, pulses, dtype=torch.float64))
    antenna = torch.stack([7000 * angle.cos(), 7000 * angle.sin(), torch.full_like(angle, 7100.0)], -1)
    frequency = torch.linspace(9.3e9, 9.9e9, frequencies, dtype=torch.float64)
    kept = torch.ones(1, pulses, frequencies, dtype=torch.float64)
    kept[0, 1] = 0
    return SpotlightCollection(antenna[None], frequency[None], kept)


def bistatic() -> SpotlightCollection:
    both = collection(azimuth_deg=30.0)
    return SpotlightCollection(collection().antenna_m, both.frequency_hz, both.kept, both.antenna_m)


def operators() -> dict[str, LinearOperator]:
    """Operators of every class, by a label; several forms of one class where they are stored differently."""
    g = generator()
    grid = Grid(SHAPE[1:], (0.9, 0.35))
    real = torch.rand(1, *SHAPE, generator=g)
    rough = torch.randn(2, *SHAPE, dtype=torch.complex128, generator=g)
    points = 6 * torch.rand(1, 2, 12, generator=g, dtype=torch.float64) - 3
    weights = torch.randn(2, 12, generator=g, dtype=torch.complex128)
    nonuniform = NonuniformFourier(points, weights, domain_shape=SHAPE, sample_shape=(3, 4), dtype=torch.complex128)
    mask = FourierMask((real > 0.5).float())
    return {
        "mask": mask,
        "multi-coil": MulticoilMRI(mask, torch.randn(1, 3, *SHAPE[1:], dtype=torch.complex64, generator=g)),
        "mask, complex, batched": FourierMask(rough),
        "mask, coarse": FourierMask(real).coarsen(2),
        "mask, coarse twice": FourierMask(real).coarsen(2).coarsen(2),
        "nonuniform, batched": nonuniform,
        "nonuniform, coarse": nonuniform.coarsen(2),
        "plane wave": plane_wave_spotlight(collection(), grid),
        "exact": ExactSpotlight(collection(), grid, dtype=torch.complex128),
        "exact, bistatic": ExactSpotlight(bistatic(), grid, dtype=torch.complex128),
        "factorised": FactorisedSpotlight(collection(), grid, dtype=torch.complex128, leaf=4, accuracy=1e-3),
        "factorised, bistatic, single": FactorisedSpotlight(bistatic(), grid, leaf=3),
        "factorised, with a response": responding_spotlight(),
        "exact, coarse": coarse_spotlight(),
        "exact, short series": ExactSpotlight(collection(), grid, series=COARSE),
        "exact, single, narrow": ExactSpotlight(collection(6, 5), Grid((1, 2), (0.7, 0.3))),
        "kronecker, coupled, batched": KroneckerOperator(*_factors(g, torch.complex128, (1, 2, 2), channels=2)),
        "kronecker, single, grams": KroneckerOperator(*_factors(g, torch.complex64, (1, 1, 1), channels=1)),
        "near range, batched": near_range(torch.complex128, 2),
        "near range, single": near_range(torch.complex64, 1),
        "born, matrix": born(torch.complex128, 40, spacing_m=0.01),
        "born, matrix, coarse": born(torch.complex64, 40, spacing_m=0.01).coarsen(2),
        "born, passes, coarse, batched": born(torch.complex128, 4, spacing_m=0.001, eps=(2 - 0.1j, 3)).coarsen(2),
        "born, coarse, held": born(torch.complex64, 3, spacing_m=0.01, eps=(2 - 0.1j, 3)).coarsen(2),
        "born, bands": born_bands(torch.complex64),
        "born, gained": born(torch.complex64, 4, spacing_m=0.01).weighted(torch.full((1, 1, 4, 1), 0.5 - 2j)),
        "born, incident": born(torch.complex64, 4, spacing_m=0.01, incident=True),
        "born, volume, received": born_volume(torch.complex64),
        "ground, batched": ground(torch.complex128, (0.0, 0.3)),
        "ground, single": ground(torch.complex64, (0.2,)),
        "ground, short series": GroundPenetratingRadar(survey((0.2,)), SECTION, series=COARSE),
        "stripmap, missing, batched": stripmap(StripmapOmegaK, torch.complex128, (600.0, -400.0)),
        "stripmap, periodic": stripmap(StripmapOmegaK, torch.complex64, (0.0,), azimuth_length=12),
        "stripmap, range-Doppler": stripmap(StripmapRangeDoppler, torch.complex64, (300.0,)),
        "stripmap, raw": raw_echoes(torch.complex64),
        "stripmap, coarse, batched": stripmap(StripmapOmegaK, torch.complex128, (600.0, -400.0)).coarsen(2),
        "stripmap, raw, coarse": raw_echoes(torch.complex64).coarsen(2),
        "ground, homogeneous": homogeneous_ground(torch.complex64),
        "ground, rows with a gain": homogeneous_ground(
            torch.complex64, row_gain=1j * torch.arange(1.0, 1 + SHAPE[1])[None]
        ),
        "scalar": ScalarOperator(SHAPE, torch.tensor([0.3], dtype=torch.float64)),
        "crop": CropOperator(SHAPE, (1, 5, 9)),
        "crop, coarse": CropOperator(SHAPE, (1, 5, 9)).coarsen(2),
        "separable": SeparableOperator(rough.real[0, 0, :3], rough.real[0, 0], channels=2, dtype=torch.complex64),
        "sample mask": SampleMask((real > 0.3).float()),
        "sample mask, coarse": SampleMask((torch.rand(2, 1, 16, 14, generator=g) > 0.3).float()).coarsen(2),
        "scaled, complex": ScaledOperator(mask, torch.tensor([0.5 - 2j])),
        "composed": mask @ ScalarOperator(SHAPE, torch.tensor([2.0])),
        "stacked": stack([nonuniform, FourierMask(rough)]),
        "adjoint": mask.H,
        "galerkin": GalerkinOperator(nonuniform, 4),
        "sample gain, batched": SampleGain(rough[:, :, :, :1], SHAPE),
        "axis matrix": AxisMatrix(rough[:1, 0, :5, :8], SHAPE, 1),
        "convolution, coarse, batched": CircularConvolution(rough.real, 1, complex_image=True).coarsen(2),
        "valid blur": valid_blur(real[..., :3, :4], SHAPE),
        "downsampling": Downsampling(real, 4, 1),
        "spectral response": SpectralResponse(real[0, 0, :1, :3].double(), 8, 16),
        "pansharpening": pansharpening(real[..., :4, :4], 2, (3, 8, 16)),
        "compressed sensing": compressed_sensing((2, 8, 16), g),
        "sine transform": SineTransform(SHAPE, dtype=torch.complex64),
        "tomography, parallel, batched": Tomography(
            ParallelBeam(angles_rad=rough.real[:, 0, 0], detectors=9, axis_offset_px=(0.5, -0.5)), SHAPE
        ),
        "tomography, coarse": Tomography(ParallelBeam(angles_rad=rough.real[:, 0, 0], detectors=9), SHAPE).coarsen(4),
        "tomography, fan": Tomography(
            FanBeam(angles_rad=uniform_angles_rad(3), detectors=7, spacing_px=2.0, source_px=30.0, detector_px=9.0),
            SHAPE,
            dtype=torch.complex128,
        ),
        "moving pattern, batched": MovingPattern(nonuniform, rough[:, 0, :2, :3], rough[:1].expand(-1, 2, -1, -1)),
        "moving pattern, coarse": MovingPattern(
            nonuniform.coarsen(2), rough.real[:1, 0, :2, :3], real[..., :4, :8].expand(-1, 2, -1, -1)
        ),
        "moving pattern, rows": MovingPattern(mask, rough[:1, 0, :3, :8], rough[:1].expand(-1, 3, -1, -1)),
        "channelwise": ChannelwiseOperator(nonuniform, 3),
        "crosstalk, batched": apply_crosstalk(ChannelwiseOperator(nonuniform, 3), rough[:, 0, :2, :3]),
        "block diagonal": BlockDiagonalOperator([nonuniform, SampleGain(rough[:1, :, :3, :4], (1, 3, 4)) @ nonuniform]),
        "nested": 0.25 * stack([GalerkinOperator(mask, 2) @ GalerkinOperator(mask, 2).H @ mask.coarsen(2)]),
    }


def _factors(g: torch.Generator, dtype: torch.dtype, batch: tuple[int, ...], channels: int) -> list[torch.Tensor]:
    shapes = ((30, channels), (channels, 40, SHAPE[1]), (50, SHAPE[2]))
    return [torch.randn(b, *s, dtype=dtype, generator=g) for b, s in zip(batch, shapes, strict=True)]


def near_range(dtype: torch.dtype, batch: int) -> NearRangeArray:
    g = generator(5)
    array = MimoArray(torch.rand(1, 2, 3, generator=g, dtype=torch.float64), uniform_line(3, 0.01))
    positions = 1 + torch.rand(batch, *SHAPE[1:], 3, generator=g, dtype=torch.float64)
    carrier = torch.full((batch,), -6e9, dtype=torch.float64)
    return NearRangeArray(array, carrier, carrier / 100, positions, frequencies=5, dtype=dtype)


def born(
    dtype: torch.dtype, antennas: int, *, spacing_m: float, eps: tuple[complex, ...] = (1,), incident: bool = False
) -> BornScattering:
    """Return a Born operator of a small ring."""
    ring = ring_m(0.5, torch.arange(antennas, dtype=torch.float64))[None]
    heard = torch.ones(1, 1, antennas, antennas, dtype=torch.float64)
    if antennas < 10:
        heard[0, 0, 0, 1] = 0
    rig = MultistaticRig(ring, -ring, torch.tensor([[1e9, 2e9]], dtype=torch.float64), heard)
    fields = torch.randn(2, 2, antennas, 128, dtype=torch.complex128, generator=generator(6)) if incident else None
    permittivity = torch.tensor(eps, dtype=torch.complex128)
    cells = cells_of(Grid(SHAPE[1:], (spacing_m, 1.1 * spacing_m)))
    return BornScattering(
        rig, cells, radiator=Radiator.LINE, permittivity=permittivity, fields=GivenFields(fields), dtype=dtype
    )


def born_bands(dtype: torch.dtype) -> StackedOperator:
    """Return the coarse versions of some frequencies apart, on grids of their own and with a matrix held."""
    whole = born(dtype, 4, spacing_m=0.001, eps=(2 - 0.1j, 3))
    return StackedOperator(
        [whole.coarsen(2), born(dtype, 4, spacing_m=0.01, eps=(2 - 0.1j, 3)).coarsen(2)], FREQUENCY_AXIS
    )


def born_volume(dtype: torch.dtype) -> BornScattering:
    """Return points about a volume whose received fields are given as numbers."""
    ring = ring_m(0.5, torch.arange(3, dtype=torch.float64))[None]
    heard = torch.ones(1, 1, 3, 3, dtype=torch.float64)
    rig = MultistaticRig(ring, ring, torch.tensor([[1e9, 2e9]], dtype=torch.float64), heard)
    received = torch.randn(1, 2, 3, 256, dtype=dtype, generator=generator(7))
    cells = volume_of(Grid(SHAPE[1:], (0.01, 0.012)), 2, 0.02)
    return BornScattering(rig, cells, radiator=Radiator.POINT, fields=GivenFields(received=received), dtype=dtype)


def survey(heights_m: tuple[float, ...]) -> GroundSurvey:
    """Return a GPR line for each height."""
    wide = torch.tensor(heights_m, dtype=torch.float64)
    return GroundSurvey(
        torch.linspace(-1, 1, 6, dtype=torch.float64)[None],
        wide,
        5 + wide,
        torch.full((1,), 3e8, dtype=torch.float64),
        torch.full((1,), 2e7, dtype=torch.float64),
        torch.randn(1, 7, dtype=torch.complex128, generator=generator(8)),
    )


def responding_spotlight() -> FactorisedSpotlight:
    """Return sums on coarse pixels whose last nodes hold a response of two terms."""
    both, grid, g = collection(), Grid((6, 7), (0.5, 0.4), (0.1, 0.2)), generator(3)
    samples = 1 + torch.rand(1, 2, *both.kept.shape[1:], dtype=torch.float64, generator=g)
    image = torch.rand(1, 2, 6, 7, dtype=torch.float64, generator=g)
    return FactorisedSpotlight(both, grid, leaf=3, response=TransferWeights(samples, image))


def coarse_spotlight() -> LocalTransfer:
    base = ExactSpotlight(collection(), Grid((6, 7), (0.5, 0.4), (0.1, 0.2)), dtype=torch.complex128)
    _, pulses, frequencies = base.range_shape
    weights = 1 + torch.rand(1, 2, pulses, frequencies, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    image = torch.randn(1, 2, 6, 7, dtype=torch.complex128, generator=torch.Generator().manual_seed(2))
    return LocalTransfer(base, weights, image, range_shape=(1, pulses + 2, frequencies + 1), origin=(1, 0))


def ground(dtype: torch.dtype, heights_m: tuple[float, ...]) -> GroundPenetratingRadar:
    return GroundPenetratingRadar(survey(heights_m), SECTION, dtype=dtype)


def stripmap(
    form: type[StripmapOperator], dtype: torch.dtype, centroids_hz: tuple[float, ...], azimuth_length: int | None = None
) -> StripmapOperator:
    """Return a small stripmap operator of one form."""
    speed, carrier, sample_rate, prf, centre_range = (
        torch.tensor([v], dtype=torch.float64) for v in (100.0, 1e10, 2e8, 400.0, 700.0)
    )
    kept = torch.ones(1, 12, dtype=torch.float64)
    kept[0, 5] = 1.0 if azimuth_length else 0.0
    centroid, antenna = torch.tensor(centroids_hz, dtype=torch.float64), torch.tensor([0.5], dtype=torch.float64)
    collection = StripmapCollection(speed, carrier, sample_rate, prf, centre_range, centroid, antenna, kept)
    return form(collection, SHAPE[1:], range_spacing_m=0.7, frequencies=20, azimuth_length=azimuth_length, dtype=dtype)


def raw_echoes(dtype: torch.dtype) -> LinearOperator:
    pulse, start = torch.ones(1, 4, dtype=torch.complex128), torch.tensor([4.6e-6], dtype=torch.float64)
    rate = torch.tensor([2e8], dtype=torch.float64)
    chirp = RangeChirp(pulse, start, rate, pulses=12, frequencies=20, samples=17, dtype=dtype)
    return chirp @ stripmap(StripmapOmegaK, dtype, (100.0,))


def homogeneous_ground(dtype: torch.dtype, *, row_gain: Tensor | None = None) -> HomogeneousGround:
    section = Section(Grid(SHAPE[1:], (0.05, 0.04)), 0.3)
    return HomogeneousGround(survey((0.0,)), section, widest_rad=1.2, row_gain=row_gain, dtype=dtype)


def measurement(operator: LinearOperator, *, seed: int = 1) -> Measurement:
    """Return a measurement with every field of its metadata set."""
    x = torch.randn(2, *operator.domain_shape, dtype=operator.dtype, generator=generator(seed))
    y = operator(x).detach()
    metadata = Metadata(
        title="a test, été \U0001f6f0",
        source="simulated\n'quoted'",
        grid=Grid((8, 16), (0.1 + 0.2, 1 / 3), (0.5, -1 / 7)),
        truth=x,
        notes={"b": "second\0letter", "a/slash": "", "": "empty label", "long": "x" * 70000},
    )
    return Measurement(y, operator, GaussianNoise(torch.tensor([0.1, 0.2])), metadata)


def gotcha_fields(*, scatterers: int = 3, seed: int = 2) -> dict[str, np.ndarray]:
    """Fields of a small Gotcha-like struct: exact spherical wavefronts of a few scatterers, stored in single precision."""
    rng = np.random.default_rng(seed)
    angle = np.deg2rad(np.linspace(0.2, 2.2, 24))
    antenna = np.stack([7000 * np.cos(angle), 7000 * np.sin(angle), np.full_like(angle, 7200.0)], -1)
    frequency = 9.3e9 + 1.5e6 * np.arange(40)
    place = np.zeros((scatterers, 3))
    place[:, :2] = rng.uniform(-15, 15, (scatterers, 2))
    delay = np.linalg.norm(antenna[:, None] - place[None], axis=-1) - np.linalg.norm(antenna, axis=-1)[:, None]
    phase = 4 * np.pi / SPEED_OF_LIGHT_M_S * frequency[:, None, None] * delay[None]
    fields = {
        "fp": np.exp(-1j * phase).sum(-1).astype(np.complex64),
        "freq": frequency[:, None].astype(np.float32),
        "r0": np.linalg.norm(antenna, axis=-1)[None].astype(np.float32),
    }
    return fields | {name: antenna[None, :, i].astype(np.float32) for i, name in enumerate("xyz")}


def write_gotcha(path: Path, fields: dict[str, np.ndarray], *, compressed: bool = False) -> Path:
    from scipy.io import savemat

    savemat(path, {"data": fields}, do_compression=compressed, appendmat=False)
    return path
