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
from echoform.measure.codecs_born import coarse_born_of, read_born, write_born
from echoform.measure.codecs_ground import read_ground, read_homogeneous, write_ground, write_homogeneous
from echoform.measure.codecs_mri import read_multicoil, write_multicoil
from echoform.measure.codecs_optics import (
    coarse_tomography_of,
    kept_sines_of,
    pansharpening_of,
    read_convolution,
    read_downsampling,
    read_response,
    read_sine,
    read_tomography,
    write_convolution,
    write_response,
    write_sine,
    write_tomography,
)
from echoform.measure.codecs_spotlight import read_factorised, read_spotlight, write_factorised, write_spotlight
from echoform.measure.codecs_stripmap import (
    coarse_raw_of,
    coarse_stripmap_of,
    read_chirp,
    stripmap_reader,
    write_chirp,
    write_stripmap,
)
from echoform.measure.codecs_wrappers import (
    read_axis_matrix,
    read_gain,
    read_separable,
    write_axis_matrix,
    write_gain,
    write_separable,
)
from echoform.measure.hdf5_node import (
    COMPLEXES,
    FLOATS,
    MAX_GROUPS,
    MAX_PIXELS,
    NUMBERS,
    GroupReader,
    GroupWriter,
    one_of,
)
from echoform.physics.axis_matrix import AxisMatrix
from echoform.physics.born import BornScattering
from echoform.physics.born_coarse import CoarseBorn
from echoform.physics.channelwise import BlockDiagonalOperator, ChannelwiseOperator
from echoform.physics.compositions import AdjointOperator, ComposedOperator, GalerkinOperator, ScaledOperator
from echoform.physics.compressed_sensing import KeptSines, SineTransform
from echoform.physics.convolution import CircularConvolution
from echoform.physics.crop import CropOperator, CroppedGalerkin
from echoform.physics.diagonal import DiagonalOperator, MaskedGalerkin
from echoform.physics.downsampling import Downsampling
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.ground_homogeneous import HomogeneousGround
from echoform.physics.ground_penetrating import GroundPenetratingRadar
from echoform.physics.identity import ScalarOperator
from echoform.physics.kronecker import KroneckerOperator
from echoform.physics.local_transfer import LocalTransfer
from echoform.physics.masking import SampleMask
from echoform.physics.moving_pattern import MovingPattern
from echoform.physics.multicoil_mri import MulticoilMRI
from echoform.physics.near_range_array import NearRangeArray
from echoform.physics.nonuniform_fourier import CoarseNonuniformFourier, NonuniformFourier
from echoform.physics.operator import LinearOperator
from echoform.physics.pansharpening import PanSharpening, SpectralResponse
from echoform.physics.polarimetry import CrosstalkOperator
from echoform.physics.range_chirp import CoarseRawStripmap, RangeChirp
from echoform.physics.sample_gain import SampleGain
from echoform.physics.separable import SeparableOperator
from echoform.physics.spotlight_exact import ExactSpotlight
from echoform.physics.spotlight_factorised import FactorisedSpotlight
from echoform.physics.stacked import StackedOperator
from echoform.physics.stripmap_coarse import CoarseStripmap
from echoform.physics.stripmap_omega_k import StripmapOmegaK
from echoform.physics.stripmap_range_doppler import StripmapRangeDoppler
from echoform.physics.tomography import CoarseTomography, Tomography

Kind = TypeVar("Kind", bound=LinearOperator)

#: in a file, the axis of a stack whose parts are flattened
FLATTENED = -1
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


def _write_scalar(operator: ScalarOperator, node: GroupWriter) -> None:
    node.integers("domain_shape", operator.domain_shape)
    node.tensor("gain", operator.gain)
    node.integers("complex_image", [int(operator.complex_image)])


def _read_scalar(node: GroupReader) -> ScalarOperator:
    gain = node.tensor("gain", ndim=1, dtypes=FLOATS)
    return ScalarOperator(_read_domain(node), gain, complex_image=_read_complex_image(node))


