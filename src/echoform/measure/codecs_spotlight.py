"""How the spotlight operators are written to a file and built again; rows of the table in operator_codecs.py.

The field antenna_m holds (x, y, z) of each pulse; with a receiver apart its (x, y, z) follow those of the transmitter.
"""

from __future__ import annotations

import torch
from torch import Tensor

from echoform.measure.codecs_taylor import read_series, write_series
from echoform.measure.hdf5_node import COMPLEXES, FLOATS, MAX_PIXELS, GroupReader, GroupWriter, one_of
from echoform.physics.local_transfer import TransferWeights
from echoform.physics.spotlight_exact import ExactSpotlight
from echoform.physics.spotlight_factorised import FactorisedSpotlight
from echoform.physics.spotlight_spherical import SphericalSpotlight
from echoform.scene.collection import SpotlightCollection
from echoform.scene.grid import Grid

_DTYPES = {str(t).removeprefix("torch."): t for t in COMPLEXES}
_WIDE = [torch.float64]


def write_spotlight(operator: ExactSpotlight, node: GroupWriter) -> None:
    """Store antennas, frequencies, mask and grid, and the Taylor series."""
    _write_common(operator, node)
    write_series(operator.series, node)


def write_factorised(operator: FactorisedSpotlight, node: GroupWriter) -> None:
    """Store antennas, frequencies, mask and grid, and how finely the sum is factorised."""
    _write_common(operator, node)
    node.integers("leaf", [operator.leaf])
    node.tensor("accuracy", torch.tensor([operator.accuracy], dtype=torch.float64))
    node.integers("response_terms", [0 if operator.response is None else operator.response.samples.shape[1]])
    if operator.response is not None:
        node.tensor("response_samples", operator.response.samples)
        node.tensor("response_image", operator.response.image)


def read_spotlight(node: GroupReader) -> ExactSpotlight:
    """Build the exact operator from its collection and grid."""
    collection, grid, dtype, stored = _read_common(node)
    operator = ExactSpotlight(collection, grid, dtype=dtype, series=read_series(node))
    _restore(operator, stored, node)
    return operator


def read_factorised(node: GroupReader) -> FactorisedSpotlight:
    """Build the factorised operator from its collection and grid; the plan follows."""
    collection, grid, dtype, stored = _read_common(node)
    accuracy = node.tensor("accuracy", ndim=1, dtypes=_WIDE)
    if accuracy.shape != (1,):
        node.fail("accuracy", f"of shape {tuple(accuracy.shape)}", "one number")
    pixels = grid.shape[0] * grid.shape[1] * max(len(collection.kept), len(collection.antenna_m))
    if pixels > MAX_PIXELS:
        node.fail("shape", f"for {pixels} pixels in all", f"at most {MAX_PIXELS} pixels in all")
    leaf = node.size("leaf")
    response = _read_response(node, collection, grid)
    operator = FactorisedSpotlight(
        collection, grid, dtype=dtype, leaf=leaf, accuracy=float(accuracy), response=response
    )
    _restore(operator, stored, node)
    return operator


def _read_response(node: GroupReader, collection: SpotlightCollection, grid: Grid) -> TransferWeights | None:
    """Return the response of a coarse version, where there is one."""
    (terms,) = node.integers("response_terms", count=1)
    if terms == 0:
        return None
    samples, image = (node.tensor(f"response_{part}", ndim=4, dtypes=FLOATS) for part in ("samples", "image"))
    sensors = max(len(collection.antenna_m), len(collection.frequency_hz), len(collection.kept))
    if samples.shape != (sensors, terms, *collection.kept.shape[1:]):
        node.fail(
            "response_samples", f"of shape {tuple(samples.shape)}", f"{terms} terms of all samples of each sensor"
        )
    if image.shape != (sensors, terms, *grid.shape):
        node.fail("response_image", f"of shape {tuple(image.shape)}", f"{terms} terms of all pixels of each sensor")
    return TransferWeights(samples, image)


