"""Radio interferometry (very long baselines): visibilities are samples of the sky's Fourier transform.

    V_i = sum_j x_j exp(-2 pi i (u_i l_j + v_i m_j)),        (u, v) = (position of station 2 - position of station 1) / lambda

for V = <E_1 conj(E_2)>, u towards the east, v towards the north, l towards the east and m towards the north
(:mod:`echoform.scene.sky`: east is on the left of a picture). x is the flux density of each pixel, Jy per pixel. Files that
give (u, v) from station 2 to station 1 write the sum with + in the exponent: their reader turns (u, v) round.

The full sum has the further factor exp(-2 pi i w (n - 1)), n = sqrt(1 - l^2 - m^2), and 1 / n: both are left out. Since
|n - 1| <= rho^2 / 2 / (1 - rho^2 / 2), rho^2 = l^2 + m^2, the phase left out is about pi |w| rho^2; the operator is refused
where that passes 0.1 rad (about -20 dB of error) at the corner of the image.

The image is complex, as all radio images here: that a sky is real and positive is knowledge for a reconstructor. A conjugate
sample V(-u, -v) = conj V(u, v) is not added: it would carry the same noise again, and samples here are independent.
The real part of A^H y is half the dirty image that astronomers form from both.

Source: Thompson, Moran and Swenson, Interferometry and Synthesis in Radio Astronomy (2017), equations 3.7 to 3.11.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from echoform.physics.nonuniform_fourier import NonuniformFourier
from echoform.scene.sky import SkyGrid

#: largest phase of the w-term that is left out, radians
W_PHASE_LIMIT_RAD = 0.1


def interferometer(
    uv_wavelengths: Tensor,
    weights: Tensor,
    grid: SkyGrid,
    *,
    largest_w_wavelengths: float,
    dtype: torch.dtype = torch.complex64,
) -> NonuniformFourier:
    """Return the operator y = diag(weights) V, of range (1, *samples), with its Toeplitz normal.

    Args:
        uv_wavelengths: (u, v), shape (B or 1, *samples, 2), wavelengths, float64.
        weights: shape (B or 1, *samples): 1 for visibilities in Jy, 1 / sigma for samples of unit noise, 0 where none was
            taken.
        grid: image grid on the sky.
        largest_w_wavelengths: bound on |w|, the part of a baseline along the line of sight; on the ground the Earth's
            diameter over the wavelength serves.
        dtype: complex64 or complex128.

    Raises:
        ValueError: shapes disagree, the pixels are too coarse for the longest baseline, or the field is too wide for w to
            be left out.
    """
    if uv_wavelengths.ndim < 3 or uv_wavelengths.shape[-1] != 2 or weights.shape[1:] != uv_wavelengths.shape[1:-1]:
        raise ValueError(
            f"uv_wavelengths must be (batch, *samples, 2) and weights (batch, *samples), got {tuple(uv_wavelengths.shape)} "
            f"and {tuple(weights.shape)}"
        )
    w_phase = math.pi * largest_w_wavelengths * grid.corner_rad() ** 2
    if not w_phase <= W_PHASE_LIMIT_RAD:
        raise ValueError(
            f"w (n - 1) reaches a phase of {w_phase:.3g} rad at the image's corner, expected at most {W_PHASE_LIMIT_RAD} rad: "
            "image a smaller field, or correct the visibilities for w facet by facet"
        )
    longest = float((uv_wavelengths * (weights != 0)[..., None]).abs().max()) if weights.numel() else 0.0
    if longest * grid.pixel_rad > 0.5:
        raise ValueError(
            f"pixels of {grid.pixel_rad:.3g} rad are too coarse for |u|, |v| up to {longest:.3g} wavelengths; "
            f"take pixels of at most {0.5 / longest:.3g} rad"
        )
    u, v = uv_wavelengths.double().flatten(1, -2).unbind(-1)
    turn = 2 * math.pi * grid.pixel_rad
    return NonuniformFourier(
        torch.stack([-turn * v, turn * u], 1),  # columns count towards the west
        weights.flatten(1),
        domain_shape=(1, *grid.shape),
        sample_shape=tuple(uv_wavelengths.shape[1:-1]),
        dtype=dtype,
    )
