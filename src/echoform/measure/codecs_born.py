"""How the Born operator is written to a file and built again; a row of the table in operator_codecs.py."""

from __future__ import annotations

import math

import torch

from echoform.measure.hdf5_node import COMPLEXES, FLOATS, MAX_PIXELS, GroupReader, GroupWriter, one_of
from echoform.physics.born import BornScattering, GivenFields
from echoform.physics.born_coarse import coarse_born
from echoform.physics.compositions import ComposedOperator
from echoform.physics.green import Radiator
from echoform.physics.operator import LinearOperator
from echoform.physics.separable import SeparableOperator
from echoform.scene.cells import Cells
from echoform.scene.grid import Grid
from echoform.scene.rig import MultistaticRig

_WIDE = [torch.float64]


def write_born(operator: BornScattering, node: GroupWriter) -> None:
    """Store rig, cells and background; the Green functions and the normal operator's matrix follow.

    ``heard`` is real, 0 or 1, and complex where samples have gains, which it then holds.
    """
    for name in ("transmitter_m", "receiver_m", "frequency_hz", "permittivity"):
        node.tensor(name, operator.get_buffer(name))
    node.tensor("heard", operator.heard if operator.gain is None else operator.gain)
    cells = operator.cells
    node.integers("shape", cells.grid.shape)
    node.tensor("spacing_m", torch.tensor(cells.grid.spacing_m, dtype=torch.float64))
    node.tensor("offset_m", torch.tensor(cells.offset_m, dtype=torch.float64))
    node.tensor("area_m2", torch.tensor([cells.area_m2], dtype=torch.float64))
    node.tensor("heights_m", torch.tensor(cells.heights_m, dtype=torch.float64))
    node.tensor("thickness_m", torch.tensor([cells.thickness_m or 0.0], dtype=torch.float64))
    node.text("radiator", operator.radiator.value)
    node.integers("factor", [operator.factor])
    node.integers("normal_memory_bytes", [operator.normal_memory_bytes])
    node.integers("measured", [int(operator.measured_incident), int(operator.measured_received)])
    if operator.measured_incident:
        node.tensor("incident", operator.transmit)
    if operator.measured_received:
        node.tensor("received", operator.receive)
    node.text("dtype", str(operator.dtype).removeprefix("torch."))


def read_born(node: GroupReader) -> BornScattering:
    """Build the operator from rig, cells and background."""
    names = {str(t).removeprefix("torch."): t for t in COMPLEXES}
    dtype = names[one_of(node, "dtype", list(names))]
    pairs = node.tensor("heard", ndim=4, dtypes=[*FLOATS, *COMPLEXES])
    rig = MultistaticRig(
        node.tensor("transmitter_m", ndim=3, dtypes=_WIDE),
        node.tensor("receiver_m", ndim=3, dtypes=_WIDE),
        node.tensor("frequency_hz", ndim=2, dtypes=_WIDE),
        (pairs != 0).double() if pairs.is_complex() else pairs,
    )
    permittivity = node.tensor("permittivity", ndim=1, dtypes=[torch.complex128])
    cells = _read_cells(node)
    _check_size(node, rig, permittivity.shape[0], cells)
    (memory,) = node.integers("normal_memory_bytes", count=1)
    measured = node.integers("measured", count=2)
    if not set(measured) <= {0, 1} or memory < 0:
        node.fail("measured", f"= {measured} with a bound of {memory} bytes", "0 or 1 each and a positive bound")
    given = [
        node.tensor(name, ndim=4, dtypes=COMPLEXES) if there else None
        for name, there in zip(("incident", "received"), measured, strict=True)
    ]
    operator = BornScattering(
        rig,
        cells,
        radiator=Radiator(one_of(node, "radiator", [r.value for r in Radiator])),
        permittivity=permittivity,
        fields=GivenFields(*given),
        normal_memory_bytes=min(memory, MAX_PIXELS * dtype.itemsize),
        dtype=dtype,
    )
    if pairs.is_complex():
        operator = operator.weighted(pairs)
    factor = node.size("factor")
    if factor == 1:
        return operator
    coarse = operator.coarsen(factor)
    if not isinstance(coarse, BornScattering):
        node.fail("factor", f"= {factor}", "1 where the matrix of the normal operator is not held")
    return coarse


def coarse_born_of(outer: LinearOperator, inner: LinearOperator) -> ComposedOperator:
    """Return a Born operator behind an interpolation, with its normal operator held where that is the cheaper still."""
    if not isinstance(outer, BornScattering) or not isinstance(inner, SeparableOperator):
        raise ValueError(
            f"a coarse Born operator is a BornScattering of a SeparableOperator, got a {type(outer).__name__} of a "
            f"{type(inner).__name__}"
        )
    return coarse_born(outer, inner) or outer @ inner


def _read_cells(node: GroupReader) -> Cells:
    height, width = node.shape("shape", count=2)
    spacing, offset = (node.tensor(name, ndim=1, dtypes=_WIDE) for name in ("spacing_m", "offset_m"))
    area, heights, thickness = (
        node.tensor(name, ndim=1, dtypes=_WIDE) for name in ("area_m2", "heights_m", "thickness_m")
    )
    if spacing.shape != (2,) or not bool((spacing > 0).all()) or offset.shape != (2,) or area.shape != (1,):
        node.fail("spacing_m", f"= {spacing.tolist()}", "two positive lengths, with an offset of two and one area")
    if thickness.shape != (1,) or not float(thickness) >= 0:
        node.fail("thickness_m", f"= {thickness.tolist()}", "one length, zero for a sheet")
    (dy, dx), (y, x) = spacing.tolist(), offset.tolist()
    plane = Grid((height, width), (dy, dx))
    return Cells(plane, (y, x), float(area), tuple(heights.tolist()), float(thickness) or None)


def _check_size(node: GroupReader, rig: MultistaticRig, backgrounds: int, cells: Cells) -> None:
    """Refuse rigs whose Green functions would not fit."""
    rows = max(rig.transmitter_m.shape[0], rig.receiver_m.shape[0], rig.frequency_hz.shape[0], backgrounds)
    antennas = rig.transmitter_m.shape[1] + rig.receiver_m.shape[1]
    entries = rows * rig.frequency_hz.shape[1] * antennas * math.prod(cells.shape)
    if entries > MAX_PIXELS:
        node.fail("shape", f"that asks for Green functions of {entries} numbers", f"at most {MAX_PIXELS}")
