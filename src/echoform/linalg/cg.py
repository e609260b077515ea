"""Conjugate gradients for Hermitian positive systems, batched over leading axes.

Every sample of the batch runs its own recurrence: a sample that has converged stops moving while the others go on. Each is solved
for b over a power of two near max |b|, so that systems in any unit stay within the range of their precision.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from echoform.linalg.inner import expand, squared_norm


@dataclass(frozen=True)
class Stopping:
    """When conjugate gradients stop.

    Attributes:
        tolerance: once |r| <= tolerance |b| for every sample; 0 takes all steps without looking, so that the work does not depend
            on the numbers (no wait for a GPU, and a trace holds for all inputs). A sample stops moving, in either case, once |r|
            is within ROUNDING eps of |b|.
        max_iterations: upper bound on the applications of N.
    """

    tolerance: float = 1e-6
    max_iterations: int = 50


USUAL = Stopping()

#: relative residual, in units of the precision, below which r is rounding, and share of the largest p^H N p / |p|^2 so far below
#: which N p is: along what N hardly sees steps would be huge
ROUNDING = 8


@dataclass(frozen=True)
class CGResult:
    """Solution of a conjugate-gradient run.

    ``residuals`` has shape (iterations + 1, *batch) and holds |r_k| / |b| for every step, the start included.
    """

    solution: Tensor
    residuals: Tensor
    iterations: int


def cg(
    normal: Callable[[Tensor], Tensor],
    rhs: Tensor,
    *,
    ndim: int,
    start: Tensor | None = None,
    stopping: Stopping = USUAL,
) -> CGResult:
    """Solve N x = b for a Hermitian positive semi-definite N.

    Args:
        normal: applies N to a tensor shaped like ``rhs``.
        rhs: b, shape (*batch, *sample) with ``ndim`` sample axes.
        ndim: how many trailing axes make one sample.
        start: first iterate, zero when absent.
        stopping: when to stop.

    Returns:
        the iterate, the relative residuals of every step and the number of steps taken.

    Source: Hestenes and Stiefel (1952), J. Res. NBS 49, section 3.
    """
    largest = rhs.detach().abs().flatten(-ndim).amax(-1)
    largest = torch.where(largest > 0, largest, torch.ones_like(largest)).clamp_min(torch.finfo(rhs.dtype).tiny)
    unit = expand(torch.exp2(largest.log2().floor()), ndim)  # nothing is rounded
    rhs = rhs / unit
    start = None if start is None else start / unit
    x = torch.zeros_like(rhs) if start is None else start
    r = rhs if start is None else rhs - normal(start)
    p = r
    rho = squared_norm(r, ndim)
    length, largest = rho, torch.zeros_like(rho)  # |p|^2; of the quotients of Rayleigh
    scale = squared_norm(rhs, ndim)
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    history = [(rho / scale).sqrt()]
    # below the rounding of b the recurrence's r goes on falling, N x - b does not: quotients of such numbers have no gradient
    floor = max(stopping.tolerance, ROUNDING * torch.finfo(rhs.dtype).eps) ** 2
    iterations = 0
    while iterations < stopping.max_iterations:
        active = rho > floor * scale
        if stopping.tolerance > 0 and not bool(active.any()):
            break
        q = normal(p)
        curvature = (p.conj() * q).real.flatten(-ndim).sum(-1)
        quotient = curvature / torch.where(length > 0, length, torch.ones_like(length))
        largest = torch.maximum(largest, quotient)
        usable = active & (quotient > ROUNDING * torch.finfo(rhs.dtype).eps * largest)
        alpha = torch.where(usable, rho / torch.where(usable, curvature, torch.ones_like(curvature)), 0.0)
        x = x + expand(alpha, ndim) * p
        r = r - expand(alpha, ndim) * q
        rho_next = squared_norm(r, ndim)
        beta = torch.where(usable, rho_next / torch.where(usable, rho, torch.ones_like(rho)), 0.0)
        p = r + expand(beta, ndim) * p
        length = rho_next + beta.square() * length
        rho = torch.where(usable, rho_next, rho)
        iterations += 1
        history.append((rho / scale).sqrt())
        if stopping.tolerance > 0 and not bool(usable.any()):
            break
    return CGResult(x * unit, torch.stack(history), iterations)
