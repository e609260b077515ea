"""Total variation of the complex image, for scenes whose phase is smooth: near-field contrast, MRI, optics.

    argmin_x 1/2 |A x - y|^2 + weight TV(x),      TV(x) = sum_jk sqrt(|x[j + 1, k] - x[j, k]|^2 + |x[j, k + 1] - x[j, k]|^2)

Differences of complex values: phase steps cost as much as steps of magnitude. For speckled scenes, whose phase is random
from pixel to pixel, use :mod:`echoform.recon.classical.magnitude_total_variation`.

Solved by accelerated proximal gradients, one A^H A per step; the prox of TV by its dual, itself accelerated, started at each
step from the dual field of the last and carried on until its duality gap is small beside what the step moves.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from echoform.linalg.finite_difference import DIFFERENCE_NORM_SQUARED, differences, differences_adjoint
from echoform.linalg.inner import expand
from echoform.measure.measurement import Measurement
from echoform.recon.classical.sparse import FistaResult, fista
from echoform.recon.discrepancy import choose_weight, first_weight, per_sample_weight, relative_residual
from echoform.recon.reconstructor import Estimate, Reconstructor

#: most steps on the dual field in a prox, the error that ends them as a share of the image's change, steps between looks at it
DUAL_STEPS, GAP_SHARE, CHECKED = 200, 0.5, 10
#: the weight is sought between this fraction of max |A^H y| and max |A^H y| times the longer side of the image
LOWEST = 1e-6
#: longest step in log weight before the root is enclosed
STRIDE = math.log(3)


def penalised(
    solve: Callable[[Tensor, Tensor], Tensor],
    measurement: Measurement,
    weight: float | Tensor | None,
    backprojection: Tensor,
    *,
    start: Tensor,
) -> tuple[Tensor, dict[str, float]]:
    """Return solve(weight, start) and its facts, the weight chosen by the discrepancy principle when it is None.

    Raises:
        ValueError: the weight is not positive.
    """
    if weight is not None:
        given = per_sample_weight(weight, backprojection)
        if bool((given <= 0).any()):
            raise ValueError(f"the weight of total variation must be positive, got {weight}")
        image, facts = solve(given, start), {"weight": float(given.median())}
    else:
        peak = backprojection.abs().flatten(1).amax(1).double().clamp_min(torch.finfo(torch.float32).tiny)
        lowest, highest = peak * LOWEST, peak * max(backprojection.shape[-2:])
        first = first_weight(measurement).clamp(lowest, highest)
        choice = choose_weight(
            solve, measurement, first=first, lowest=lowest, highest=highest, start=start, stride=STRIDE
        )
        image, facts = choice.image, choice.facts()
    return image, facts | {"residual": relative_residual(measurement, image)}


class TotalVariationProx:
    """prox(v, t) = argmin_u 1/2 |u - v|^2 + t TV(u), started from the dual field of the last call.

        u = v - t D^T p,    p+ = P(q + D (v - t D^T q) / 8 t),    P: onto |p_jk| <= 1,  q extrapolated from p

    The steps end at sqrt(2 gap) <= ``share`` |u - u_last|, u_last the image that the last call returned, for the duality gap
    bounds the error, |u - u*|^2 <= 2 gap, gap = t (TV(u) - Re <D u, p>). So the prox grows exact as the outer steps settle. A
    fixed number of dual steps does not do: the momentum of the outer steps adds its errors up, until the objective rises.

    Args:
        share: see above.
        steps: bound on the dual steps of one call.

    Source: Beck and Teboulle (2009), IEEE Trans. Image Process. 18(11), section IV (their FGP), for complex images; Schmidt,
    Le Roux and Bach (2011), NIPS 24 (how exact the prox of accelerated steps must be).
    """

    def __init__(self, share: float = GAP_SHARE, steps: int = DUAL_STEPS) -> None:
        self.share = share
        self.steps = steps
        self._dual: Tensor | None = None
        self._last: Tensor | None = None

    def __call__(self, v: Tensor, threshold: Tensor) -> Tensor:
        """Return prox(v, t) of images (B, C, H, W) for t of shape (B, 1, 1, 1), positive."""
        target = _parts(v) / threshold  # real and imaginary parts side by side: u / t from here on
        last = torch.zeros_like(target) if self._last is None else self._last / threshold
        p = differences(torch.zeros_like(target)) if self._dual is None else self._dual
        q, pace, exact = p, 1.0, torch.zeros(len(v), dtype=torch.bool, device=v.device)
        for step in range(1, self.steps + 1):
            raised = differences(target - differences_adjoint(q)).div_(DIFFERENCE_NORM_SQUARED).add_(q)
            new = raised.div_(_length(raised).clamp_min_(1))
            next_pace = (1 + math.sqrt(1 + 4 * pace**2)) / 2
            q = torch.lerp(p, new, 1 + (pace - 1) / next_pace)
            p, pace = torch.where(expand(exact, 3), p, new), next_pace
            if step % CHECKED == 0:
                exact = exact | self._exact(target - differences_adjoint(p), p, last)
                if bool(exact.all()):
                    break
        self._dual, self._last = p, threshold * (target - differences_adjoint(p))
        return torch.complex(*self._last) if v.is_complex() else self._last[0]

    def _exact(self, u: Tensor, p: Tensor, last: Tensor) -> Tensor:
        """Return which images, (B,), may stop by the duality gap at u / t."""
        steep = differences(u)
        gap = (_length(steep) - (steep * p).sum((0, 1))).double().flatten(1).sum(1)
        moved = (u - last).double().square().sum(0).flatten(1).sum(1)
        return 2 * gap <= self.share**2 * moved


def _parts(v: Tensor) -> Tensor:
    """Return real and imaginary part, (2, B, C, H, W), or a real image alone, (1, B, C, H, W)."""
    return torch.stack([v.real, v.imag]) if v.is_complex() else v[None]


def _length(d: Tensor) -> Tensor:
    """Return the magnitude of fields (2, parts, B, C, H, W), (B, C, H, W)."""
    return d.square().sum((0, 1)).sqrt_()


class TotalVariation(Reconstructor):
    """The minimiser of 1/2 |A x - y|^2 + weight TV(x), TV of the complex image.

    Args:
        weight: positive, one number or one per image, (B,), in the unit of A^H y; None chooses it for each image by the
            discrepancy principle.
        iterations: bound on the steps of one solution.
        tolerance: fixed-point residual L |z - x+| / |A^H y| at which a solution stops, smaller for small weights (``fista``).

    Source: Beck and Teboulle (2009), IEEE Trans. Image Process. 18(11), section V.
    """

    def __init__(self, weight: float | Tensor | None = None, *, iterations: int = 200, tolerance: float = 1e-4) -> None:
        super().__init__()
        self.weight = weight
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
        lipschitz = operator.norm().square().to(backprojection.real.dtype)
        if bool((lipschitz <= 0).any()):
            raise ValueError("the operator is zero for at least one sensor: there is nothing to reconstruct from")
        prox = TotalVariationProx()
        runs: list[FistaResult] = []

        def solve(weight: Tensor, start: Tensor) -> Tensor:
            """Return the image of these weights and keep the account of the run."""
            run = fista(
                operator.normal,
                backprojection,
                weight.to(lipschitz.dtype),
                lipschitz=lipschitz,
                start=start,
                iterations=self.iterations,
                tolerance=self.tolerance,
                prox=prox,
            )
            runs.append(run)
            return run.solution

        image, facts = penalised(
            solve, measurement, self.weight, backprojection, start=torch.zeros_like(backprojection)
        )
        facts["iterations"] = float(sum(run.iterations for run in runs))
        facts["unconverged"] = float((~runs[-1].converged).sum())
        return Estimate(image, facts=facts)
