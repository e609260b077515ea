"""Simple statistics of complex image chips, the frozen features on which sets of chips are compared.

Level, phase reference and centre of the band do not matter to them: intensities are taken against their median or mean, spectra
about their own centroid. Chips are looked at through a Hann window where the spectrum is taken, so that a chip cut out of a
larger image and a periodic one of the same band agree.

    amplitude        quantiles of 10 log10 I over the median, and the peak
    texture          kappa_2, kappa_3 of ln I, 1 / nu of K (or -1 / alpha of G0) clutter; var ln of I averaged over 4 x 4 and
                     8 x 8 pixels
    sparsity         Gini coefficient of I; energy of the strongest 0.1, 1 and 10 % of the pixels, as shares of all
    spectrum         mean power in rings of |k| over the mean power, decibels, limited to -40
    support          per axis: share of the band that holds 95 % of the energy, and 1 / (n sum p^2) of its spectrum p
    autocorrelation  of ln I at lags along each axis

Source: Hurley and Rickard (2009), IEEE Trans. Inf. Theory 55(10) (Gini); ``texture_parameters`` (log-cumulants).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from echoform.assess.texture_parameters import k_shape, log_cumulants

#: intensities lower than this below a chip's peak count as that low: the span of 16-bit samples, decibels
SPAN_DB = 100.0
#: the same below its median where moments of ln I are taken: pixels that were rounded to zero would decide them, decibels
DARKEST_DB = 25.0
#: probabilities of the amplitude quantiles
QUANTILES = (0.02, 0.05, 0.25, 0.75, 0.95, 0.99)
#: sides of the averaged blocks, pixels
BLOCKS = (4, 8)
#: strongest pixels whose energy is taken, shares
TOP = (0.001, 0.01, 0.1)
#: borders of the rings, shares of half the sampling frequency; the last ring takes in the corners
RINGS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.5)
#: energy within the occupied band, and weakest ring shown, decibels
OCCUPIED, WEAKEST_DB = 0.95, -40.0
#: distances of the autocorrelation, pixels
LAGS = (1, 2, 4, 8)
#: chips that are worked on at a time
_AT_ONCE = 256

NAMES = (
    *(f"amplitude {100 * q:g} %, dB" for q in QUANTILES),
    "amplitude peak, dB",
    "kappa_2",
    "kappa_3",
    "1 / K shape",
    *(f"var ln I, {side} x {side}" for side in BLOCKS),
    "Gini",
    *(f"energy in top {100 * share:g} %" for share in TOP),
    *(f"spectrum to {edge:g}, dB" for edge in RINGS[1:]),
    *(f"{what}, {axis}" for axis in ("rows", "columns") for what in ("occupied band", "equivalent band")),
    *(f"autocorrelation {lag} px, {axis}" for axis in ("rows", "columns") for lag in LAGS),
)


def chip_features(chips: Tensor) -> Tensor:
    """Return the statistics called :data:`NAMES` of each chip, (n, d) float64.

    Args:
        chips: (n, H, W) complex, sides of 16 pixels or more that 8 divides; any level.

    Raises:
        ValueError: chips of another shape, real ones, ones that are not finite or ones without energy.
    """
    if chips.ndim != 3 or not chips.is_complex() or any(side % 8 or side < 16 for side in chips.shape[1:]):
        raise ValueError(
            f"chips must be complex (n, H, W) with sides divisible by 8, got {chips.dtype} {tuple(chips.shape)}"
        )
    energy = chips.abs().double().square().sum((1, 2))
    if not bool((torch.isfinite(energy) & (energy > 0)).all()):
        raise ValueError("chips must be finite and not empty: leave out those that are all zero")
    return torch.cat([torch.cat(list(_parts(some)), 1) for some in chips.to(torch.complex128).split(_AT_ONCE)])


def intensity_db(chips: Tensor) -> Tensor:
    """Return 10 log10 of the intensities over the median of each chip's, nothing lower than SPAN_DB below its peak, (n, H, W)."""
    level = 10 * _floored(chips).log10()
    return level - level.flatten(1).median(1).values[:, None, None]


def gini(intensity: Tensor) -> Tensor:
    """Return the Gini coefficient of non-negative values, (n,): 0 when all are equal, 1 - 1 / N when one has all.

        G = 1 - sum_k c_(k) / |c|_1 (2 N - 2 k + 1) / N,    c_(1) <= ... <= c_(N)

    Args:
        intensity: c, (n, N).
    """
    ordered = intensity.sort(1).values
    count = ordered.shape[1]
    weight = (2 * count - 2 * torch.arange(1, count + 1, device=intensity.device) + 1) / count
    return 1 - (ordered * weight).sum(1) / ordered.sum(1)


