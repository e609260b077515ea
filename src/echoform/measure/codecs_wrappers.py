"""How gains on samples and matrices along an axis are written to a file: rows of the table in operator_codecs.py."""

from __future__ import annotations

from echoform.measure.hdf5_node import COMPLEXES, MAX_PIXELS, GroupReader, GroupWriter
from echoform.physics.axis_matrix import AxisMatrix
from echoform.physics.sample_gain import SampleGain


def write_gain(operator: SampleGain, node: GroupWriter) -> None:
    """Store the gain as small as it is held, and the shape it broadcasts over."""
    node.tensor("gain", operator.gain)
    node.integers("shape", operator.range_shape)


def read_gain(node: GroupReader) -> SampleGain:
    """Build the operator from gain and shape."""
    return SampleGain(node.tensor("gain", ndim=None, dtypes=COMPLEXES), node.shape("shape"))


def write_axis_matrix(operator: AxisMatrix, node: GroupWriter) -> None:
    """Store the matrix, the input's shape and the axis; the Gram matrix follows."""
    node.tensor("matrix", operator.matrix)
    node.integers("shape", operator.domain_shape)
    node.integers("axis", [operator.axis])


def read_axis_matrix(node: GroupReader) -> AxisMatrix:
    """Build the operator from matrix, shape and axis."""
    matrix = node.tensor("matrix", ndim=3, dtypes=COMPLEXES)
    if len(matrix) * matrix.shape[2] ** 2 > MAX_PIXELS:
        node.fail("matrix", f"of shape {tuple(matrix.shape)}", f"a Gram matrix of at most {MAX_PIXELS} numbers")
    (axis,) = node.integers("axis", count=1)
    return AxisMatrix(matrix, node.shape("shape"), axis)
