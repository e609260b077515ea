"""How the ground-penetrating radars are written to a file and built again; rows of the table in operator_codecs.py."""

from __future__ import annotations

import math

import torch

from echoform.measure.codecs_taylor import read_series, write_series
from echoform.measure.hdf5_node import COMPLEXES, MAX_PIXELS, GroupReader, GroupWriter, one_of
from echoform.physics.ground_homogeneous import HomogeneousGround
from echoform.physics.ground_penetrating import GroundPenetratingRadar
from echoform.scene.grid import Grid
from echoform.scene.soil import GroundSurvey, Section

_WIDE = [torch.float64]


def write_ground(operator: GroundPenetratingRadar, node: GroupWriter) -> None:
    """Store survey and section; the paths follow."""
    node.tensor("height_m", operator.height_m)
    _write_survey(operator, node)
    write_series(operator.series, node)


def write_homogeneous(operator: HomogeneousGround, node: GroupWriter) -> None:
    """Store survey, section, the widest angle and the rows' gain, where it is not one; the wavenumbers follow."""
    _write_survey(operator, node)
    node.tensor("widest_rad", torch.tensor([operator.widest_rad], dtype=torch.float64))
    node.integers("factor", [operator.factor])
    if bool((operator.row_gain != 1).any()):
        node.tensor("row_gain", operator.row_gain)


def read_ground(node: GroupReader) -> GroundPenetratingRadar:
    """Build the operator from survey and section."""
    survey, section = _read_survey(node, node.tensor("height_m", ndim=1, dtypes=_WIDE))
    sensors = max(survey.antenna_x_m.shape[0], survey.height_m.shape[0], survey.permittivity.shape[0])
    entries = sensors * math.prod((survey.antenna_x_m.shape[1], *section.grid.shape))
    if entries > MAX_PIXELS:
        node.fail("shape", f"that asks for {entries} paths", f"at most {MAX_PIXELS}")
    return GroundPenetratingRadar(survey, section, dtype=_dtype(node), series=read_series(node))


def read_homogeneous(node: GroupReader) -> HomogeneousGround:
    """Build the operator from survey, section, the widest angle and the rows' gain, one where the file has none."""
    survey, section = _read_survey(node, torch.zeros(1, dtype=torch.float64))
    widest = node.tensor("widest_rad", ndim=1, dtypes=_WIDE)
    if widest.shape != (1,):
        node.fail("widest_rad", f"of shape {tuple(widest.shape)}", "one angle")
    factor, dtype = node.size("factor"), _dtype(node)
    row_gain = node.tensor("row_gain", ndim=2, dtypes=[torch.complex128]) if node.has("row_gain") else None
    if row_gain is not None and row_gain.shape[1] != factor * section.grid.shape[0]:
        node.fail("row_gain", f"of shape {tuple(row_gain.shape)}", f"{factor * section.grid.shape[0]} rows")
    return HomogeneousGround(survey, section, widest_rad=float(widest), factor=factor, row_gain=row_gain, dtype=dtype)


def _write_survey(operator: GroundPenetratingRadar | HomogeneousGround, node: GroupWriter) -> None:
    for name in ("antenna_x_m", "permittivity", "start_hz", "step_hz", "transmitted"):
        node.tensor(name, operator.get_buffer(name))
    node.integers("shape", operator.section.grid.shape)
    lengths = (*operator.section.grid.spacing_m, operator.section.top_m)
    node.tensor("spacing_and_top_m", torch.tensor(lengths, dtype=torch.float64))
    node.tensor("offset_m", torch.tensor(operator.section.grid.offset_m, dtype=torch.float64))
    node.text("dtype", str(operator.dtype).removeprefix("torch."))


def _read_survey(node: GroupReader, height_m: torch.Tensor) -> tuple[GroundSurvey, Section]:
    antenna = node.tensor("antenna_x_m", ndim=2, dtypes=_WIDE)
    permittivity, start, step = (
        node.tensor(name, ndim=1, dtypes=_WIDE) for name in ("permittivity", "start_hz", "step_hz")
    )
    spectrum = node.tensor("transmitted", ndim=2, dtypes=[torch.complex128])
    rows, columns = node.shape("shape", count=2)
    lengths = node.tensor("spacing_and_top_m", ndim=1, dtypes=_WIDE)
    if lengths.shape != (3,) or not bool((lengths > 0).all()):
        node.fail("spacing_and_top_m", f"= {lengths.tolist()}", "three positive lengths")
    offset = node.tensor("offset_m", ndim=1, dtypes=_WIDE)
    if offset.shape != (2,):
        node.fail("offset_m", f"of shape {tuple(offset.shape)}", "two lengths")
    (dy, dx, top), (y, x) = lengths.tolist(), offset.tolist()
    survey = GroundSurvey(antenna, height_m, permittivity, start, step, spectrum)
    return survey, Section(Grid((rows, columns), (dy, dx), (y, x)), top)


def _dtype(node: GroupReader) -> torch.dtype:
    names = {str(t).removeprefix("torch."): t for t in COMPLEXES}
    return names[one_of(node, "dtype", list(names))]
