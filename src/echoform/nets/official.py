"""The official head of RAM: what its published weights expect at the input, to the last digit.

    x_0 = argmin_u |A u - y|^2 + |u - A^H y|^2 / gamma,   gamma = fact / (1e-4 + 1 / (snr f^2)),   snr = mean|y| / (sigma + 1e-4)

with sigma per real component and f the decimation of a super-resolution sensor (1 for all others); the head is given
[x_0, sigma, gain] and the body the physics at every scale, exactly Galerkin. The sensor is used as it is: users give it unit norm
(RAM paper, section 3), except for super-resolution, where the weights were trained with |A| = 1 / f.

Source: Terris et al. (2025), Reconstruct Anything Model, section 3; ../shared/facts/ram.md for what the text leaves out.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from echoform.linalg.cg import USUAL, Stopping
from echoform.linalg.inner import expand
from echoform.measure.measurement import Measurement
from echoform.nets.backbone import FACTORS
from echoform.nets.blocks import Level
from echoform.nets.channels import to_channels
from echoform.nets.sensing import pyramid
from echoform.physics.crop import CropOperator
from echoform.physics.downsampling import Downsampling
from echoform.physics.noise import GaussianNoise, PoissonGaussianNoise
from echoform.physics.operator import LinearOperator

#: smallest noise level and gain the weights were trained to see
SIGMA_FLOOR, GAIN_FLOOR = 5e-3, 1e-4
#: sides are padded to a multiple of SIDE_MULTIPLE, and to SMALLEST_SIDE at least
SIDE_MULTIPLE, SMALLEST_SIDE = 16, 64


@dataclass(frozen=True)
class OfficialInputs:
    """What the body is given, and how its output becomes an image.

    Attributes:
        channels: [x_0, sigma, gain] as real channels, (B, C + 2, H', W').
        levels: the physics at the factors 1, 2, 4, 8.
        rescale: (B,), factor to multiply the output by.
        image_channels: real channels of the image, 1, 2 or 3.
    """

    channels: Tensor
    levels: list[Level]
    rescale: Tensor
    image_channels: int


def official_inputs(measurement: Measurement, fact_realign: Tensor, stopping: Stopping = USUAL) -> OfficialInputs:
    """Return the inputs of the official network.

    Args:
        measurement: B scenes.
        fact_realign: the learned factor of the proximal weight, (1,).
        stopping: when conjugate gradients stop, where the prox has no closed form.

    Raises:
        ValueError: the noise is neither Gaussian of one level nor Poisson-Gaussian.
    """
    if not isinstance(measurement.noise, GaussianNoise | PoissonGaussianNoise):
        kind = type(measurement.noise).__name__
        raise ValueError(
            f"the official head takes GaussianNoise or PoissonGaussianNoise, got {kind}; whiten the samples first"
        )
    with torch.autocast(measurement.y.device.type, enabled=False):  # physics keeps its precision
        return _inputs(measurement, measurement.noise, fact_realign, stopping)


def _inputs(
    measurement: Measurement, noise: GaussianNoise | PoissonGaussianNoise, fact_realign: Tensor, stopping: Stopping
) -> OfficialInputs:
    """Return the inputs in full precision, every scene scaled by itself where its samples are small."""
    operator = _padded(measurement.operator)
    complex_image = operator.dtype.is_complex
    peak = _real_view(measurement.y).abs().flatten(1).amax(1)
    peak = torch.where(peak > 0, peak, torch.full_like(peak, 1e-12))
    rescale = torch.where(peak > 5 * SIGMA_FLOOR, torch.ones_like(peak), peak)
    y = measurement.y / expand(rescale, measurement.y.ndim - 1)
    sigma = noise.sigma.to(rescale) / (2**0.5 if complex_image else 1) / rescale
    gain = noise.gain.to(rescale) / rescale if isinstance(noise, PoissonGaussianNoise) else torch.zeros_like(rescale)
    sigma, gain = sigma.clamp_min(SIGMA_FLOOR), gain.clamp_min(GAIN_FLOOR)
    snr = _real_view(y).abs().flatten(1).mean(1) / (sigma + 1e-4)
    decimation = measurement.operator.factor if isinstance(measurement.operator, Downsampling) else 1
    gamma = (fact_realign / (1e-4 + 1 / (snr * decimation**2))).clamp_min(1e-8)
    backprojection = operator.adjoint(y)
    start = to_channels(operator.prox(y, backprojection, 1 / gamma, stopping), complex_image)
    maps = torch.stack([sigma, gain], 1)[:, :, None, None].expand(-1, -1, *start.shape[-2:])
    levels = pyramid([operator.galerkin(s) for s in FACTORS], backprojection)
    return OfficialInputs(torch.cat([start, maps.to(start)], 1), levels, rescale, start.shape[1])


def _padded(operator: LinearOperator) -> LinearOperator:
    """Return the sensor on a larger grid if need be, the image in its lower right corner as the weights were trained."""
    channels, height, width = operator.domain_shape
    rows, columns = (max(-(-n // SIDE_MULTIPLE) * SIDE_MULTIPLE, SMALLEST_SIDE) for n in (height, width))
    if (rows, columns) == (height, width):
        return operator
    origin = (rows - height, columns - width)
    return operator @ CropOperator(
        (channels, rows, columns), operator.domain_shape, origin=origin, dtype=operator.dtype
    )


def _real_view(y: Tensor) -> Tensor:
    return torch.view_as_real(y.resolve_conj()) if y.is_complex() else y
