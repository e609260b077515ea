"""A table of visibilities: one row per baseline and time, with its stations, so that closure quantities can be formed.

Stations add errors of their own: a measured visibility is V_ab' = g_a conj(g_b) V_ab + n, n ~ CN(0, s^2).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Visibilities:
    """M visibilities.

    Attributes:
        stations: names of the N stations.
        pairs: indices (a, b) of the two stations of each row, a < b, shape (M, 2), int64.
        time_s: shape (M,), float64, seconds.
        uv_wavelengths: (u, v) from a to b, shape (M, 2), float64.
        values: V_ab, shape (M,), complex128, Jy.
        sigma_jy: s, standard deviation of the complex noise (s / sqrt 2 per real component), shape (M,), float64, Jy.

    Raises:
        ValueError: shapes disagree, a pair is not in order, or a level is not positive.
    """

    stations: tuple[str, ...]
    pairs: Tensor
    time_s: Tensor
    uv_wavelengths: Tensor
    values: Tensor
    sigma_jy: Tensor

    def __post_init__(self) -> None:
        count = self.values.shape[0]
        found = [tuple(t.shape) for t in (self.pairs, self.time_s, self.uv_wavelengths, self.values, self.sigma_jy)]
        if found != [(count, 2), (count,), (count, 2), (count,), (count,)]:
            raise ValueError(f"pairs, time_s, uv_wavelengths, values, sigma_jy disagree: got the shapes {found}")
        if not bool(((self.pairs[:, 0] < self.pairs[:, 1]) & (self.pairs[:, 0] >= 0)).all()):
            raise ValueError("pairs must hold (a, b) with 0 <= a < b; turn a row round by conj(V), -(u, v)")
        if not bool((self.sigma_jy > 0).all()):
            raise ValueError("sigma_jy must be positive")

    def __len__(self) -> int:
        return self.values.shape[0]

    def kept(self, rows: Tensor) -> Visibilities:
        """Return the rows marked true in ``rows``, bool (M,)."""
        return replace(
            self,
            pairs=self.pairs[rows],
            time_s=self.time_s[rows],
            uv_wavelengths=self.uv_wavelengths[rows],
            values=self.values[rows],
            sigma_jy=self.sigma_jy[rows],
        )

    def by_time_and_baseline(self) -> tuple[tuple[int, int], Tensor, Tensor]:
        """Return how many distinct times and baselines there are, and of which each row is, two tensors (M,), int64."""
        times, time = self.time_s.unique(return_inverse=True)
        baselines, baseline = self.pairs.unique(dim=0, return_inverse=True)
        return (len(times), len(baselines)), time, baseline

    def snr(self) -> Tensor:
        """Return |V| over the noise of one real component, sqrt 2 |V| / s, shape (M,): 1 / the error of phase and log |V|."""
        return 2**0.5 * self.values.abs() / self.sigma_jy

    def with_systematic(self, fraction: float) -> Visibilities:
        """Return the rows with an error ``fraction`` |V| per real component added in quadrature, for what does not close."""
        return replace(self, sigma_jy=(self.sigma_jy.square() + 2 * (fraction * self.values.abs()).square()).sqrt())

    def scans(self, gap_s: float) -> Tensor:
        """Return the scan of each row, counted from 0, shape (M,), int64; scans are parted by gaps over ``gap_s`` seconds."""
        times = self.time_s.unique()
        first = torch.cat([times[:1], times[1:][times.diff() > gap_s]])
        return torch.searchsorted(first, self.time_s, right=True) - 1

    def averaged(self, gap_s: float) -> Visibilities:
        """Return one row per baseline and scan: the mean weighted by 1 / s^2, with s^-2 = sum s^-2.

        The mean is coherent: phases must have been aligned within a scan, else amplitudes are lost. u, v are means with the
        same weights; the time is the middle of the scan, common to its baselines, so that they close.
        """
        scan = self.scans(gap_s)
        count = len(self.stations)
        labels = (scan * count + self.pairs[:, 0]) * count + self.pairs[:, 1]
        _, group = labels.unique(return_inverse=True)
        groups = int(group.max()) + 1 if len(self) else 0
        weight = self.sigma_jy**-2

        def summed(rows: Tensor) -> Tensor:
            return torch.zeros(groups, *rows.shape[1:], dtype=rows.dtype).index_add(0, group, rows)

        total = summed(weight)
        first = torch.full((groups,), len(self)).scatter_reduce(0, group, torch.arange(len(self)), "amin")
        middle = torch.stack(
            [(self.time_s[scan == s].amin() + self.time_s[scan == s].amax()) / 2 for s in scan.unique()]
        )
        return replace(
            self,
            pairs=self.pairs[first],
            time_s=middle[scan[first]],
            uv_wavelengths=summed(weight[:, None] * self.uv_wavelengths) / total[:, None],
            values=summed(weight * self.values) / total,
            sigma_jy=total.rsqrt(),
        )

    def corrupted(self, gains: Tensor) -> Visibilities:
        """Return the rows times g_a conj(g_b), noise levels unchanged.

        Args:
            gains: g, complex128, shape (T, N), one row per distinct time in rising order.
        """
        _, at = self.time_s.unique(return_inverse=True)
        return replace(self, values=gains[at, self.pairs[:, 0]] * gains[at, self.pairs[:, 1]].conj() * self.values)
