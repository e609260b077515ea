"""The spectrum of a positive operator: its largest eigenvalue and its density, from products alone.

The density of the eigenvalues of N = A^H A is summarised by a few nodes and weights so that

    tr f(N) / n  ~  sum_k w_k f(l_k),

which gives the mean posterior variance, the Frobenius norm and the effective degrees of freedom at no further product.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from echoform.linalg.inner import expand, inner, squared_norm

#: steps between looks at whether the largest eigenvalue has settled
CHECK_EVERY = 4


@dataclass(frozen=True)
class SpectralDensity:
    """Quadrature of the eigenvalues: ``nodes`` and ``weights`` of shape (batch, K), weights summing to one."""

    nodes: Tensor
    weights: Tensor

    def mean(self, function: Callable[[Tensor], Tensor]) -> Tensor:
        """Return tr f(N) / n per sample, shape (batch,); ``function`` acts elementwise on the nodes (batch, K)."""
        return (self.weights * function(self.nodes)).sum(-1)

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


def largest_eigenvalue(
    normal: Callable[[Tensor], Tensor], start: Tensor, *, ndim: int, tolerance: float = 1e-4, max_iterations: int = 200
) -> Tensor:
    """Return the largest eigenvalue of a positive operator from below, one per sample, by Lanczos' recurrence.

    The largest eigenvalue of the tridiagonal T converges with the square root of the spectrum's gap, where power iteration does
    with the gap. Vectors are not kept: lost orthogonality repeats eigenvalues, it adds none.

    Args:
        normal: applies N.
        start: first vector, shape (*batch, *sample); any vector with a part along the leading eigenvector.
        ndim: how many trailing axes make one sample.
        tolerance: stop when no sample's estimate grows by more than this fraction in ``CHECK_EVERY`` steps.
        max_iterations: upper bound on the products.

    Source: Golub and Van Loan, Matrix Computations, sections 10.1.2 to 10.1.4.
    """
    v, before = start / expand(squared_norm(start, ndim).sqrt(), ndim), torch.zeros_like(start)
    diagonal: list[Tensor] = []
    off: list[Tensor] = []
    length = value = torch.zeros_like(squared_norm(v, ndim))
    for k in range(max_iterations):
        w = normal(v) - expand(length, ndim) * before
        diagonal.append(inner(v, w, ndim).real)
        w = w - expand(diagonal[-1], ndim) * v
        length = squared_norm(w, ndim).sqrt()
        if (k + 1) % CHECK_EVERY == 0 or k + 1 == max_iterations:
            grown = _tridiagonal(diagonal, off)
            found = torch.linalg.eigvalsh(grown)[..., -1].clamp_min(0).to(length.dtype)
            converged = bool((found - value <= tolerance * found).all())
            value = found
            if converged:
                break
        off.append(length)
        before, v = v, w / expand(torch.where(length > 0, length, torch.full_like(length, torch.inf)), ndim)
    return value


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
