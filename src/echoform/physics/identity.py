"""The identity (denoising) and the blind sensor A = 0 (no measurement at all)."""

from __future__ import annotations

import torch
from torch import Tensor

from echoform.linalg.inner import expand
from echoform.physics.diagonal import DiagonalOperator


class ScalarOperator(DiagonalOperator):
    """A = g I with one real gain per sample: g = 1 is denoising, g = 0 a sensor that sees nothing.

    Coarse version: g U_s by the Galerkin default, whose normal g^2 U_s^H U_s is circulant on the coarse grid.

    Args:
        domain_shape: (C, H, W).
        gain: shape (B,) or (1,), real; its precision is that of the images.
        complex_image: whether images are complex or real.
    """

    gain: Tensor

    def __init__(self, domain_shape: tuple[int, int, int], gain: Tensor, *, complex_image: bool = True) -> None:
        super().__init__(domain_shape, complex_image=complex_image)
        self.register_buffer("gain", gain)

    @property
    def diagonal(self) -> Tensor:
        """g, (B or 1, 1, 1, 1)."""
        return expand(self.gain, 3)

    def with_diagonal(self, diagonal: Tensor) -> ScalarOperator:
        """Return the operator on images of the shape of ``diagonal``, whose entries are all alike."""
        gain = diagonal[:, 0, 0, 0]
        return ScalarOperator(tuple(diagonal.shape[1:]), gain, complex_image=self.complex_image)  # pyright: ignore

    def support(self) -> None:
        """Return None: every entry is a sample, be it of nothing."""
        return


def identity(domain_shape: tuple[int, int, int], *, complex_image: bool = True) -> ScalarOperator:
    """Return A = I, for complex64 or float32 images."""
    return ScalarOperator(domain_shape, torch.ones(1), complex_image=complex_image)


def blind(domain_shape: tuple[int, int, int]) -> ScalarOperator:
    """Return A = 0, with which a posterior denoiser becomes a denoiser."""
    return ScalarOperator(domain_shape, torch.zeros(1))
