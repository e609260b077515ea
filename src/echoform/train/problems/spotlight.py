"""Family: spotlight SAR in the plane-wave regime, with missing pulses."""

from __future__ import annotations

import torch

from echoform.physics.nonuniform_fourier import NonuniformFourier
from echoform.physics.spotlight_plane_wave import plane_wave_samples
from echoform.scene.collection import SPEED_OF_LIGHT_M_S, SpotlightCollection
from echoform.scene.fields import uniform

#: hertz; L, C, X, Ku and Ka bands
CARRIERS_HZ = (1.3e9, 5.4e9, 9.6e9, 16e9, 35e9)
#: range of the share of pulses measured
SHARE = (0.25, 1.0)


def draw_spotlight(
    generator: torch.Generator, batch: int, shape: tuple[int, int], *, share: tuple[float, float] = SHARE
) -> NonuniformFourier:
    """Return a different spotlight collection per scene, all seen from the +x side on a grid fixed by the resolution.

    Pixels are 0.7 to 0.9 of the resolution and as many pulses and frequencies are heard as make the alias-free extent
    cover the grid; a random share of the pulses is kept. Carriers, 3 to 20 % fractional bandwidth, 10 to 50 degrees
    elevation and the aperture (0.5 to 12 degrees) vary.

    Args:
        generator: source of randomness.
        batch: number of sensors.
        shape: (H, W); rows are cross-range, columns ground range.
        share: range of the share of pulses kept, uniform.
    """
    height, width = shape
    carrier = torch.tensor(CARRIERS_HZ)[torch.randint(0, len(CARRIERS_HZ), (batch, 1), generator=generator)].double()
    fraction = uniform(generator, (batch, 1), 0.03, 0.2).double()
    aperture = torch.deg2rad(uniform(generator, (batch, 1), 0.5, 12.0).double())
    elevation = torch.deg2rad(uniform(generator, (batch, 1), 10, 50).double())
    frequency = carrier * (1 + fraction * (torch.arange(width) / width - 0.5).double())
    azimuth = aperture * (torch.arange(height) / height - 0.5).double()
    stand_off = 10 ** uniform(generator, (batch, 1), 3, 4).double()
    look = torch.stack(
        [
            elevation.cos() * azimuth.cos(),
            elevation.cos() * azimuth.sin(),
            elevation.sin().expand_as(azimuth),
        ],
        -1,
    )
    kept_share = uniform(generator, (batch, 1), *share)
    pulses = torch.rand((batch, height), generator=generator) < kept_share
    pulses[:, height // 2] = True
    kept = pulses[:, :, None].double().expand(-1, -1, width)
    collection = SpotlightCollection(stand_off[..., None] * look, frequency, kept)
    fill = uniform(generator, (batch, 2), 0.7, 0.9).double()
    cross_m = SPEED_OF_LIGHT_M_S / (4 * carrier * torch.sin(aperture / 2) * elevation.cos())
    range_m = SPEED_OF_LIGHT_M_S / (2 * carrier * fraction * elevation.cos())
    return plane_wave_samples(collection, shape, fill * torch.cat([cross_m, range_m], 1))
