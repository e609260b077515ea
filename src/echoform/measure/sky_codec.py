"""How an interferometer's observation is written to a native file and built again: the rows, the pixels, the gains' spread."""

from __future__ import annotations

import json

import torch

from echoform.measure.hdf5_node import GroupReader, GroupWriter
from echoform.measure.sky_observation import SkyObservation
from echoform.measure.visibilities import Visibilities
from echoform.scene.sky import SkyGrid

_WIDE = [torch.float64]
#: most stations that can be named
MAX_STATIONS = 1024


def write_sky(observation: SkyObservation, node: GroupWriter) -> None:
    """Store the rows' stations, times, baselines, values and noise, and the grid."""
    rows = observation.rows
    node.text("stations", json.dumps(list(rows.stations)))
    node.tensor("pairs", rows.pairs.double())
    node.tensor("time_s", rows.time_s)
    node.tensor("uv_wavelengths", rows.uv_wavelengths)
    node.tensor("values", rows.values)
    node.tensor("sigma_jy", rows.sigma_jy)
    node.tensor("gain_sd", observation.gain_sd)
    node.integers("shape", observation.grid.shape)
    node.tensor("pixel_rad", torch.tensor([observation.grid.pixel_rad], dtype=torch.float64))


def read_sky(node: GroupReader) -> SkyObservation:
    """Build the observation; what does not fit together is refused."""
    stations = _stations(node)
    pairs = node.tensor("pairs", ndim=2, dtypes=_WIDE)
    if not bool((pairs == pairs.round()).all()) or bool((pairs >= len(stations)).any()):
        node.fail("pairs", "that names no station", f"whole numbers below {len(stations)}")
    pixel = node.tensor("pixel_rad", ndim=1, dtypes=_WIDE)
    if pixel.shape != (1,):
        node.fail("pixel_rad", f"of shape {tuple(pixel.shape)}", "one number")
    height, width = node.shape("shape", count=2)
    rows = Visibilities(
        stations,
        pairs.long(),
        node.tensor("time_s", ndim=1, dtypes=_WIDE),
        node.tensor("uv_wavelengths", ndim=2, dtypes=_WIDE),
        node.tensor("values", ndim=1, dtypes=[torch.complex128]),
        node.tensor("sigma_jy", ndim=1, dtypes=_WIDE),
    )
    grid = SkyGrid((height, width), float(pixel[0]))
    return SkyObservation(rows, grid, node.tensor("gain_sd", ndim=1, dtypes=_WIDE))


def _stations(node: GroupReader) -> tuple[str, ...]:
    try:
        names = json.loads(node.text("stations"))
    except (ValueError, RecursionError):
        names = None
    if not isinstance(names, list) or len(names) > MAX_STATIONS or not all(isinstance(name, str) for name in names):
        node.fail("stations", "that is no list of names", f"JSON, at most {MAX_STATIONS} names")
    return tuple(names)
