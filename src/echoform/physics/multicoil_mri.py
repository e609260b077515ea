"""Magnetic resonance imaging with several receive coils on a Cartesian grid.

    y_c = W o F (S_c o x),      F centred and orthonormal,  W >= 0 the sampled frequencies,  S_c the coils' sensitivities

Sign: k-space is the forward transform exp(-i k . r) of the image, as in ISMRMRD, BART and fastMRI files.
A^H A = sum_c conj(S_c) F^H W^2 F S_c needs two transforms a coil and no shifts. The coarse version is rediscretised: since
sensitivities are smooth, S_c (U_s x) is close to U_s (S'_c x) with S'_c = U_s^H S_c, so

    A_s = (W F U_s) o S'_c        (the coarse Fourier mask, exactly Galerkin, after the coarse sensitivities)

whose normal costs 1 / s^2. It equals A U_s for constant sensitivities; for white images and sensitivities of one cycle over N
pixels the distance at s = 2 falls as 1 / N (0.15 at 32, 0.04 at 128).

Source: Pruessmann et al. (1999), Magnetic Resonance in Medicine 42, equation 2.
"""

from __future__ import annotations

import torch
from torch import Tensor

from echoform.linalg.fft import circulant
from echoform.linalg.resample import downsample
from echoform.linalg.spectrum import largest_eigenvalue
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.operator import NORM_TOLERANCE, LinearOperator

#: sensors whose norms are found together: the slowest of them decides how many products all take
TOGETHER = 4


class MulticoilMRI(LinearOperator):
    """Fourier samples heard by several coils at once.

    Args:
        fourier: W o F with one channel per coil (or one for all), at any coarseness.
        sensitivities: S, shape (B or 1, coils, H, W) on the image grid of ``fourier``, complex64 or complex128.

    Raises:
        ValueError: the sensitivities do not fit the Fourier mask's image grid, channels or precision.
    """

    sensitivities: Tensor

    def __init__(self, fourier: FourierMask, sensitivities: Tensor) -> None:
        channels, height, width = fourier.domain_shape
        if sensitivities.ndim != 4 or sensitivities.shape[2:] != (height, width):
            raise ValueError(
                f"sensitivities must be (batch, coils, {height}, {width}), got {tuple(sensitivities.shape)}; "
                "interpolate them to the image grid"
            )
        coils = sensitivities.shape[1]
        if channels not in (1, coils):
            raise ValueError(
                f"a Fourier mask of {channels} channels does not fit {coils} coils; give it one or {coils}"
            )
        if sensitivities.dtype != fourier.dtype:
            raise ValueError(f"sensitivities are {sensitivities.dtype}, the Fourier mask works in {fourier.dtype}")
        super().__init__((1, height, width), (coils, *fourier.range_shape[1:]))
        self.fourier = fourier
        self.register_buffer("sensitivities", sensitivities)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the sensitivities."""
        return self.sensitivities.dtype

    def support(self) -> Tensor:
        """Return the sampled frequencies, (B or 1, 1 or coils, H, W)."""
        return self.fourier.support()

    def frequency_axes(self, *, of_input: bool = False) -> bool:
        """Return True: every coil's samples are a spectrum."""
        return True

    def forward(self, x: Tensor) -> Tensor:
        """Return the weighted centred spectra, (..., B, coils, H, W)."""
        return self.fourier(self.sensitivities * x)

    def adjoint(self, y: Tensor) -> Tensor:
        """Return sum_c conj(S_c) F^H W y_c, (..., B, 1, H, W)."""
        return (self.sensitivities.conj() * self.fourier.adjoint(y)).sum(-3, keepdim=True)

    def normal(self, x: Tensor) -> Tensor:
        """Return A^H A x through the circulant normal of each coil."""
        heard = self.fourier.normal(self.sensitivities * x)
        return (self.sensitivities.conj() * heard).sum(-3, keepdim=True)

    @torch.no_grad()
    def norm(self) -> Tensor:
        """Return the norm, from an image that is smooth and at most sqrt(max |S|^2) max W, |S|^2 = sum_c |S_c|^2.

        Sensitivities are smooth and the middle of k-space is sampled, so that a smooth image nearly reaches that bound.
        """
        eigenvalues, sensitivities = self.fourier.eigenvalues, self.sensitivities
        rows = [torch.sin(torch.pi * (torch.arange(n, device=self.device) + 0.5) / n) for n in self.domain_shape[1:]]
        window = (rows[0][:, None] * rows[1]).to(self.dtype)
        found = []
        for first in range(0, self.batch, TOGETHER):
            weight, coils = (b if len(b) == 1 else b[first : first + TOGETHER] for b in (eigenvalues, sensitivities))
            power = coils.abs().square().sum(1).amax((1, 2)) * weight.amax((1, 2, 3))

            def normal(x: Tensor, weight: Tensor = weight, coils: Tensor = coils) -> Tensor:
                return (coils.conj() * circulant(weight, coils * x)).sum(-3, keepdim=True)

            start = window.expand(len(power), 1, -1, -1)
            largest = largest_eigenvalue(normal, start, ndim=3, tolerance=NORM_TOLERANCE, bound=power)
            found.append(largest.above)
        return torch.cat(found).sqrt()

    def coarsen(self, factor: int) -> LinearOperator:
        """Return the operator rediscretised on the coarse grid (close to A U_s for smooth sensitivities)."""
        if factor == 1:
            return self
        return MulticoilMRI(self.fourier.galerkin(factor), downsample(self.sensitivities, factor))
