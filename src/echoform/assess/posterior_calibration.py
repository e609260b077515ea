"""How far posterior samples can be trusted: metrics whose ideal value is known, for S samples and the truth of many pixels.

With S exact samples of a posterior of variance V:

    E |sample mean - x|^2        = (1 + 1/S) V           so error / variance is divided by 1 + 1/S
    E |one sample - x|^2         = 2 V                   so half of it over the variance is one for single draws
    share of samples above a level, p_hat: P(x above | p_hat) is not p_hat itself, for S is finite: the expected calibration
    error of exact samples is a floor, drawn by :func:`floor_of_calibration_error`
    rank of x among the samples: uniform on 0 .. S

Variances are sums over real and imaginary parts; ranks are those of one real number per pixel.

Source: Naeini et al. (2015) and Guo et al. (2017) (reliability, calibration error); Talts et al. (2018) (ranks).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram.

    Attributes:
        stated: mean stated probability of each bin, (K,), NaN where it is empty.
        observed: share of events in it, (K,).
        counts: cases in it, (K,).
    """

    stated: Tensor
    observed: Tensor
    counts: Tensor

    @property
    def error(self) -> float:
        """Expected calibration error: mean |stated - observed| over all cases."""
        gap = torch.where(self.counts > 0, (self.stated - self.observed).abs(), torch.zeros_like(self.stated))
        return float((gap * self.counts).sum() / self.counts.sum())


def reliability(stated: Tensor, happened: Tensor, *, bins: int = 10) -> Reliability:
    """Return the reliability diagram of stated probabilities.

    Args:
        stated: probabilities, any shape.
        happened: whether each event happened, same shape.
        bins: of equal width over [0, 1].

    Raises:
        ValueError: shapes differ, or a probability lies outside [0, 1].
    """
    if stated.shape != happened.shape or not bool(((stated >= 0) & (stated <= 1)).all()):
        raise ValueError(
            f"need probabilities in [0, 1] and events alike in shape, got {stated.shape}, {happened.shape}"
        )
    p, e = stated.flatten().double(), happened.flatten().double()
    index = (p * bins).long().clamp_max(bins - 1)
    counts = torch.zeros(bins, dtype=torch.float64).scatter_add(0, index, torch.ones_like(p))
    means = [torch.zeros(bins, dtype=torch.float64).scatter_add(0, index, v) / counts for v in (p, e)]
    return Reliability(means[0], means[1], counts)


def floor_of_calibration_error(stated: Tensor, draws: int, generator: torch.Generator, *, bins: int = 10) -> float:
    """Return the expected calibration error that exact samples would have: truth and S draws from the same probabilities.

    Args:
        stated: probabilities taken as the true ones, any shape.
        draws: S.
        generator: of events and draws.
        bins: of the diagram.
    """
    p = stated.flatten().double()
    happened = torch.rand(p.shape, generator=generator, dtype=p.dtype) < p
    count = torch.zeros_like(p)
    for _ in range(draws):
        count += torch.rand(p.shape, generator=generator, dtype=p.dtype) < p
    return reliability(count / draws, happened, bins=bins).error


def error_over_variance(samples: Tensor, truth: Tensor) -> float:
    """Return |mean - x|^2 over the samples' variance, sums over all pixels, (1 + 1/S) divided out: one for exact samples.

    Args:
        samples: (S, ...), S at least 2.
        truth: (...).
    """
    count = len(samples)
    mean = samples.mean(0)
    variance = (samples - mean).abs().square().sum(0) / (count - 1)
    return float((mean - truth).abs().square().sum() / variance.sum() / (1 + 1 / count))


def single_draw_ratio(samples: Tensor, truth: Tensor) -> float:
    """Return the mean |x_s - x|^2 / 2 over the samples' variance, sums over all pixels: one for exact samples.

    A sampler that returns the posterior mean with too little spread has it above one, whatever its mean.

    Args:
        samples: (S, ...), S at least 2.
        truth: (...).
    """
    variance = (samples - samples.mean(0)).abs().square().sum(0) / (len(samples) - 1)
    return float((samples - truth).abs().square().mean(0).sum() / 2 / variance.sum())


def chi_square(draw: Tensor, mean: Tensor, variance: Tensor) -> float:
    """Return the mean |draw - m|^2 / V of single draws where mean and variance are known: one for exact draws.

    Args:
        draw: (...), truths or samples.
        mean: m, (...).
        variance: V, (...), positive.
    """
    return float(((draw - mean).abs().square() / variance).mean())


def rank_histogram(samples: Tensor, truth: Tensor, *, bins: int) -> Tensor:
    """Return how often the truth's rank among the samples falls in each of ``bins`` equal ranges, (bins,), summing to one.

    Args:
        samples: (S, ...) real.
        truth: (...) real.
        bins: a divisor of S + 1, so that all are equally wide.

    Raises:
        ValueError: S + 1 is no multiple of ``bins``, or numbers are complex.
    """
    count = len(samples)
    if (count + 1) % bins or samples.is_complex():
        raise ValueError(f"ranks need real numbers and S + 1 a multiple of bins, got S = {count}, bins = {bins}")
    rank = (samples < truth).sum(0).flatten()
    return torch.bincount(rank * bins // (count + 1), minlength=bins).double() / rank.numel()
