"""Total variation of the magnitude, for radio scenes: piecewise constant reflectivity under a random phase.

    argmin_x 1/2 |A x - y|^2 + weight (sum_j sqrt(|(D |x|)_j|^2 + e^2) + sparsity sum_j sqrt(|x_j|^2 + e^2))

D |x| are the two forward differences of the magnitude (isotropic). With Phi = diag(exp(-i arg x_n)) at the iterate x_n the
next iterate solves, by conjugate gradients from x_n,

    (A^H A + weight (Phi^H D^T L2 D Phi + sparsity L1)) x = A^H y,
    L1 = diag (|x_n|^2 + e^2)^-1/2,   L2 = diag (|D |x_n||^2 + e^2)^-1/2,

which is the quasi-Newton step of Cetin and Karl with unit step size. The right-hand quadratic lies above the objective and
touches it at x_n, because ||a| - |b|| <= |a exp(-i alpha) - b exp(-i beta)| for any angles, with equality at those of a and b:
the objective never grows, however few steps the conjugate gradients take. It is not convex: the image found depends on where
it starts, here the matched filter.

Source: Cetin and Karl (2001), IEEE Trans. Image Process. 10(4), equations 4, 8 and 10 (here for p = 1 and isotropic).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from echoform.linalg.cg import Stopping, cg
from echoform.linalg.finite_difference import differences, differences_adjoint, field_magnitude
from echoform.linalg.inner import expand, squared_norm
from echoform.measure.measurement import Measurement
from echoform.physics.operator import LinearOperator
from echoform.recon.classical.total_variation import penalised
from echoform.recon.reconstructor import Estimate, Reconstructor

#: residual at which the conjugate gradients of one step stop, relative to A^H y, and their bound
INNER_TOLERANCE, INNER_ITERATIONS = 1e-4, 20


@dataclass(frozen=True)
class FixedPointResult:
    """Solution (B, C, H, W), the number of steps taken and which samples met the tolerance, (B,)."""

    solution: Tensor
    iterations: int
    converged: Tensor


def magnitude_curvature(x: Tensor, *, smoothing: Tensor, sparsity: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return exp(-i arg x), L2 and sparsity L1 at images (B, C, H, W), each of their shape; ``smoothing`` e is (B,)."""
    e2 = expand(smoothing, 3).square()
    magnitude = x.abs()
    turn = torch.where(magnitude > 0, torch.sgn(x).conj(), torch.ones_like(x))
    edges = (field_magnitude(differences(magnitude)).square() + e2).rsqrt()
    return turn, edges, sparsity * (magnitude.square() + e2).rsqrt()


def feature_enhanced(
    operator: LinearOperator,
    backprojection: Tensor,
    weight: Tensor,
    *,
    sparsity: float,
    smoothing: Tensor,
    scale: Tensor,
    start: Tensor,
    iterations: int,
    tolerance: float,
) -> FixedPointResult:
    """Return a stationary point of the objective above, found from ``start``.

    A sample stops once |x_(n+1) - x_n| <= tolerance |x_(n+1)| and keeps its image while others go on.

    Args:
        operator: A.
        backprojection: A^H y, (B, C, H, W).
        weight: shape (B,).
        sparsity: weight of the magnitudes relative to that of their differences.
        smoothing: e, shape (B,), in the unit of the image.
        scale: mean eigenvalue of A^H A, (B,) or (1,), by which the conjugate gradients are preconditioned.
        start: (B, C, H, W).
        iterations: bound on the steps.
        tolerance: see above.
    """
    w = expand(weight, 3)
    x = start
    active = torch.ones_like(weight, dtype=torch.bool)
    steps = 0
    while steps < iterations and bool(active.any()):
        turn, edges, level = magnitude_curvature(x, smoothing=smoothing, sparsity=sparsity)
        shrink = (expand(scale, 3) + w * (level + _diagonal(edges))).rsqrt()

        def product(
            u: Tensor, turn: Tensor = turn, edges: Tensor = edges, level: Tensor = level, shrink: Tensor = shrink
        ) -> Tensor:
            """Return the matrix above applied to an image, between two factors D^(-1/2) of its diagonal."""
            v = shrink * u
            rough = turn.conj() * differences_adjoint(edges * differences(turn * v))
            return shrink * (operator.normal(v) + w * (rough + level * v))

        result = cg(
            product,
            shrink * backprojection,
            ndim=3,
            start=x / shrink,
            stopping=Stopping(INNER_TOLERANCE, INNER_ITERATIONS),
        )
        new = shrink * result.solution
        moving = squared_norm(new - x, 3) > tolerance**2 * squared_norm(new, 3)
        x = torch.where(expand(active, 3), new, x)
        active = active & moving
        steps += 1
    return FixedPointResult(x, steps, ~active)


