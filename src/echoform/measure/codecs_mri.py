"""How the multi-coil operator is written to a file and built again; a row of the table in operator_codecs.py."""

from __future__ import annotations

from echoform.measure.hdf5_node import COMPLEXES, NUMBERS, GroupReader, GroupWriter
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.multicoil_mri import MulticoilMRI


def write_multicoil(operator: MulticoilMRI, node: GroupWriter) -> None:
    """Store the Fourier mask and the sensitivities."""
    node.tensor("weights", operator.fourier.weights)
    node.integers("factor", [operator.fourier.factor])
    node.tensor("sensitivities", operator.sensitivities)


def read_multicoil(node: GroupReader) -> MulticoilMRI:
    """Build the operator from the Fourier mask and the sensitivities."""
    fourier = FourierMask(node.tensor("weights", ndim=4, dtypes=NUMBERS), factor=node.size("factor"))
    return MulticoilMRI(fourier, node.tensor("sensitivities", ndim=4, dtypes=COMPLEXES))
