"""Speckle as noise: intensities multiplied by gamma numbers, as in multilook radar images.

    y = (A x) s,    s ~ Gamma(L) / L,    E s = 1,  var s = 1 / L

Source: Oliver and Quegan, Understanding Synthetic Aperture Radar Images (2004), section 4.3.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from echoform.linalg.inner import expand
from echoform.physics.noise import Noise
from echoform.scene.clutter import standard_gamma


@dataclass(frozen=True)
class SpeckleNoise(Noise):
    """Multiplicative speckle of L looks on intensities; every sample by itself.

    Attributes:
        looks: L, positive, whole or not, (B,) or (1,).
        sigma: zero: there is no additive noise.

    Raises:
        ValueError: the number of looks is not positive, or clean samples are complex or negative.
    """

    looks: Tensor
    sigma: Tensor = field(init=False)

    def __post_init__(self) -> None:
        if self.looks.ndim != 1 or not bool((torch.isfinite(self.looks) & (self.looks > 0)).all()):
            raise ValueError(f"looks must be finite, positive and of shape (batch,) or (1,), got {self.looks}")
        object.__setattr__(self, "sigma", torch.zeros_like(self.looks))

    def sample(self, clean: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return clean * s."""
        looks = self._looks(clean)
        return clean * standard_gamma(self.looks, clean, generator) / looks

    def log_prob(self, y: Tensor, clean: Tensor) -> Tensor:
        """Return ln of the gamma density of y: L ln(L / clean) + (L - 1) ln y - L y / clean - ln Gamma(L)."""
        looks = self._looks(clean)
        return looks * (looks / clean).log() + (looks - 1) * y.log() - looks * y / clean - torch.lgamma(looks)

    def to(self, device: torch.device) -> SpeckleNoise:
        """Return the model with its number of looks on ``device``."""
        return SpeckleNoise(self.looks.to(device))

    def _looks(self, clean: Tensor) -> Tensor:
        if clean.is_complex() or bool((clean < 0).any()):
            raise ValueError(
                "speckle multiplies real, non-negative intensities; use scene.clutter for complex reflectivity"
            )
        return expand(self.looks.to(clean.device, clean.dtype), clean.ndim - 1)
