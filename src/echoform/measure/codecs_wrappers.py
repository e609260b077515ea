"""How gains on samples and matrices along axes are written to a file: rows of the table in operator_codecs.py."""

from __future__ import annotations

from echoform.measure.hdf5_node import COMPLEXES, FLOATS, MAX_PIXELS, GroupReader, GroupWriter
from echoform.physics.axis_matrix import AxisMatrix
from echoform.physics.sample_gain import SampleGain
from echoform.physics.separable import SeparableOperator


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


def write_separable(operator: SeparableOperator, node: GroupWriter) -> None:
    """Store both matrices, the number of channels and whether images are complex."""
    node.tensor("rows", operator.rows)
    node.tensor("columns", operator.columns)
    node.integers("channels", [operator.domain_shape[0]])
    node.integers("complex_image", [int(operator.dtype.is_complex)])


def read_separable(node: GroupReader) -> SeparableOperator:
    """Build the operator from its two matrices."""
    rows, columns = (node.tensor(name, ndim=3, dtypes=FLOATS) for name in ("rows", "columns"))
    channels = node.size("channels")
    if len(rows) != 1 or len(columns) != 1 or rows.dtype != columns.dtype:
        node.fail("rows", f"of shape {tuple(rows.shape)}", "one matrix for each side, of one dtype")
    if max(rows.shape[2], channels * columns.shape[2]) ** 2 > MAX_PIXELS:
        node.fail("columns", f"of shape {tuple(columns.shape)}", f"Gram matrices of at most {MAX_PIXELS} numbers")
    (whole,) = node.integers("complex_image", count=1)
    dtype = rows.dtype.to_complex() if whole else rows.dtype
    return SeparableOperator(rows[0], columns[0], channels=channels, dtype=dtype)
