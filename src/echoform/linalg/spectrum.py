"""The spectrum of a positive operator: its largest eigenvalue and its density, from products alone.

The density of the eigenvalues of N = A^H A is summarised by a few nodes and weights so that

    tr f(N) / n  ~  sum_k w_k f(l_k),

which gives the mean posterior variance, the Frobenius norm and the effective degrees of freedom at no further product.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from echoform.linalg.inner import expand, real_inner, squared_norm

#: steps before the first look at whether the largest eigenvalue has settled, and between looks
FIRST_CHECK, CHECK_EVERY = 12, 2


@dataclass(frozen=True)
class SpectralDensity:
    """Quadrature of the eigenvalues: ``nodes`` and ``weights`` of shape (batch, K), weights summing to one."""

    nodes: Tensor
    weights: Tensor

    def mean(self, function: Callable[[Tensor], Tensor]) -> Tensor:
        """Return tr f(N) / n per sample, shape (batch,); ``function`` acts elementwise on the nodes (batch, K)."""
        return (self.weights * function(self.nodes)).sum(-1)

    def to(self, device: torch.device) -> SpectralDensity:
        """Return the density on ``device``."""
        return SpectralDensity(self.nodes.to(device), self.weights.to(device))

    def with_mean(self, mean: Tensor) -> SpectralDensity:
        """Return the density with its nodes scaled so that tr(N) / n is ``mean`` (batch,), where it is known exactly."""
        estimate = self.mean(lambda node: node)
        exact = mean.to(estimate.dtype)
        return self.scaled(torch.where(estimate > 0, exact / estimate, torch.ones_like(estimate)))

    def scaled(self, factor: Tensor) -> SpectralDensity:
        """Return the density of ``factor * N`` for a per-sample factor of shape (batch,) or (1,)."""
        nodes = self.nodes * factor[:, None]
        return SpectralDensity(nodes, self.weights.expand_as(nodes))

    def padded(self, share: float) -> SpectralDensity:
        """Return the density of diag(N, 0) where N has ``share`` of the rows, between 0 and 1."""
        zero = torch.zeros_like(self.nodes[:, :1])
        return mixture([(self, share), (SpectralDensity(zero, torch.ones_like(zero)), 1 - share)])


def mixture(parts: Sequence[tuple[SpectralDensity, float]]) -> SpectralDensity:
    """Return the sum of densities times shares that sum to one: of diag(N_1, N_2, ...), or an average over probes."""
    batch = max(density.nodes.shape[0] for density, _ in parts)
    nodes = torch.cat([density.nodes.expand(batch, -1) for density, _ in parts], 1)
    return SpectralDensity(nodes, torch.cat([share * density.weights.expand(batch, -1) for density, share in parts], 1))


class LargestEigenvalue(NamedTuple):
    """Where Lanczos' recurrence has the largest eigenvalue: no less than ``below``, (batch,), and hardly above ``above``.

    The vector that belongs to ``below`` = t_1 leaves a residual of length r, so an eigenvalue lies within r of it, and within
    r^2 / g where no other lies within g, taken to be t_1 - t_2 - r_2 from the second value of the recurrence and its residual.
    ``above`` adds the lesser of the two.
    """

    below: Tensor
    above: Tensor


def largest_eigenvalue(
    normal: Callable[[Tensor], Tensor],
    start: Tensor,
    *,
    ndim: int,
    tolerance: float = 1e-4,
    max_iterations: int = 200,
    bound: Tensor | None = None,
    among: Callable[[Tensor], Callable[[Tensor], Tensor]] | None = None,
) -> LargestEigenvalue:
    """Return the largest eigenvalue of a positive operator, one per sample, by Lanczos' recurrence.

    The largest eigenvalue of the tridiagonal T converges with the square root of the spectrum's gap, where power iteration does
    with the gap. Vectors are not kept: lost orthogonality repeats eigenvalues, it adds none.

    Args:
        normal: applies N, which may be linear over the reals alone and symmetric in the real part of the inner product.
        start: first vector, shape (*batch, *sample); any vector with a part along the leading eigenvector.
        ndim: how many trailing axes make one sample.
        tolerance: stop when ``above`` exceeds ``below`` by no more than this fraction of it, in all samples.
        max_iterations: upper bound on the products.
        bound: what no eigenvalue exceeds, (batch,), where something is known: ``above`` is no more, and a start close to the
            leading eigenvector is enough by itself.
        among: gives N of some samples, by their index along the first axis: those that have settled then cost no further product.

    Source: Golub and Van Loan, Matrix Computations, sections 8.1.3 and 10.1.2 to 10.1.4; Parlett, The Symmetric Eigenvalue
    Problem (1998), theorem 11.7.1 (the bound by the gap).
    """
    run = _Recurrence(_unit(start, squared_norm(start, ndim).sqrt(), ndim), torch.zeros_like(start), [], [])
    nothing = torch.zeros_like(squared_norm(start, ndim))
    most = torch.full_like(nothing, torch.inf) if bound is None else bound.to(nothing.dtype).expand_as(nothing)
    found, rows = LargestEigenvalue(nothing, nothing), torch.arange(len(start), device=start.device)
    for k in range(1, max_iterations + 1):
        run.multiply(normal, ndim)
        if (k % CHECK_EVERY == 0 and (k >= FIRST_CHECK or bound is not None)) or k == max_iterations:
            now = _bracket(run.diagonal, run.off)
            trusted = now.above if k >= FIRST_CHECK else most[rows]
            now = LargestEigenvalue(now.below, torch.minimum(trusted, most[rows]))
            found = LargestEigenvalue(*(a.index_copy(0, rows, b) for a, b in zip(found, now, strict=True)))
            unsettled = torch.nonzero(now.above - now.below > tolerance * now.below).flatten()
            if not len(unsettled):
                break
            if among is not None and len(unsettled) < len(rows):
                rows, run = rows[unsettled], run.narrowed(unsettled)
                normal = among(rows)
        run.turn(ndim)
    return found


@dataclass
class _Recurrence:
    """Lanczos' recurrence so far: vectors (R, *sample), and diagonals of R tridiagonal matrices, (R,) each.

    After :meth:`multiply` v is the next vector, not yet of unit length, and ``off`` as long as ``diagonal``.
    """

    v: Tensor
    before: Tensor
    diagonal: list[Tensor]
    off: list[Tensor]

    def multiply(self, normal: Callable[[Tensor], Tensor], ndim: int) -> None:
        """Take another product."""
        w = normal(self.v)
        if self.off:
            w = _less(w, self.off[-1], self.before, ndim)
        self.diagonal.append(real_inner(self.v, w, ndim))
        w = _less(w, self.diagonal[-1], self.v, ndim)
        self.off.append(squared_norm(w, ndim).sqrt())
        self.before, self.v = self.v, w

    def turn(self, ndim: int) -> None:
        """Bring the next vector to unit length."""
        self.v = _unit(self.v, self.off[-1], ndim)

    def narrowed(self, rows: Tensor) -> _Recurrence:
        """Return the recurrence of some samples."""
        diagonals = (list(torch.stack(values)[:, rows]) for values in (self.diagonal, self.off))
        return _Recurrence(self.v[rows], self.before[rows], *diagonals)


def _less(w: Tensor, factor: Tensor, v: Tensor, ndim: int) -> Tensor:
    """Return w - f v with a real factor for each sample, in one pass."""
    if not w.is_complex():
        return torch.addcmul(w, expand(factor, ndim), v, value=-1)
    parts = (torch.view_as_real(part.resolve_conj()) for part in (w, v))
    return torch.view_as_complex(torch.addcmul(next(parts), expand(factor, ndim + 1), next(parts), value=-1))


def _unit(vector: Tensor, length: Tensor, ndim: int) -> Tensor:
    """Return vectors over their lengths, zero where that is zero."""
    factor = torch.where(length > 0, 1 / length, torch.zeros_like(length))
    if not vector.is_complex():
        return vector * expand(factor, ndim)
    return torch.view_as_complex(torch.view_as_real(vector.resolve_conj()) * expand(factor, ndim + 1))


def _bracket(diagonal: Sequence[Tensor], off: Sequence[Tensor]) -> LargestEigenvalue:
    """Return the bounds from the diagonals and the lengths of all vectors that followed, the last one's residual included."""
    length = off[-1]
    values, vectors = torch.linalg.eigh(_tridiagonal(diagonal, off[:-1]))
    residual = length.double()[..., None] * vectors[..., -1, :].abs()
    below, above = values[..., -1].clamp_min(0), values[..., -1] + residual[..., -1]
    if values.shape[-1] > 1:
        gap = values[..., -1] - values[..., -2] - residual[..., -2]
        apart = gap > residual[..., -1]
        above = torch.where(apart, below + residual[..., -1].square() / gap, above)
    return LargestEigenvalue(below.to(length.dtype), above.clamp_min(0).to(length.dtype))


