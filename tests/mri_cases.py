"""Sensitivities of receive coils that several test files need."""

from __future__ import annotations

import torch
from torch import Tensor

from contracts import randn

COILS = 3


def smooth_maps(shape: tuple[int, int], seed: int) -> Tensor:
    """Sensitivities (COILS, H, W) made of the nine lowest harmonics of the grid, of order one."""
    height, width = shape
    spectrum = torch.zeros(COILS, height, width, dtype=torch.complex128)
    spectrum[:, height // 2 - 1 : height // 2 + 2, width // 2 - 1 : width // 2 + 2] = randn((COILS, 3, 3), seed)
    return torch.fft.ifft2(torch.fft.ifftshift(spectrum, dim=(-2, -1)), norm="forward") / 3
