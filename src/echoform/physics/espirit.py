"""ESPIRiT: coil sensitivities from the fully sampled centre of k-space, without a reference scan.

Every patch of calibration data, k x k samples of all coils, lies in a subspace of low dimension. With V the dominant right
singular vectors of the matrix of such patches, read as convolution kernels and transformed to the image, each pixel r has

    G(r) = (1 / k^2) sum_v v(r) v(r)^H  (coils x coils),      G(r) S(r) = S(r)  where there is signal,

so the sensitivities are the eigenvector of the largest eigenvalue, and that eigenvalue tells how well one map explains the pixel.

Source: Uecker et al. (2014), Magnetic Resonance in Medicine 71, sections "Theory" and "Implementation".
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from echoform.linalg.fft import ifft2c


@dataclass(frozen=True)
class Espirit:
    """What ESPIRiT is told.

    Attributes:
        kernel: k, side of a patch, samples.
        subspace_threshold: singular vectors below this share of the largest singular value are noise.
        eigenvalue_threshold: pixels whose largest eigenvalue is below this have no signal: sensitivity zero.
    """

    kernel: int = 6
    subspace_threshold: float = 0.02
    eigenvalue_threshold: float = 0.95

    def __call__(self, calibration: Tensor, shape: tuple[int, int]) -> Tensor:
        """Return sensitivities of unit norm over the coils, real and positive for coil 0, shape (B, coils, H, W).

        Args:
            calibration: centre of k-space, fully sampled, (B, coils, h, w), complex64 or complex128.
            shape: (H, W) of the image.

        Raises:
            ValueError: the calibration area is smaller than two kernels or larger than the image, or holds no signal.
        """
        if calibration.ndim != 4 or min(calibration.shape[2:]) < 2 * self.kernel:
            raise ValueError(
                f"calibration must be (batch, coils, h, w) with sides of at least {2 * self.kernel} samples, got "
                f"{tuple(calibration.shape)}; give more centre lines or a smaller kernel"
            )
        if any(small > large for small, large in zip(calibration.shape[2:], shape, strict=True)):
            raise ValueError(f"the calibration area {tuple(calibration.shape[2:])} is larger than the image {shape}")
        return torch.stack([self._one(one, shape) for one in calibration])

    def _one(self, calibration: Tensor, shape: tuple[int, int]) -> Tensor:
        eigenvalues, vectors = torch.linalg.eigh(self._image_gram(self._signal_projection(calibration), shape))
        strongest = vectors[..., -1]
        strongest = strongest * torch.exp(-1j * strongest[..., :1].angle())
        trusted = eigenvalues[..., -1:] > self.eigenvalue_threshold
        return (strongest * trusted).permute(2, 0, 1).contiguous()

    def _signal_projection(self, calibration: Tensor) -> Tensor:
        """Return V V^H, (coils, k, k, coils, k, k), V the dominant right singular vectors of the calibration matrix."""
        coils, k = calibration.shape[0], self.kernel
        patches = calibration.unfold(1, k, 1).unfold(2, k, 1).permute(1, 2, 0, 3, 4).reshape(-1, coils * k * k)
        powers, vectors = torch.linalg.eigh(patches.mH @ patches)
        if not bool(powers[-1] > 0):
            raise ValueError("the calibration area holds no signal; check which samples are the centre of k-space")
        kept = vectors[:, powers > self.subspace_threshold**2 * powers[-1]]
        return (kept @ kept.mH).reshape(coils, k, k, coils, k, k)

    def _image_gram(self, projection: Tensor, shape: tuple[int, int]) -> Tensor:
        """Return G, (H, W, coils, coils): the transform of the projection summed over equal shifts of the two patches."""
        coils, k = projection.shape[0], self.kernel
        height, width = shape
        shifts = projection.new_zeros(coils, coils, height, width)
        middle = (height // 2, width // 2)
        for row in range(k):
            for column in range(k):
                top, left = middle[0] + row - k + 1, middle[1] + column - k + 1
                block = projection[:, row, column].conj().flip(-1, -2)
                shifts[..., top : top + k, left : left + k] += block
        gram = ifft2c(shifts) * ((height * width) ** 0.5 / k**2)
        return gram.permute(2, 3, 0, 1)