def _write_mask(operator: SampleMask, node: GroupWriter) -> None:
    node.tensor("weights", operator.weights)
    node.integers("complex_image", [int(operator.complex_image)])


def _read_mask(node: GroupReader) -> SampleMask:
    return SampleMask(node.tensor("weights", ndim=None, dtypes=FLOATS), complex_image=_read_complex_image(node))


def _read_complex_image(node: GroupReader) -> bool:
    (value,) = node.integers("complex_image", count=1)
    if value not in (0, 1):
        node.fail("complex_image", f"= {value}", "0 or 1")
    return value == 1


def _write_crop(operator: CropOperator, node: GroupWriter) -> None:
    node.integers("padded_shape", operator.domain_shape)
    node.integers("shape", operator.range_shape)
    node.integers("origin", operator.origin)
    _write_dtype(operator, node)


def _read_crop(node: GroupReader) -> CropOperator:
    row, column = node.integers("origin", count=2)
    shapes = _read_domain(node, "padded_shape"), _read_domain(node, "shape")
    return CropOperator(*shapes, origin=(row, column), dtype=_read_dtype(node))


def _write_scaled(operator: ScaledOperator, node: GroupWriter) -> None:
    node.tensor("scale", operator.scale)
    write_operator(operator.base, node.child("base"))


def _read_scaled(node: GroupReader) -> ScaledOperator:
    return ScaledOperator(read_operator(node.child("base")), node.tensor("scale", ndim=1, dtypes=NUMBERS))


def _write_coarse(operator: GalerkinOperator | CoarseStripmap | CoarseNonuniformFourier, node: GroupWriter) -> None:
    node.integers("factor", [operator.factor])
    write_operator(operator.base, node.child("base"))


def _read_coarse(node: GroupReader) -> tuple[LinearOperator, int]:
    return read_operator(node.child("base")), node.size("factor")


def _read_sum_base(node: GroupReader) -> tuple[NonuniformFourier, int]:
    base, factor = _read_coarse(node)
    if not isinstance(base, NonuniformFourier):
        node.fail("base", f"= {type(base).__name__}", "a NonuniformFourier")
    return base, factor


def _read_crop_base(node: GroupReader) -> tuple[CropOperator, int]:
    base, factor = _read_coarse(node)
    if not isinstance(base, CropOperator):
        node.fail("base", f"= {type(base).__name__}", "a CropOperator")
    return base, factor


def _read_diagonal_base(node: GroupReader) -> tuple[DiagonalOperator, int]:
    base, factor = _read_coarse(node)
    if not isinstance(base, DiagonalOperator):
        node.fail("base", f"= {type(base).__name__}", "a mask or gain on an image")
    return base, factor


def _write_adjoint(operator: AdjointOperator, node: GroupWriter) -> None:
    write_operator(operator.base, node.child("base"))


def _read_adjoint(node: GroupReader) -> AdjointOperator:
    return AdjointOperator(read_operator(node.child("base")))


def _write_composed(operator: ComposedOperator, node: GroupWriter) -> None:
    write_operator(operator.outer, node.child("outer"))
    write_operator(operator.inner, node.child("inner"))


def _read_factors(node: GroupReader) -> tuple[LinearOperator, LinearOperator]:
    return read_operator(node.child("outer")), read_operator(node.child("inner"))


def _read_crosstalk(node: GroupReader) -> CrosstalkOperator:
    outer, inner = _read_factors(node)
    if not isinstance(outer, ChannelwiseOperator) or not isinstance(inner, AxisMatrix):
        got = f"= {type(outer).__name__} of {type(inner).__name__}"
        node.fail("outer", got, "a ChannelwiseOperator of an AxisMatrix")
    return CrosstalkOperator(outer, inner)


def _write_transfer(operator: LocalTransfer, node: GroupWriter) -> None:
    node.tensor("sample_weights", operator.sample_weights)
    node.tensor("image_weights", operator.image_weights)
    node.integers("range_shape", operator.range_shape)
    node.integers("origin", operator.origin)
    write_operator(operator.base, node.child("base"))


