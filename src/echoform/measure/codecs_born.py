"""How the Born operator is written to a file and built again; a row of the table in operator_codecs.py."""

from __future__ import annotations

import torch

from echoform.measure.hdf5_node import COMPLEXES, FLOATS, MAX_PIXELS, GroupReader, GroupWriter, one_of
from echoform.physics.born import BornScattering, Cells
from echoform.physics.green import Radiator
from echoform.scene.grid import Grid
from echoform.scene.rig import MultistaticRig

_WIDE = [torch.float64]


def write_born(operator: BornScattering, node: GroupWriter) -> None:
    """Store rig, cells and background; the Green functions and the normal operator's matrix follow."""
    for name in ("transmitter_m", "receiver_m", "frequency_hz", "permittivity", "heard"):
        node.tensor(name, operator.get_buffer(name))
    cells = operator.cells
    node.integers("shape", cells.grid.shape)
    node.tensor("spacing_m", torch.tensor(cells.grid.spacing_m, dtype=torch.float64))
    node.tensor("offset_m", torch.tensor(cells.offset_m, dtype=torch.float64))
    node.tensor("area_m2", torch.tensor([cells.area_m2], dtype=torch.float64))
    node.text("radiator", operator.radiator.value)
    node.integers("factor", [operator.factor])
    node.integers("normal_memory_bytes", [operator.normal_memory_bytes])
    node.integers("measured_incident", [int(operator.measured_incident)])
    if operator.measured_incident:
        node.tensor("incident", operator.transmit)
    node.text("dtype", str(operator.dtype).removeprefix("torch."))


def read_born(node: GroupReader) -> BornScattering:
    """Build the operator from rig, cells and background."""
    names = {str(t).removeprefix("torch."): t for t in COMPLEXES}
    dtype = names[one_of(node, "dtype", list(names))]
    rig = MultistaticRig(
        node.tensor("transmitter_m", ndim=3, dtypes=_WIDE),
        node.tensor("receiver_m", ndim=3, dtypes=_WIDE),
        node.tensor("frequency_hz", ndim=2, dtypes=_WIDE),
        node.tensor("heard", ndim=4, dtypes=FLOATS),
    )
    permittivity = node.tensor("permittivity", ndim=1, dtypes=[torch.complex128])
    cells = _read_cells(node)
    _check_size(node, rig, permittivity.shape[0], cells)
    (memory,) = node.integers("normal_memory_bytes", count=1)
    (measured,) = node.integers("measured_incident", count=1)
    if measured not in (0, 1) or memory < 0:
        node.fail("measured_incident", f"= {measured} with a bound of {memory} bytes", "0 or 1 and a positive bound")
    return BornScattering(
        rig,
        cells,
        radiator=Radiator(one_of(node, "radiator", [r.value for r in Radiator])),
        permittivity=permittivity,
        incident=node.tensor("incident", ndim=4, dtypes=COMPLEXES) if measured else None,
        factor=node.size("factor"),
        normal_memory_bytes=min(memory, MAX_PIXELS * dtype.itemsize),
        dtype=dtype,
    )


def _read_cells(node: GroupReader) -> Cells:
    height, width = node.shape("shape", count=2)
    spacing, offset = (node.tensor(name, ndim=1, dtypes=_WIDE) for name in ("spacing_m", "offset_m"))
    area = node.tensor("area_m2", ndim=1, dtypes=_WIDE)
    if spacing.shape != (2,) or not bool((spacing > 0).all()) or offset.shape != (2,) or area.shape != (1,):
        node.fail("spacing_m", f"= {spacing.tolist()}", "two positive lengths, with an offset of two and one area")
    (dy, dx), (y, x) = spacing.tolist(), offset.tolist()
    return Cells(Grid((height, width), (dy, dx)), (y, x), float(area))


def _check_size(node: GroupReader, rig: MultistaticRig, backgrounds: int, cells: Cells) -> None:
    """Refuse rigs whose Green functions would not fit."""
    rows = max(rig.transmitter_m.shape[0], rig.receiver_m.shape[0], rig.frequency_hz.shape[0], backgrounds)
    antennas = rig.transmitter_m.shape[1] + rig.receiver_m.shape[1]
    entries = rows * rig.frequency_hz.shape[1] * antennas * cells.grid.shape[0] * cells.grid.shape[1]
    if entries > MAX_PIXELS:
        node.fail("shape", f"that asks for Green functions of {entries} numbers", f"at most {MAX_PIXELS}")
