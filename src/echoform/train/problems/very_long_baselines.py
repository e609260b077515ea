"""Family: radio interferometry, from arrays within one valley to stations all over the Earth.

Stations stand on a sphere; a source at declination d and hour angle h sees the baseline (X, Y, Z) (equatorial frame) as

    u = X sin h + Y cos h,      v = -X sin d cos h + Y sin d sin h + Z cos d

A station takes part while its elevation over the horizon allows. The array's scale is drawn with the pixel: the longest baseline
reaches ``fill`` of half a cycle per pixel. Where stations differ in their noise, samples and operator are whitened
(:mod:`echoform.physics.whitening`): y / sigma = (V / sigma) x + n.

Source: Thompson, Moran and Swenson, Interferometry and Synthesis in Radio Astronomy (2017), equation 4.1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from echoform.physics.interferometry import interferometer
from echoform.physics.operator import LinearOperator
from echoform.scene.random_source import RandomSource
from echoform.scene.scene import Scene
from echoform.scene.sky import MICROARCSECOND_RAD, SkyGrid
from echoform.scene.sky_sources import sky_source
from echoform.train.problems.problem import ProblemFamily


@dataclass(frozen=True)
class SkyLayout:
    """What was drawn for a batch.

    Attributes:
        uv_wavelengths: (B, T, baselines, 2).
        weights: of the visibilities, (B, T, baselines): 0 where none was taken, else 1, or in proportion to 1 / sigma.
        grid: pixels on the sky.
    """

    uv_wavelengths: Tensor
    weights: Tensor
    grid: SkyGrid


@dataclass(frozen=True, kw_only=True)
class Interferometry(ProblemFamily[SkyLayout]):
    """Ranges of the family.

    Attributes:
        stations: numbers to choose from, common to a batch.
        times: instants of a track.
        track_h: range of the length of a track, hours.
        latitude_deg: range of the array's middle, degrees.
        declination_deg: range of the source's declination from there, degrees.
        spread_rad: range of the array's half-width on the sphere, log-uniform; stations draw towards the middle.
        lowest_deg: elevation below which a station does not see the source, degrees.
        lost: greatest share of visibilities lost at random.
        fill: range of the longest baseline over half a cycle per pixel.
        pixel_uas: range of the pixel, log-uniform, microarcseconds.
        uneven: share of scenes whose stations differ in their noise; their visibilities are whitened.
        station_noise: range of the power of a station's noise over that of the best, log-uniform.
    """

    name: ClassVar[str] = "interferometry"

    stations: tuple[int, ...] = (7, 10, 14, 20)
    times: int = 24
    track_h: tuple[float, float] = (2.0, 10.0)
    latitude_deg: tuple[float, float] = (-40.0, 50.0)
    declination_deg: tuple[float, float] = (-40.0, 35.0)
    spread_rad: tuple[float, float] = (0.003, 1.2)
    lowest_deg: float = 10.0
    lost: float = 0.3
    fill: tuple[float, float] = (0.7, 0.95)
    pixel_uas: tuple[float, float] = (1.0, 1e5)
    uneven: float = 0.3
    station_noise: tuple[float, float] = (1.0, 50.0)

    def layout(self, source: RandomSource, batch: int) -> SkyLayout:
        """Draw stations, tracks and the pixel."""
        count = self.stations[int(source.integers((), 0, len(self.stations)))]
        latitude = torch.deg2rad(source.uniform((batch, 1), *self.latitude_deg)).double()
        place = self._stations(source, latitude, count)
        declination = latitude[..., None] + torch.deg2rad(source.uniform((batch, 1, 1), *self.declination_deg)).double()
        length = source.uniform((batch, 1, 1), *self.track_h).double() * (math.pi / 12)
        middle = 0.3 * source.normal((batch, 1, 1)).double()
        share = torch.linspace(-0.5, 0.5, self.times, dtype=torch.float64, device=source.place)[:, None]
        hour = middle + length * share
        x, y, z = place[:, None].unbind(-1)
        u = x * torch.sin(hour) + y * torch.cos(hour)
        v = torch.sin(declination) * (y * torch.sin(hour) - x * torch.cos(hour)) + z * torch.cos(declination)
        up = torch.cos(declination) * (x * torch.cos(hour) - y * torch.sin(hour)) + torch.sin(declination) * z
        seen = up > math.sin(math.radians(self.lowest_deg))
        seen = seen | ~seen.any(1, keepdim=True).any(2, keepdim=True)  # nothing rises: take it as it is
        first, second = torch.triu_indices(count, count, 1, device=source.place)
        uv = torch.stack([(c[..., second] - c[..., first]) for c in (u, v)], -1)
        heard = (seen[..., first] & seen[..., second]).double()
        lost = source.uniform((batch, 1, 1)) * self.lost
        heard = heard * (source.uniform((batch, *heard.shape[1:])) >= lost)
        heard[:, self.times // 2, 0] = 1
        pixel = float(source.log_uniform((), *self.pixel_uas)) * MICROARCSECOND_RAD
        longest = (uv.abs() * heard[..., None]).flatten(1).amax(1).clamp_min(1e-9)
        reach = source.uniform((batch,), *self.fill).double() * 0.5 / pixel
        sigma = self._noise(source, batch, count)
        weights = heard / (sigma[..., first] * sigma[..., second])
        return SkyLayout(uv * (reach / longest)[:, None, None, None], weights, SkyGrid(self.shape, pixel))

    def scene(self, source: RandomSource, layout: SkyLayout) -> Scene:
        """Draw rings, jets, blobs and fields of points."""
        return sky_source(source, layout.uv_wavelengths.shape[0], self.shape)

    def operator(self, layout: SkyLayout) -> LinearOperator:
        """Build the sums over the visibilities; w is taken to be small, as it is on small fields."""
        return interferometer(layout.uv_wavelengths, layout.weights, layout.grid, largest_w_wavelengths=0.0)

    def _noise(self, source: RandomSource, batch: int, count: int) -> Tensor:
        """Return the factors sqrt S_i of a baseline's sigma = sqrt(S_i S_j), S the stations' powers, (B, 1, count), float64."""
        power = source.log_uniform((batch, 1, count), *self.station_noise).double()
        return torch.where(source.chance((batch, 1, 1), self.uneven), power, torch.ones_like(power)).sqrt()

    def _stations(self, source: RandomSource, latitude_rad: Tensor, count: int) -> Tensor:
        """Return (X, Y, Z) on the unit sphere, X towards the meridian of the middle, (B, count, 3), float64."""
        batch = len(latitude_rad)
        spread = source.log_uniform((batch, 1), *self.spread_rad).double()
        away = spread * source.uniform((batch, count)).double()
        turn = 2 * math.pi * source.uniform((batch, count)).double()
        north, east, up = torch.sin(away) * torch.cos(turn), torch.sin(away) * torch.sin(turn), torch.cos(away)
        sine, cosine = torch.sin(latitude_rad), torch.cos(latitude_rad)
        return torch.stack([up * cosine - north * sine, east, up * sine + north * cosine], -1)