def _read_transfer(node: GroupReader) -> LocalTransfer:
    samples = node.tensor("sample_weights", ndim=4, dtypes=FLOATS)
    image = node.tensor("image_weights", ndim=4, dtypes=COMPLEXES)
    element, frequency = node.integers("origin", count=2)
    base, shape = read_operator(node.child("base")), _read_domain(node, "range_shape")
    if math.prod(shape) > MAX_PIXELS:
        node.fail("range_shape", f"of {math.prod(shape)} samples", f"at most {MAX_PIXELS}")
    return LocalTransfer(base, samples, image, range_shape=shape, origin=(element, frequency))


def _write_moving(operator: MovingPattern, node: GroupWriter) -> None:
    node.tensor("pulse_gain", operator.pulse_gain)
    node.tensor("image_gain", operator.image_gain)
    node.integers("axis", [operator.axis])
    write_operator(operator.base, node.child("base"))


def _read_moving(node: GroupReader) -> MovingPattern:
    pulses, image = (
        node.tensor(name, ndim=ndim, dtypes=NUMBERS) for name, ndim in (("pulse_gain", 3), ("image_gain", 4))
    )
    (axis,) = node.integers("axis", count=1)
    base, terms = read_operator(node.child("base")), pulses.shape[1]
    if terms * max(math.prod(base.domain_shape), math.prod(base.range_shape)) > MAX_PIXELS:
        node.fail("pulse_gain", f"of {terms} terms", f"at most {MAX_PIXELS} pixels and samples in all terms")
    return MovingPattern(base, pulses, image, axis=axis)


def _write_channelwise(operator: ChannelwiseOperator, node: GroupWriter) -> None:
    node.integers("channels", [operator.channels])
    write_operator(operator.base, node.child("base"))


def _read_channelwise(node: GroupReader) -> ChannelwiseOperator:
    base, channels = read_operator(node.child("base")), node.size("channels")
    if channels * max(math.prod(base.domain_shape), math.prod(base.range_shape)) > MAX_PIXELS:
        node.fail("channels", f"= {channels}", f"at most {MAX_PIXELS} pixels and samples in all")
    return ChannelwiseOperator(base, channels)


def _write_parts(operator: StackedOperator | BlockDiagonalOperator, node: GroupWriter) -> None:
    parts = [p for p in operator.parts if isinstance(p, LinearOperator)]
    node.integers("count", [len(parts)])
    for index, part in enumerate(parts):
        write_operator(part, node.child(f"part_{index}"))


def _read_parts(node: GroupReader) -> list[LinearOperator]:
    count = node.size("count")
    if count > MAX_GROUPS:
        node.fail("count", f"= {count}", f"at most {MAX_GROUPS} parts")
    return [read_operator(node.child(f"part_{index}")) for index in range(count)]


def _write_stack(operator: StackedOperator, node: GroupWriter) -> None:
    _write_parts(operator, node)
    node.integers("axis", [FLATTENED if operator.axis is None else operator.axis])


def _read_stack(node: GroupReader) -> StackedOperator:
    axis = node.integers("axis", count=1)[0]
    return StackedOperator(_read_parts(node), None if axis == FLATTENED else axis)


