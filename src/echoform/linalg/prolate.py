"""Interpolation of band-limited functions on an interval, at the fewest nodes: prolate spheroidal wave functions.

psi_0, psi_1, ... are the eigenfunctions of

    ((1 - t^2) psi')' + (chi - c^2 t^2) psi = 0    on [-1, 1],

found as Legendre series. Functions of bandwidth c, that is sums of exp(i w t) with |w| <= c, are interpolated at the k zeros
of psi_k by combinations of psi_0 ... psi_(k-1). The error falls beyond all powers once k exceeds 2 c / pi.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.polynomial import legendre

#: frequencies across half the band on which an error is looked for; eight times as many points across the interval
_CHECKS = 13
#: steps to a zero from a start within a thousandth of the distance between two
_NEWTON_STEPS = 3


def _series(c: float, count: int) -> np.ndarray:
    """Return Legendre coefficients of psi_0 ... psi_(count-1), (terms, count), from the even and odd tridiagonal problems."""
    terms = count + int(2 * c) + 40
    k = np.arange(terms, dtype=float)
    middle = k * (k + 1) + c * c * (2 * k * (k + 1) - 1) / ((2 * k + 3) * (2 * k - 1))
    beside = c * c * (k + 2) * (k + 1) / ((2 * k + 3) * np.sqrt((2 * k + 1) * (2 * k + 5)))
    matrix = np.diag(middle) + np.diag(beside[:-2], 2) + np.diag(beside[:-2], -2)
    found = np.zeros((terms, count))
    for parity in (0, 1):
        wanted = len(range(parity, count, 2))
        vectors = np.linalg.eigh(matrix[parity::2, parity::2])[1][:, :wanted]
        found[parity::2, parity::2] = vectors
    return found * np.sqrt(k + 0.5)[:, None]


def _zeros(coefficients: np.ndarray, count: int) -> np.ndarray:
    """Return the ``count`` zeros in (-1, 1) of a Legendre series: sign changes on a fine grid, then Newton's method."""
    grid = -np.cos(np.linspace(0, np.pi, 20 * count + 3))[1:-1]
    values = legendre.legval(grid, coefficients)
    at = np.flatnonzero(np.signbit(values[1:]) != np.signbit(values[:-1]))
    share = values[at] / (values[at] - values[at + 1])
    nodes, slope = grid[at] + share * (grid[at + 1] - grid[at]), legendre.legder(coefficients)
    for _ in range(_NEWTON_STEPS):
        nodes = nodes - legendre.legval(nodes, coefficients) / legendre.legval(nodes, slope)
    return nodes


@dataclass(frozen=True)
class BandInterpolation:
    """Interpolation of functions of bandwidth c on [-1, 1].

    Attributes:
        nodes: t, shape (k,), ascending in (-1, 1).
        series: Legendre coefficients of psi_0 ... psi_(k-1), (terms, k).
    """

    nodes: np.ndarray
    series: np.ndarray

    def weights(self, points: np.ndarray) -> np.ndarray:
        """Return W, (M, k), with f(points) ~ W f(nodes)."""
        terms = self.series.shape[0] - 1
        at_nodes = legendre.legvander(self.nodes, terms) @ self.series
        at_points = legendre.legvander(points, terms) @ self.series
        return np.linalg.solve(at_nodes.T, at_points.T).T

    def error(self, c: float) -> float:
        """Return the largest error over exp(i w t), |w| <= c, |t| <= 1."""
        points, band = np.linspace(-1, 1, 8 * _CHECKS), np.linspace(0, c, _CHECKS)
        wave = np.exp(1j * np.outer(points, band))
        return float(np.abs(wave - self.weights(points) @ np.exp(1j * np.outer(self.nodes, band))).max())


@lru_cache(maxsize=256)
def band_interpolation(c: float, accuracy: float) -> BandInterpolation:
    """Return the interpolation with the fewest nodes whose largest error is at most ``accuracy``.

    Args:
        c: bandwidth, at least 0: half the band times half the interval, radians.
        accuracy: largest error relative to the amplitude, at least 1e-12.

    Source: Xiao, Rokhlin and Yarvin (2001), Inverse Problems 17, sections 2.4 and 5.
    """
    count = max(1, int(2 * c / np.pi))
    while True:
        series = _series(c, count + 1)
        found = BandInterpolation(_zeros(series[:, count], count), series[:, :count])
        if found.error(c) <= accuracy:
            return found
        count += 1
