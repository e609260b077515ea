"""Samplers: short functions that turn a denoiser D(x, s) and a schedule into a sample.

In the data-prediction form the probability-flow ODE is dx / d log s = x - D(x, s).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from echoform.physics.noise import standard_normal

#: D(x, s): x is (B, C, H, W), s a tensor of shape (1,)
Denoiser = Callable[[Tensor, Tensor], Tensor]


def dpm_2m(denoiser: Denoiser, start: Tensor, schedule: Tensor) -> Tensor:
    """Return the end of the deterministic second-order multistep trajectory; one evaluation per level.

        x' = (s'/s) x + (1 - s'/s) [(1 + 1/(2r)) D_i - D_{i-1} / (2r)],    r = h_{i-1} / h_i,  h = log-noise step

    The first and the last step are first order.

    Args:
        denoiser: D.
        start: x at the first level, CN(0, s_0^2) about anything small against s_0.
        schedule: levels, decreasing; after the last the image is D itself.

    Source: Lu et al. (2022), DPM-Solver++, algorithm 2.
    """
    return _multistep(denoiser, start, schedule, None, leaning=True)


def sde_2m(denoiser: Denoiser, start: Tensor, schedule: Tensor, generator: torch.Generator) -> Tensor:
    """Return the end of the stochastic second-order multistep trajectory; one evaluation per level.

        x' = (s'/s)^2 x + (1 - (s'/s)^2) [(1 + 1/(2r)) D_i - D_{i-1} / (2r)] + s' sqrt(1 - (s'/s)^2) e

    with r of :func:`dpm_2m`. The noise drawn anew at every level takes the place of what the denoiser got wrong before, which a
    deterministic trajectory carries to its end; the first order of it is :func:`ancestral`.

    Args:
        denoiser: D.
        start: x at the first level, CN(0, s_0^2) about anything small against s_0.
        schedule: levels, decreasing; after the last the image is D itself.
        generator: source of e.

    Source: Lu et al. (2022), DPM-Solver++, equation for SDE-DPM-Solver++(2M), section 5, in the variance-exploding form.
    """
    return _multistep(denoiser, start, schedule, generator, leaning=True)


def ddim(denoiser: Denoiser, start: Tensor, schedule: Tensor) -> Tensor:
    """Return the end of the deterministic first-order trajectory; one evaluation per level.

        x' = D + (s'/s) (x - D)

    Args:
        denoiser: D.
        start: x at the first level.
        schedule: levels, decreasing; after the last the image is D itself.

    Source: Song, Meng and Ermon (2021), equation 12 with eta = 0, in the variance-exploding form.
    """
    return _multistep(denoiser, start, schedule, None, leaning=False)


def heun(denoiser: Denoiser, start: Tensor, schedule: Tensor) -> Tensor:
    """Return the end of the deterministic trajectory of Heun's rule; two evaluations per step and one at the last level.

        d = (x - D(x, s)) / s,    e = x + (s' - s) d,    x' = x + (s' - s) (d + (e - D(e, s')) / s') / 2

    Args:
        denoiser: D.
        start: x at the first level.
        schedule: levels, decreasing; after the last the image is D itself.

    Source: Karras et al. (2022), algorithm 1.
    """
    x = start
    for sigma, following in zip(schedule[:-1].tolist(), schedule[1:].tolist(), strict=True):
        slope = (x - denoiser(x, _level(sigma, start))) / sigma
        euler = x + (following - sigma) * slope
        corrected = (euler - denoiser(euler, _level(following, start))) / following
        x = x + (following - sigma) * (slope + corrected) / 2
    return denoiser(x, _level(float(schedule[-1]), start))


def ancestral(denoiser: Denoiser, start: Tensor, schedule: Tensor, generator: torch.Generator) -> Tensor:
    """Return the end of the stochastic trajectory that draws x_{s'} from its exact Gaussian bridge between x_s and D.

        x' = D + (s'/s)^2 (x - D) + s' sqrt(1 - (s'/s)^2) e

    Args:
        denoiser: D.
        start: x at the first level.
        schedule: levels, decreasing.
        generator: source of e.

    Source: Ho et al. (2020), equation 7, in the variance-exploding form.
    """
    return _multistep(denoiser, start, schedule, generator, leaning=False)


def _multistep(
    denoiser: Denoiser, start: Tensor, schedule: Tensor, generator: torch.Generator | None, *, leaning: bool
) -> Tensor:
    """Return the end of x' = a x + (1 - a) d + s' sqrt(1 - a) e with a = (s'/s)^2, or a = s'/s and no e without a generator.

    d is D_i, or, ``leaning``, the value in the middle of the step on the line through the last two D.
    """
    x, estimate = start, start
    past: tuple[Tensor, float] | None = None  # the last estimate and step
    for i, sigma in enumerate(schedule.tolist()):
        estimate = denoiser(x, _level(sigma, start))
        if i == len(schedule) - 1:
            break
        following = float(schedule[i + 1])
        step = float(torch.log(schedule[i] / schedule[i + 1]))
        direction = _leaning(estimate, past, step) if leaning else estimate
        kept = (following / sigma) ** (1 if generator is None else 2)
        x = kept * x + (1 - kept) * direction
        if generator is not None:
            x = x + following * (1 - kept) ** 0.5 * standard_normal(x, generator)
        past = estimate, step
    return estimate


def _leaning(estimate: Tensor, past: tuple[Tensor, float] | None, step: float) -> Tensor:
    """The denoiser's value in the middle of a step, from the line through the last two; its own at the first step."""
    if past is None:
        return estimate
    previous, previous_step = past
    lean = step / (2 * previous_step)
    return (1 + lean) * estimate - lean * previous


def _level(sigma: float, like: Tensor) -> Tensor:
    return torch.tensor([sigma], dtype=like.real.dtype, device=like.device)
