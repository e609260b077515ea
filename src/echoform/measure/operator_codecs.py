"""How each class of operator is written to a file and built again: an explicit table, nothing is imported by a file's word.

A codec stores the arguments of the constructor. What the constructor derives from them (a Toeplitz spectrum, eigenvalues)
is computed again on reading, so a file cannot make them disagree.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch

from echoform.measure.codecs_array_radar import (
    read_kronecker,
    read_near_range,
    write_kronecker,
    write_near_range,
)
from echoform.measure.codecs_born import read_born, write_born
from echoform.measure.codecs_ground import read_ground, write_ground
from echoform.measure.hdf5_node import FLOATS, MAX_GROUPS, MAX_PIXELS, NUMBERS, GroupReader, GroupWriter, one_of
from echoform.physics.born import BornScattering
from echoform.physics.crop import CropOperator
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.ground_penetrating import GroundPenetratingRadar
from echoform.physics.identity import ScalarOperator
from echoform.physics.kronecker import KroneckerOperator
from echoform.physics.masking import SampleMask
from echoform.physics.near_range_array import NearRangeArray
from echoform.physics.nonuniform_fourier import NonuniformFourier
from echoform.physics.operator import (
    AdjointOperator,
    ComposedOperator,
    GalerkinOperator,
    LinearOperator,
    ScaledOperator,
    StackedOperator,
)
from echoform.physics.spotlight_exact import ExactSpotlight
from echoform.scene.collection import SpotlightCollection
from echoform.scene.grid import Grid

Kind = TypeVar("Kind", bound=LinearOperator)

_DTYPES = {str(t).removeprefix("torch."): t for t in NUMBERS}


@dataclass(frozen=True)
class Codec(Generic[Kind]):
    """One row of the table.

    Attributes:
        kind: the class.
        write: stores the constructor's arguments in a group.
        read: builds the operator from a group.
    """

    kind: type[Kind]
    write: Callable[[Kind, GroupWriter], None]
    read: Callable[[GroupReader], Kind]


def write_operator(operator: LinearOperator, node: GroupWriter) -> None:
    """Write an operator and those it is made of; raises TypeError for a class without a codec."""
    name = type(operator).__name__
    if name not in CODECS or CODECS[name].kind is not type(operator):
        raise TypeError(
            f"operators of class {name} cannot be stored in a file; the table of codecs has {sorted(CODECS)}"
        )
    node.text("class", name)
    CODECS[name].write(operator, node)


def read_operator(node: GroupReader) -> LinearOperator:
    """Return the operator stored in a group; raises MeasurementFileError for an unknown class or unusable arguments."""
    name = one_of(node, "class", list(CODECS))
    try:
        return CODECS[name].read(node)
    except (ValueError, RuntimeError) as error:
        node.fail("class", f"= '{name}' with unusable arguments ({error})", "arguments that fit each other")


def _write_dtype(operator: LinearOperator, node: GroupWriter) -> None:
    node.text("dtype", str(operator.dtype).removeprefix("torch."))


def _read_dtype(node: GroupReader) -> torch.dtype:
    return _DTYPES[one_of(node, "dtype", list(_DTYPES))]


def _read_domain(node: GroupReader, name: str = "domain_shape") -> tuple[int, int, int]:
    channels, height, width = node.shape(name, count=3)
    return channels, height, width


def _check_batch(node: GroupReader, name: str, rows: int, pixels: int) -> None:
    """Refuse batches whose derived arrays would not fit: they are built one image per row."""
    if rows * pixels > MAX_PIXELS:
        node.fail(name, f"for {rows} sensors of {pixels} pixels", f"at most {MAX_PIXELS} pixels in all")


def _write_fourier_mask(operator: FourierMask, node: GroupWriter) -> None:
    node.tensor("weights", operator.weights)
    node.integers("factor", [operator.factor])


def _read_fourier_mask(node: GroupReader) -> FourierMask:
    return FourierMask(node.tensor("weights", ndim=4, dtypes=NUMBERS), factor=node.size("factor"))


def _write_nonuniform(operator: NonuniformFourier, node: GroupWriter) -> None:
    node.tensor("points", operator.points)
    node.tensor("weights", operator.weights)
    node.integers("domain_shape", operator.domain_shape)
    node.integers("sample_shape", operator.range_shape[1:])
    _write_dtype(operator, node)


def _read_nonuniform(node: GroupReader) -> NonuniformFourier:
    domain = _read_domain(node)
    points = node.tensor("points", ndim=3, dtypes=[torch.float64])
    weights = node.tensor("weights", ndim=2, dtypes=[torch.complex128])
    _check_batch(node, "points", max(points.shape[0], weights.shape[0]), math.prod(domain))
    sample_shape = node.shape("sample_shape")
    return NonuniformFourier(
        points, weights, domain_shape=domain, sample_shape=sample_shape, dtype=_read_complex_dtype(node)
    )


def _read_complex_dtype(node: GroupReader) -> torch.dtype:
    return _DTYPES[one_of(node, "dtype", [name for name, t in _DTYPES.items() if t.is_complex])]


def _write_spotlight(operator: ExactSpotlight, node: GroupWriter) -> None:
    node.tensor("antenna_m", operator.antenna_m)
    node.tensor("carrier_rad_m", operator.carrier)
    node.tensor("middle_hz", operator.middle_hz)
    node.tensor("step_hz", operator.step_hz)
    node.tensor("kept", operator.kept)
    node.integers("shape", operator.domain_shape[1:])
    node.tensor("spacing_m", torch.tensor(_spacing_m(operator), dtype=torch.float64))
    _write_dtype(operator, node)


def _spacing_m(operator: ExactSpotlight) -> tuple[float, float]:
    """Return (dy, dx) from the pixels next to the centre, which stand at exactly one spacing."""
    _, height, width = operator.domain_shape
    position = operator.position_m[0].unflatten(0, (height, width))
    row, column = (n // 2 + 1 if n > 2 else 0 for n in (height, width))
    dy, dx = float(position[row, 0, 1].abs()), float(position[0, column, 0].abs())
    return (dy or 1.0), (dx or 1.0)


def _read_spotlight(node: GroupReader) -> ExactSpotlight:
    dtype = _read_complex_dtype(node)
    antenna = node.tensor("antenna_m", ndim=3, dtypes=[torch.float64])
    carrier = node.tensor("carrier_rad_m", ndim=2, dtypes=[torch.float64])
    middle = node.tensor("middle_hz", ndim=1, dtypes=[torch.float64])
    step = node.tensor("step_hz", ndim=1, dtypes=[torch.float64])
    kept = node.tensor("kept", ndim=3, dtypes=[dtype.to_real()])
    height, width = node.shape("shape", count=2)
    spacing = node.tensor("spacing_m", ndim=1, dtypes=[torch.float64])
    if spacing.shape != (2,) or not bool((spacing > 0).all()):
        node.fail("spacing_m", f"= {spacing.tolist()}", "two positive lengths")
    if step.shape != middle.shape or carrier.shape[1] != 2:
        node.fail("step_hz", f"of shape {tuple(step.shape)}", f"the shape {tuple(middle.shape)} of 'middle_hz'")
    count = kept.shape[2]
    frequency = middle[:, None] + (torch.arange(count, dtype=torch.float64) - count // 2) * step[:, None]
    collection = SpotlightCollection(antenna, frequency, kept)
    operator = ExactSpotlight(collection, Grid((height, width), (float(spacing[0]), float(spacing[1]))), dtype=dtype)
    # The constructor's own figures differ from these in the last bits only; the stored ones make the round trip exact.
    for name, stored, derived in (
        ("middle_hz", middle, operator.middle_hz),
        ("step_hz", step, operator.step_hz),
        ("carrier_rad_m", carrier, operator.carrier),
    ):
        if stored.shape != derived.shape or not torch.allclose(stored, derived, rtol=1e-6, atol=1e-6):
            node.fail(name, "that contradicts the other fields", "the value that antennas and frequencies give")
    operator.middle_hz, operator.step_hz, operator.carrier = middle, step, carrier
    return operator


def _write_scalar(operator: ScalarOperator, node: GroupWriter) -> None:
    node.integers("domain_shape", operator.domain_shape)
    node.tensor("gain", operator.gain)


def _read_scalar(node: GroupReader) -> ScalarOperator:
    return ScalarOperator(_read_domain(node), node.tensor("gain", ndim=1, dtypes=FLOATS))


def _write_mask(operator: SampleMask, node: GroupWriter) -> None:
    node.tensor("weights", operator.weights)


def _read_mask(node: GroupReader) -> SampleMask:
    return SampleMask(node.tensor("weights", ndim=None, dtypes=FLOATS))


def _write_crop(operator: CropOperator, node: GroupWriter) -> None:
    node.integers("padded_shape", operator.domain_shape)
    node.integers("shape", operator.range_shape)
    _write_dtype(operator, node)


def _read_crop(node: GroupReader) -> CropOperator:
    return CropOperator(_read_domain(node, "padded_shape"), _read_domain(node, "shape"), dtype=_read_dtype(node))


def _write_scaled(operator: ScaledOperator, node: GroupWriter) -> None:
    node.tensor("scale", operator.scale)
    write_operator(operator.base, node.child("base"))


def _read_scaled(node: GroupReader) -> ScaledOperator:
    return ScaledOperator(read_operator(node.child("base")), node.tensor("scale", ndim=1, dtypes=NUMBERS))


def _write_galerkin(operator: GalerkinOperator, node: GroupWriter) -> None:
    node.integers("factor", [operator.factor])
    write_operator(operator.base, node.child("base"))


def _read_galerkin(node: GroupReader) -> GalerkinOperator:
    return GalerkinOperator(read_operator(node.child("base")), node.size("factor"))


def _write_adjoint(operator: AdjointOperator, node: GroupWriter) -> None:
    write_operator(operator.base, node.child("base"))


def _read_adjoint(node: GroupReader) -> AdjointOperator:
    return AdjointOperator(read_operator(node.child("base")))


def _write_composed(operator: ComposedOperator, node: GroupWriter) -> None:
    write_operator(operator.outer, node.child("outer"))
    write_operator(operator.inner, node.child("inner"))


def _read_composed(node: GroupReader) -> ComposedOperator:
    return ComposedOperator(read_operator(node.child("outer")), read_operator(node.child("inner")))


def _write_stacked(operator: StackedOperator, node: GroupWriter) -> None:
    parts = [p for p in operator.parts if isinstance(p, LinearOperator)]
    node.integers("count", [len(parts)])
    for index, part in enumerate(parts):
        write_operator(part, node.child(f"part_{index}"))


def _read_stacked(node: GroupReader) -> StackedOperator:
    count = node.size("count")
    if count > MAX_GROUPS:
        node.fail("count", f"= {count}", f"at most {MAX_GROUPS} parts")
    return StackedOperator([read_operator(node.child(f"part_{index}")) for index in range(count)])


CODECS: dict[str, Codec[Any]] = {
    "AdjointOperator": Codec(AdjointOperator, _write_adjoint, _read_adjoint),
    "BornScattering": Codec(BornScattering, write_born, read_born),
    "ComposedOperator": Codec(ComposedOperator, _write_composed, _read_composed),
    "CropOperator": Codec(CropOperator, _write_crop, _read_crop),
    "ExactSpotlight": Codec(ExactSpotlight, _write_spotlight, _read_spotlight),
    "FourierMask": Codec(FourierMask, _write_fourier_mask, _read_fourier_mask),
    "GalerkinOperator": Codec(GalerkinOperator, _write_galerkin, _read_galerkin),
    "GroundPenetratingRadar": Codec(GroundPenetratingRadar, write_ground, read_ground),
    "KroneckerOperator": Codec(KroneckerOperator, write_kronecker, read_kronecker),
    "NearRangeArray": Codec(NearRangeArray, write_near_range, read_near_range),
    "NonuniformFourier": Codec(NonuniformFourier, _write_nonuniform, _read_nonuniform),
    "SampleMask": Codec(SampleMask, _write_mask, _read_mask),
    "ScalarOperator": Codec(ScalarOperator, _write_scalar, _read_scalar),
    "ScaledOperator": Codec(ScaledOperator, _write_scaled, _read_scaled),
    "StackedOperator": Codec(StackedOperator, _write_stacked, _read_stacked),
}
