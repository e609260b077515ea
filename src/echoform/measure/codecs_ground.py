"""How the ground-penetrating radar is written to a file and built again; a row of the table in operator_codecs.py."""

from __future__ import annotations

import math

import torch

from echoform.measure.hdf5_node import COMPLEXES, MAX_PIXELS, GroupReader, GroupWriter, one_of
from echoform.physics.ground_penetrating import GroundPenetratingRadar
from echoform.scene.grid import Grid
from echoform.scene.soil import GroundSurvey, Section

_WIDE = [torch.float64]


def write_ground(operator: GroundPenetratingRadar, node: GroupWriter) -> None:
    """Store survey and section; the paths follow."""
    for name in ("antenna_x_m", "height_m", "permittivity", "start_hz", "step_hz", "transmitted"):
        node.tensor(name, operator.get_buffer(name))
    node.integers("shape", operator.section.grid.shape)
    lengths = (*operator.section.grid.spacing_m, operator.section.top_m)
    node.tensor("spacing_and_top_m", torch.tensor(lengths, dtype=torch.float64))
    node.text("dtype", str(operator.dtype).removeprefix("torch."))


def read_ground(node: GroupReader) -> GroundPenetratingRadar:
    """Build the operator from survey and section."""
    names = {str(t).removeprefix("torch."): t for t in COMPLEXES}
    dtype = names[one_of(node, "dtype", list(names))]
    antenna = node.tensor("antenna_x_m", ndim=2, dtypes=_WIDE)
    height, permittivity, start, step = (
        node.tensor(name, ndim=1, dtypes=_WIDE) for name in ("height_m", "permittivity", "start_hz", "step_hz")
    )
    survey = GroundSurvey(
        antenna, height, permittivity, start, step, node.tensor("transmitted", ndim=2, dtypes=[torch.complex128])
    )
    rows, columns = node.shape("shape", count=2)
    lengths = node.tensor("spacing_and_top_m", ndim=1, dtypes=_WIDE)
    if lengths.shape != (3,) or not bool((lengths > 0).all()):
        node.fail("spacing_and_top_m", f"= {lengths.tolist()}", "three positive lengths")
    sensors = max(antenna.shape[0], height.shape[0], permittivity.shape[0])
    entries = sensors * math.prod((antenna.shape[1], rows, columns))
    if entries > MAX_PIXELS:
        node.fail("shape", f"that asks for {entries} paths", f"at most {MAX_PIXELS}")
    dy, dx, top = lengths.tolist()
    return GroundPenetratingRadar(survey, Section(Grid((rows, columns), (dy, dx)), top), dtype=dtype)
