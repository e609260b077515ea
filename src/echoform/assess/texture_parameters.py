"""Texture parameters of clutter by the method of log-cumulants.

For L-look intensities under a texture the cumulants of ln I add up,

    kappa_2 = psi'(L) + kappa_2(tau),

and kappa_2(tau) = psi'(nu) for K, psi'(-alpha) for G0. For one look kappa_2 = psi'(1) (2 / c)^2 for Weibull amplitudes, and
kappa_2 = s^2 for log-normal ones. kappa_2 exists for every parameter, where the variance of the intensity need not; kappa_3 tells
the laws apart (K: the texture's is below zero, G0: above). Errors follow from var kappa_2 = (kappa_4 + 2 kappa_2^2) / N.

Source: Nicolas (2002), Traitement du Signal 19(3); Tison et al. (2004), IEEE Trans. Geosci. Remote Sens. 42(10).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

#: psi' is inverted between these arguments: ln x of the smallest and of the largest
_LOWEST, _HIGHEST = math.log(1e-3), math.log(1e9)


def log_cumulants(intensity: Tensor) -> Tensor:
    """Return kappa_1 to kappa_3 of ln I, (3, B), float64: unbiased estimates (k-statistics).

    Args:
        intensity: (B, ...), independent values of one law per scene; level does not matter to kappa_2 and kappa_3.

    Raises:
        ValueError: fewer than three values, or one that is not positive and finite.
    """
    values = intensity.double().flatten(1)
    count = values.shape[1]
    if count < 3 or not bool((torch.isfinite(values) & (values > 0)).all()):
        raise ValueError(f"log-cumulants need three positive, finite intensities or more, got {count}; leave zeros out")
    logs = values.log()
    mean = logs.mean(1, keepdim=True)
    centred = logs - mean
    second = centred.square().sum(1) / (count - 1)
    third = centred.pow(3).sum(1) * count / ((count - 1) * (count - 2))
    return torch.stack([mean[:, 0], second, third])


def equivalent_looks(cumulants: Tensor) -> Tensor:
    """Return L of speckle without texture, psi'(L) = kappa_2, (B,).

    Args:
        cumulants: of :func:`log_cumulants`, (3, B).
    """
    return _inverse_trigamma(cumulants[1])


def k_shape(cumulants: Tensor, *, looks: float = 1.0) -> Tensor:
    """Return nu of K clutter, (B,); infinite where the intensities are no rougher than speckle, which is K of infinite nu.

    Args:
        cumulants: of :func:`log_cumulants`, (3, B).
        looks: L of the intensities.
    """
    excess = cumulants[1] - torch.special.polygamma(1, torch.tensor(looks, dtype=torch.float64))
    return torch.where(excess > 0, _inverse_trigamma(excess.clamp_min(1e-12)), math.inf)


def g0_alpha(cumulants: Tensor, *, looks: float = 1.0) -> Tensor:
    """Return alpha of G0 clutter, (B,), negative; minus infinity where the intensities are no rougher than speckle.

    Args:
        cumulants: of :func:`log_cumulants`, (3, B).
        looks: L of the intensities.
    """
    return -k_shape(cumulants, looks=looks)


def weibull_shape(cumulants: Tensor) -> Tensor:
    """Return c of Weibull amplitudes, (B,); 2 for speckle, above it for what is smoother.

    Args:
        cumulants: of :func:`log_cumulants` of single-look intensities, (3, B).
    """
    return 2 * (math.pi**2 / 6 / cumulants[1]).sqrt()


def lognormal_deviation(cumulants: Tensor) -> Tensor:
    """Return s, the standard deviation of ln I of log-normal amplitudes, (B,).

    Args:
        cumulants: of :func:`log_cumulants`, (3, B).
    """
    return cumulants[1].sqrt()


def _inverse_trigamma(value: Tensor) -> Tensor:
    """Return x with psi'(x) = value by bisection in ln x; psi' falls from infinity to zero."""
    low = torch.full_like(value, _LOWEST)
    high = torch.full_like(value, _HIGHEST)
    for _ in range(60):
        middle = (low + high) / 2
        above = torch.special.polygamma(1, middle.exp()) > value
        low, high = torch.where(above, middle, low), torch.where(above, high, middle)
    return ((low + high) / 2).exp()