def centred_spectrum(chips: Tensor) -> Tensor:
    """Return the Hann-windowed power spectrum of each chip rolled so that its centroid lies at n // 2 of both axes, (n, H, W).

    The centroid of an axis is that of the circle, arg sum_k P(k) exp(2 pi i k / n): a band that wraps around has one too.
    """
    height, width = chips.shape[1:]
    taper = torch.hann_window(height + 2, periodic=False, dtype=torch.float64, device=chips.device)[1:-1, None]
    taper = taper * torch.hann_window(width + 2, periodic=False, dtype=torch.float64, device=chips.device)[1:-1]
    power = torch.fft.fft2(chips * taper).abs().square()
    for axis in (1, 2):
        size = power.shape[axis]
        k = torch.arange(size, device=chips.device)
        marginal = power.sum(3 - axis)
        turn = (marginal * torch.exp(2j * math.pi * k / size)).sum(1).angle()
        shift = size // 2 - (turn * size / (2 * math.pi)).round().long()
        index = (k[None] - shift[:, None]) % size
        index = index[:, :, None] if axis == 1 else index[:, None, :]
        power = power.gather(axis, index.expand_as(power))
    return power


def _parts(chips: Tensor) -> Iterator[Tensor]:
    """The features of a few chips, (n, some) each."""
    intensity = _floored(chips)
    level = intensity_db(chips)
    flat = level.flatten(1)
    at = torch.tensor(QUANTILES, dtype=flat.dtype, device=flat.device)
    yield torch.quantile(flat, at, dim=1).mT
    yield flat.amax(1, keepdim=True)
    yield from _texture(intensity, level.clamp_min(-DARKEST_DB))
    yield gini(intensity.flatten(1))[:, None]
    ordered = intensity.flatten(1).sort(1, descending=True).values
    for share in TOP:
        count = max(1, round(share * ordered.shape[1]))
        yield (ordered[:, :count].sum(1) / ordered.sum(1))[:, None]
    spectrum = centred_spectrum(chips)
    yield _rings(spectrum)
    for axis in (1, 2):
        yield _support(spectrum.sum(3 - axis))
    for axis in (1, 2):
        yield _autocorrelation(level.clamp_min(-DARKEST_DB), axis)


def _floored(chips: Tensor) -> Tensor:
    """Intensities, none lower than SPAN_DB below the peak of its chip."""
    intensity = chips.abs().double().square()
    return torch.maximum(intensity, intensity.amax((1, 2), keepdim=True) * 10 ** (-SPAN_DB / 10))


def _texture(intensity: Tensor, level_db: Tensor) -> Iterator[Tensor]:
    cumulants = log_cumulants(10 ** (level_db / 10))
    yield cumulants[1:].mT
    yield (1 / k_shape(cumulants))[:, None]
    for side in BLOCKS:
        blocks = torch.nn.functional.avg_pool2d(intensity[:, None], side)
        yield blocks.log().flatten(1).var(1)[:, None]


def _rings(spectrum: Tensor) -> Tensor:
    """Mean power in rings over the mean power, decibels, (n, rings)."""
    axes = [(torch.arange(n, device=spectrum.device) - n // 2) / (n / 2) for n in spectrum.shape[1:]]
    radius = (axes[0][:, None].square() + axes[1].square()).sqrt()
    mean = spectrum.mean((1, 2))
    rings = [spectrum[:, (radius >= a) & (radius < b)].mean(1) / mean for a, b in zip(RINGS, RINGS[1:], strict=False)]
    return (10 * torch.stack(rings, 1).log10()).clamp_min(WEAKEST_DB)


def _support(marginal: Tensor) -> Tensor:
    """Share of an axis that holds OCCUPIED of the energy, and its equivalent band, (n, 2)."""
    p = (marginal / marginal.sum(1, keepdim=True)).sort(1, descending=True).values
    occupied = (p.cumsum(1) < OCCUPIED).sum(1) + 1
    return torch.stack([occupied, 1 / p.square().sum(1)], 1) / p.shape[1]


def _autocorrelation(level: Tensor, axis: int) -> Tensor:
    """Correlation of decibels with those LAGS pixels on, (n, lags); zero for a chip of one level."""
    centred = level - level.mean((1, 2), keepdim=True)
    variance = centred.square().mean((1, 2)).clamp_min(1e-12)
    size = level.shape[axis]
    found = []
    for lag in LAGS:
        product = centred.narrow(axis, 0, size - lag) * centred.narrow(axis, lag, size - lag)
        found.append(product.mean((1, 2)) / variance)
    return torch.stack(found, 1)
