"""Samples of the image's discrete Fourier transform on its own grid (Cartesian MRI, gridded SAR spectra).

    y = W o (F x),      F centred and orthonormal,  W >= 0 on the frequency grid (a 0/1 mask, or weights)

A^H A is circulant with eigenvalues |W|^2, so the normal, the prox and the spectrum are closed forms. The coarse version
is exactly Galerkin: zero insertion repeats the coarse spectrum s x s times, so

    A U_s x = W o H_s o tile(F_s x) / s,    H_s the transfer of the Kaiser-sinc filter,

and its normal is circulant on the coarse grid with eigenvalues sum over aliases of |W H_s|^2 / s^2.
"""

from __future__ import annotations

import torch
from torch import Tensor

from echoform.linalg.cg import USUAL, Stopping
from echoform.linalg.fft import circulant, fft2c, ifft2c
from echoform.linalg.inner import expand
from echoform.linalg.resample import COARSE_ORIGIN, transfer
from echoform.linalg.spectrum import SpectralDensity
from echoform.physics.operator import LinearOperator, coarse_shape


class FourierMask(LinearOperator):
    """Fourier samples on the pixel grid's own frequencies.

    Args:
        weights: W, shape (B or 1, C, H, W), real or complex, zero where nothing is measured; float64 or complex128
            weights make the operator work in complex128.
        factor: s, by how much the image grid is coarser than the frequency grid; 1 for a sensor as built by a user.

    Raises:
        ValueError: weights have not four axes or a side is no multiple of ``factor``.
    """

    weights: Tensor
    eigenvalues: Tensor

    def __init__(self, weights: Tensor, *, factor: int = 1) -> None:
        if weights.ndim != 4:
            raise ValueError(f"weights must have axes (batch, channel, row, column), got shape {tuple(weights.shape)}")
        _, channels, height, width = weights.shape
        if height % factor or width % factor:
            raise ValueError(f"a {height} x {width} frequency grid cannot be folded {factor} times: pad it first")
        super().__init__((channels, height // factor, width // factor), (channels, height, width))
        self.factor = factor
        self.register_buffer("weights", weights)
        power = weights.real.square() + weights.imag.square() if weights.is_complex() else weights.square()
        folded = power.unflatten(-2, (factor, -1)).sum(-3).unflatten(-1, (factor, -1)).sum(-2) / factor**2
        self.register_buffer("eigenvalues", folded.roll((-(height // 2), -(width // 2)), (-2, -1)))

    @property
    def dtype(self) -> torch.dtype:
        """Complex, of the weights' precision."""
        return torch.complex128 if self.weights.dtype in (torch.float64, torch.complex128) else torch.complex64

    def support(self) -> Tensor:
        """Return the sampled frequencies, (B or 1, C, H, W)."""
        return (self.weights != 0).to(self.eigenvalues.dtype)

    def frequency_axes(self, *, of_input: bool = False) -> bool:
        """Return True."""
        return True

    def forward(self, x: Tensor) -> Tensor:
        """Return the weighted centred spectrum, (..., B, C, H, W), zero where nothing is measured."""
        if self.factor == 1:
            return self.weights * fft2c(x)
        spectrum = torch.fft.fft2(x, norm="ortho").repeat(*[1] * (x.ndim - 2), self.factor, self.factor)
        centre = [n // 2 for n in self.range_shape[-2:]]
        ramp = _centre_phase(self.range_shape, spectrum)
        return self.weights * ramp * torch.roll(spectrum, centre, (-2, -1)) / self.factor

    def adjoint(self, y: Tensor) -> Tensor:
        """Return the image whose spectrum is conj(W) y, (..., B, C, H, W) / factor."""
        weighted = self.weights.conj() * y
        if self.factor == 1:
            return ifft2c(weighted)
        ramp = _centre_phase(self.range_shape, weighted)
        spectrum = torch.fft.ifftshift(ramp.conj() * weighted, dim=(-2, -1)) / self.factor
        _, height, width = self.domain_shape
        folded = spectrum.unflatten(-1, (self.factor, width)).unflatten(-3, (self.factor, height)).sum((-4, -2))
        return torch.fft.ifft2(folded, norm="ortho")

    def normal(self, x: Tensor) -> Tensor:
        """Return A^H A x, circulant."""
        return circulant(self.eigenvalues, x)

    def galerkin(self, factor: int) -> FourierMask:
        """Return A U_s exactly (Galerkin), at the cost of the coarse grid for its normal and prox."""
        if factor == 1:
            return self
        _, height, width = self.domain_shape
        coarse_shape(self.domain_shape, factor)  # raises when the sides do not divide
        response = _transfer_grid((height, width), factor, self.eigenvalues)
        if self.factor > 1:
            tiled = torch.fft.ifftshift(response).repeat(self.factor, self.factor)
            response = torch.fft.fftshift(tiled)
        return FourierMask(self.weights * response.to(self.dtype), factor=self.factor * factor)

    def norm(self) -> Tensor:
        """Return max |W| (over aliases when coarse)."""
        return self.eigenvalues.flatten(1).amax(1).sqrt()

    def spectrum(self) -> SpectralDensity:
        """Return all eigenvalues, each with weight 1 / n; two nodes when the weights are a 0/1 mask on the fine grid."""
        values = self.eigenvalues.flatten(1)
        if self.factor == 1 and bool(((values == 0) | (values == 1)).all()):
            share = values.mean(1, keepdim=True)
            nodes = torch.cat([torch.zeros_like(share), torch.ones_like(share)], 1)
            return SpectralDensity(nodes, torch.cat([1 - share, share], 1))
        return SpectralDensity(values, torch.full_like(values, 1 / values.shape[1]))

    def prox_from_backprojection(
        self, backprojection: Tensor, anchor: Tensor, weight: Tensor, stopping: Stopping = USUAL
    ) -> Tensor:
        """Return IFFT (FFT(A^H y + w a) / (|W|^2 + w)), exact; the anchor's own spectrum where nothing is measured.

        Without that last clause rounding of A^H y at unmeasured frequencies would be divided by w, which may be 1e-8.
        """
        w = expand(weight, 3)
        known = torch.fft.fft2(backprojection)
        start = torch.fft.fft2(anchor)
        blended = (known + w * start) / (self.eigenvalues + w)
        return torch.fft.ifft2(torch.where(self.eigenvalues > 0, blended, start))


def _frequencies(size: int, like: Tensor) -> Tensor:
    """Centred angular frequencies of a grid, radians per pixel, float64."""
    n = torch.arange(size, dtype=torch.float64, device=like.device) - size // 2
    return 2 * torch.pi * n / size


def _transfer_grid(shape: tuple[int, int], factor: int, like: Tensor) -> Tensor:
    """Transfer of U_s on the centred fine frequency grid: H(k) exp(-i k / 2), the half pixel of COARSE_ORIGIN included."""
    parts = []
    for size in shape:
        k = _frequencies(size, like)
        parts.append(transfer(factor, k) * torch.exp(-1j * COARSE_ORIGIN * k))
    return parts[0][:, None] * parts[1][None, :]


def _centre_phase(range_shape: tuple[int, ...], like: Tensor) -> Tensor:
    """exp(+i k . (n // 2)): moves the origin from the grid's corner to its centre, where the centred transform has it."""
    height, width = range_shape[-2:]
    rows = torch.exp(1j * _frequencies(height, like) * (height // 2))
    columns = torch.exp(1j * _frequencies(width, like) * (width // 2))
    return (rows[:, None] * columns[None, :]).to(like.dtype)
