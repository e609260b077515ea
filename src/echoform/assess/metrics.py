"""Figures of merit of complex images: every definition in the project lives here or in ``point_target``.

Images are (B, C, H, W), real or complex; a metric returns one number per sample, shape (B,), float64, unless it says
otherwise. An image without energy has no level, so ratios to it are NaN or infinite: nothing is clipped.
"""

from __future__ import annotations

import torch
from torch import Tensor

from echoform.physics.operator import LinearOperator

#: side and standard deviation of the Gaussian window of the structural similarity, pixels
SSIM_SIDE, SSIM_SIGMA = 11, 1.5
#: stabilising constants of the structural similarity, fractions of the dynamic range
SSIM_K1, SSIM_K2 = 0.01, 0.03


def _check_pair(a: Tensor, b: Tensor) -> None:
    if a.shape != b.shape or a.ndim != 4:
        raise ValueError(f"expected two images (B, C, H, W) of one shape, got {tuple(a.shape)} and {tuple(b.shape)}")


def _power(x: Tensor) -> Tensor:
    return x.abs().double().square()


def _total(x: Tensor) -> Tensor:
    return x.flatten(1).sum(1)


def peak_magnitude(image: Tensor) -> Tensor:
    """Return max |x| per sample, shape (B,): the usual ``peak`` of the metrics that ask for one."""
    return image.abs().double().flatten(1).amax(1)


def nmse_db(estimate: Tensor, truth: Tensor) -> Tensor:
    """Return the complex error 10 log10 (|x - t|^2 / |t|^2), decibels; 0 dB is what x = 0 scores."""
    _check_pair(estimate, truth)
    return 10 * torch.log10(_total(_power(estimate - truth)) / _total(_power(truth)))


def psnr_db(estimate: Tensor, truth: Tensor, *, peak: Tensor) -> Tensor:
    """Return 10 log10 (peak^2 / mean (|x| - |t|)^2) on magnitudes, decibels.

    Args:
        estimate: x.
        truth: t.
        peak: magnitude that counts as full scale, (B,) or (1,); usually ``peak_magnitude(truth)``.
    """
    _check_pair(estimate, truth)
    error = (estimate.abs().double() - truth.abs().double()).square().flatten(1).mean(1)
    return 10 * torch.log10(peak.double().square() / error)


def log_ssim(estimate: Tensor, truth: Tensor, *, peak: Tensor, dynamic_range_db: float = 60.0) -> Tensor:
    """Return the structural similarity of the log magnitudes, at most 1, averaged over channels.

    Both images are taken to decibels above a floor, u = max(20 log10 (|x| / peak), -D) + D, and compared with L = D by

        SSIM = (2 m_u m_v + c1) (2 s_uv + c2) / ((m_u^2 + m_v^2 + c1) (s_u^2 + s_v^2 + c2)),   c = (K L)^2,

    local moments under an 11 x 11 Gaussian window of 1.5 pixels, at positions where it lies inside the image.

    Args:
        estimate: x.
        truth: t.
        peak: magnitude at 0 dB, (B,) or (1,); usually ``peak_magnitude(truth)``.
        dynamic_range_db: D, decibels; everything below peak - D counts as equally dark.

    Raises:
        ValueError: shapes differ or a side is shorter than the window.

    Source: Wang et al. (2004), IEEE Trans. Image Process. 13(4), equation 13.
    """
    _check_pair(estimate, truth)
    if min(truth.shape[-2:]) < SSIM_SIDE:
        raise ValueError(f"SSIM needs sides of at least {SSIM_SIDE} pixels, got {tuple(truth.shape[-2:])}")
    u = _decibels_above_floor(estimate, peak, dynamic_range_db)
    v = _decibels_above_floor(truth, peak, dynamic_range_db)
    c1, c2 = (SSIM_K1 * dynamic_range_db) ** 2, (SSIM_K2 * dynamic_range_db) ** 2
    mean_u, mean_v = _blur(u), _blur(v)
    var_u, var_v = _blur(u * u) - mean_u**2, _blur(v * v) - mean_v**2
    covariance = _blur(u * v) - mean_u * mean_v
    luminance = (2 * mean_u * mean_v + c1) / (mean_u**2 + mean_v**2 + c1)
    structure = (2 * covariance + c2) / (var_u + var_v + c2)
    return (luminance * structure).flatten(1).mean(1)


def _decibels_above_floor(x: Tensor, peak: Tensor, dynamic_range_db: float) -> Tensor:
    level = 20 * torch.log10(x.abs().double() / peak.double().reshape(-1, 1, 1, 1))
    return level.clamp_min(-dynamic_range_db) + dynamic_range_db


