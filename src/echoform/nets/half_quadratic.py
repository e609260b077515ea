"""Half-quadratic splitting: data and denoiser in turns, at noise levels that fall from step to step.

    x_k = argmin_u |A u - y|^2 + w_k |u - z_{k-1}|^2,    z_k = D(x_k, s_k),    w_k = lambda s_n^2 / s_k^2

s_k falls evenly in log from the expected error of the image started from to the noise level s_n. One loop serves plug-and-play
(one denoiser, nothing learned) and the unrolled networks (denoisers, s_k and w_k learned).

Source: Zhang et al. (2021), Plug-and-Play Image Restoration with Deep Denoiser Prior, section 4 (DPIR).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from echoform.linalg.cg import Stopping
from echoform.nets.denoiser import Denoiser
from echoform.nets.sensing import Sensing
from echoform.physics.operator import LinearOperator

#: number of steps, and lambda, as published
STEPS = 8
TRADE_OFF = 0.23


def half_quadratic_levels(sigma: Tensor, *, first: Tensor, steps: int = STEPS) -> Tensor:
    """Return s_1 > ... > s_K = s_n per scene, (steps, B); constant where s_n lies above the first level.

    Args:
        sigma: s_n, (B,), positive.
        first: s_1, (B,) or (1,), in the unit of the image: how wrong the image started from is. DPIR, made for deblurring
            photographs, has 49 / 255 of the full range; where much is missing the start is wrong by more.
        steps: K, two at least.

    Raises:
        ValueError: fewer than two steps.
    """
    if steps < 2:
        raise ValueError(f"half-quadratic splitting needs steps >= 2, got {steps}")
    share = torch.linspace(0, 1, steps, dtype=sigma.dtype, device=sigma.device)[:, None]
    return torch.exp((1 - share) * torch.log(torch.maximum(sigma, first)) + share * torch.log(sigma))


def half_quadratic_weights(sigma: Tensor, levels: Tensor, *, trade_off: float = TRADE_OFF) -> Tensor:
    """Return w_k, (steps, B), for s_n (B,) and s_k (steps, B)."""
    return trade_off * (sigma / levels).square()


#: of a data step that has no closed form
DATA_STEP = Stopping(tolerance=1e-4, max_iterations=30)


def half_quadratic_splitting(
    operator: LinearOperator,
    backprojection: Tensor,
    start: Tensor,
    denoisers: Sequence[Denoiser],
    *,
    levels: Tensor,
    weights: Tensor,
    stopping: Stopping = DATA_STEP,
) -> Tensor:
    """Return z_K, (B, C, H, W).

    Args:
        operator: A.
        backprojection: A^H y, (B, C, H, W).
        start: z_0, (B, C, H, W).
        denoisers: D of each step, as many as levels.
        levels: s_k, (steps, B).
        weights: w_k, (steps, B).
        stopping: of conjugate gradients where the data step has no closed form.
    """
    z = start
    for denoiser, level, weight in zip(denoisers, levels, weights, strict=True):
        with torch.autocast(z.device.type, enabled=False):  # physics keeps its precision
            x = operator.prox_from_backprojection(backprojection, z, weight, stopping)
        z = denoiser(x, level)
    return z


def denoised_in_turns(
    sensing: Sensing, start: Tensor, denoiser: Denoiser, *, first: Tensor, steps: int, trade_off: float
) -> Tensor:
    """Return z_K, (B, C, H, W), by one denoiser at levels that fall from ``first`` to s_n.

    Args:
        sensing: the normalised problem.
        start: z_0, (B, C, H, W), in its units.
        denoiser: D(x, s).
        first: s_1, (B,), how wrong z_0 is.
        steps: K, two at least.
        trade_off: lambda.

    Raises:
        ValueError: fewer than two steps.
    """
    levels = half_quadratic_levels(sensing.sigma, first=first, steps=steps)
    return half_quadratic_splitting(
        sensing.operator,
        sensing.backprojection,
        start,
        [denoiser] * steps,
        levels=levels,
        weights=half_quadratic_weights(sensing.sigma, levels, trade_off=trade_off),
    )
