"""Compressed sensing with random signs and a sine transform.

    y = K o S (m o x),     m random signs,  S the orthonormal sine transform of rows and columns,  K random entries kept

    S[p, q] = sqrt(2 / (n + 1)) sin(pi (p + 1)(q + 1) / (n + 1))        (type I, its own inverse)

A composition of a mask, a unitary operator and signs: A A^H = K, so |A| = 1 and A^H A is a projection, whose prox is closed. The
RAM paper takes one transform of all pixels in a row; with random signs before it, rows and columns do the same, and
its length 2 (H W + 1), mostly a large prime, is avoided.

Source: Terris et al. (2025), Reconstruct Anything Model, appendix on finetuning (factor 4); Martucci (1994), IEEE Trans. Signal
Process. 42(5), table I (DST-I).
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from echoform.linalg.cg import USUAL, Stopping
from echoform.linalg.inner import expand
from echoform.linalg.spectrum import SpectralDensity
from echoform.physics.compositions import ComposedOperator
from echoform.physics.masking import SampleMask
from echoform.physics.operator import LinearOperator


class SineTransform(LinearOperator):
    """y = S_H x S_W for every channel, unitary and its own inverse. Coarse version: Galerkin by default.

    Two matrix products a channel: at 256 x 256 they cost less than the FFT of the odd extension.

    Args:
        shape: (C, H, W).
        dtype: of the images.
    """

    def __init__(self, shape: tuple[int, int, int], *, dtype: torch.dtype = torch.float32) -> None:
        super().__init__(shape, shape)
        self._dtype = dtype

    @property
    def dtype(self) -> torch.dtype:
        """The dtype given at construction."""
        return self._dtype

    def forward(self, x: Tensor) -> Tensor:
        """Return the transform of rows and columns."""
        rows, columns = (_sine_matrix(n, x.dtype, x.device) for n in x.shape[-2:])
        return rows @ x @ columns

    def adjoint(self, y: Tensor) -> Tensor:
        """Return the same transform, its own adjoint and inverse."""
        return self.forward(y)

    def normal(self, x: Tensor) -> Tensor:
        """Return x."""
        return x

    def isometry(self) -> Tensor:
        """Return 1."""
        return torch.ones(1, dtype=self._dtype.to_real())

    def coisometry(self) -> Tensor:
        """Return 1."""
        return self.isometry()

    def norm(self) -> Tensor:
        """Return 1."""
        return self.isometry()

    def spectrum(self) -> SpectralDensity:
        """Return one, always."""
        return SpectralDensity(self.isometry()[:, None], self.isometry()[:, None])

    def prox_from_backprojection(
        self, backprojection: Tensor, anchor: Tensor, weight: Tensor, stopping: Stopping = USUAL
    ) -> Tensor:
        """Return (A^H y + w a) / (1 + w)."""
        w = expand(weight, 3)
        return (backprojection + w * anchor) / (1 + w)


class KeptSines(ComposedOperator):
    """The mask K after a coisometry: A^H A is a projection, and the prox a + (A^H y - A^H A a) / (1 + w).

    Args:
        outer: K, entries 0 or 1.
        inner: B with B B^H = 1.

    Raises:
        ValueError: another entry, or B B^H is not 1.
    """

    def __init__(self, outer: SampleMask, inner: LinearOperator) -> None:
        super().__init__(outer, inner)
        unit, weights = inner.coisometry(), outer.weights
        if unit is None or not bool((unit == 1).all()) or not bool(((weights == 0) | (weights == 1)).all()):
            raise ValueError(
                "kept sines need a mask of zeros and ones after an operator with B B^H = 1; compose others with @"
            )

    def galerkin(self, factor: int) -> LinearOperator:
        """Return K (B U_s), no projection any more."""
        return self if factor == 1 else self.outer @ self.inner.galerkin(factor)

    def coarsen(self, factor: int) -> LinearOperator:
        """Return what :meth:`galerkin` does."""
        return self.galerkin(factor)

    def norm(self) -> Tensor:
        """Return 1, or 0 where nothing is kept."""
        return self.outer.norm()

    def prox_from_backprojection(
        self, backprojection: Tensor, anchor: Tensor, weight: Tensor, stopping: Stopping = USUAL
    ) -> Tensor:
        """Return a + (A^H y - A^H A a) / (1 + w)."""
        return anchor + (backprojection - self.normal(anchor)) / (1 + expand(weight, 3))


def compressed_sensing(
    shape: tuple[int, int, int],
    generator: torch.Generator,
    *,
    batch: int = 1,
    undersampling: float = 4.0,
    dtype: torch.dtype = torch.float32,
) -> KeptSines:
    """Return random signs, sine transform and a random choice of its entries, another one for each sensor.

    Args:
        shape: (C, H, W); signs and choice are alike for all channels.
        generator: source of randomness.
        batch: number B of sensors.
        undersampling: H W over the number of entries kept of each channel (rounded).
        dtype: of the images.

    Raises:
        ValueError: fewer than one entry is kept, or more than there are.
    """
    channels, height, width = shape
    entries = round(height * width / undersampling)
    if not 1 <= entries <= height * width:
        raise ValueError(
            f"undersampling by {undersampling} keeps {entries} of {height * width} entries; give 1 or more"
        )
    drawn = torch.rand(batch, 2, height * width, generator=generator, device=generator.device)
    kept = torch.zeros_like(drawn[:, 0]).scatter(1, drawn[:, 0].argsort(1)[:, :entries], 1.0)
    signs = torch.where(drawn[:, 1] < 0.5, -1.0, 1.0)
    kept, signs = (m.reshape(batch, 1, height, width) for m in (kept, signs))
    return kept_sines(kept, signs, channels, dtype=dtype)


def kept_sines(kept: Tensor, signs: Tensor, channels: int, *, dtype: torch.dtype = torch.float32) -> KeptSines:
    """Return the sensor of given entries and signs.

    Args:
        kept: 0/1, (B or 1, 1, H, W).
        signs: 1 or -1, (B or 1, 1, H, W).
        channels: C, all alike.
        dtype: of the images.
    """
    masks = [
        SampleMask(m.expand(-1, channels, -1, -1).to(dtype.to_real()), complex_image=dtype.is_complex)
        for m in (kept, signs)
    ]
    shape = (channels, kept.shape[-2], kept.shape[-1])
    return KeptSines(masks[0], SineTransform(shape, dtype=dtype) @ masks[1])


@lru_cache(maxsize=32)
def _sine_matrix(size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    n = torch.arange(1, size + 1, dtype=torch.float64, device=device)
    phase = torch.pi / (size + 1) * torch.remainder(n[:, None] * n, 2 * (size + 1))
    return (math.sqrt(2 / (size + 1)) * torch.sin(phase)).to(dtype)
