"""How sensors of optics and X-ray tomography are written to a file and built again; rows of the table in operator_codecs.py."""

from __future__ import annotations

import torch

from echoform.measure.hdf5_node import FLOATS, NUMBERS, GroupReader, GroupWriter, one_of
from echoform.physics.compressed_sensing import KeptSines, SineTransform
from echoform.physics.convolution import CircularConvolution
from echoform.physics.downsampling import Downsampling
from echoform.physics.masking import SampleMask
from echoform.physics.operator import LinearOperator
from echoform.physics.pansharpening import PanSharpening, SpectralResponse
from echoform.physics.tomography import CoarseTomography, Tomography
from echoform.scene.beams import Beam, FanBeam, ParallelBeam

_DTYPES = {str(t).removeprefix("torch."): t for t in NUMBERS}
_PARALLEL, _FAN = "parallel", "fan"
#: longest side of a section, pixels: a single ray must not take more samples than memory holds
MAX_SIDE = 2**15


def write_convolution(operator: CircularConvolution | Downsampling, node: GroupWriter) -> None:
    """Store the response on the image grid, channels and factor."""
    node.tensor("response", operator.response)
    node.integers("channels", [operator.domain_shape[0]])
    node.integers("factor", [operator.factor])
    node.integers("complex_image", [int(operator.complex_image)])


def read_convolution(node: GroupReader) -> CircularConvolution:
    """Build the circular convolution."""
    response = node.tensor("response", ndim=4, dtypes=FLOATS)
    return CircularConvolution(
        response, node.size("channels"), factor=node.size("factor"), complex_image=_complex_image(node)
    )


def read_downsampling(node: GroupReader) -> Downsampling:
    """Build filter and decimation."""
    response = node.tensor("response", ndim=4, dtypes=FLOATS)
    return Downsampling(response, node.size("factor"), node.size("channels"), complex_image=_complex_image(node))


def write_response(operator: SpectralResponse, node: GroupWriter) -> None:
    """Store the response of each channel and the image's shape."""
    node.tensor("response", operator.response)
    node.integers("shape", operator.range_shape)
    node.integers("complex_image", [int(operator.complex_image)])


def read_response(node: GroupReader) -> SpectralResponse:
    """Build the sum of channels."""
    response = node.tensor("response", ndim=2, dtypes=FLOATS)
    _, height, width = node.shape("shape", count=3)
    return SpectralResponse(response, height, width, complex_image=_complex_image(node))


def write_sine(operator: SineTransform, node: GroupWriter) -> None:
    """Store shape and dtype."""
    node.integers("shape", operator.domain_shape)
    _write_dtype(operator.dtype, node)


def read_sine(node: GroupReader) -> SineTransform:
    """Build the transform."""
    channels, height, width = node.shape("shape", count=3)
    return SineTransform((channels, height, width), dtype=_read_dtype(node))


def kept_sines_of(outer: LinearOperator, inner: LinearOperator) -> KeptSines:
    """Build the mask after a transform."""
    if not isinstance(outer, SampleMask):
        raise ValueError(f"a {type(outer).__name__} in place of a mask")
    return KeptSines(outer, inner)


def pansharpening_of(parts: list[LinearOperator]) -> PanSharpening:
    """Build the coarse sensor beside the sharp one."""
    match parts:
        case [Downsampling() as coarse, SpectralResponse() as sharp]:
            return PanSharpening(coarse, sharp)
        case _:
            raise ValueError(f"{[type(p).__name__ for p in parts]} in place of a downsampling and a spectral response")


def write_tomography(operator: Tomography, node: GroupWriter) -> None:
    """Store the beam; the matrix follows from it."""
    beam = operator.beam
    node.integers("domain_shape", operator.domain_shape)
    _write_dtype(operator.dtype, node)
    node.tensor("angles_rad", beam.angles_rad)
    node.integers("detectors", [beam.detectors])
    lengths = [beam.spacing_px, *beam.axis_offset_px]
    if isinstance(beam, FanBeam):
        lengths += [beam.source_px, beam.detector_px]
    node.text("beam", _FAN if isinstance(beam, FanBeam) else _PARALLEL)
    node.tensor("lengths_px", torch.tensor(lengths, dtype=torch.float64))


def read_tomography(node: GroupReader) -> Tomography:
    """Build the operator from its beam; the class itself bounds the number of samples along the rays."""
    channels, height, width = node.shape("domain_shape", count=3)
    if max(height, width) > MAX_SIDE:
        node.fail("domain_shape", f"= {(channels, height, width)}", f"sides of at most {MAX_SIDE} pixels")
    return Tomography(_read_beam(node), (channels, height, width), dtype=_read_dtype(node))


def coarse_tomography_of(base: LinearOperator, factor: int) -> CoarseTomography:
    """Build the coarse matrices."""
    if not isinstance(base, Tomography):
        raise ValueError(f"a {type(base).__name__} in place of a tomography")
    return CoarseTomography(base, factor)


def _read_beam(node: GroupReader) -> Beam:
    kind = one_of(node, "beam", [_PARALLEL, _FAN])
    angles = node.tensor("angles_rad", ndim=2, dtypes=[torch.float64])
    lengths = node.tensor("lengths_px", ndim=1, dtypes=[torch.float64]).tolist()
    expected = 3 if kind == _PARALLEL else 5
    if len(lengths) != expected:
        node.fail("lengths_px", f"of {len(lengths)} numbers", f"{expected} numbers for a {kind} beam")
    spacing, row, column = lengths[:3]
    detectors, offset = node.size("detectors"), (row, column)
    if kind == _PARALLEL:
        return ParallelBeam(angles_rad=angles, detectors=detectors, spacing_px=spacing, axis_offset_px=offset)
    return FanBeam(
        angles_rad=angles,
        detectors=detectors,
        spacing_px=spacing,
        axis_offset_px=offset,
        source_px=lengths[3],
        detector_px=lengths[4],
    )


def _complex_image(node: GroupReader) -> bool:
    (value,) = node.integers("complex_image", count=1)
    if value not in (0, 1):
        node.fail("complex_image", f"= {value}", "0 or 1")
    return value == 1


def _write_dtype(dtype: torch.dtype, node: GroupWriter) -> None:
    node.text("dtype", str(dtype).removeprefix("torch."))


def _read_dtype(node: GroupReader) -> torch.dtype:
    return _DTYPES[one_of(node, "dtype", list(_DTYPES))]
