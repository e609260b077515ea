"""The problem as a network sees it: unit-norm sensor, image of unit RMS, and the physics at every scale.

With A' = A / |A| and an image scale c, y = A x + n becomes y' = A' x' + n' with x' = x / c, s' = s_n / (|A| c). The scale is
fixed once per measurement (never per step of a sampler) and put back at the end, so reconstruction is equivariant to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from echoform.linalg.inner import expand, squared_norm
from echoform.linalg.resample import downsample
from echoform.linalg.spectrum import SpectralDensity
from echoform.measure.counted import counts_as_gaussian
from echoform.measure.measurement import Measurement
from echoform.measure.whitened import single_level
from echoform.nets.backbone import FACTORS
from echoform.nets.blocks import Level
from echoform.nets.channels import to_channels
from echoform.physics.compositions import ScaledOperator
from echoform.physics.crop import padded_to_multiple
from echoform.physics.noise import GaussianNoise
from echoform.physics.operator import LinearOperator

#: share of the measured power that is credited to the image at least, however low the signal-to-noise ratio
LEAST_SIGNAL_SHARE = 0.05
#: sides are padded to a multiple of this
SIDE_MULTIPLE = 8


@dataclass(frozen=True)
class Sensing:
    """One normalised problem, made once per measurement and reused at every step of a sampler.

    Attributes:
        operator: A', unit norm (or zero).
        y: y', (B, *range_shape).
        backprojection: A'^H y', (B, C, H, W).
        sigma: s', (B,).
        scale: c, (B,): multiply the network's image by it.
        spectrum: spectral density of A'^H A'.
        levels: A'_s for the factors 1, 2, 4, 8.
        shape: (H, W) of the image asked for, before padding.
    """

    operator: LinearOperator
    y: Tensor
    backprojection: Tensor
    sigma: Tensor
    scale: Tensor
    spectrum: SpectralDensity
    levels: tuple[LinearOperator, ...]
    shape: tuple[int, int]

    def pyramid(self, factor: Tensor) -> list[Level]:
        """Return the four levels with the embedding of ``factor`` A'^H y' at each scale; ``factor`` has shape (B,)."""
        return pyramid(self.levels, expand(factor, 3) * self.backprojection)

    def restored(self, image: Tensor) -> Tensor:
        """Return an image of the normalised problem, (B, C, H', W'), in its own units and without padding."""
        height, width = self.shape
        return expand(self.scale, 3) * image[..., :height, :width]

    def to(self, device: torch.device) -> Sensing:
        """Return the problem on ``device`` (the operators themselves are moved)."""
        return Sensing(
            self.operator.to(device),
            self.y.to(device),
            self.backprojection.to(device),
            self.sigma.to(device),
            self.scale.to(device),
            self.spectrum.to(device),
            tuple(level.to(device) for level in self.levels),
            self.shape,
        )


def pyramid(operators: Sequence[LinearOperator], image: Tensor) -> list[Level]:
    """Return the physics at every scale with the Krylov pair of an image, [D_s x, s^2 A_s^H A_s D_s x].

    Args:
        operators: A_s for the factors of :data:`FACTORS`.
        image: A^H y, (B, C, H, W).
    """
    levels = []
    for s, operator in zip(FACTORS, operators, strict=True):
        coarse = downsample(image, s)
        pair = torch.cat([coarse, s**2 * operator.normal(coarse)], -3)
        levels.append(Level(operator, float(s**2), to_channels(pair, image.is_complex()), image.is_complex()))
    return levels


@dataclass(frozen=True)
class UnitSensor:
    """A sensor made ready for a network, once for all its measurements.

    Attributes:
        operator: A' = A / |A| (or zero), its image padded to whole multiples.
        norm: |A|, (batch,), one where A is zero.
        spectrum: spectral density of A'^H A'.
        levels: A'_s for the factors 1, 2, 4, 8.
        shape: (H, W) of the image before padding.
    """

    operator: LinearOperator
    norm: Tensor
    spectrum: SpectralDensity
    levels: tuple[LinearOperator, ...]
    shape: tuple[int, int]

    @staticmethod
    @torch.no_grad()
    def of(operator: LinearOperator, *, multiple: int) -> UnitSensor:
        """Return the sensor with both sides of its image padded to a multiple of ``multiple``."""
        height, width = operator.domain_shape[1:]
        operator = padded_to_multiple(operator, multiple)
        norm = operator.norm()
        norm = torch.where(norm > 0, norm, torch.ones_like(norm))
        unit = ScaledOperator(operator, 1 / norm)
        spectrum = operator.spectrum().scaled(1 / norm.square())
        return UnitSensor(unit, norm, spectrum, tuple(unit.coarsen(s) for s in FACTORS), (height, width))

    def sensing(self, measurement: Measurement, *, scale: Tensor | None = None) -> Sensing:
        """Return the normalised problem of a measurement of this sensor; see :func:`normalize`; c is a constant to gradients."""
        noise = measurement.noise
        if not isinstance(noise, GaussianNoise) or not bool((noise.sigma > 0).all()):
            raise ValueError(f"a network needs GaussianNoise with sigma > 0, got {noise}; give the noise floor")
        samples = measurement.y.ndim - 1
        y = measurement.y / expand(self.norm, samples)
        sigma = (noise.sigma.to(self.norm) / self.norm).expand(len(y))
        if scale is None:
            scale = _image_rms(y.detach(), sigma, self.operator, self.spectrum)
        scale = scale.to(sigma)
        y = y / expand(scale, samples)
        backprojection = self.operator.adjoint(y)
        return Sensing(self.operator, y, backprojection, sigma / scale, scale, self.spectrum, self.levels, self.shape)


def sense(measurement: Measurement, *, scale: Tensor | None = None) -> Sensing:
    """Return the normalised problem of a measurement in any noise that has a Gaussian likeness; see :func:`normalize`.

    Counts are taken as Gaussian samples of a level each (:mod:`echoform.measure.counted`): an approximation, never exact.
    Samples of several levels are whitened.

    Raises:
        ValueError: the noise has no positive level, or is neither Gaussian nor that of counts.
    """
    return normalize(single_level(counts_as_gaussian(measurement)), multiple=SIDE_MULTIPLE, scale=scale)


def normalize(measurement: Measurement, *, multiple: int, scale: Tensor | None = None) -> Sensing:
    """Return the normalised problem of a measurement.

    The scale is c = sqrt((|y'|^2 - M s'^2) / (n tr(A'^H A') / n)), the RMS of an image whose spectrum is white, unless
    it is given; at least 5 % of |y'|^2 counts as signal.

    Args:
        measurement: B scenes.
        multiple: both sides of the image are padded to a multiple of this.
        scale: c, (B,), when the image's RMS is known.

    Raises:
        ValueError: the noise is not Gaussian with a positive level; or no sample was measured and no scale is given, so
            the image has no unit.
    """
    return UnitSensor.of(measurement.operator, multiple=multiple).sensing(measurement, scale=scale)


def _image_rms(y: Tensor, sigma: Tensor, operator: LinearOperator, spectrum: SpectralDensity) -> Tensor:
    power = squared_norm(y, y.ndim - 1)
    if bool((power <= 0).any()):
        raise ValueError("a measurement without any signal has no scale: pass the expected RMS of the image as `scale`")
    noise = operator.samples().to(power) * sigma.square()
    signal = torch.maximum(power - noise, LEAST_SIGNAL_SHARE * power)
    pixels = torch.Size(operator.domain_shape).numel()
    return (signal / (pixels * spectrum.mean(lambda node: node))).sqrt()
