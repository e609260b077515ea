"""State mode: the head that turns RAM into a posterior denoiser E[x | x_t, y, A] (contract: docs/state.md).

y = A x + n, n ~ CN(0, s_n^2), and x_t = x + s_t e depend on x only through

    b = A^H y / s_n^2 + x_t / s_t^2    and    P = A^H A / s_n^2 + I / s_t^2,

and mu = P^-1 b is the same information. In units where the image has RMS one, the body's output F gives

    z = (P + I)^-1 b + sqrt(v) F(inputs),        v = tr (P + I)^-1 / n,

followed by one weighting against the data (:class:`Consistency`). The first term is the Wiener estimate: EDM's
preconditioning c_skip mu + c_out F with c_skip = (I + P^-1)^-1 applied to every mode of the sensor at its own noise rather
than at the mean one; for A = 0 the two coincide (c_skip = 1 / (1 + s_t^2), c_out^2 = s_t^2 / (1 + s_t^2); Karras et al.
2022, table 1). Without a state s_t is infinite and the same formulas hold.

Real images have n ~ N(0, s_n^2) and x_t = x + s_t e with e ~ N(0, I): both exponents are halved alike, so that P, b, mu, the
Wiener estimate of x ~ N(0, I) and v keep their form. Each kind of image has its own head, tail and physics convolutions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from echoform.linalg.cg import Stopping
from echoform.linalg.inner import expand
from echoform.nets.channels import COMPLEX, to_channels
from echoform.nets.sensing import Sensing

#: conjugate-gradient steps for mu where no closed form exists; the network sees b too, so they cost efficiency only
STOPPING = Stopping(tolerance=0.0, max_iterations=8)
#: images stacked as inputs, and the map of strength beside them
INPUT_IMAGES = 6
#: the smallest variance that the embedding tells from smaller ones, 100 dB below the image: far below what training drew, where
#: the network would only extrapolate. What is computed with the levels has no such bound
TOLD_APART = 1e-10
#: features of the noise levels entering the embedding: five for each of s_n, s_t, v and two marks
NOISE_FEATURES = 17


@dataclass(frozen=True)
class DiffusionState:
    """A noisy look at the image itself: x_t = x + s_t e, e ~ CN(0, I) for complex images, N(0, I) for real ones.

    Attributes:
        x_t: (B, C, H, W), in the image's own units.
        sigma_t: s_t, (B,) or (1,), positive, same units.
    """

    x_t: Tensor
    sigma_t: Tensor


@dataclass(frozen=True)
class StateInputs:
    """What the body is given, and how its output becomes an image.

    Attributes:
        channels: stacked inputs, (B, :func:`input_channels`, H, W).
        levels_gain: (B,), factor that brings A^H y to unit RMS in the pyramid.
        wiener: (P + I)^-1 b, (B, C, H, W).
        variance: v, (B,).
        noise: features of s_n, s_t and v, (B, NOISE_FEATURES).
    """

    channels: Tensor
    levels_gain: Tensor
    wiener: Tensor
    variance: Tensor
    noise: Tensor


@dataclass(frozen=True)
class StateEstimate:
    """What a pass of the network says of an image, in units of the image scale.

    Attributes:
        image: D, (B, C, H, W).
        error: r^2, (B,), the mean squared error that :class:`Consistency` expects of the body's image.
        given: the inputs of the pass; their variance weights its loss.
    """

    image: Tensor
    error: Tensor
    given: StateInputs


def input_channels(image_channels: int) -> int:
    """Return the channels of the stacked inputs for images of 1, 2 (complex) or 3 real channels: 7, 13 or 21."""
    return INPUT_IMAGES * image_channels + (1 if image_channels == COMPLEX else image_channels)


def state_inputs(sensing: Sensing, state: DiffusionState | None) -> StateInputs:
    """Return the inputs of the state head, in units of the image scale.

    Args:
        sensing: the normalised problem.
        state: x_t and s_t already divided by the image scale and padded, or None for one-pass reconstruction.
    """
    bp, sigma = sensing.backprojection, sensing.sigma
    noise_power = sigma.square()
    if state is None:
        precision = torch.zeros_like(sigma)
        x_t = torch.zeros_like(bp)
    else:
        precision = state.sigma_t.to(sigma).expand_as(sigma).square().reciprocal()
        x_t = state.x_t
    weight = noise_power * (precision + 1)
    wiener = sensing.operator.prox_from_backprojection(
        bp, expand(precision / (precision + 1), 3) * x_t, weight, STOPPING
    )
    per_mode = sensing.spectrum.mean
    variance = per_mode(lambda node: 1 / (node / noise_power[:, None] + precision[:, None] + 1))
    if state is None:
        skipped = torch.zeros_like(bp)
    else:
        mu = sensing.operator.prox_from_backprojection(bp, x_t, noise_power * precision, STOPPING)
        spread = per_mode(lambda node: 1 / (node / noise_power[:, None] + precision[:, None]))
        skipped = mu / expand(1 + spread, 3)

    # b in units of s_n^2 b, with power tr(Q^2 + s_n^2 Q) / n for Q = A^H A + s_n^2 / s_t^2 when x is white
    def information(node: Tensor) -> Tensor:
        q = node + (noise_power * precision)[:, None]
        return q.square() + noise_power[:, None] * q

    b = (bp + expand(noise_power * precision, 3) * x_t) / expand(per_mode(information).sqrt().clamp_min(1e-20), 3)
    seen = per_mode(lambda node: node.square() + noise_power[:, None] * node)
    gain = torch.where(seen > 0, seen.clamp_min(1e-30).rsqrt(), torch.zeros_like(seen))
    observed = expand(precision / (precision + 1), 3) * x_t
    power = wiener.abs().square()
    level = expand(variance, 3)
    companded = wiener * (power + level).rsqrt()
    strength = torch.log1p(power / level) / 4
    images = [wiener, skipped, b, expand(gain, 3) * bp, observed, companded]
    channels = torch.cat([to_channels(i, bp.is_complex()) for i in images] + [strength], 1)
    features = _noise_features(noise_power, precision, variance, blind=seen <= 0, one_pass=state is None)
    return StateInputs(channels, gain, wiener, variance, features)


def _noise_features(
    noise_power: Tensor, precision: Tensor, variance: Tensor, *, blind: Tensor, one_pass: bool
) -> Tensor:
    """Bounded features of the three levels: a = log(s^2 / (1 + s^2)) / 4, bounded below, zero for one that tells nothing."""
    blind_mark = blind.to(noise_power)
    levels = [
        torch.log(noise_power / (1 + noise_power)) / 4 * (1 - blind_mark),
        torch.log(1 / (1 + precision)) / 4,
        torch.log(variance) / 4,
    ]
    parts = [blind_mark, torch.full_like(blind_mark, float(one_pass))]
    for a in (level.clamp_min(math.log(TOLD_APART) / 4) for level in levels):
        parts += [a, torch.sin(a), torch.cos(a), torch.sin(2 * a), torch.cos(2 * a)]
    return torch.stack(parts, -1)


class Consistency(nn.Module):
    """Combines the body's image z with what was measured: D = (P + I / r^2)^-1 (b + z / r^2).

    That is the posterior mean if z had white error of variance r^2 independent of y and x_t; r^2 / v is learned from the
    noise levels and the body's features, so nothing is imposed (r -> 0 returns z).
    """

    def __init__(self, features: int, embedding: int) -> None:
        super().__init__()
        self.log_error = nn.Linear(features + embedding, 1)
        nn.init.zeros_(self.log_error.weight)
        nn.init.constant_(self.log_error.bias, -3.0)

    def error(self, features: Tensor, noise: Tensor, variance: Tensor) -> Tensor:
        """Return r^2, (B,), from the body's features, the noise embedding and v."""
        precision = self.log_error.weight.dtype
        pooled = features.to(precision).abs().mean((2, 3))
        ratio = self.log_error(torch.cat([torch.log1p(pooled), noise.to(precision)], 1)).squeeze(1)
        ratio = ratio.to(variance.dtype).clamp(-10, 1)
        return ratio.exp() * variance

    def forward(self, image: Tensor, error: Tensor, sensing: Sensing, state: DiffusionState | None) -> Tensor:
        """Return D, (B, C, H, W), from z and r^2, in units of the image scale."""
        inverse = error.reciprocal()
        anchor, weight = image, inverse
        if state is not None:
            precision = state.sigma_t.to(error).expand_as(error).square().reciprocal()
            weight = inverse + precision
            anchor = expand(inverse / weight, 3) * image + expand(precision / weight, 3) * state.x_t
        with torch.autocast(anchor.device.type, enabled=False):  # physics keeps its precision
            return sensing.operator.prox_from_backprojection(
                sensing.backprojection, anchor, sensing.sigma.square() * weight, STOPPING
            )


class NoiseEmbedding(nn.Module):
    """Two-layer perceptron from the noise features to the vector that modulates every residual block."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(NOISE_FEATURES, length), nn.SiLU(), nn.Linear(length, length), nn.SiLU())

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, length)."""
        return self.layers(features)
