"""Unrolled DPIR: half-quadratic splitting of a fixed number of steps whose denoisers are trained through it.

The levels s_k and weights w_k start at DPIR's and are multiplied by learned factors. Tied, all steps share one denoiser;
untied, each has its own.

Source: Zhang et al. (2021), DPIR; Terris et al. (2025), Reconstruct Anything Model, section 5.1 (uDPIR, tied and untied).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from echoform.linalg.cg import Stopping
from echoform.nets.drunet import DRUNet, DRUNetConfig
from echoform.nets.half_quadratic import (
    STEPS,
    half_quadratic_levels,
    half_quadratic_splitting,
    half_quadratic_weights,
)
from echoform.nets.one_pass import OnePassNetwork, linear_image
from echoform.nets.sensing import Sensing

#: conjugate-gradient steps of a data step without closed form: few, because training keeps them all
STOPPING = Stopping(1e-4, 10)


@dataclass(frozen=True)
class UnrolledConfig:
    """Size of an unrolled DPIR.

    Attributes:
        denoiser: size of the denoiser(s).
        steps: number of half-quadratic steps.
        tied: whether all steps share one denoiser.
    """

    kind: ClassVar[str] = "unrolled"

    denoiser: DRUNetConfig = field(default_factory=DRUNetConfig)
    steps: int = STEPS
    tied: bool = True

    def build(self) -> UnrolledDPIR:
        """Return a network of this size with drawn weights."""
        return UnrolledDPIR(self)


class UnrolledDPIR(OnePassNetwork):
    """R(y, A, s_n) = z_K of half-quadratic splitting with learned D_k, s_k and w_k.

    Args:
        config: size, and whether weights are tied.
    """

    def __init__(self, config: UnrolledConfig) -> None:
        super().__init__()
        self.config = config
        self.denoisers = nn.ModuleList([DRUNet(config.denoiser) for _ in range(1 if config.tied else config.steps)])
        self.log_level = nn.Parameter(torch.zeros(config.steps))
        self.log_weight = nn.Parameter(torch.zeros(config.steps))

    def reconstruct(self, sensing: Sensing) -> Tensor:
        """Return the image of a normalised problem, (B, C, H', W')."""
        start = linear_image(sensing)
        levels = half_quadratic_levels(sensing.sigma, first=start.error, steps=self.config.steps)
        weights = half_quadratic_weights(sensing.sigma, levels)
        return half_quadratic_splitting(
            sensing.operator,
            sensing.backprojection,
            start.image,
            list(self.denoisers) * (self.config.steps if self.config.tied else 1),
            levels=levels * self.log_level.exp()[:, None],
            weights=weights * self.log_weight.exp()[:, None],
            stopping=STOPPING,
        )
