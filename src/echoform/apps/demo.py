"""``echoform demo``: a simulated spotlight collection, saved as a file, read back and reconstructed by every method."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from echoform.apps.commands import announce, carry_out, with_sigma
from echoform.apps.errors import UsageError
from echoform.apps.limits import check_snr_db
from echoform.apps.options import Demo
from echoform.apps.result_folder import result_folder
from echoform.apps.saving import resolved, save_run
from echoform.measure.measurement import Measurement, Metadata, simulate
from echoform.measure.native import save
from echoform.measure.reading import read
from echoform.physics.noise import GaussianNoise
from echoform.physics.spotlight_plane_wave import plane_wave_spotlight
from echoform.scene.collection import SPEED_OF_LIGHT_M_S, SpotlightCollection
from echoform.scene.grid import Grid
from echoform.scene.scatterers import place, targets
from echoform.scene.textures import clutter

COLLECTION = "collection.h5"
CARRIER_HZ = 9.6e9
BANDWIDTH_HZ = 640e6
STANDOFF_M = 10e3
ELEVATION_RAD = math.radians(30)
#: pixels to the resolution cell
FILL = 0.8
#: isolated points: row and column as shares of the image (rounded to pixels), level in decibels
POINTS = ((0.22, 0.27, 0.0), (0.24, 0.70, -6.0), (0.71, 0.20, -12.0), (0.80, 0.83, -18.0), (0.50, 0.88, -24.0))
CLUTTER_DB = -45.0
TARGETS_DB = -8.0


def demo(options: Demo, arguments: list[str]) -> None:
    """Carry out ``echoform demo``."""
    if not 32 <= options.pixels <= 1024:
        raise UsageError(f"--pixels must lie between 32 and 1024, got {options.pixels}")
    check_snr_db(options.snr_db)
    configuration = resolved(options, command="demo", arguments=arguments)
    with result_folder(options.out) as part:
        save(simulated_collection(options.pixels, options.snr_db, seed=options.seed), part / COLLECTION)
        measurement = read(part / COLLECTION)
        measurement = replace(measurement, metadata=replace(measurement.metadata, source=COLLECTION))
        run = carry_out(
            with_sigma(measurement, options.sigma),
            options.methods,
            options,
            configuration=configuration,
            keep_pulses=options.keep_pulses,
        )
        save_run(part, run)
    announce(run, options.out)
    print(f"Collection: {options.out / COLLECTION} (try: echoform compare {options.out / COLLECTION})")


def simulated_collection(pixels: int, snr_db: float, *, seed: int) -> Measurement:
    """Return an X-band spotlight collection of five points, extended targets and clutter, with its truth.

    Args:
        pixels: side of the image, number of pulses and number of frequencies.
        snr_db: mean power of the clean samples over that of the noise, decibels.
        seed: of targets, clutter and noise.
    """
    generator = torch.Generator().manual_seed(seed)
    collection, grid = spotlight(pixels)
    operator = plane_wave_spotlight(collection, grid)
    truth = scene(grid.shape, generator)
    power = operator(truth).abs().square().mean()
    noise = GaussianNoise((power * 10 ** (-snr_db / 10)).sqrt()[None])
    metadata = Metadata(
        title="Simulated X-band spotlight collection",
        source="echoform demo",
        grid=grid,
        truth=truth,
        collection=collection,
        notes={
            "scene": "five points (0 to -24 dB), extended targets, speckled clutter",
            "carrier": f"{CARRIER_HZ / 1e9} GHz",
            "bandwidth": f"{BANDWIDTH_HZ / 1e6} MHz",
            "seed": str(seed),
        },
    )
    return simulate(truth, operator, noise, generator=generator, metadata=metadata)


def spotlight(pixels: int) -> tuple[SpotlightCollection, Grid]:
    """Return a collection seen from +x whose resolution is the same in both directions, and a grid of ``FILL`` cells."""
    resolution_m = SPEED_OF_LIGHT_M_S / (2 * BANDWIDTH_HZ * math.cos(ELEVATION_RAD))
    aperture_rad = SPEED_OF_LIGHT_M_S / CARRIER_HZ / (2 * resolution_m * math.cos(ELEVATION_RAD))
    step = torch.arange(pixels, dtype=torch.float64) / pixels - 0.5
    azimuth = aperture_rad * step
    flat = math.cos(ELEVATION_RAD)
    look = torch.stack(
        [flat * azimuth.cos(), flat * azimuth.sin(), torch.full_like(azimuth, math.sin(ELEVATION_RAD))], -1
    )
    frequency = CARRIER_HZ + BANDWIDTH_HZ * step
    kept = torch.ones(1, pixels, pixels, dtype=torch.float64)
    collection = SpotlightCollection(STANDOFF_M * look[None], frequency[None], kept)
    return collection, Grid((pixels, pixels), (FILL * resolution_m, FILL * resolution_m))


def scene(shape: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Return the scene, (1, 1, H, W) complex64: the strongest point has magnitude one."""
    share = torch.tensor(POINTS)
    positions = (share[None, :, :2] * torch.tensor(shape)).round()
    phase = 2 * math.pi * torch.rand((1, len(POINTS)), generator=generator)
    isolated = place(positions, torch.polar(10 ** (share[None, :, 2] / 20), phase), shape)
    isolated = isolated / isolated.abs().amax()
    extended = targets(generator, 1, shape)
    extended = extended * (10 ** (TARGETS_DB / 20) / extended.abs().amax())
    ground = clutter(generator, 1, shape)
    ground = ground * (10 ** (CLUTTER_DB / 20) / ground.abs().square().mean().sqrt())
    return (isolated + extended + ground)[:, None]
