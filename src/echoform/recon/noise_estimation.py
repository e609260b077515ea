"""The noise level from the samples themselves, where the collection is redundant enough to show it.

Two places hold noise and no image:

1. Empty bins. Transformed along their last axis (frequency to range), samples of pulses measured in full have bins that no pixel
   reaches. With a window of low side lobes and unit mean square, sigma^2 is the mean power there.
2. The complement of the operator's range. With H = A (A^H A + e)^-1 A^H and z ~ CN(0, 1) on the measured entries

       sigma^2 = |(I - H) y|^2 / E |(I - H) z|^2,      E |(I - H) z|^2 = tr (I - H)^2  (Hutchinson's probes),

   the degrees of freedom that the image cannot explain: many when the collection is oversampled, none when every sample carries
   independent scene energy.

Both hold while nothing outside the image's own extent echoes: clutter beyond its border, and what its pixels cannot represent,
count as noise, so that on measured data sigma is an upper bound. Each estimate is checked before it is returned: what
noise-free data would leave there must be small, and what is there must look like white noise (mean and median of its power
agree).

Source: Hutchinson (1990), Commun. Stat. Simul. Comput. 19(2); Harris (1978), Proc. IEEE 66(1), section V.L (the window).
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from echoform.linalg.cg import Stopping, cg
from echoform.linalg.inner import expand
from echoform.measure.measurement import Measurement
from echoform.physics.noise import standard_normal
from echoform.physics.operator import LinearOperator

#: seed of the probes
SEED = 20240817
#: probes whose residuals give the degrees of freedom
PROBES = 4
#: power of a random scene's samples in a bin, over that in the fullest, below which the bin counts as empty
EMPTY_POWER = 1e-5
#: e over the largest eigenvalue of A^H A
DAMPING = 1e-6
CG_TOLERANCE, CG_ITERATIONS = 1e-5, 100
#: largest relative standard deviation of sigma that is worth returning
LARGEST_DEVIATION = 0.05
#: largest share of the measured energy that noise-free samples of the same image would leave
LARGEST_LEAK = 0.1
#: largest ratio of the mean power to what its median says of white noise
LARGEST_EXCESS = 1.3


class NoiseLevelUnknown(ValueError):
    """The collection does not show its noise level."""


class Evidence(enum.Enum):
    """Where the noise was seen."""

    EMPTY_BINS = "bins that no pixel of the image reaches"
    OUTSIDE_RANGE = "the part of the samples that no image explains"


@dataclass(frozen=True)
class NoiseLevel:
    """An estimated noise level.

    Attributes:
        sigma: standard deviation of one sample, (B,), float64, in the unit of y.
        evidence: where it was seen.
        degrees_of_freedom: independent values it was averaged over, the fewest over the batch.
        relative_deviation: relative standard deviation of sigma that follows.
    """

    sigma: Tensor
    evidence: Evidence
    degrees_of_freedom: float
    relative_deviation: float

    def __str__(self) -> str:
        return (
            f"sigma {float(self.sigma[0]):.3e} per sample from {self.evidence.value} "
            f"({self.degrees_of_freedom:.0f} degrees of freedom, +-{100 * self.relative_deviation:.1f} %)"
        )


@torch.no_grad()
def estimate_sigma(measurement: Measurement) -> NoiseLevel:
    """Return the noise level seen in empty bins, else outside the operator's range; what the measurement states is not used.

    Raises:
        NoiseLevelUnknown: every sample carries scene energy, or what is left over is not noise alone.
    """
    try:
        return from_empty_bins(measurement)
    except NoiseLevelUnknown as no_bins:
        try:
            return from_outside_range(measurement)
        except NoiseLevelUnknown as inside:
            raise NoiseLevelUnknown(
                f"the noise level cannot be told from these samples: {no_bins}; {inside}; state it"
            ) from None


@torch.no_grad()
def from_empty_bins(measurement: Measurement) -> NoiseLevel:
    """Return the noise level from bins along the last axis of the samples that no pixel reaches.

    Raises:
        NoiseLevelUnknown: there are no such bins, too few, or they hold more than noise.
    """
    operator, y = measurement.operator, measurement.y
    if not y.is_complex() or len(operator.range_shape) < 2:
        raise NoiseLevelUnknown("the samples have no axis whose transform could have empty bins")
    full = _full_rows(operator, y.shape[0])
    profiles = _profiles(y)
    # In these many bins one independent power: the variance of their mean is that of N / b values, b = N sum w^4 / (sum w^2)^2.
    bins_each = float(_window(y.shape[-1]).pow(4).mean())
    generator = torch.Generator().manual_seed(SEED)
    like = torch.zeros(PROBES, y.shape[0], *operator.domain_shape, dtype=operator.dtype, device=operator.device)
    reached = _profiles(operator(standard_normal(like, generator))).abs().square().double()
    levels, deviations, counts = [], [], []
    for b in range(y.shape[0]):
        rows = full[b].flatten()
        power = profiles[b].flatten(0, -2)[rows].abs().square().double()
        scene = reached[:, b].flatten(1, -2)[:, rows].mean((0, 1)) if bool(rows.any()) else reached.new_zeros(0)
        empty = scene <= EMPTY_POWER * scene.amax() if scene.numel() else torch.zeros(0, dtype=torch.bool)
        count = float(empty.sum()) * power.shape[0] / bins_each
        deviation = 1 / (2 * math.sqrt(max(count, 1e-12)))
        if deviation > LARGEST_DEVIATION:
            raise NoiseLevelUnknown(
                f"{int(empty.sum())} of {operator.range_shape[-1]} bins along the last axis lie outside the image"
            )
        quiet = power[:, empty]
        # The median of exponentially distributed power is ln 2 of its mean.
        excess = float(quiet.mean() / (quiet.median() / math.log(2)).clamp_min(1e-300))
        if excess > LARGEST_EXCESS:
            raise NoiseLevelUnknown(
                f"the bins outside the image hold more than noise (mean power {excess:.2g} times what their median says)"
            )
        levels.append(quiet.mean().sqrt())
        deviations.append(deviation)
        counts.append(count)
    sigma = torch.stack(levels)
    _refuse_silence(sigma, y)
    return NoiseLevel(sigma, Evidence.EMPTY_BINS, min(counts), max(deviations))


@torch.no_grad()
def from_outside_range(measurement: Measurement) -> NoiseLevel:
    """Return the noise level from the residual of the least-squares image, by its effective degrees of freedom.

    Raises:
        NoiseLevelUnknown: too few degrees of freedom are left, or what is left is not noise alone.
    """
    operator, y = measurement.operator, measurement.y
    marks = operator.support()
    generator = torch.Generator().manual_seed(SEED)
    probes = standard_normal(torch.zeros(PROBES, *y.shape, dtype=y.dtype, device=y.device), generator)
    like = torch.zeros(PROBES, y.shape[0], *operator.domain_shape, dtype=operator.dtype, device=operator.device)
    clean = operator(standard_normal(like, generator))
    together = torch.cat([y[None], probes if marks is None else probes * marks, clean])
    left = _power(together - _explained(operator, together))
    left, leaked = left[: 1 + PROBES], left[1 + PROBES :]
    freedom = left[1:].sum(2).mean(0)
    halves = 1 if y.is_complex() else 2
    deviation = float((halves * (1 + 1 / PROBES) / freedom.clamp_min(1e-12)).sqrt().max()) / 2
    if deviation > LARGEST_DEVIATION:
        raise NoiseLevelUnknown(
            f"of {float(operator.samples()[0]):.0f} samples the image explains all but {float(freedom.min()):.0f}"
        )
    # Random scenes of the samples' energy: of the image itself, H y, the weak modes that leak are gone already.
    share = leaked.sum((0, 2)) / _power(clean).sum((0, 2)).clamp_min(1e-300)
    leak = float((share * _power(y[None])[0].sum(1) / left[0].sum(1).clamp_min(1e-300)).amax())
    if leak > LARGEST_LEAK:
        raise NoiseLevelUnknown(
            f"the noise is too weak: noise-free samples of such a scene would leave {100 * leak:.0f} % of what is left"
        )
    sigma = (left[0].sum(1) / freedom).sqrt()
    # How far the image explains an entry differs: the probes' residuals say what the median would be of white noise.
    typical = torch.stack([_medians(left[:, b]) for b in range(y.shape[0])], 1)
    excess = float((sigma.square() * typical[1:].mean(0) / typical[0].clamp_min(1e-300)).max())
    if excess > LARGEST_EXCESS:
        raise NoiseLevelUnknown(
            f"what no image explains is more than noise (mean power {excess:.2g} times what its median says)"
        )
    _refuse_silence(sigma, y)
    return NoiseLevel(sigma, Evidence.OUTSIDE_RANGE, float(freedom.min()), deviation)


def _explained(operator: LinearOperator, samples: Tensor) -> Tensor:
    """A (A^H A + e)^-1 A^H of samples (K, B, *range_shape)."""
    damping = expand((DAMPING * operator.norm().double().square()).to(samples.real.dtype), 3)
    solution = cg(
        lambda u: operator.normal(u) + damping * u,
        operator.adjoint(samples),
        ndim=3,
        stopping=Stopping(CG_TOLERANCE, CG_ITERATIONS),
    ).solution
    return operator(solution)


def _power(samples: Tensor) -> Tensor:
    """|y|^2 of samples (K, B, ...), (K, B, M), float64."""
    return samples.abs().double().square().flatten(2)


def _medians(power: Tensor) -> Tensor:
    """Medians of the rows of (K, M) over what is not zero, the measured entries, (K,)."""
    return torch.stack([row[row > 0].median() if bool((row > 0).any()) else row.sum() for row in power])


def _refuse_silence(sigma: Tensor, y: Tensor) -> None:
    """Refuse a level that is no more than the rounding of the samples."""
    rms = y.abs().double().square().flatten(1).mean(1).sqrt()
    if bool((sigma <= 4 * torch.finfo(y.real.dtype).eps * rms).any()):
        raise NoiseLevelUnknown("there is nothing but rounding where noise would be seen")


def _full_rows(operator: LinearOperator, batch: int) -> Tensor:
    """Which rows along the last axis are measured in full, boolean (B, *range_shape[:-1])."""
    shape = operator.range_shape
    marks = operator.support()
    if marks is None:
        return torch.ones(batch, *shape[:-1], dtype=torch.bool, device=operator.device)
    return (marks.expand(batch, *shape) != 0).all(-1)


def _profiles(y: Tensor) -> Tensor:
    """Windowed transform along the last axis; white noise keeps its variance in every bin."""
    return torch.fft.fft(y * _window(y.shape[-1]).to(y.device, y.real.dtype), norm="ortho")


def _window(count: int) -> Tensor:
    """Blackman-Harris weights of unit mean square, (N,), float64."""
    from scipy.signal.windows import blackmanharris

    window = torch.from_numpy(blackmanharris(count, sym=False))
    return window / window.square().mean().sqrt()
