"""The lags of A^H A of non-uniform Fourier sums, fine and coarse, of many sensors at once.

    t[d] = sum_m p_m exp(-i k_m . d),      p = |w|^2,      (A^H A x)[n] = sum_n' t[n - n'] x[n']

Since t[-d] = conj t[d], columns from 0 on suffice. On the torus of 2H x 2W the product is circulant, and its eigenvalues
K = FFT(t) are real. Seen from a grid s times coarser every sample is weighted by H_s(k), whose square is a cosine sum of the
8 s - 1 taps g = h * h:

    t_s[d] = sum_l g[l_1] g[l_2] t[s d + l],      |l| < 4 s

so that the coarse lags are fine lags filtered and decimated, exactly, if these reach 3 s beyond the image.

Source: Fessler et al. (2005), IEEE Trans. Signal Process. 53(9), equation 14.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import finufft
import numpy as np
import torch
from pytorch_finufft.functional import finufft_type1
from torch import Tensor

from echoform.linalg.nufft import place_of_sums, threads
from echoform.linalg.resample import kaiser_sinc

#: from this relative accuracy on the finer of finufft's two grids is needed
FINE_GRID_ACCURACY = 1e-9


@dataclass(frozen=True)
class ToeplitzLags:
    """Lags of R sensors.

    Attributes:
        planes: real and imaginary part of t, (R, 2, 2 (H + 3 f) - 1, W + 3 f): rows from 1 - H - 3 f on, columns from 0 on.
        shape: image sides (H, W).
        factor: f, the coarsest grid that these lags suffice for.
    """

    planes: Tensor
    shape: tuple[int, int]
    factor: int

    def spectrum(self) -> Tensor:
        """Return K of the fine grid, (R, 2H, 2W), real."""
        (height, width), reach = self.shape, self.factor
        return _torus(self.planes[:, :, 3 * reach : 3 * reach + 2 * height - 1, :width])

    def coarse_spectrum(self, factor: int) -> Tensor:
        """Return K of the grid ``factor`` times coarser, at most ``self.factor``, (R, 2H / s, 2W / s)."""
        height, width = (side // factor for side in self.shape)
        kind = (self.planes.dtype, self.planes.device)
        down, across = self.planes.shape[2:]
        reach = 4 * factor - 1
        rows = _decimation(range(1 - height, height), factor, down // 2, down, *kind)
        columns = _decimation(range(width), factor, reach, reach + across, *kind)
        part = rows @ self.planes
        before = part[..., 1 : reach + 1].flip(-2, -1)
        before[:, 1].neg_()
        return _torus(torch.cat([before, part], -1) @ columns.mT)


@lru_cache(maxsize=64)
def _decimation(lags: range, factor: int, origin: int, count: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the matrix of t_s[d] = sum_l g[l] t[s d + l], (lags, count); lag 0 of t stands at ``origin``."""
    taps = np.convolve(kaiser_sinc(factor), kaiser_sinc(factor))
    matrix = np.zeros((len(lags), count))
    for number, lag in enumerate(lags):
        first = origin + factor * lag - (len(taps) - 1) // 2
        matrix[number, first : first + len(taps)] = taps
    return torch.from_numpy(matrix).to(device=device, dtype=dtype)


def _torus(part: Tensor) -> Tensor:
    """Return FFT(t), real, (R, 2H, 2W), of lags in two planes (R, 2, 2H - 1, W): rows from 1 - H on, columns from 0 on."""
    rows, columns = part.shape[-2:]
    half = torch.complex(*torch.nn.functional.pad(part, (0, 1, 1, 0)).unbind(1))  # lags -H and W join no pair of pixels
    spectrum = torch.fft.hfft2(half, s=(rows + 1, 2 * columns))
    sign = 1 - 2 * (torch.arange(rows + 1, device=part.device) % 2)[:, None]  # rows begin at -H, not at 0
    return spectrum * sign


def toeplitz_lags(
    power: Tensor, points: Tensor, shape: tuple[int, int], *, factor: int, eps: float, dtype: torch.dtype
) -> ToeplitzLags:
    """Return the lags of A^H A for samples of power (R, M), float64, at points (R, 2, M), float64.

    On a CPU samples of power zero cost nothing and one plan serves all sensors; sums are in double precision everywhere.

    Args:
        power: |w|^2.
        points: radians per pixel.
        shape: image sides (H, W).
        factor: coarsest grid wanted of them.
        eps: relative accuracy of the sums.
        dtype: real, of the result.
    """
    height, width = shape
    modes = (2 * (height + 3 * factor) - 1, width + 3 * factor)
    first = modes[1] // 2  # the library's columns begin at -(n // 2)
    home, at = power.device, place_of_sums(power)
    power, points = power.to(at), points.to(at)
    if at.type == "cuda" or power.requires_grad or points.requires_grad:
        turned = torch.polar(power, -first * points[:, 1])
        kernels = [
            finufft_type1(at, c, modes, eps=eps, isign=-1, modeord=0, upsampfac=2.0)
            for c, at in zip(turned, points, strict=True)
        ]
        return ToeplitzLags(torch.view_as_real(torch.stack(kernels)).movedim(-1, 1).to(home, dtype), shape, factor)
    plan = finufft.Plan(
        1,
        modes,
        eps=eps,
        isign=-1,
        dtype="complex128",
        nthreads=threads(max(2 * modes[0] * modes[1], power.shape[1])),
        upsampfac=2.0 if eps < FINE_GRID_ACCURACY else 1.25,
    )
    planes = torch.zeros(len(power), 2, *modes, dtype=dtype)
    out = planes.numpy()
    for sensor, (p, at) in enumerate(zip(power.numpy(), points.numpy(), strict=True)):
        heard = np.flatnonzero(p)
        if heard.size:  # the library takes no empty sum
            row, column = at[0, heard], at[1, heard]
            plan.setpts(row, column)
            turned = np.empty(len(heard), np.complex128)
            turned.real, turned.imag = p[heard] * np.cos(first * column), -p[heard] * np.sin(first * column)
            kernel: np.ndarray = plan.execute(turned)
            out[sensor, 0], out[sensor, 1] = np.real(kernel), np.imag(kernel)
    return ToeplitzLags(planes.to(home), shape, factor)
