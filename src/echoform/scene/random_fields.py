"""Gaussian random fields of stated spectrum, and positive textures made of them.

A field is white noise filtered by sqrt S(k) on the pixel grid, scaled so that its variance is one over the draws (not in each
realisation). k is in radians per pixel.

    power law  S(k) = (k^2 + k_0^2)^-p           k_0 = 1 / outer scale
    Matern     S(k) = (2 nu / l^2 + k^2)^-(nu + 1)     (two dimensions; nu = 1/2: covariance exp(-r / l))

Textures have mean one: log-normal exp(s z - s^2 / 2); gamma of shape nu by the quantiles of z, so that speckle over it is K
distributed; photographs by their brightness in decibels.

Source: Lindgren, Rue and Lindstroem (2011), J. R. Stat. Soc. B 73(4), eq. (1)-(3) (Matern).
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch
from torch import Tensor

from echoform.linalg.inner import expand, squared_norm
from echoform.scene.clutter import compound, gamma_quantiles
from echoform.scene.frame import Frame
from echoform.scene.random_source import RandomSource

#: knots of the table of gamma quantiles: z from -Z_RANGE to Z_RANGE, nu over NU_RANGE in equal steps of its logarithm
KNOTS, Z_RANGE = 257, 5.0
NU_KNOTS, NU_RANGE = 129, (0.2, 100.0)


def squared_frequency(shape: tuple[int, int], device: torch.device, stretch: Tensor | None = None) -> Tensor:
    """Return |k|^2 in the order of the FFT of real images, (1 or B, H, W // 2 + 1), radians squared per pixel squared.

    Args:
        shape: (H, W).
        device: of the result.
        stretch: 2 x 2 matrices applied to k, (B, 2, 2), for fields drawn out along a direction.
    """
    ky = 2 * math.pi * torch.fft.fftfreq(shape[0], device=device)[:, None]
    kx = 2 * math.pi * torch.fft.rfftfreq(shape[1], device=device)
    if stretch is None:
        return (ky.square() + kx.square())[None]
    m = stretch[..., None, None]
    return (m[:, 0, 0] * ky + m[:, 0, 1] * kx).square() + (m[:, 1, 0] * ky + m[:, 1, 1] * kx).square()


def gaussian_field(source: RandomSource, batch: int, amplitude: Tensor, width: int) -> Tensor:
    """Return real Gaussian fields of variance one whose power falls as the square of ``amplitude``, but for its mean.

    Args:
        source: of randomness.
        batch: number of fields.
        amplitude: sqrt S(k) in the order of the FFT of real images, (B or 1, H, W // 2 + 1); the entry of k = 0 is not used.
        width: W.
    """
    height = amplitude.shape[-2]
    amplitude = amplitude.clone()
    amplitude[..., 0, 0] = 0
    # columns that are their own mirror images
    alone = amplitude[..., [0, -1]] if width % 2 == 0 else amplitude[..., :1]
    power = (2 * squared_norm(amplitude, 2) - squared_norm(alone, 2)) / (height * width)
    drawn = torch.fft.rfft2(source.normal((batch, height, width)))
    return torch.fft.irfft2(drawn.mul_(amplitude / expand(power.sqrt(), 2)), s=(height, width))


def power_law_field(
    source: RandomSource,
    batch: int,
    shape: tuple[int, int],
    *,
    exponent: Tensor,
    outer_px: Tensor,
    stretch: Tensor | None = None,
) -> Tensor:
    """Return fields with S = (k^2 + 1 / L^2)^-p, (B, H, W).

    Args:
        source: of randomness.
        batch: number of fields.
        shape: (H, W).
        exponent: p, (B,); 1 is rough, 2 and more smooth.
        outer_px: L, (B,), pixels.
        stretch: as in :func:`squared_frequency`.
    """
    k2 = squared_frequency(shape, source.place, stretch)
    return gaussian_field(source, batch, (k2 + expand(outer_px**-2, 2)).pow(expand(-exponent / 2, 2)), shape[1])


def matern_field(
    source: RandomSource, batch: int, shape: tuple[int, int], *, smoothness: Tensor, length_px: Tensor
) -> Tensor:
    """Return fields with the Matern covariance of smoothness nu and length l, (B, H, W).

    Args:
        source: of randomness.
        batch: number of fields.
        shape: (H, W).
        smoothness: nu, (B,).
        length_px: l, (B,), pixels.
    """
    nu, length = smoothness[:, None, None], length_px[:, None, None]
    k2 = squared_frequency(shape, source.place)
    return gaussian_field(source, batch, (2 * nu / length.square() + k2) ** (-(nu + 1) / 2), shape[1])


def rough_field(source: RandomSource, batch: int, shape: tuple[int, int]) -> Tensor:
    """Return power-law fields with p in 1.2 to 2.5 and outer scale from 4 pixels to half the side, (B, H, W)."""
    outer = source.log_uniform((batch,), 4, max(5, min(shape) / 2))
    return power_law_field(source, batch, shape, exponent=source.uniform((batch,), 1.2, 2.5), outer_px=outer)


def metric_field(source: RandomSource, frame: Frame, outer_m: tuple[float, float]) -> Tensor:
    """Return power-law fields with p in 1.2 to 2.5 and an outer scale in metres, white where that is under a pixel, (B, H, W).

    Args:
        source: of randomness.
        frame: pixels.
        outer_m: range of the outer scale, log-uniform, cut off at the scene's side, metres.
    """
    pixel = frame.spacing_m.prod(1).sqrt()
    outer = source.log_uniform((frame.batch,), *outer_m) / pixel
    exponent = source.uniform((frame.batch,), 1.2, 2.5)
    outer = outer.clamp(0.1, min(frame.shape))
    return power_law_field(source, frame.batch, frame.shape, exponent=exponent, outer_px=outer)


def lognormal_texture(field: Tensor, contrast: Tensor) -> Tensor:
    """Return exp(s z - s^2 / 2), of mean one and variance exp(s^2) - 1.

    Args:
        field: z, standard normal, (B, H, W).
        contrast: s, (B,).
    """
    s = contrast[:, None, None]
    return torch.exp(s * field - s.square() / 2)


@cache
def _log_quantiles() -> Tensor:
    """ln of the gamma quantile over its mean at the knots of nu and z, (NU_KNOTS, KNOTS) float32."""
    nu = np.geomspace(*NU_RANGE, NU_KNOTS)[:, None]
    quantiles = gamma_quantiles(nu, np.linspace(-Z_RANGE, Z_RANGE, KNOTS)) / nu
    return torch.from_numpy(np.log(np.maximum(quantiles, 1e-30))).float()


def gamma_texture(field: Tensor, shape_parameter: Tensor, labels: Tensor | None = None) -> Tensor:
    """Return gamma variates of mean one and variance 1 / nu at the quantiles of the field.

    The logarithm of the quantile is interpolated in z and ln nu from a table made once.

    Args:
        field: z, standard normal, (B, H, W).
        shape_parameter: nu, (B, K), from 0.2 to 100; speckle over the texture is K distributed with this shape.
        labels: which of the K parameters a pixel has, (B, H, W) int64; absent when K = 1.
    """
    known = _log_quantiles().to(field.device)
    first, last = (math.log(nu) for nu in NU_RANGE)
    step = (torch.log(shape_parameter) - first) * ((NU_KNOTS - 1) / (last - first))
    below = step.long().clamp(0, NU_KNOTS - 2)
    table = torch.lerp(known[below], known[below + 1], (step - below).clamp(0, 1)[..., None]).flatten()
    at = (field.clamp(-Z_RANGE, Z_RANGE) + Z_RANGE) * ((KNOTS - 1) / (2 * Z_RANGE))
    lower = at.int().clamp_max(KNOTS - 2)
    row = torch.arange(len(step), device=field.device, dtype=torch.int32)[:, None, None] * step.shape[1]
    start = (row if labels is None else row + labels.int()) * KNOTS + lower
    low, high = table[start], table[start + 1]
    return torch.exp(torch.lerp(low, high, at - lower))


def photograph_texture(photographs: Tensor, range_db: Tensor) -> Tensor:
    """Return textures of mean one whose decibels follow the brightness of photographs, (B, H, W).

    Args:
        photographs: (B, C, H, W), real, any scale.
        range_db: from the darkest to the brightest pixel, (B,), decibels.
    """
    bright = photographs.mean(1)
    low, high = bright.amin((1, 2), keepdim=True), bright.amax((1, 2), keepdim=True)
    level = (bright - low) / (high - low).clamp_min(1e-12)
    texture = 10 ** (range_db[:, None, None] * (level - 1) / 10)
    return texture / texture.mean((1, 2), keepdim=True)


def developed_speckle(source: RandomSource, intensity: Tensor) -> Tensor:
    """Return sqrt(intensity) times CN(0, 1): what many scatterers in every pixel look like, complex64."""
    return compound(intensity, source.generator)
