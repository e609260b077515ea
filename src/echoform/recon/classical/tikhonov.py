"""Tikhonov regularisation: the least-squares image of least energy."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from echoform.linalg.cg import Stopping
from echoform.linalg.spectrum import lanczos_density
from echoform.measure.measurement import Measurement
from echoform.recon.discrepancy import (
    Choice,
    choose_weight,
    energy,
    expected_noise_energy,
    per_sample_weight,
    relative_residual,
)
from echoform.recon.reconstructor import Estimate, Reconstructor

#: the weight is sought between |A|^2 over this number and |A|^2 times it
REACH = 1e8
#: nodes of the quadrature that gives the first weight
NODES = 16


class Tikhonov(Reconstructor):
    """The minimiser of |A x - y|^2 + weight |x|^2.

        x = (A^H A + weight I)^-1 A^H y

    Args:
        weight: one number or one per image, (B,); None chooses it for each image by the discrepancy principle.
        tolerance: relative residual at which conjugate gradients stop; closed forms ignore it.
        max_iterations: bound on the applications of A^H A in one solution; closed forms ignore it.

    Source: Tikhonov (1963), Soviet Math. Dokl. 4; Engl, Hanke and Neubauer (1996), chapter 5.
    """

    def __init__(
        self, weight: float | Tensor | None = None, *, tolerance: float = 1e-5, max_iterations: int = 100
    ) -> None:
        super().__init__()
        self.weight = weight
        self.stopping = Stopping(tolerance, max_iterations)

    def forward(self, measurement: Measurement, *, generator: torch.Generator | None = None) -> Estimate:
        """Return the regularised image.

        Facts (medians over the batch): ``weight``; ``residual`` (|A x - y|^2 / |y|^2); when the weight was chosen also
        ``discrepancy`` (|A x - y|^2 / E |n|^2), ``solves``, and ``unreached``, the number of images for which no weight
        was found to meet the principle (see :class:`echoform.recon.discrepancy.Choice`).
        """
        measurement = measurement.prepared()
        backprojection = measurement.operator.adjoint(measurement.y)
        if self.weight is None:
            choice = self._choose(measurement, backprojection)
            image, facts = choice.image, choice.facts()
        else:
            weight = per_sample_weight(self.weight, backprojection)
            image, facts = self._solve(measurement, backprojection, weight), {"weight": float(weight.median())}
        return Estimate(image, facts=facts | {"residual": relative_residual(measurement, image)})

    def _solve(self, measurement: Measurement, backprojection: Tensor, weight: Tensor) -> Tensor:
        return measurement.operator.prox_from_backprojection(
            backprojection,
            torch.zeros_like(backprojection),
            weight.to(backprojection.real.dtype),
            self.stopping,
        )

    @torch.no_grad()
    def _choose(self, measurement: Measurement, backprojection: Tensor) -> Choice:
        """Return the weight of the discrepancy principle and its image, from the weight foretold by quadrature."""
        first, lowest, highest = predicted_weight(measurement, backprojection)
        return choose_weight(
            lambda weight, _: self._solve(measurement, backprojection, weight),
            measurement,
            first=first,
            lowest=lowest,
            highest=highest,
            start=torch.zeros_like(backprojection),
        )


def predicted_weight(measurement: Measurement, backprojection: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the weight that meets the discrepancy principle by quadrature, and the bracket's ends, (B,), float64.

    With b = A^H y the residual of the Tikhonov solution is

        |A x_w - y|^2 = |y|^2 - b^H phi_w(A^H A) b,    phi_w(l) = (l + 2 w) / (l + w)^2,

    and the quadratic form is the Gauss quadrature of the Lanczos recurrence started at b: all weights for the price of
    ``NODES`` products.

    Source: Calvetti, Golub and Reichel (1999), BIT 39(4), section 3.
    """
    power = energy(backprojection)
    blank = (power == 0).to(backprojection.real.dtype)[:, None, None, None]
    density = lanczos_density(measurement.operator.normal, backprojection + blank, ndim=3, steps=NODES)
    nodes, shares = density.nodes.double(), density.weights.double()
    largest = nodes.amax(1).clamp_min(torch.finfo(torch.float32).tiny)
    at_zero, target = energy(measurement.y), expected_noise_energy(measurement)
    low = largest.log() - math.log(REACH)
    high = largest.log() + math.log(REACH)
    ends = low.exp(), high.exp()
    for _ in range(60):
        middle = (low + high) / 2
        w = middle.exp()[:, None]
        explained = power * (shares * (nodes + 2 * w) / (nodes + w).square()).sum(1)
        too_smooth = at_zero - explained > target
        low, high = torch.where(too_smooth, low, middle), torch.where(too_smooth, middle, high)
    return ((low + high) / 2).exp(), *ends
