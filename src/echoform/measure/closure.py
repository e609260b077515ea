"""Closure quantities: what visibilities say whatever the stations' phases and gains.

    closure phase          psi_abc  = arg V_ab + arg V_bc - arg V_ac                        (modulo 2 pi)
    log closure amplitude  c_abcd   = log |V_ab| + log |V_cd| - log |V_ac| - log |V_bd|

are unchanged by V_ab -> g_a conj(g_b) V_ab. Both are linear in phases or log amplitudes, q = C theta, so their covariance is
C diag(1 / snr^2) C^T to first order (snr per real component). Sets are minimal: rows of C are independent, the ones with
the smallest error first; chi-squares use the full covariance and depend only on the span of C. No bias is removed from log
amplitudes: E log |V + n| = log |V| + E_1(snr^2 / 2) / 2, as log |.| is harmonic, which is below 0.001 for snr over 3.

``log_amplitudes`` gives all log amplitudes with the stations' gains integrated out: log |g| ~ N(0, gain_sd^2) per station and
time adds G diag(gain_sd^2) G^T to their covariance. Gains known exactly give amplitudes, unknown ones closure amplitudes.

Source: Blackburn et al. (2020), Closure statistics in interferometric data, ApJ 894, 31, sections 2 and 3.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from echoform.measure.visibilities import Visibilities

#: combinations are formed with dense matrices over all rows: average first where there are more
MAX_ROWS = 4000
#: a combination counts as new when this much of it lies outside the span of those chosen before
INDEPENDENT = 1e-6


@dataclass(frozen=True)
class Combinations(ABC):
    """K linear combinations of the phases or log amplitudes of M visibilities.

    Attributes:
        matrix: C, shape (K, M), float64.
        values: measured, shape (K,), float64.
        whitener: W with W cov W^T = 1, shape (K, K), float64.
    """

    matrix: Tensor
    values: Tensor
    whitener: Tensor

    def __len__(self) -> int:
        return self.values.shape[0]

    @abstractmethod
    def of(self, visibilities: Tensor) -> Tensor:
        """Return the combinations of other visibilities of the same rows, (M,) complex to (K,) real, differentiable."""

    @abstractmethod
    def difference(self, visibilities: Tensor) -> Tensor:
        """Return measured minus model, shape (K,)."""

    def chi_square(self, visibilities: Tensor) -> Tensor:
        """Return r^T cov^-1 r of a model's visibilities (M,), differentiable; K in the mean for the true sky."""
        return (self.whitener @ self.difference(visibilities)).square().sum()

    def sigma(self) -> Tensor:
        """Return the standard deviation of each combination, shape (K,)."""
        inverse = torch.linalg.solve_triangular(self.whitener, torch.eye(len(self), dtype=torch.float64), upper=False)
        return inverse.square().sum(1).sqrt()


@dataclass(frozen=True)
class PhaseCombinations(Combinations):
    """Combinations of phases, radians, compared modulo 2 pi."""

    def of(self, visibilities: Tensor) -> Tensor:
        """Return C arg V."""
        return self.matrix @ visibilities.angle()

    def difference(self, visibilities: Tensor) -> Tensor:
        """Return measured minus model in [-pi, pi]."""
        turn = 2 * torch.pi
        raw = self.values - self.of(visibilities)
        return raw - turn * torch.round(raw.detach() / turn)


@dataclass(frozen=True)
class LogAmplitudeCombinations(Combinations):
    """Combinations of natural logarithms of amplitudes."""

    def of(self, visibilities: Tensor) -> Tensor:
        """Return C log |V|."""
        return self.matrix @ visibilities.abs().log()

    def difference(self, visibilities: Tensor) -> Tensor:
        """Return measured minus model."""
        return self.values - self.of(visibilities)


def closure_phases(visibilities: Visibilities) -> PhaseCombinations:
    """Return a minimal set of closure phases over the triangles of each time; raises ValueError when there is none."""
    matrix = _chosen(visibilities, _triangles, "three stations")
    closure = matrix @ visibilities.values.angle()
    whitener = _whitener((matrix * visibilities.snr() ** -2) @ matrix.mT)
    return PhaseCombinations(matrix, closure - 2 * torch.pi * torch.round(closure / (2 * torch.pi)), whitener)


def log_closure_amplitudes(visibilities: Visibilities) -> LogAmplitudeCombinations:
    """Return a minimal set of log closure amplitudes over the quadrangles of each time; raises ValueError without any."""
    matrix = _chosen(visibilities, _quadrangles, "four stations")
    whitener = _whitener((matrix * visibilities.snr() ** -2) @ matrix.mT)
    return LogAmplitudeCombinations(matrix, matrix @ visibilities.values.abs().log(), whitener)