def _diagonal(edges: Tensor) -> Tensor:
    """The diagonal of D^T diag(edges) D."""
    total = torch.zeros_like(edges)
    total[..., :-1, :] += edges[..., :-1, :]
    total[..., 1:, :] += edges[..., :-1, :]
    total[..., :-1] += edges[..., :-1]
    total[..., 1:] += edges[..., :-1]
    return total


class MagnitudeTotalVariation(Reconstructor):
    """Feature-enhanced imaging: total variation of |x| and, by ``sparsity``, its l1 norm.

    Args:
        weight: positive, one number or one per image, (B,), in the unit of A^H y; None chooses it for each image by the
            discrepancy principle.
        sparsity: weight of |x|_1 relative to TV(|x|), not negative.
        smoothing: e as a share of the rms of the matched-filter image.
        iterations: bound on the fixed-point steps of one solution.
        tolerance: relative change of the image at which a solution stops.
    """

    def __init__(
        self,
        weight: float | Tensor | None = None,
        *,
        sparsity: float = 1.0,
        smoothing: float = 0.01,
        iterations: int = 60,
        tolerance: float = 1e-3,
    ) -> None:
        super().__init__()
        if sparsity < 0 or smoothing <= 0:
            raise ValueError(f"sparsity must not be negative and smoothing positive, got {sparsity} and {smoothing}")
        self.weight = weight
        self.sparsity = sparsity
        self.smoothing = smoothing
        self.iterations = iterations
        self.tolerance = tolerance

    @torch.no_grad()
    def forward(self, measurement: Measurement, *, generator: torch.Generator | None = None) -> Estimate:
        """Return the image; facts as of :class:`echoform.recon.classical.sparse.SparseL1`.

        Raises:
            ValueError: the operator is zero, or the weight is not positive.
        """
        measurement = measurement.prepared()
        operator = measurement.operator
        backprojection = operator.adjoint(measurement.y)
        real = backprojection.real.dtype
        scale = operator.mean_eigenvalue().to(real)
        if bool((scale <= 0).any()):
            raise ValueError("the operator is zero for at least one sensor: there is nothing to reconstruct from")
        matched = backprojection / expand(scale, 3)
        rms = matched.abs().square().flatten(1).mean(1).sqrt().clamp_min(torch.finfo(real).tiny ** 0.5)
        runs: list[FixedPointResult] = []

        def solve(weight: Tensor, start: Tensor) -> Tensor:
            """Return the image of these weights and keep the account of the run."""
            run = feature_enhanced(
                operator,
                backprojection,
                weight.to(real),
                sparsity=self.sparsity,
                smoothing=self.smoothing * rms,
                scale=scale,
                start=start,
                iterations=self.iterations,
                tolerance=self.tolerance,
            )
            runs.append(run)
            return run.solution

        image, facts = penalised(solve, measurement, self.weight, backprojection, start=matched)
        facts["iterations"] = float(sum(run.iterations for run in runs))
        facts["unconverged"] = float((~runs[-1].converged).sum())
        return Estimate(image, facts=facts)
