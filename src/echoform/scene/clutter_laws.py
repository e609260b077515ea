"""Laws of clutter with a texture: K, G0, Weibull, and log-normal amplitudes. x = I / m throughout; E x = 1.

    K          tau ~ Gamma(nu) / nu              P(x > t) = 2 (nu t)^(nu/2) K_nu(2 sqrt(nu t)) / Gamma(nu)
    G0         tau ~ gamma / Gamma(-alpha)       P(x > t) = (1 + t / gamma)^alpha,      gamma = -alpha - 1
    Weibull    tau = lambda / S                  P(x > t) = exp(-(t / lambda)^(c/2)),   lambda = 1 / Gamma(1 + 2/c)
    log-normal                                   ln x ~ N(-s^2 / 2, s^2)

S is positive and stable, E exp(-t S) = t -> exp(-t^(c/2)), which makes Weibull clutter of c <= 2 speckle over a texture like the
others; log-normal clutter is not, for no texture under speckle gives it.

``texture_at`` turns standard normal fields into textures by their quantiles: correlated fields (scene/random_fields.py) give
correlated textures of the same law, ``compound(m * law.texture_at(field), generator)``.

Source: Jakeman and Pusey (1976), IEEE Trans. Antennas Propag. 24(6) (K); Frery et al. (1997), IEEE Trans. Geosci. Remote Sens.
35(3) (G0); Kanter (1975), Ann. Probab. 3(4) (stable numbers); Oliver and Quegan (2004), chapter 5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from scipy.special import kve
from torch import Tensor

from echoform.linalg.inner import expand
from echoform.scene.clutter import (
    Clutter,
    check_parameter,
    compound,
    gamma_quantiles,
    polygammas,
    speckle_moment,
    standard_gamma,
)

#: from this order on Debye's expansion of K_mu is true to 2e-8
LARGE_ORDER = 50


@dataclass(frozen=True)
class KClutter(Clutter):
    """K clutter: speckle over a gamma texture.

    Attributes:
        shape: nu, positive, (B,) or (1,): 0.5 spiky sea or towns, 20 nearly speckle; var tau = 1 / nu.
    """

    shape: Tensor

    def __post_init__(self) -> None:
        check_parameter("shape", self.shape, 0, math.inf)

    def moment(self, order: float) -> Tensor:
        """Return Gamma(1 + r) Gamma(nu + r) / (Gamma(nu) nu^r), for r > -nu."""
        nu, speckle = self.shape.double(), speckle_moment(order)
        ratio = (torch.lgamma(nu + order) - torch.lgamma(nu) - order * nu.log()).exp()
        return torch.where(nu + order > 0, speckle * ratio, math.inf)

    def log_cumulants(self) -> Tensor:
        """Return those of speckle plus psi(nu) - ln nu, psi'(nu), psi''(nu)."""
        nu = self.shape.double()
        result = polygammas(nu) + polygammas(torch.ones_like(nu))
        result[0] -= nu.log()
        return result

    def texture_at(self, field: Tensor) -> Tensor:
        """Return tau at the quantiles of standard normal fields, (B, ...)."""
        return _gamma_at(self.shape, field) / _along(self.shape, field)

    def _unit(self, like: Tensor, generator: torch.Generator | None) -> Tensor:
        return compound(standard_gamma(self.shape, like, generator) / _along(self.shape, like), generator)

    def _log_density(self, x: Tensor) -> Tensor:
        nu, product = self._in_double(x)
        bessel = _log_bessel_k(nu - 1, product)
        return (math.log(2) + nu.log() - torch.lgamma(nu) + (nu - 1) / 2 * product + bessel).to(x)

    def _log_survival(self, x: Tensor) -> Tensor:
        nu, product = self._in_double(x)
        inside = (math.log(2) - torch.lgamma(nu) + nu / 2 * product + _log_bessel_k(nu, product)).to(x)
        return torch.where(x > 0, inside, torch.zeros_like(inside))

    def _in_double(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """nu and ln(nu x), float64: at a large nu the terms of the logarithm are far larger than their sum."""
        nu = _along(self.shape, x.double())
        return nu, (nu * x).log()


@dataclass(frozen=True)
class G0Clutter(Clutter):
    """G0 clutter: speckle over an inverse-gamma texture, with a tail that falls as a power.

    Attributes:
        alpha: below -1, (B,) or (1,): -1.5 towns, -15 homogeneous ground. The intensity has a variance for alpha < -2 only.
    """

    alpha: Tensor

    def __post_init__(self) -> None:
        check_parameter("-alpha", -self.alpha, 1, math.inf)

    def moment(self, order: float) -> Tensor:
        """Return Gamma(1 + r) gamma^r Gamma(-alpha - r) / Gamma(-alpha), for r < -alpha."""
        a, speckle = -self.alpha.double(), speckle_moment(order)
        ratio = (torch.lgamma(a - order) - torch.lgamma(a) + order * (a - 1).log()).exp()
        return torch.where(order < a, speckle * ratio, math.inf)

    def log_cumulants(self) -> Tensor:
        """Return those of speckle plus ln gamma - psi(-alpha), psi'(-alpha), -psi''(-alpha)."""
        a = -self.alpha.double()
        texture = polygammas(a) * torch.tensor([-1.0, 1.0, -1.0], dtype=torch.float64, device=a.device)[:, None]
        texture[0] += (a - 1).log()
        return texture + polygammas(torch.ones_like(a))

    def texture_at(self, field: Tensor) -> Tensor:
        """Return tau at the quantiles of standard normal fields, (B, ...)."""
        a = -self.alpha
        return _along(a - 1, field) / _gamma_at(a, -field)

    def _unit(self, like: Tensor, generator: torch.Generator | None) -> Tensor:
        a = -self.alpha
        return compound(_along(a - 1, like) / standard_gamma(a, like, generator), generator)

    def _log_density(self, x: Tensor) -> Tensor:
        a = -_along(self.alpha, x)
        return (a / (a - 1)).log() - (a + 1) * torch.log1p(x / (a - 1))

    def _log_survival(self, x: Tensor) -> Tensor:
        a = -_along(self.alpha, x)
        return -a * torch.log1p(x / (a - 1))


@dataclass(frozen=True)
class WeibullClutter(Clutter):
    """Weibull clutter: amplitudes of a Weibull law.

    Attributes:
        shape: c of the amplitude, in (0, 2], (B,) or (1,): 0.8 spiky, 2 Rayleigh, which is speckle. Above 2 amplitudes are
            steadier than speckle and no texture gives them.
    """

    shape: Tensor

    def __post_init__(self) -> None:
        check_parameter("shape", self.shape, 0, 2)

    def moment(self, order: float) -> Tensor:
        """Return Gamma(1 + 2 r / c) / Gamma(1 + 2 / c)^r, for r > -c / 2."""
        speckle_moment(order)
        b = self.shape.double() / 2
        value = (torch.lgamma(1 + order / b) - order * torch.lgamma(1 + 1 / b)).exp()
        return torch.where(order > -b, value, math.inf)

    def log_cumulants(self) -> Tensor:
        """Return 2 psi(1) / c - ln Gamma(1 + 2 / c), psi'(1) (2 / c)^2, psi''(1) (2 / c)^3."""
        b = self.shape.double() / 2
        result = polygammas(torch.ones_like(b)) / torch.stack([b, b**2, b**3])
        result[0] -= torch.lgamma(1 + 1 / b)
        return result

    def texture_at(self, fields: Tensor) -> Tensor:
        """Return tau made of two standard normal fields, (2, B, ...)."""
        return self._texture(torch.special.ndtr(fields))

    def _unit(self, like: Tensor, generator: torch.Generator | None) -> Tensor:
        device = like.device if generator is None else generator.device
        drawn = torch.rand((2, *like.shape), generator=generator, dtype=like.dtype, device=device).to(like.device)
        return compound(self._texture(drawn), generator)

    def _texture(self, uniform: Tensor) -> Tensor:
        """lambda / S of two uniform numbers by Kanter's formula, u = pi uniform_0, w = -ln uniform_1, b = c / 2.

        S = sin(b u) / sin(u)^(1/b) (sin((1-b) u) / w)^((1-b)/b)
        """
        limits = torch.finfo(uniform.dtype)
        first, second = uniform.clamp(limits.tiny, 1 - limits.eps)
        angle, exponential = math.pi * first, -second.log()
        b = _along(self.shape, angle) / 2
        rest = (1 - b) / b
        log_s = torch.log(torch.sin(b * angle)) - torch.log(torch.sin(angle)) / b
        log_s = log_s + torch.special.xlogy(rest, torch.sin((1 - b) * angle)) - rest * exponential.log()
        return torch.exp(-torch.lgamma(1 + 1 / b) - log_s)

    def _log_scaled(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """b and b ln(x / lambda)."""
        b = _along(self.shape, x) / 2
        return b, b * (x.log() + torch.lgamma(1 + 1 / b))

    def _log_density(self, x: Tensor) -> Tensor:
        b, scaled = self._log_scaled(x)
        return b.log() + scaled - x.log() - scaled.exp()

    def _log_survival(self, x: Tensor) -> Tensor:
        return -self._log_scaled(x)[1].exp()


@dataclass(frozen=True)
class LogNormalClutter(Clutter):
    """Log-normal clutter: independent log-normal amplitudes with uniform phase.

    Attributes:
        deviation: s, standard deviation of ln I, positive, (B,) or (1,); 10 / ln 10 = 4.34 times it is that in decibels.
    """

    deviation: Tensor

    def __post_init__(self) -> None:
        check_parameter("deviation", self.deviation, 0, math.inf)

    def moment(self, order: float) -> Tensor:
        """Return exp(s^2 r (r - 1) / 2)."""
        speckle_moment(order)
        return (self.deviation.double().square() * (order * (order - 1) / 2)).exp()

    def log_cumulants(self) -> Tensor:
        """Return -s^2 / 2, s^2, 0."""
        variance = self.deviation.double().square()
        return torch.stack([-variance / 2, variance, torch.zeros_like(variance)])

    def _unit(self, like: Tensor, generator: torch.Generator | None) -> Tensor:
        device = like.device if generator is None else generator.device
        normal = torch.randn(like.shape, generator=generator, dtype=like.dtype, device=device)
        turn = torch.rand(like.shape, generator=generator, dtype=like.dtype, device=device)
        s = _along(self.deviation, like)
        amplitude = torch.exp(s * normal.to(like.device) / 2 - s.square() / 4)
        return torch.polar(amplitude, 2 * math.pi * turn.to(like.device))

    def _standard(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """s and the standard normal number of x."""
        s = _along(self.deviation, x)
        return s, (x.log() + s.square() / 2) / s

    def _log_density(self, x: Tensor) -> Tensor:
        s, score = self._standard(x)
        return -score.square() / 2 - 0.5 * math.log(2 * math.pi) - s.log() - x.log()

    def _log_survival(self, x: Tensor) -> Tensor:
        return torch.special.log_ndtr(-self._standard(x)[1])


def _along(parameter: Tensor, like: Tensor) -> Tensor:
    """A parameter (B,) or (1,) so shaped that it broadcasts over (B, ...)."""
    return expand(parameter.to(like.device, like.dtype), like.ndim - 1)


def _gamma_at(shape: Tensor, field: Tensor) -> Tensor:
    """The quantiles of Gamma(shape, scale 1) at standard normal fields, exact, through SciPy on the CPU."""
    normal = field.double().cpu()
    return torch.from_numpy(gamma_quantiles(_along(shape, normal).numpy(), normal.numpy())).to(field)


def _log_bessel_k(order: Tensor, log_product: Tensor) -> Tensor:
    """ln K_mu(z) at z = 2 exp(log_product / 2), float64, through SciPy on the CPU.

    Where K overflows, Gamma(|mu|) (2 / z)^|mu| / 2: z is far below 1 there unless the order is large, for which Debye's serves.
    """
    z = 2 * (log_product / 2).exp()
    mu = order.abs()
    log_k = torch.as_tensor(kve(mu.cpu().numpy(), z.cpu().numpy())).log().to(z) - z
    near = torch.lgamma(mu) - math.log(2) - mu * log_product / 2
    beyond = torch.where(mu > LARGE_ORDER, _log_bessel_k_of_large_order(mu, z), near)
    return torch.where((torch.isinf(log_k) & (mu > 0)) | (torch.isnan(log_k) & (mu > LARGE_ORDER)), beyond, log_k)


def _log_bessel_k_of_large_order(mu: Tensor, z: Tensor) -> Tensor:
    """ln K_mu(z) by Debye's expansion, uniform in t = z / mu, with an error of O(mu^-3); r = sqrt(1 + t^2), p = 1 / r.

    ln(pi / (2 mu r)) / 2 - mu (r + ln(t / (1 + r))) + ln(1 - u / mu + v / mu^2),

    u = (3 p - 5 p^3) / 24,  v = (81 p^2 - 462 p^4 + 385 p^6) / 1152

    Source: Olver (2010), NIST Handbook of Mathematical Functions, 10.41.4.
    """
    t = z / mu
    r = (1 + t.square()).sqrt()
    p = 1 / r
    u, v = (3 * p - 5 * p**3) / 24, (81 * p**2 - 462 * p**4 + 385 * p**6) / 1152
    exponent = mu * (r + t.log() - torch.log1p(r))
    return 0.5 * (math.pi / (2 * mu * r)).log() - exponent + torch.log1p((v / mu - u) / mu)