def log_amplitudes(visibilities: Visibilities, gain_sd: Tensor) -> LogAmplitudeCombinations:
    """Return all log amplitudes with station gains integrated out.

    Args:
        visibilities: M rows.
        gain_sd: standard deviation of log |g| of each station, shape (N,), independent from time to time.
    """
    _check_size(visibilities)
    rows = len(visibilities)
    _, at = visibilities.time_s.unique(return_inverse=True)
    covariance = torch.diag(visibilities.snr() ** -2)
    together = at[:, None] == at
    for column in range(2):
        station = visibilities.pairs[:, column]
        for other in range(2):
            shared = together & (station[:, None] == visibilities.pairs[:, other])
            covariance = covariance + shared * gain_sd.double()[station][:, None].square()
    identity = torch.eye(rows, dtype=torch.float64)
    return LogAmplitudeCombinations(identity, visibilities.values.abs().log(), _whitener(covariance))


Rows = dict[tuple[int, int], int]
Combination = list[tuple[int, float]]


def _triangles(row: Rows, stations: list[int]) -> Iterator[Combination]:
    """Yield (row, sign) of each triangle whose three baselines were measured."""
    for a, b, c in combinations(stations, 3):
        if {(a, b), (b, c), (a, c)} <= row.keys():
            yield [(row[a, b], 1.0), (row[b, c], 1.0), (row[a, c], -1.0)]


def _quadrangles(row: Rows, stations: list[int]) -> Iterator[Combination]:
    """Yield (row, sign) of each ratio of two pairs of opposite sides of four stations, of the three that there are."""
    for a, b, c, d in combinations(stations, 4):
        opposite = (((a, b), (c, d)), ((a, c), (b, d)), ((a, d), (b, c)))
        for over, under in combinations(opposite, 2):
            if {*over, *under} <= row.keys():
                yield [(row[side], 1.0) for side in over] + [(row[side], -1.0) for side in under]


def _chosen(
    visibilities: Visibilities, form: Callable[[Rows, list[int]], Iterator[Combination]], needed: str
) -> Tensor:
    """Return C, (K, M): at each time the independent combinations of smallest error, as many as there are."""
    _check_size(visibilities)
    variance = (visibilities.snr() ** -2).tolist()
    found: list[Combination] = []
    for time_s in visibilities.time_s.unique():
        rows = torch.nonzero(visibilities.time_s == time_s).squeeze(-1).tolist()
        named: Rows = {}
        for r in rows:
            a, b = visibilities.pairs[r].tolist()
            named[a, b] = r
        if len(named) < len(rows):
            raise ValueError(f"a baseline stands twice at time {float(time_s):.3f} s")
        stations = sorted({s for pair in named for s in pair})
        candidates = sorted(form(named, stations), key=lambda c: sum(variance[r] for r, _ in c))
        found += _independent(candidates, rows)
    if not found:
        raise ValueError(f"no closure quantity: no time has {needed} with all baselines that it takes")
    matrix = torch.zeros(len(found), len(visibilities), dtype=torch.float64)
    for k, combination in enumerate(found):
        for r, sign in combination:
            matrix[k, r] = sign
    return matrix


def _independent(candidates: list[Combination], rows: list[int]) -> list[Combination]:
    """Return the candidates, in their order, that are no combination of those before (Gram-Schmidt)."""
    place = {r: i for i, r in enumerate(rows)}
    basis = torch.zeros(0, len(rows), dtype=torch.float64)
    chosen = []
    for combination in candidates:
        vector = torch.zeros(len(rows), dtype=torch.float64)
        for r, sign in combination:
            vector[place[r]] = sign
        rest = vector - basis.mT @ (basis @ vector)
        if float(rest.square().sum()) > INDEPENDENT:
            basis = torch.cat([basis, (rest / rest.norm())[None]])
            chosen.append(combination)
    return chosen


def _whitener(covariance: Tensor) -> Tensor:
    """Return the inverse of the Cholesky factor."""
    identity = torch.eye(len(covariance), dtype=torch.float64)
    return torch.linalg.solve_triangular(torch.linalg.cholesky(covariance), identity, upper=False)


def _check_size(visibilities: Visibilities) -> None:
    if len(visibilities) > MAX_ROWS:
        raise ValueError(f"{len(visibilities)} visibilities, expected at most {MAX_ROWS}: average over scans first")
