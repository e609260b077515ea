"""One measurement per class of operator, and a Gotcha-like MATLAB file: what the tests of this room share."""

from pathlib import Path

import numpy as np
import torch

from echoform.measure.measurement import Measurement, Metadata
from echoform.physics.born import BornScattering, cells_of
from echoform.physics.crop import CropOperator
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.green import Radiator
from echoform.physics.ground_penetrating import GroundPenetratingRadar
from echoform.physics.identity import ScalarOperator
from echoform.physics.kronecker import KroneckerOperator
from echoform.physics.masking import SampleMask
from echoform.physics.near_range_array import NearRangeArray
from echoform.physics.noise import GaussianNoise
from echoform.physics.nonuniform_fourier import NonuniformFourier
from echoform.physics.operator import GalerkinOperator, LinearOperator, ScaledOperator, stack
from echoform.physics.spotlight_exact import ExactSpotlight
from echoform.physics.spotlight_plane_wave import plane_wave_spotlight
from echoform.scene.array import MimoArray, uniform_line
from echoform.scene.collection import SPEED_OF_LIGHT_M_S, SpotlightCollection
from echoform.scene.grid import Grid
from echoform.scene.rig import MultistaticRig, ring_m
from echoform.scene.soil import GroundSurvey, Section

GOTCHA = Path(__file__).parents[3] / "shared" / "data" / "sar_phase_gotcha"
SHAPE = (1, 8, 16)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def collection(pulses: int = 5, frequencies: int = 7, *, azimuth_deg: float = 0.0) -> SpotlightCollection:
    angle = torch.deg2rad(azimuth_deg + torch.linspace(-2, 2, pulses, dtype=torch.float64))
    antenna = torch.stack([7000 * angle.cos(), 7000 * angle.sin(), torch.full_like(angle, 7100.0)], -1)
    frequency = torch.linspace(9.3e9, 9.9e9, frequencies, dtype=torch.float64)
    kept = torch.ones(1, pulses, frequencies, dtype=torch.float64)
    kept[0, 1] = 0
    return SpotlightCollection(antenna[None], frequency[None], kept)


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
        "mask, complex, batched": FourierMask(rough),
        "mask, coarse": FourierMask(real).coarsen(2),
        "mask, coarse twice": FourierMask(real).coarsen(2).coarsen(2),
        "nonuniform, batched": nonuniform,
        "nonuniform, coarse": nonuniform.coarsen(2),
        "plane wave": plane_wave_spotlight(collection(), grid),
        "exact": ExactSpotlight(collection(), grid, dtype=torch.complex128),
        "exact, single, narrow": ExactSpotlight(collection(6, 5), Grid((1, 2), (0.7, 0.3))),
        "kronecker, coupled, batched": KroneckerOperator(*_factors(g, torch.complex128, (1, 2, 2), channels=2)),
        "kronecker, single, grams": KroneckerOperator(*_factors(g, torch.complex64, (1, 1, 1), channels=1)),
        "near range, batched": near_range(torch.complex128, 2),
        "near range, single": near_range(torch.complex64, 1),
        "born, matrix": born(torch.complex128, 40, spacing_m=0.01),
        "born, matrix, coarse": born(torch.complex64, 40, spacing_m=0.01).coarsen(2),
        "born, passes, coarse, batched": born(torch.complex128, 4, spacing_m=0.001, eps=(2 - 0.1j, 3)).coarsen(2),
        "born, incident": born(torch.complex64, 4, spacing_m=0.01, incident=True),
        "ground, batched": ground(torch.complex128, (0.0, 0.3)),
        "ground, single": ground(torch.complex64, (0.2,)),
        "scalar": ScalarOperator(SHAPE, torch.tensor([0.3], dtype=torch.float64)),
        "crop": CropOperator(SHAPE, (1, 5, 9)),
        "sample mask": SampleMask((real > 0.3).float()),
        "scaled, complex": ScaledOperator(mask, torch.tensor([0.5 - 2j])),
        "composed": mask @ ScalarOperator(SHAPE, torch.tensor([2.0])),
        "stacked": stack([nonuniform, FourierMask(rough)]),
        "adjoint": mask.H,
        "galerkin": GalerkinOperator(nonuniform, 4),
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
    ring = ring_m(0.5, torch.arange(antennas, dtype=torch.float64))[None]
    heard = torch.ones(1, 1, antennas, antennas, dtype=torch.float64)
    if antennas < 10:
        heard[0, 0, 0, 1] = 0
    rig = MultistaticRig(ring, -ring, torch.tensor([[1e9, 2e9]], dtype=torch.float64), heard)
    fields = torch.randn(2, 2, antennas, 128, dtype=torch.complex128, generator=generator(6)) if incident else None
    permittivity = torch.tensor(eps, dtype=torch.complex128)
    cells = cells_of(Grid(SHAPE[1:], (spacing_m, 1.1 * spacing_m)))
    return BornScattering(rig, cells, radiator=Radiator.LINE, permittivity=permittivity, incident=fields, dtype=dtype)


def ground(dtype: torch.dtype, heights_m: tuple[float, ...]) -> GroundPenetratingRadar:
    wide = torch.tensor(heights_m, dtype=torch.float64)
    survey = GroundSurvey(
        torch.linspace(-1, 1, 6, dtype=torch.float64)[None],
        wide,
        5 + wide,
        torch.full((1,), 3e8, dtype=torch.float64),
        torch.full((1,), 2e7, dtype=torch.float64),
        torch.randn(1, 7, dtype=torch.complex128, generator=generator(8)),
    )
    return GroundPenetratingRadar(survey, Section(Grid(SHAPE[1:], (0.05, 0.04)), 0.1), dtype=dtype)


def measurement(operator: LinearOperator, *, seed: int = 1) -> Measurement:
    x = torch.randn(2, *operator.domain_shape, dtype=operator.dtype, generator=generator(seed))
    y = operator(x).detach()
    metadata = Metadata(
        title="a test, été \U0001f6f0",
        source="simulated\n'quoted'",
        grid=Grid((8, 16), (0.1 + 0.2, 1 / 3)),
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
