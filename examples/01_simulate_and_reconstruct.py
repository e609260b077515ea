"""Simulate a spotlight radar collection with missing pulses, reconstruct it and score the images against the truth."""

# %% Where the radar was and what it heard: 640 MHz at X band from 10 km, over 3 degrees
import sys

import torch

from echoform.assess.metrics import nmse_db, prediction_error_db
from echoform.measure.measurement import simulate
from echoform.measure.splitting import drop_pulses
from echoform.physics.noise import GaussianNoise
from echoform.physics.spotlight_plane_wave import plane_wave_spotlight
from echoform.recon.classical.matched_filter import MatchedFilter
from echoform.recon.classical.sparse import SparseL1
from echoform.scene.collection import SpotlightCollection
from echoform.scene.grid import Grid

size = int(sys.argv[1]) if len(sys.argv) > 1 else 128
generator = torch.Generator().manual_seed(0)
steps = torch.arange(size, dtype=torch.float64) / size - 0.5
azimuth = torch.deg2rad(3.0 * steps)
antenna_m = 10e3 * torch.stack([azimuth.cos(), azimuth.sin(), torch.zeros_like(azimuth)], -1)
frequency_hz = 9.6e9 + 640e6 * steps
collection = SpotlightCollection(antenna_m[None], frequency_hz[None], torch.ones(1, size, size))
operator = plane_wave_spotlight(collection, Grid((size, size), (0.22, 0.2)))

# %% Twelve points of random place, phase and level; noise; four pulses in ten kept
scene = torch.zeros(size**2, dtype=torch.complex64)
scene[torch.randperm(size**2, generator=generator)[:12]] = torch.randn(12, dtype=torch.complex64, generator=generator)
scene = scene.reshape(1, 1, size, size)
measurement = simulate(scene, operator, GaussianNoise(torch.tensor([0.3])), generator=generator)
seen, held_out = drop_pulses(measurement, 0.4, generator=generator)

# %% The same door for every method; smaller is better, an empty image scores 0 dB
for method in (MatchedFilter(), SparseL1()):
    image = method(seen).mean
    error, prediction = nmse_db(image, scene), prediction_error_db(image, held_out.operator, held_out.y)
    print(f"{type(method).__name__}: error {float(error):.1f} dB, prediction error {float(prediction):.1f} dB")
