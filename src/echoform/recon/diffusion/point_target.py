"""A scene whose posterior is known: one bright target somewhere, or none, in clutter (a Gaussian mixture).

    x = clutter + [target at pixel k],    clutter ~ CN(0, c^2 I),    target ~ CN(0, t^2),

k uniform over the n pixels with probability q, no target with 1 - q: n + 1 zero-mean Gaussians with covariances c^2 I and
c^2 I + t^2 e_k e_k^T. Under Fourier samples y and a state x_t all components share P_0 = A^H A / s_n^2 + I / s_t^2 + I / c^2,
which is circulant, and differ by one rank: with S = P_0^-1, u = S b and d = 1 / (c^2 + t^2) - 1 / c^2,

    p(k | x_t, y) ~ (q / n) exp(-d |u_k|^2 / (1 + d S_kk)) / [(1 + d S_kk) (1 + t^2 / c^2)],
    E[x | x_t, y] = u - d / (1 + d S_kk) S (p o u).

It is the simplest radar scene with a multimodal posterior, and every number below is exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from echoform.linalg.fft import circulant
from echoform.linalg.inner import expand
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.noise import standard_normal


@dataclass(frozen=True)
class Posterior:
    """The exact posterior: mean (B, 1, H, W) and component probabilities (B, n + 1), no target last."""

    mean: Tensor
    probabilities: Tensor


@dataclass(frozen=True)
class PointTargetMixture:
    """The prior.

    Attributes:
        shape: (H, W).
        clutter: c, standard deviation of the clutter per pixel.
        target: t, standard deviation of the target.
        presence: q, probability that there is one.
    """

    shape: tuple[int, int]
    clutter: float
    target: float
    presence: float

    @property
    def pixels(self) -> int:
        """n."""
        return self.shape[0] * self.shape[1]

    def sample(self, batch: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return scenes (B, 1, H, W) complex64 and components (B,), n meaning no target."""
        x = self.clutter * standard_normal(torch.zeros(batch, self.pixels, dtype=torch.complex64), generator)
        component = torch.randint(0, self.pixels, (batch,), generator=generator)
        absent = torch.rand(batch, generator=generator) >= self.presence
        component = torch.where(absent, self.pixels, component)
        strength = self.target * standard_normal(torch.zeros(batch, dtype=torch.complex64), generator) * ~absent
        x = x.scatter_add(1, component.clamp_max(self.pixels - 1)[:, None], strength[:, None])
        return x.reshape(batch, 1, *self.shape), component

    def posterior(
        self, operator: FourierMask, y: Tensor, sigma: Tensor, x_t: Tensor | None, sigma_t: Tensor | None
    ) -> Posterior:
        """Return the exact posterior given y (noise ``sigma``, (B,) or (1,)) and, if given, the state x_t, sigma_t.

        Computed in double precision.
        """
        sigma = sigma.double()
        known = operator.adjoint(y).to(torch.complex128) / expand(sigma.square(), 3)
        rate = operator.eigenvalues.double() / expand(sigma.square(), 3) + 1 / self.clutter**2
        if x_t is not None and sigma_t is not None:
            known = known + x_t.to(torch.complex128) / expand(sigma_t.double().square(), 3)
            rate = rate + expand(sigma_t.double().square().reciprocal(), 3)
        u = circulant(1 / rate, known)
        diagonal = expand((1 / rate).mean((1, 2, 3)), 3)
        change = 1 / (self.clutter**2 + self.target**2) - 1 / self.clutter**2
        shrink = change / (1 + change * diagonal)
        evidence = -shrink * u.abs().square() - torch.log(1 + change * diagonal)
        evidence = evidence - torch.log(torch.tensor(1 + (self.target / self.clutter) ** 2, dtype=torch.float64))
        log_prior = torch.log(torch.tensor([self.presence / self.pixels, 1 - self.presence], dtype=torch.float64))
        flat = evidence.flatten(1) + log_prior[0]
        logits = torch.cat([flat, log_prior[1].expand(flat.shape[0], 1)], 1)
        probabilities = torch.softmax(logits, 1)
        weighted = probabilities[:, :-1].reshape(u.shape) * u
        return Posterior(u - shrink * circulant(1 / rate, weighted), probabilities)
