"""Conjugate orthogonal conjugate residuals for complex symmetric systems, A^T = A (not Hermitian), batched over leading axes.

Like conjugate gradients it takes one product a step and keeps a few vectors; its products x^T y are not conjugated, so its
residuals may rise before they fall. Every sample of the batch runs its own recurrence, as in :mod:`echoform.linalg.cg`.

Source: Sogabe and Zhang (2007), J. Comput. Appl. Math. 199(2).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from echoform.linalg.cg import USUAL, CGResult, Stopping
from echoform.linalg.inner import expand, squared_norm


def cocr(symmetric: Callable[[Tensor], Tensor], rhs: Tensor, *, ndim: int, stopping: Stopping = USUAL) -> CGResult:
    """Solve A x = b for a complex symmetric A, from zero.

    Args:
        symmetric: applies A to a tensor shaped like ``rhs``.
        rhs: b, complex, shape (*batch, *sample) with ``ndim`` sample axes.
        ndim: how many trailing axes make one sample.
        stopping: when to stop; a tolerance below rounding counts as rounding.

    Returns:
        the iterate, the relative residuals of every step and the number of steps taken, one product each and one more. The last
        residuals tell whether the tolerance was met: it is not where the steps do not suffice or q^T q = 0 for a q that is not.
    """
    x, r = torch.zeros_like(rhs), rhs
    scale = squared_norm(rhs, ndim)
    scale = torch.where(scale > 0, scale, 1.0)
    size = squared_norm(r, ndim)
    history = [(size / scale).sqrt()]
    floor = max(stopping.tolerance, torch.finfo(rhs.dtype).eps) ** 2
    image = symmetric(r)
    p, q, rho = r, image, _product(r, image, ndim)
    iterations = 0
    while iterations < stopping.max_iterations and bool((size > floor * scale).any()):
        below = _product(q, q, ndim)
        active = (size > floor * scale) & (below != 0)
        if not bool(active.any()):
            break
        alpha = torch.where(active, rho / torch.where(active, below, 1.0), 0.0)
        x, r = x + expand(alpha, ndim) * p, r - expand(alpha, ndim) * q
        image, before = symmetric(r), rho
        rho = _product(r, image, ndim)
        beta = expand(torch.where(before != 0, rho / torch.where(before != 0, before, 1.0), 0.0), ndim)
        p, q = r + beta * p, image + beta * q
        size = squared_norm(r, ndim)
        history.append((size / scale).sqrt())
        iterations += 1
    return CGResult(x, torch.stack(history), iterations)


def _product(a: Tensor, b: Tensor, ndim: int) -> Tensor:
    """Return x^T y of each sample."""
    return (a.flatten(-ndim) * b.flatten(-ndim)).sum(-1)
