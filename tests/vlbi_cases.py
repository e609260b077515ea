"""A made-up array on a turning Earth: what the tests of visibilities, closure quantities and imaging share."""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from echoform.measure.visibilities import Visibilities
from echoform.recon.closure_imaging import gaussian, model_visibilities, sky_operator
from echoform.scene.sky import MICROARCSECOND_RAD, SkyGrid

UAS = MICROARCSECOND_RAD
#: Earth's radius in wavelengths of 1.3 mm
RADIUS_WAVELENGTHS = 6.371e6 / 1.3e-3
DECLINATION_RAD = 0.2
GRID = SkyGrid((32, 32), 4 * UAS)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def array(stations: int = 6, times: int = 5, *, sigma_jy: float = 0.01, seed: int = 1) -> Visibilities:
    """All baselines of stations spread over half the Earth, unit visibilities, one scan every half hour."""
    g = generator(seed)
    longitude = math.pi * (torch.rand(stations, generator=g, dtype=torch.float64) - 0.5)
    sine = 1.6 * torch.rand(stations, generator=g, dtype=torch.float64) - 0.8
    cosine = (1 - sine**2).sqrt()
    pairs = torch.combinations(torch.arange(stations), 2)
    uv, time = [], []
    for t in range(times):
        h = longitude + 2 * math.pi * (t - times // 2) / 48
        east = cosine * h.sin()
        north = math.cos(DECLINATION_RAD) * sine - math.sin(DECLINATION_RAD) * cosine * h.cos()
        place = RADIUS_WAVELENGTHS * torch.stack([east, north], 1)
        uv.append(place[pairs[:, 1]] - place[pairs[:, 0]])
        time.append(torch.full((len(pairs),), 1800.0 * t, dtype=torch.float64))
    rows = times * len(pairs)
    return Visibilities(
        tuple("ABCDEFGHIJ"[:stations]),
        pairs.repeat(times, 1),
        torch.cat(time),
        torch.cat(uv),
        torch.ones(rows, dtype=torch.complex128),
        torch.full((rows,), sigma_jy, dtype=torch.float64),
    )


def noise(rows: Visibilities, g: torch.Generator) -> torch.Tensor:
    """CN(0, s^2) of each row."""
    return torch.randn(len(rows), dtype=torch.complex128, generator=g) * rows.sigma_jy


def station_gains(rows: Visibilities, g: torch.Generator, *, log_sd: float) -> torch.Tensor:
    """Any phase, log-normal amplitude, (T, N)."""
    shape = (len(rows.time_s.unique()), len(rows.stations))
    size = (log_sd * torch.randn(shape, dtype=torch.float64, generator=g)).exp()
    return torch.polar(size, 2 * math.pi * torch.rand(shape, dtype=torch.float64, generator=g))


def sky(*, hole: bool) -> torch.Tensor:
    """A ring of 44 microarcseconds or a disc of 60, softened by 12, 0.6 Jy."""
    m, l = (axis / UAS for axis in GRID.axes_rad())  # noqa: E741
    radius = (m[:, None].square() + l.square()).sqrt()
    sharp = torch.exp(-((radius - 22) ** 2) / 8) if hole else (radius < 30).double()
    beam = torch.fft.ifftshift(gaussian(GRID, 12 * UAS))
    soft = torch.fft.ifft2(torch.fft.fft2(sharp) * torch.fft.fft2(beam)).real.clamp_min(0)
    return 0.6 * soft / soft.sum()


def observed(image: torch.Tensor, *, log_sd: float, seed: int = 2) -> tuple[Visibilities, torch.Tensor]:
    """Six stations, five scans; returns the rows, corrupted, and the gains."""
    rows, g = array(stations=6, times=5, sigma_jy=0.005), generator(seed)
    clean = replace(rows, values=model_visibilities(sky_operator(rows, GRID), image))
    gains = station_gains(rows, g, log_sd=log_sd)
    corrupted = clean.corrupted(gains)
    return replace(corrupted, values=corrupted.values + noise(rows, g)), gains
