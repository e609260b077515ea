"""Self-calibration of an interferometer: the complex gains of its stations, given a model of the sky.

    min over g   sum_ab 2 |V_ab - g_a conj(g_b) M_ab|^2 / s_ab^2  +  sum_a (log |g_a| / gain_sd_a)^2         at each time

2 / s^2 is one over the variance of a real component, so that the sum is a chi-square. Phases start from the leading eigenvector
of the Hermitian matrix of V_ab conj(M_ab) / s_ab^2 (exact for one unit of signal on all baselines) and are then refined with
the amplitudes by least squares. The phase common to all stations is free: the first station's is set to zero.

Source: Pearson and Readhead (1984), Annu. Rev. Astron. Astrophys. 22, 97, section 3; eigenvector: Singer (2011), Appl. Comput.
Harmon. Anal. 30, 20.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.optimize import least_squares
from torch import Tensor

from echoform.measure.visibilities import Visibilities


@dataclass(frozen=True)
class StationGains:
    """Gains of N stations at T times, and how well they explain the data.

    Attributes:
        gains: g, complex128, shape (T, N), times rising; 1 where a station was not heard.
        chi_square: the minimum, summed over times; with the true sky and gains drawn from their prior it has the mean
        freedom: 2 M - sum_t (N_t - 1), the phases being the only parameters without a prior.
    """

    gains: Tensor
    chi_square: float
    freedom: int


def solve_gains(visibilities: Visibilities, model: Tensor, *, gain_sd: Tensor) -> StationGains:
    """Return the gains at each distinct time.

    Args:
        visibilities: M rows.
        model: M_ab of each row, complex128, shape (M,), Jy.
        gain_sd: standard deviation of log |g| of each station, shape (N,).
    """
    times = visibilities.time_s.unique()
    gains = np.ones((len(times), len(visibilities.stations)), dtype=np.complex128)
    chi_square, freedom = 0.0, 2 * len(visibilities)
    for t, time_s in enumerate(times):
        rows = visibilities.time_s == time_s
        heard, local = visibilities.pairs[rows].unique(return_inverse=True)
        scale = 2**0.5 / visibilities.sigma_jy[rows].numpy()
        data, sky = visibilities.values[rows].numpy() * scale, model[rows].numpy() * scale
        found, value = _solve_one(local.numpy(), data, sky, gain_sd.double().numpy()[heard.numpy()])
        gains[t, heard.numpy()] = found
        chi_square += value
        freedom -= len(heard) - 1
    return StationGains(torch.from_numpy(gains), chi_square, freedom)


def calibrated(visibilities: Visibilities, gains: Tensor) -> Visibilities:
    """Return the rows divided by g_a conj(g_b), their noise levels with them; gains (T, N) as found by ``solve_gains``."""
    _, at = visibilities.time_s.unique(return_inverse=True)
    size = gains[at, visibilities.pairs[:, 0]].abs() * gains[at, visibilities.pairs[:, 1]].abs()
    return replace(visibilities.corrupted(1 / gains), sigma_jy=visibilities.sigma_jy / size)


def _solve_one(pairs: np.ndarray, data: np.ndarray, sky: np.ndarray, gain_sd: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the gains (N,) of one time and the minimum; data and sky in units of the noise of a real component."""
    count = len(gain_sd)
    first, second = pairs.T
    agreement = np.zeros((count, count), dtype=np.complex128)
    agreement[first, second] = data * sky.conj()
    vector = np.linalg.eigh(agreement + agreement.conj().T)[1][:, -1]
    phase = np.angle(vector * vector[0].conj())

    def gains(parameters: np.ndarray) -> np.ndarray:
        return np.exp(parameters[:count] + 1j * np.concatenate([[0.0], parameters[count:]]))

    def residual(parameters: np.ndarray) -> np.ndarray:
        g = gains(parameters)
        error = data - g[first] * g[second].conj() * sky
        return np.concatenate([np.real(error), np.imag(error), parameters[:count] / gain_sd])

    result = least_squares(residual, np.concatenate([np.zeros(count), phase[1:]]), x_scale="jac")
    return gains(result.x), 2 * float(result.cost)
