"""Sparse imaging: the l1-regularised least-squares image, by accelerated proximal gradients."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from echoform.linalg.inner import expand, inner, squared_norm
from echoform.measure.measurement import Measurement
from echoform.recon.discrepancy import (
    choose_weight,
    energy,
    expected_noise_energy,
    per_sample_weight,
    relative_residual,
    residual_energy,
)
from echoform.recon.reconstructor import Estimate, Reconstructor

#: the weight is sought between this fraction of the weight at which the image vanishes, and that weight
LOWEST = 1e-6
#: a solution whose residual is this many times the noise serves as a start for the next only: it stops at this tolerance
FAR, ROUGH = 2.0, 1e-2
#: so does one whose residual is off the noise by more than rough solutions are wrong, a share of |y|^2 (measured: up to 0.004)
ROUGH_ERROR = 0.005
#: tolerance of solutions once one has been near the noise, over the noise's share of |y|^2: what their residuals are wrong by is
#: a tenth of what the search allows
FAIR = 1e-3
#: what a tolerance refers to is at most this many times weight sqrt(n), which bounds a prox's step: of small weights every image
#: would do for one that refers to A^H y alone
STEPS = 30.0
#: longest step of the continuation: the weight falls by this factor at most, so that each solution is a warm start
CONTINUATION = 3.0


def soft_threshold(x: Tensor, threshold: Tensor) -> Tensor:
    """Return x / |x| max(|x| - threshold, 0): magnitudes shrink, phases stay."""
    magnitude = x.abs().clamp_min(torch.finfo(x.real.dtype).tiny)
    return x * (1 - threshold / magnitude).clamp_min(0)


@dataclass(frozen=True)
class FistaResult:
    """Solution (B, C, H, W), the number of steps taken and which samples met the tolerance, (B,)."""

    solution: Tensor
    iterations: int
    converged: Tensor


def fista(
    normal: Callable[[Tensor], Tensor],
    backprojection: Tensor,
    weight: Tensor,
    *,
    lipschitz: Tensor,
    start: Tensor,
    iterations: int,
    tolerance: float | Tensor,
    prox: Callable[[Tensor, Tensor], Tensor] = soft_threshold,
) -> FistaResult:
    """Return argmin_x 1/2 |A x - y|^2 + weight |x|_1, or another penalty, by FISTA with gradient-based restart.

        x+ = prox(z - (A^H A z - A^H y) / L, weight / L),    z+ = x+ + beta (x+ - x),    L = |A|^2

    The momentum of a sample is dropped whenever Re <z - x+, x+ - x> > 0. A sample stops at
    L |z - x+| <= tolerance min(|A^H y|, STEPS weight sqrt(n)) and keeps its image while others go on. L may be underestimated
    (power iteration): the scheme stays stable while L exceeds 3/4 of the largest eigenvalue.

    Args:
        normal: applies A^H A to (B, C, H, W).
        backprojection: A^H y, (B, C, H, W).
        weight: shape (B,), in the unit of A^H y.
        lipschitz: L, shape (B,) or (1,).
        start: first iterate, (B, C, H, W).
        iterations: bound on the steps.
        tolerance: see above, one for all or (B,).
        prox: (v, t) -> argmin_u 1/2 |u - v|^2 + t penalty(u), t of shape (B, 1, 1, 1).

    Source: Beck and Teboulle (2009), SIAM J. Imaging Sci. 2(1), section 4; O'Donoghue and Candes (2015), Found. Comput.
    Math. 15, equation 13.
    """
    step = expand(1 / lipschitz, 3)
    threshold = expand(weight / lipschitz, 3)
    reach = (STEPS * weight).square() * backprojection[0].numel()
    limit = (tolerance / lipschitz).square() * torch.minimum(squared_norm(backprojection, 3), reach)
    shifted = step * backprojection
    x = z = solution = start
    pace = torch.ones_like(limit)
    active = torch.ones_like(limit, dtype=torch.bool)
    k = 0
    while k < iterations and bool(active.any()):
        new = prox(z - step * normal(z) + shifted, threshold)
        move, change = z - new, new - x
        pace = torch.where(inner(move, change, 3).real > 0, torch.ones_like(pace), pace)
        next_pace = (1 + (1 + 4 * pace.square()).sqrt()) / 2
        z = new + expand((pace - 1) / next_pace, 3) * change
        x, pace = new, next_pace
        solution = torch.where(expand(active, 3), new, solution)
        active = active & (squared_norm(move, 3) > limit)
        k += 1
    return FistaResult(solution, k, ~active)


@dataclass
class _Solver:
    """Solutions for one measurement; each is a start for the next, so those far from the noise level need not be accurate."""

    measurement: Measurement
    backprojection: Tensor
    lipschitz: Tensor
    iterations: int
    tolerance: float
    runs: list[FistaResult] = field(default_factory=list)
    close: Tensor | None = None

    def solve(self, weight: Tensor, start: Tensor, tolerance: float | Tensor) -> Tensor:
        """Return the images of these weights, exact to the tolerance, and keep the account of the run."""
        run = fista(
            self.measurement.operator.normal,
            self.backprojection,
            weight.to(self.lipschitz.dtype),
            lipschitz=self.lipschitz,
            start=start,
            iterations=self.iterations,
            tolerance=tolerance,
        )
        self.runs.append(run)
        return run.solution

    def near(self, weight: Tensor, start: Tensor) -> Tensor:
        """Return solutions, rough until one has been near the noise level, fair from then on."""
        image = self.solve(weight, start, max(ROUGH, self.tolerance))
        self.close = ~self.is_far(image) if self.close is None else self.close | ~self.is_far(image)
        if not bool(self.close.any()):
            return image
        share = expected_noise_energy(self.measurement) / energy(self.measurement.y).clamp_min(
            torch.finfo(torch.float64).tiny
        )
        fair = (FAIR * share.clamp_max(1)).clamp_min(self.tolerance).to(self.lipschitz.dtype)
        return torch.where(expand(self.close, 3), self.solve(weight, image, fair), image)

    def is_far(self, image: Tensor) -> Tensor:
        """Return which images, (B,), leave so much more or less than the noise that they are starts for the next only."""
        noise, doubt = expected_noise_energy(self.measurement), ROUGH_ERROR * energy(self.measurement.y)
        excess = residual_energy(self.measurement, image) - noise
        return (excess > torch.minimum((FAR - 1) * noise, doubt)) | (excess < -doubt)


class SparseL1(Reconstructor):
    """The minimiser of 1/2 |A x - y|^2 + weight |x|_1, |x|_1 the sum of complex magnitudes.

    Args:
        weight: one number or one per image, (B,), in the unit of A^H y; None chooses it for each image by the discrepancy
            principle, in a continuation from the weight max |A^H y| (image zero) downwards with warm starts.
        iterations: bound on the steps of one solution.
        tolerance: fixed-point residual L |z - x+| / |A^H y| at which a solution stops, smaller for small weights (:func:`fista`).
    """

    def __init__(
        self, weight: float | Tensor | None = None, *, iterations: int = 1000, tolerance: float = 1e-4
    ) -> None:
        super().__init__()
        self.weight = weight
        self.iterations = iterations
        self.tolerance = tolerance

    @torch.no_grad()
    def forward(self, measurement: Measurement, *, generator: torch.Generator | None = None) -> Estimate:
        """Return the sparse image.

        Facts (medians over the batch): ``weight``; ``residual`` (|A x - y|^2 / |y|^2); ``iterations`` in all;
        ``unconverged``, the number of images whose last solution missed the tolerance; when the weight was chosen also
        ``discrepancy`` (|A x - y|^2 / E |n|^2), ``solves``, and ``unreached``, the number of images for which no weight
        was found to meet the principle (see :class:`echoform.recon.discrepancy.Choice`).
        """
        measurement = measurement.prepared()
        operator = measurement.operator
        backprojection = operator.adjoint(measurement.y)
        lipschitz = operator.norm().square().to(backprojection.real.dtype)
        if bool((lipschitz <= 0).any()):
            raise ValueError("the operator is zero for at least one sensor: there is nothing to reconstruct from")
        solver = _Solver(measurement, backprojection, lipschitz, self.iterations, self.tolerance)
        zero = torch.zeros_like(backprojection)
        if self.weight is None:
            highest = backprojection.abs().flatten(1).amax(1).double().clamp_min(torch.finfo(torch.float32).tiny)
            choice = choose_weight(
                solver.near,
                measurement,
                first=highest / CONTINUATION,
                lowest=highest * LOWEST,
                highest=highest,
                start=zero,
                stride=math.log(CONTINUATION),
            )
            image = solver.solve(choice.weight, choice.image, self.tolerance)
            ratio = residual_energy(measurement, image) / expected_noise_energy(measurement)
            facts = choice.facts() | {"discrepancy": float(ratio.median())}
        else:
            weight = per_sample_weight(self.weight, backprojection)
            image, facts = solver.solve(weight, zero, self.tolerance), {"weight": float(weight.median())}
        facts["residual"] = relative_residual(measurement, image)
        facts["iterations"] = float(sum(run.iterations for run in solver.runs))
        facts["unconverged"] = float((~solver.runs[-1].converged).sum())
        return Estimate(image, facts=facts)