def _blur(x: Tensor) -> Tensor:
    n = torch.arange(SSIM_SIDE, dtype=x.dtype, device=x.device) - SSIM_SIDE // 2
    taps = torch.exp(-0.5 * (n / SSIM_SIGMA) ** 2)
    taps = taps / taps.sum()
    flat = x.flatten(0, 1)[:, None]
    flat = torch.nn.functional.conv2d(flat, taps[None, None, :, None])
    flat = torch.nn.functional.conv2d(flat, taps[None, None, None, :])
    return flat[:, 0].unflatten(0, x.shape[:2])


def entropy(image: Tensor) -> Tensor:
    """Return -sum p ln p with p = |x|^2 / sum |x|^2, nats: 0 for one bright pixel, ln n for n equal ones; low is focused."""
    power = _power(image).flatten(1)
    share = power / power.sum(1, keepdim=True)
    return -torch.special.xlogy(share, share).sum(1)


def coherence(a: Tensor, b: Tensor) -> Tensor:
    """Return |<a b*>| / sqrt(<|a|^2> <|b|^2>) over the whole sample, between 0 and 1."""
    _check_pair(a, b)
    cross = _total(_wide(a) * _wide(b).conj()).abs()
    return cross / (_total(_power(a)) * _total(_power(b))).sqrt()


def local_coherence(a: Tensor, b: Tensor, *, window: tuple[int, int]) -> Tensor:
    """Return the coherence in a sliding window, (B, C, H - h + 1, W - w + 1), where the window lies inside the image.

    The estimate from N independent pixels is biased: unrelated images give about sqrt(pi / 4N), not 0.

    Args:
        a: first image.
        b: second image.
        window: (h, w), pixels.

    Source: Touzi et al. (1999), IEEE Trans. Geosci. Remote Sens. 37(1), equation 2.
    """
    _check_pair(a, b)
    if window[0] > a.shape[-2] or window[1] > a.shape[-1]:
        raise ValueError(f"a window of {window} pixels does not fit into an image of {tuple(a.shape[-2:])}")

    def mean(x: Tensor) -> Tensor:
        return x.unfold(-2, window[0], 1).unfold(-2, window[1], 1).mean((-2, -1))

    product = _wide(a) * _wide(b).conj()
    return mean(product).abs() / (mean(_power(a)) * mean(_power(b))).sqrt()


def _wide(x: Tensor) -> Tensor:
    return x.to(torch.complex128)


def equivalent_looks(image: Tensor) -> Tensor:
    """Return the equivalent number of looks (mean I)^2 / var I of the intensity I = |x|^2 of a homogeneous region.

    Fully developed single-look speckle gives 1; the caller crops the region.

    Source: Oliver and Quegan, Understanding Synthetic Aperture Radar Images (2004), section 4.3.
    """
    intensity = _power(image).flatten(1)
    return intensity.mean(1).square() / intensity.var(1, correction=0)


def phase_rmse_rad(estimate: Tensor, truth: Tensor, *, where: Tensor | None = None) -> Tensor:
    """Return the root mean square of the wrapped phase error after removing one global phase, radians.

    d = arg(x t* exp(-i g)),    g = arg sum x t* / |x t*|

    Pure noise gives pi / sqrt 3 = 1.81. Pixels at which either image is zero have no phase and are left out.

    Args:
        estimate: x.
        truth: t.
        where: boolean, broadcasting over (B, C, H, W): pixels that count, such as those above the noise.
    """
    _check_pair(estimate, truth)
    product = _wide(estimate) * _wide(truth).conj()
    counted = product.abs() > 0
    if where is not None:
        counted = counted & where
    phasor = torch.where(counted, torch.sgn(product), 0)
    turn = torch.sgn(_total(phasor)).conj().reshape(-1, 1, 1, 1)
    error = torch.where(counted, torch.angle(phasor * turn), 0.0)
    return (_total(error.square()) / _total(counted.double())).sqrt()


def prediction_error_db(image: Tensor, operator: LinearOperator, y: Tensor) -> Tensor:
    """Return 10 log10 (|y - A x|^2 / |y|^2) on measurements the reconstruction has not seen, decibels.

    The noise in y bounds it from below at 10 log10 (E |n|^2 / |y|^2); x = 0 scores 0 dB.

    Args:
        image: x, (B, C, H, W).
        operator: A of the held-out samples; entries outside its support do not count.
        y: held-out samples, (B, *range_shape).
    """
    marks = operator.support()
    if marks is not None:
        y = y * marks
    return 10 * torch.log10(_total(_power(y - operator(image))) / _total(_power(y)))
