"""Builders of the sensors of optics and X-ray tomography, for tests/physics/operator_examples.py."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from contracts import Example
from echoform.physics.compositions import ComposedOperator
from echoform.physics.compressed_sensing import KeptSines, SineTransform, compressed_sensing
from echoform.physics.convolution import CircularConvolution, circular_blur, valid_blur
from echoform.physics.downsampling import Downsampling, bilinear_kernel, downsampling
from echoform.physics.operator import LinearOperator
from echoform.physics.pansharpening import PanSharpening, SpectralResponse, pansharpening
from echoform.physics.stacked import StackedOperator
from echoform.physics.tomography import CoarseTomography, Tomography
from echoform.scene.beams import FanBeam, ParallelBeam, diagonal_px

Shape = tuple[int, int]
Seeds = Sequence[int]


def drawn(shape: Sequence[int], seeds: Seeds, dtype: torch.dtype) -> Tensor:
    """Uniform numbers, other ones for each sensor, of the real part's precision."""
    rows = [torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return torch.stack(rows).to(dtype.to_real())


def blur(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> CircularConvolution:
    """A kernel for each channel, of even and odd sides."""
    return circular_blur(drawn((2, 3, 4), seeds, dtype), (2, *shape), complex_image=dtype.is_complex)


def coarse_blur(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> CircularConvolution:
    response = drawn((1, 2 * shape[0], 2 * shape[1]), seeds, dtype)
    return CircularConvolution(response, 2, factor=2, complex_image=dtype.is_complex)


def valid(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> ComposedOperator:
    return valid_blur(drawn((1, 2, 3), seeds, dtype), (2, *shape), complex_image=dtype.is_complex)


def decimation(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> Downsampling:
    kernel = bilinear_kernel(2, dtype=dtype.to_real()) * (0.5 + drawn((2, 4, 4), seeds, dtype))
    return downsampling(kernel, 2, (2, *shape), complex_image=dtype.is_complex)


def spectral_response(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> SpectralResponse:
    return SpectralResponse(drawn((3,), seeds, dtype), *shape, complex_image=dtype.is_complex)


def sharpening(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> StackedOperator:
    kernel = bilinear_kernel(2, dtype=dtype.to_real()) * (0.5 + drawn((1, 4, 4), seeds, dtype))
    return pansharpening(kernel, 2, (3, *shape), response=drawn((3,), seeds, dtype), complex_image=dtype.is_complex)


def uneven_sharpening(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> StackedOperator:
    """Filters that differ between channels, for which nothing is closed."""
    kernel = bilinear_kernel(2, dtype=dtype.to_real()) * (0.5 + drawn((3, 4, 4), seeds, dtype))
    return pansharpening(kernel, 2, (3, *shape), complex_image=dtype.is_complex)


def sine(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> SineTransform:
    return SineTransform((2, *shape), dtype=dtype)


def sensing(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> KeptSines:
    """One sensor or two, so that the second is the same however many are drawn."""
    found = [compressed_sensing((1, *shape), torch.Generator().manual_seed(seed), dtype=dtype) for seed in seeds]
    if len(found) == 1:
        return found[0]
    together = compressed_sensing((1, *shape), torch.Generator().manual_seed(0), batch=len(seeds), dtype=dtype)
    state = [operator.state_dict() for operator in found]
    together.load_state_dict({name: torch.cat([s[name] for s in state]) for name in state[0]})
    return together


def angles(seeds: Seeds) -> Tensor:
    return torch.stack([torch.linspace(0.1, 0.1 + math.pi * 0.8, 5, dtype=torch.float64) + 0.2 * s for s in seeds])


def parallel(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> Tomography:
    beam = ParallelBeam(angles_rad=angles(seeds), detectors=diagonal_px(shape), axis_offset_px=(0.3, -0.5))
    return Tomography(beam, (2, *shape), dtype=dtype)


def fan(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> Tomography:
    size = diagonal_px(shape)
    beam = FanBeam(angles_rad=angles(seeds), detectors=size, spacing_px=1.5, source_px=2.0 * size, detector_px=size)
    return Tomography(beam, (1, *shape), dtype=dtype)


def coarse_parallel(shape: Shape, seeds: Seeds, dtype: torch.dtype) -> LinearOperator:
    return parallel((4 * shape[0], 4 * shape[1]), seeds, dtype).coarsen(4)


OPTICS_EXAMPLES = {
    CircularConvolution: [
        Example("blur", blur, exact_spectrum=True),
        Example("coarse_blur", coarse_blur, exact_spectrum=True),
    ],
    Downsampling: [Example("decimation", decimation, exact_spectrum=True)],
    SpectralResponse: [Example("spectral_response", spectral_response, exact_spectrum=True)],
    PanSharpening: [Example("pansharpening", sharpening, exact_spectrum=True)],
    KeptSines: [Example("compressed_sensing", sensing, exact_spectrum=True)],
    SineTransform: [Example("sine", sine, exact_spectrum=True, batched=False)],
    CoarseTomography: [Example("coarse_parallel_beam", coarse_parallel)],
    Tomography: [Example("parallel_beam", parallel), Example("fan_beam", fan)],
}
OPTICS_PRODUCTS = [Example("valid_blur", valid)]
OPTICS_STACKS = [Example("uneven_pansharpening", uneven_sharpening)]
