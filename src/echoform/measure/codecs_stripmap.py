"""How the stripmap operators and their pulse are written to a file and built again; rows of the table in operator_codecs.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from echoform.measure.hdf5_node import COMPLEXES, MAX_PIXELS, GroupReader, GroupWriter, one_of
from echoform.physics.operator import LinearOperator
from echoform.physics.range_chirp import CoarseRawStripmap, RangeChirp
from echoform.physics.stripmap import StripmapOperator
from echoform.physics.stripmap_coarse import CoarseStripmap
from echoform.scene.stripmap import PARAMETERS, StripmapCollection

Form = TypeVar("Form", bound=StripmapOperator)

_WIDE = [torch.float64]
_NAMES = {str(t).removeprefix("torch."): t for t in COMPLEXES}


def write_stripmap(operator: StripmapOperator, node: GroupWriter) -> None:
    """Store collection and grid; the reference functions follow."""
    for name in PARAMETERS:
        node.tensor(name, operator.get_buffer(name))
    node.tensor("kept", operator.kept)
    node.integers("shape", operator.domain_shape[1:])
    node.integers("frequencies", [operator.range_shape[2]])
    node.integers("azimuth_length", [operator.azimuth_length])
    node.tensor("range_spacing_m", torch.tensor([operator.range_spacing_m], dtype=torch.float64))
    node.text("dtype", str(operator.dtype).removeprefix("torch."))


def stripmap_reader(form: type[Form]) -> Callable[[GroupReader], Form]:
    """Return the function that builds an operator of one form from collection and grid."""

    def read(node: GroupReader) -> Form:
        """Return the operator that a group describes, within the limits of a file."""
        dtype = _NAMES[one_of(node, "dtype", list(_NAMES))]
        numbers = [node.tensor(name, ndim=1, dtypes=_WIDE) for name in PARAMETERS]
        collection = StripmapCollection(*numbers, kept=node.tensor("kept", ndim=2, dtypes=[dtype.to_real()]))
        height, width = node.shape("shape", count=2)
        frequencies, length = node.size("frequencies"), node.size("azimuth_length")
        spacing = node.tensor("range_spacing_m", ndim=1, dtypes=_WIDE)
        if spacing.shape != (1,) or not bool((spacing > 0).all()):
            node.fail("range_spacing_m", f"= {spacing.tolist()}", "one positive length")
        entries = collection.batch * length * max(frequencies, 2 * width)
        if entries > MAX_PIXELS:
            node.fail("azimuth_length", f"that asks for {entries} entries", f"at most {MAX_PIXELS}")
        return form(
            collection,
            (height, width),
            range_spacing_m=float(spacing),
            frequencies=frequencies,
            azimuth_length=length,
            dtype=dtype,
        )

    return read


def write_chirp(operator: RangeChirp, node: GroupWriter) -> None:
    """Store pulse and window."""
    for name in ("pulse", "first_sample_s", "sample_rate_hz"):
        node.tensor(name, operator.get_buffer(name))
    node.integers("domain_shape", operator.domain_shape)
    node.integers("samples", [operator.range_shape[2]])
    node.text("dtype", str(operator.dtype).removeprefix("torch."))


def read_chirp(node: GroupReader) -> RangeChirp:
    """Build the operator from pulse and window."""
    dtype = _NAMES[one_of(node, "dtype", list(_NAMES))]
    pulse = node.tensor("pulse", ndim=2, dtypes=[torch.complex128])
    _, pulses, frequencies = node.shape("domain_shape", count=3)
    if pulse.shape[0] * frequencies > MAX_PIXELS:
        node.fail("pulse", f"of {pulse.shape[0]} sensors", f"at most {MAX_PIXELS} entries in all")
    return RangeChirp(
        pulse,
        node.tensor("first_sample_s", ndim=1, dtypes=_WIDE),
        node.tensor("sample_rate_hz", ndim=1, dtypes=_WIDE),
        pulses=pulses,
        frequencies=frequencies,
        samples=node.size("samples"),
        dtype=dtype,
    )


def coarse_stripmap_of(base: LinearOperator, factor: int) -> CoarseStripmap:
    """Return the coarse version of an operator that was stored with its factor."""
    found = base.coarsen(factor)
    if not isinstance(found, CoarseStripmap):
        raise ValueError(f"a {type(base).__name__} has no coarse band at factor {factor}")
    return found


def coarse_raw_of(outer: LinearOperator, inner: LinearOperator) -> CoarseRawStripmap:
    """Return the raw echoes of a coarse stripmap operator."""
    if not isinstance(outer, RangeChirp) or not isinstance(inner, CoarseStripmap):
        raise ValueError(
            f"raw echoes on a coarse grid are a RangeChirp of a CoarseStripmap, got a {type(outer).__name__} of a "
            f"{type(inner).__name__}"
        )
    return CoarseRawStripmap(outer, inner)
