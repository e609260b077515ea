"""Autofocus by the sharpest image: per-channel phases that minimise the entropy of the backprojection.

    x(phi) = A^H (y_c exp(-i phi_c)) = sum_c exp(-i phi_c) A_c^H y_c
    E(phi) = -sum_j q_j ln q_j,      q_j = |x_j|^2 / sum_k |x_k|^2

x is linear in the phasors, so that the gradient costs one backprojection and one application of A:

    dE / d phi_c = 2 Im <A_c g, y_c exp(-i phi_c)>,      g_j = dE / d conj x_j = -(ln q_j + E) x_j / sum_k |x_k|^2

It is handed to L-BFGS. E is not convex: phases are first sought among the lowest cosines of the channel index and then among
ever more of them, up to one number per channel, so that large smooth errors are taken away before small ones are looked at.

Limits. The entropy knows only the image: the phases found are those of the sharpest one, which are the true ones (up to a
constant and a line) for a few points in noise and not for clutter. It is a local search: a scene without points that stand
out of their own blur may end in a wrong valley; give ``start_rad`` by another method then. Missing pulses bias it, since
phases can lower the side lobes of the gaps: :mod:`echoform.recon.calibration.data_fit` is for them.

Source: Kragh (2006), Monotonic iterative algorithm for minimum-entropy autofocus, ASAP workshop; Morrison, Do
and Munson (2007), IEEE Trans. Image Process. 16(9).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from echoform.linalg.inner import expand
from echoform.measure.measurement import Measurement
from echoform.recon.calibration.calibration import PULSE_AXIS, Calibration, Calibrator, ChannelAxis


@dataclass(frozen=True)
class MinimumEntropy(Calibrator):
    """Phases that make the backprojection sharpest.

    Attributes:
        stages: how many cosines of the channel index are sought in each stage before the last, which seeks all phases.
        iterations: bound on the L-BFGS steps of one stage.
        tolerance: relative decrease of the entropy at which a stage ends.
        axis: of the operator's range along which the channels are counted.
    """

    stages: tuple[int, ...] = (8, 32)
    iterations: int = 100
    tolerance: float = 1e-7
    axis: int = PULSE_AXIS

    @torch.no_grad()
    def __call__(self, measurement: Measurement, *, start_rad: Tensor | None = None) -> Calibration:
        """Return the phases, (B, channels).

        Facts: ``entropy_before``, ``entropy_after`` (nats, means over the batch) and ``evaluations`` of the gradient.
        """
        channels = ChannelAxis(measurement, self.axis)
        phase = channels.start(start_rad)
        before, _ = entropy_and_gradient(channels, phase)
        after, evaluations = before, 0
        for terms in (*self.stages, channels.count):
            if terms > channels.count:
                continue
            basis = cosines(channels.count, terms).to(phase)
            phase, after, used = self._stage(channels, phase, basis)
            evaluations += used
        facts = {
            "entropy_before": float(before.mean()),
            "entropy_after": float(after.mean()),
            "evaluations": float(evaluations),
        }
        return channels.corrected(phase, torch.ones_like(phase), facts)

    def _stage(self, channels: ChannelAxis, start: Tensor, basis: Tensor) -> tuple[Tensor, Tensor, int]:
        """Minimise over start + coefficients @ basis; return phases, entropies (B,) and evaluations."""
        shape = (start.shape[0], basis.shape[0])

        def phases(flat: np.ndarray) -> Tensor:
            return start + torch.from_numpy(flat).to(start).reshape(shape) @ basis

        def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
            value, gradient = entropy_and_gradient(channels, phases(flat))
            return float(value.sum()), (gradient @ basis.mT).flatten().cpu().numpy()

        found = minimize(
            objective,
            np.zeros(shape[0] * shape[1]),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": self.iterations, "ftol": self.tolerance, "gtol": 0.0, "maxcor": 20},
        )
        phase = phases(found.x)
        return phase, entropy_and_gradient(channels, phase)[0], int(found.nfev)


def cosines(count: int, terms: int) -> Tensor:
    """Return the first cosines cos(pi k (c + 1/2) / N) of the channel index, orthonormal, (terms, channels); k = 0 first."""
    index = torch.arange(count, dtype=torch.float64) + 0.5
    basis = torch.cos(torch.pi / count * torch.arange(terms, dtype=torch.float64)[:, None] * index)
    return basis / basis.norm(dim=1, keepdim=True)


def entropy_and_gradient(channels: ChannelAxis, phase_rad: Tensor) -> tuple[Tensor, Tensor]:
    """Return the entropy of the backprojection, (B,), nats, and its gradient to the phases, (B, channels), float64."""
    operator, samples = channels.measurement.operator, channels.rotated(phase_rad)
    image = operator.adjoint(samples)
    power = image.abs().double().square()
    total = power.sum((1, 2, 3)).clamp_min(torch.finfo(torch.float64).tiny)
    share = power / expand(total, 3)
    log_share = share.clamp_min(torch.finfo(torch.float64).tiny).log()
    entropy = -(share * log_share).sum((1, 2, 3))
    slope = -(log_share + expand(entropy, 3)) / expand(total, 3)
    # |x|^2 may be far from one: the slope is scaled to order one before it goes through a single-precision operator.
    size = slope.abs().flatten(1).amax(1).clamp_min(torch.finfo(torch.float64).tiny)
    toward = (slope / expand(size, 3)).to(image.real.dtype) * image
    response = channels.sum(operator(toward).conj() * samples)
    return entropy, 2 * size[:, None] * response.imag
