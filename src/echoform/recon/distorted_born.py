"""Distorted Born: contrasts too strong for Born, by an outer loop of linear solves about the contrast found so far.

    chi <- P argmin_u sum_f s_f^2 |A_chi (u - chi) - (y - F(chi))|^2 + weight |A_chi|^2 |u|^2

F(chi) is the field that chi scatters, all orders included, and A_chi its derivative, the Born operator with the Green functions
and incident fields of the background chi (:mod:`echoform.physics.inhomogeneous_born`): lines in the plane, or points about a
volume of cells. It is Newton's method on the data with Tikhonov's term (iteratively regularised Gauss-Newton). s_f = 1 / |y_f|
lets every frequency count alike; frequencies enter from below, stage by stage, since the phase of a contrast wraps first at the
highest. P projects on what the scene may be.

Source: Chew and Wang (1990), IEEE Trans. Med. Imaging 9(2); Bakushinsky and Kokurin (2004), Iterative Methods for Approximate
Solution of Inverse Problems, chapter 4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor

from echoform.linalg.cg import Stopping, cg
from echoform.linalg.spectrum import largest_eigenvalue
from echoform.measure.measurement import Measurement
from echoform.physics.born import BornScattering
from echoform.physics.inhomogeneous_born import CellScattering, InhomogeneousBorn
from echoform.recon.reconstructor import Estimate, Reconstructor
from echoform.scene.rig import MultistaticRig


class Medium(Enum):
    """What the contrast may be: any complex number, or lossless and denser than the background (real, not negative)."""

    ANY = "any"
    LOSSLESS = "lossless"

    def part(self, contrast: Tensor) -> Tensor:
        """Return the part of a contrast in the linear space that the medium spans: all of it, or the real part."""
        return contrast if self is Medium.ANY else contrast.real.to(contrast.dtype)

    def projected(self, contrast: Tensor) -> Tensor:
        """Return the nearest contrast the medium may have."""
        return contrast if self is Medium.ANY else contrast.real.clamp_min(0).to(contrast.dtype)


@dataclass(frozen=True)
class Stage:
    """Some steps of the outer loop.

    Attributes:
        highest_hz: frequencies up to this one are used.
        weight: of |u|^2, as a share of the largest eigenvalue of the weighted A^H A.
        steps: how many.
    """

    highest_hz: float
    weight: float
    steps: int = 2


class DistortedBorn(Reconstructor):
    """The loop above for a Born measurement of one scene: lines on one layer of cells, or points about a volume.

    Args:
        stages: the outer loop, in order; at least one, each with at least one frequency.
        medium: what the contrast may be.
        tolerance: relative residual at which the conjugate gradients of one step stop.
        max_iterations: bound on the products of one step.
    """

    def __init__(
        self,
        stages: tuple[Stage, ...],
        *,
        medium: Medium = Medium.LOSSLESS,
        tolerance: float = 1e-3,
        max_iterations: int = 60,
    ) -> None:
        super().__init__()
        if not stages:
            raise ValueError("distorted Born needs at least one stage")
        self.stages, self.medium = stages, medium
        self.stopping = Stopping(tolerance, max_iterations)

    @torch.no_grad()
    def forward(self, measurement: Measurement, *, generator: torch.Generator | None = None) -> Estimate:
        """Return the contrast, (1, D, H, W).

        Facts: ``residual``, the mean of |F(chi) - y|^2 / |y|^2 over the last stage's frequencies; ``steps``.

        Raises:
            ValueError: the operator is no Born operator on its own cells, its samples are weighted, there are several scenes, or
                points see a sheet or slices with gaps.
            RuntimeError: the field inside a contrast is not found (:mod:`echoform.physics.lippmann_schwinger`).
        """
        operator = measurement.operator
        if not isinstance(operator, BornScattering) or operator.factor != 1:
            raise ValueError(
                f"distorted Born takes a BornScattering, neither coarse nor wrapped, got {type(operator).__name__}"
            )
        if operator.measured_incident or operator.measured_received or len(measurement.y) != 1:
            raise ValueError("distorted Born takes one scene whose rig has analytic fields")
        if operator.gain is not None:
            raise ValueError(
                "distorted Born takes samples as they are: divide them by their gains or noise levels first"
            )
        contrast = torch.zeros(operator.cells.shape, dtype=torch.complex128)
        facts: dict[str, float] = {"steps": 0.0}
        for stage in self.stages:
            model, y, scale = _up_to(operator, measurement.y, stage.highest_hz)
            for _ in range(stage.steps):
                about = model.about(contrast, scale=scale)
                contrast = self._step(about, y, scale, contrast, stage.weight)
                facts["steps"] += 1
        model, y, _ = _up_to(operator, measurement.y, self.stages[-1].highest_hz)
        facts["residual"] = relative_misfit(model.about(contrast).scattered, y)
        return Estimate(contrast[None].to(measurement.y.dtype), facts=facts)

    def _step(self, about: InhomogeneousBorn, y: Tensor, scale: Tensor, contrast: Tensor, weight: float) -> Tensor:
        operator, part = about.operator, self.medium.part
        residual = scale[:, None, None] * (y - about.scattered)
        now = contrast[None]
        floor = weight * largest_eigenvalue(operator.normal, operator.probe(), ndim=3, tolerance=1e-2).below
        back = part(operator.adjoint(residual + operator(now)))
        solved = cg(
            lambda u: part(operator.normal(u)) + floor * u,
            back,
            ndim=3,
            start=now,
            stopping=self.stopping,
        )
        return self.medium.projected(solved.solution[0])


def relative_misfit(scattered: Tensor, y: Tensor) -> float:
    """Return |F - y|^2 / |y|^2, every frequency alike (the mean of their ratios)."""
    error = (scattered - y).abs().square().sum((0, 1, 3, 4))
    return float((error / y.abs().square().sum((0, 1, 3, 4))).mean())


def _up_to(operator: BornScattering, y: Tensor, highest_hz: float) -> tuple[CellScattering, Tensor, Tensor]:
    """Return the model at the frequencies up to a limit, their samples (complex128) and scales 1 / |y_f|."""
    rig = operator.rig()
    kept = rig.frequency_hz[0] <= highest_hz * (1 + 1e-9)
    if not bool(kept.any()):
        raise ValueError(f"no frequency up to {highest_hz:g} Hz: the lowest is {float(rig.frequency_hz.min()):g} Hz")
    heard = rig.heard.double() if rig.heard.shape[1] == 1 else rig.heard[:, kept].double()
    part = MultistaticRig(rig.transmitter_m, rig.receiver_m, rig.frequency_hz[:, kept], heard)
    samples = y[:, :, kept].to(torch.complex128)
    scale = samples.abs().square().sum((0, 1, 3, 4)).clamp_min(torch.finfo(torch.float64).tiny).rsqrt()
    model = CellScattering(part, operator.cells, radiator=operator.radiator, permittivity=operator.permittivity)
    return model, samples, scale / math.sqrt(len(scale))
