"""Plug-and-play: a denoiser in the place of a prior, data steps by the sensor's own prox or gradient.

Both methods see the normalised problem (unit-norm sensor, scene of RMS one), so they are equivariant to scale whatever the
denoiser is, and levels mean the same for every sensor.

Source: Venkatakrishnan et al. (2013), Plug-and-Play Priors for Model Based Reconstruction.
"""

from __future__ import annotations

import torch
from torch import Tensor

from echoform.linalg.inner import expand, squared_norm
from echoform.measure.measurement import Measurement
from echoform.nets.denoiser import Denoiser
from echoform.nets.half_quadratic import (
    STEPS,
    TRADE_OFF,
    denoised_in_turns,
)
from echoform.nets.one_pass import linear_image
from echoform.nets.sensing import SIDE_MULTIPLE, normalize
from echoform.recon.discrepancy import relative_residual
from echoform.recon.reconstructor import Estimate, Reconstructor


class PlugAndPlayHalfQuadratic(Reconstructor):
    """DPIR: half-quadratic splitting at falling noise levels (:mod:`echoform.nets.half_quadratic`).

    It starts at the matched filter, and at the level of the error that would have if the scene were white.

    Args:
        denoiser: D(x, s) of images of RMS one.
        steps: number of steps, one denoising each.
        trade_off: lambda, what the denoiser weighs against the data.

    Source: Zhang et al. (2021), Plug-and-Play Image Restoration with Deep Denoiser Prior, section 4.
    """

    def __init__(self, denoiser: Denoiser, *, steps: int = STEPS, trade_off: float = TRADE_OFF) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.steps = steps
        self.trade_off = trade_off

    @torch.no_grad()
    def forward(self, measurement: Measurement, *, generator: torch.Generator | None = None) -> Estimate:
        """Return the restored image; facts: ``residual`` (|A x - y|^2 / |y|^2).

        Raises:
            ValueError: the noise is not Gaussian of a positive level, or the operator is zero.
        """
        sensing = normalize(measurement, multiple=SIDE_MULTIPLE)
        start = linear_image(sensing)
        last = denoised_in_turns(
            sensing, start.image, self.denoiser, first=start.error, steps=self.steps, trade_off=self.trade_off
        )
        image = sensing.restored(last)
        return Estimate(image, facts={"residual": relative_residual(measurement, image)})


class PlugAndPlayGradient(Reconstructor):
    """Plug-and-play proximal gradient at one noise level.

        x <- D(x - A'^H (A' x - y'), strength s'),    |A'| = 1

    A Gaussian denoiser with strength one gives the posterior mean exactly.

    Args:
        denoiser: D(x, s) of images of RMS one.
        strength: denoising level over the noise level s' of the normalised samples.
        tolerance: relative change of the image at which to stop.
        max_iterations: bound on the number of steps.

    Source: Kamilov et al. (2017), IEEE Signal Process. Lett. 24(12), PnP-ISTA; Ryu et al. (2019) for its fixed points.
    """

    def __init__(
        self, denoiser: Denoiser, *, strength: float = 1.0, tolerance: float = 1e-4, max_iterations: int = 100
    ) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.strength = strength
        self.tolerance = tolerance
        self.max_iterations = max_iterations

    @torch.no_grad()
    def forward(self, measurement: Measurement, *, generator: torch.Generator | None = None) -> Estimate:
        """Return the fixed point; facts: ``iterations``, ``residual`` (|A x - y|^2 / |y|^2), and ``unconverged``, the number of
        images still moving at the last step.

        Raises:
            ValueError: the noise is not Gaussian of a positive level, or the operator is zero.
        """
        sensing = normalize(measurement, multiple=SIDE_MULTIPLE)
        x = linear_image(sensing).image
        level = self.strength * sensing.sigma
        done = torch.zeros_like(level, dtype=torch.bool)
        iterations = 0
        while iterations < self.max_iterations and not bool(done.all()):
            step = self.denoiser(x + sensing.backprojection - sensing.operator.normal(x), level)
            moved = torch.where(expand(done, 3), x, step)
            done = done | _still(x, step, self.tolerance)
            x = moved
            iterations += 1
        image = sensing.restored(x)
        facts = {
            "iterations": float(iterations),
            "unconverged": float((~done).sum()),
            "residual": relative_residual(measurement, image),
        }
        return Estimate(image, facts=facts)


def _still(old: Tensor, new: Tensor, tolerance: float) -> Tensor:
    return squared_norm(new - old, 3) <= tolerance**2 * squared_norm(new, 3)