def _tridiagonal(diagonal: Sequence[Tensor], off: Sequence[Tensor]) -> Tensor:
    """Return the symmetric matrices with these diagonals, (*batch, K, K), float64; ``off`` has one entry less."""
    matrix = torch.diag_embed(torch.stack(list(diagonal), -1).double())
    if not off:
        return matrix
    bands = torch.stack(list(off), -1).double()
    return matrix + torch.diag_embed(bands, 1) + torch.diag_embed(bands, -1)


def lanczos_density(normal: Callable[[Tensor], Tensor], start: Tensor, *, ndim: int, steps: int) -> SpectralDensity:
    """Return the Gauss quadrature of the spectral density seen from a random ``start`` vector.

    The recurrence N v_k = b_{k-1} v_{k-1} + a_k v_k + b_k v_{k+1} gives a tridiagonal T; its eigenvalues are the nodes and
    the squared first components of its eigenvectors the weights. Re-orthogonalised, since the nodes must not repeat.

    Args:
        normal: applies N.
        start: random vector of shape (batch, *sample) with independent entries of unit variance.
        ndim: how many trailing axes make one sample.
        steps: number of nodes.

    Source: Ubaru, Chen and Saad (2017), SIAM J. Matrix Anal. Appl. 38(4), algorithm 1.
    """
    v = start / expand(squared_norm(start, ndim).sqrt(), ndim)
    basis = [v]
    diagonal: list[Tensor] = []
    off: list[Tensor] = []
    for k in range(steps):
        w = normal(basis[k])
        diagonal.append((basis[k].conj() * w).real.flatten(-ndim).sum(-1))
        for u in basis:
            w = w - expand((u.conj() * w).flatten(-ndim).sum(-1), ndim) * u
        length = squared_norm(w, ndim).sqrt()
        small = length <= 1e-6 * diagonal[0].abs().clamp_min(torch.finfo(length.dtype).tiny)
        off.append(torch.where(small, torch.zeros_like(length), length))
        basis.append(w / expand(torch.where(small, torch.full_like(length, torch.inf), length), ndim))
    nodes, vectors = torch.linalg.eigh(_tridiagonal(diagonal, off[:-1]))
    weights = vectors[..., 0, :].square()
    real = squared_norm(start, ndim).dtype
    return SpectralDensity(nodes.clamp_min(0).to(real), weights.to(real))