CODECS: dict[str, Codec[Any]] = {
    "AdjointOperator": Codec(AdjointOperator, _write_adjoint, _read_adjoint),
    "AxisMatrix": Codec(AxisMatrix, write_axis_matrix, read_axis_matrix),
    "BlockDiagonalOperator": Codec(
        BlockDiagonalOperator, _write_parts, lambda node: BlockDiagonalOperator(_read_parts(node))
    ),
    "BornScattering": Codec(BornScattering, write_born, read_born),
    "ChannelwiseOperator": Codec(ChannelwiseOperator, _write_channelwise, _read_channelwise),
    "CircularConvolution": Codec(CircularConvolution, write_convolution, read_convolution),
    "ComposedOperator": Codec(ComposedOperator, _write_composed, lambda node: ComposedOperator(*_read_factors(node))),
    "CrosstalkOperator": Codec(CrosstalkOperator, _write_composed, _read_crosstalk),
    "CoarseNonuniformFourier": Codec(
        CoarseNonuniformFourier, _write_coarse, lambda node: CoarseNonuniformFourier(*_read_sum_base(node))
    ),
    "CoarseBorn": Codec(CoarseBorn, _write_composed, lambda node: coarse_born_of(*_read_factors(node))),
    "CoarseRawStripmap": Codec(CoarseRawStripmap, _write_composed, lambda node: coarse_raw_of(*_read_factors(node))),
    "CoarseStripmap": Codec(CoarseStripmap, _write_coarse, lambda node: coarse_stripmap_of(*_read_coarse(node))),
    "CoarseTomography": Codec(CoarseTomography, _write_coarse, lambda node: coarse_tomography_of(*_read_coarse(node))),
    "CroppedGalerkin": Codec(CroppedGalerkin, _write_coarse, lambda node: CroppedGalerkin(*_read_crop_base(node))),
    "CropOperator": Codec(CropOperator, _write_crop, _read_crop),
    "Downsampling": Codec(Downsampling, write_convolution, read_downsampling),
    "ExactSpotlight": Codec(ExactSpotlight, write_spotlight, read_spotlight),
    "FactorisedSpotlight": Codec(FactorisedSpotlight, write_factorised, read_factorised),
    "FourierMask": Codec(FourierMask, _write_fourier_mask, _read_fourier_mask),
    "GalerkinOperator": Codec(GalerkinOperator, _write_coarse, lambda node: GalerkinOperator(*_read_coarse(node))),
    "GroundPenetratingRadar": Codec(GroundPenetratingRadar, write_ground, read_ground),
    "HomogeneousGround": Codec(HomogeneousGround, write_homogeneous, read_homogeneous),
    "KroneckerOperator": Codec(KroneckerOperator, write_kronecker, read_kronecker),
    "KeptSines": Codec(KeptSines, _write_composed, lambda node: kept_sines_of(*_read_factors(node))),
    "MaskedGalerkin": Codec(MaskedGalerkin, _write_coarse, lambda node: MaskedGalerkin(*_read_diagonal_base(node))),
    "LocalTransfer": Codec(LocalTransfer, _write_transfer, _read_transfer),
    "MovingPattern": Codec(MovingPattern, _write_moving, _read_moving),
    "MulticoilMRI": Codec(MulticoilMRI, write_multicoil, read_multicoil),
    "NearRangeArray": Codec(NearRangeArray, write_near_range, read_near_range),
    "NonuniformFourier": Codec(NonuniformFourier, _write_nonuniform, _read_nonuniform),
    "PanSharpening": Codec(PanSharpening, _write_parts, lambda node: pansharpening_of(_read_parts(node))),
    "RangeChirp": Codec(RangeChirp, write_chirp, read_chirp),
    "SampleGain": Codec(SampleGain, write_gain, read_gain),
    "SampleMask": Codec(SampleMask, _write_mask, _read_mask),
    "ScalarOperator": Codec(ScalarOperator, _write_scalar, _read_scalar),
    "SeparableOperator": Codec(SeparableOperator, write_separable, read_separable),
    "ScaledOperator": Codec(ScaledOperator, _write_scaled, _read_scaled),
    "SineTransform": Codec(SineTransform, write_sine, read_sine),
    "SpectralResponse": Codec(SpectralResponse, write_response, read_response),
    "StripmapOmegaK": Codec(StripmapOmegaK, write_stripmap, stripmap_reader(StripmapOmegaK)),
    "StripmapRangeDoppler": Codec(StripmapRangeDoppler, write_stripmap, stripmap_reader(StripmapRangeDoppler)),
    "StackedOperator": Codec(StackedOperator, _write_stack, _read_stack),
    "Tomography": Codec(Tomography, write_tomography, read_tomography),
}