def _write_common(operator: SphericalSpotlight, node: GroupWriter) -> None:
    both = [operator.antenna_m] if operator.receiver_m is None else [operator.antenna_m, operator.receiver_m]
    rows = max(len(antenna) for antenna in both)
    node.tensor("antenna_m", torch.cat([antenna.expand(rows, -1, -1) for antenna in both], -1))
    node.tensor("carrier_rad_m", operator.carrier)
    node.tensor("middle_hz", operator.middle_hz)
    node.tensor("step_hz", operator.step_hz)
    node.tensor("kept", operator.kept)
    node.integers("shape", operator.domain_shape[1:])
    node.tensor("spacing_m", torch.tensor(operator.grid.spacing_m, dtype=torch.float64))
    node.tensor("offset_m", torch.tensor(operator.grid.offset_m, dtype=torch.float64))
    node.text("dtype", str(operator.dtype).removeprefix("torch."))


def _read_derived(node: GroupReader) -> dict[str, Tensor]:
    """Return what the constructor derives from the collection, by the name of its field."""
    carrier = node.tensor("carrier_rad_m", ndim=2, dtypes=_WIDE)
    middle, step = (node.tensor(name, ndim=1, dtypes=_WIDE) for name in ("middle_hz", "step_hz"))
    if step.shape != middle.shape or carrier.shape[1] != 2:
        node.fail("step_hz", f"of shape {tuple(step.shape)}", f"the shape {tuple(middle.shape)} of 'middle_hz'")
    return {"middle_hz": middle, "step_hz": step, "carrier_rad_m": carrier}


def _read_common(node: GroupReader) -> tuple[SpotlightCollection, Grid, torch.dtype, dict[str, Tensor]]:
    dtype = _DTYPES[one_of(node, "dtype", list(_DTYPES))]
    antenna = node.tensor("antenna_m", ndim=3, dtypes=_WIDE)
    if antenna.shape[2] not in (3, 6):
        node.fail("antenna_m", f"of shape {tuple(antenna.shape)}", "3 or 6 coordinates for each pulse")
    transmitter, receiver = antenna[..., :3], antenna[..., 3:] if antenna.shape[2] == 6 else None
    stored = _read_derived(node)
    kept = node.tensor("kept", ndim=3, dtypes=[dtype.to_real()])
    height, width = node.shape("shape", count=2)
    spacing = node.tensor("spacing_m", ndim=1, dtypes=_WIDE)
    if spacing.shape != (2,) or not bool((spacing > 0).all()):
        node.fail("spacing_m", f"= {spacing.tolist()}", "two positive lengths")
    shift = node.tensor("offset_m", ndim=1, dtypes=_WIDE)
    if shift.shape != (2,):
        node.fail("offset_m", f"of shape {tuple(shift.shape)}", "two lengths")
    count = kept.shape[2]
    offset = torch.arange(count, dtype=torch.float64) - count // 2
    frequency = stored["middle_hz"][:, None] + offset * stored["step_hz"][:, None]
    collection = SpotlightCollection(transmitter, frequency, kept, receiver)
    (dy, dx), (y, x) = spacing.tolist(), shift.tolist()
    return collection, Grid((height, width), (dy, dx), (y, x)), dtype, stored


def _restore(operator: SphericalSpotlight, stored: dict[str, Tensor], node: GroupReader) -> None:
    """Put the stored figures in place of the derived ones, from which they differ in the last bits only: exact round trip."""
    derived = {"middle_hz": operator.middle_hz, "step_hz": operator.step_hz, "carrier_rad_m": operator.carrier}
    for name, value in stored.items():
        if value.shape != derived[name].shape or not torch.allclose(value, derived[name], rtol=1e-6, atol=1e-6):
            node.fail(name, "that contradicts the other fields", "the value that antennas and frequencies give")
    operator.middle_hz, operator.step_hz = stored["middle_hz"], stored["step_hz"]
    operator.carrier = stored["carrier_rad_m"]
