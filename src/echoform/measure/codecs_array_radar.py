"""How the array radars are written to a file and built again; rows of the table in operator_codecs.py."""

from __future__ import annotations

import math

import torch

from echoform.measure.hdf5_node import COMPLEXES, MAX_PIXELS, GroupReader, GroupWriter, one_of
from echoform.physics.kronecker import KroneckerOperator
from echoform.physics.near_range_array import NearRangeArray
from echoform.scene.array import MimoArray


def write_kronecker(operator: KroneckerOperator, node: GroupWriter) -> None:
    """Store the three factors."""
    for name in ("channel", "row", "column"):
        node.tensor(name, operator.get_buffer(name))


def read_kronecker(node: GroupReader) -> KroneckerOperator:
    """Build the operator from its factors; the plan and the Grams follow."""
    channel, row, column = (
        node.tensor(name, ndim=ndim, dtypes=COMPLEXES) for name, ndim in (("channel", 3), ("row", 4), ("column", 3))
    )
    pixels = channel.shape[2] * row.shape[3] * column.shape[2]
    rows = max(len(channel), len(row), len(column))
    if max(pixels, channel.shape[1] * row.shape[2] * column.shape[1]) * rows > MAX_PIXELS:
        node.fail("row", f"for {rows} sensors of {pixels} pixels", f"at most {MAX_PIXELS} pixels or samples in all")
    for name, factor in (("channel", channel), ("row", row), ("column", column)):
        if len(factor) * factor.shape[-1] ** 2 > MAX_PIXELS:
            node.fail(name, f"of shape {tuple(factor.shape)}", f"a Gram matrix of at most {MAX_PIXELS} entries")
    return KroneckerOperator(channel, row, column)


def write_near_range(operator: NearRangeArray, node: GroupWriter) -> None:
    """Store antennas, signed frequencies and pixel positions."""
    for name in ("transmitter_m", "receiver_m", "carrier_hz", "signed_step_hz", "position_m"):
        node.tensor(name, operator.get_buffer(name))
    node.integers("frequencies", [operator.range_shape[2]])
    node.text("dtype", str(operator.dtype).removeprefix("torch."))


def read_near_range(node: GroupReader) -> NearRangeArray:
    """Build the operator from its geometry."""
    names = {str(t).removeprefix("torch."): t for t in COMPLEXES}
    dtype = names[one_of(node, "dtype", list(names))]
    wide = [torch.float64]
    array = MimoArray(node.tensor("transmitter_m", ndim=3, dtypes=wide), node.tensor("receiver_m", ndim=3, dtypes=wide))
    carrier_hz = node.tensor("carrier_hz", ndim=1, dtypes=wide)
    step_hz = node.tensor("signed_step_hz", ndim=1, dtypes=wide)
    positions_m = node.tensor("position_m", ndim=4, dtypes=wide)
    frequencies = node.size("frequencies")
    if array.elements * frequencies > MAX_PIXELS or math.prod(positions_m.shape[:3]) > MAX_PIXELS:
        node.fail("frequencies", f"= {frequencies} for {array.elements} elements", f"at most {MAX_PIXELS} samples")
    return NearRangeArray(array, carrier_hz, step_hz, positions_m, frequencies=frequencies, dtype=dtype)
