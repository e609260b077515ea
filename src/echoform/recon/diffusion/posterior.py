"""Posterior sampling: a network in state mode inside a sampler, behind the common door.

The sensor is prepared and the image's scale fixed once for each measurement (docs/state.md, 3); the trajectory runs in units of
that scale and starts from the one-pass image, x_0 = E[x | y] + s_0 e: with s_0 far above the posterior's own width that is the
law of x + s_0 e, where a start from noise alone would leave the mean short by E[x | y] over s_0. Samples differ by the noise they
start from, and by that of the sampler where it draws any.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from echoform.linalg.spectrum import SpectralDensity
from echoform.measure.measurement import Measurement
from echoform.nets.ram import RAM
from echoform.nets.sensing import Sensing
from echoform.nets.state import DiffusionState
from echoform.physics.noise import standard_normal
from echoform.recon.diffusion.samplers import Denoiser, dpm_2m, sde_2m
from echoform.recon.diffusion.schedule import geometric_schedule
from echoform.recon.reconstructor import Estimate, Reconstructor

#: the last level over the noise of the samples, at most: a standard deviation of s' comes out 2 % too small
OF_NOISE = 0.2
#: (denoiser, start, schedule, generator) -> sample
Sampler = Callable[[Denoiser, Tensor, Tensor, torch.Generator], Tensor]


def second_order(denoiser: Denoiser, start: Tensor, schedule: Tensor, generator: torch.Generator) -> Tensor:
    """Return a sample by :func:`dpm_2m`, which draws nothing."""
    return dpm_2m(denoiser, start, schedule)


def stochastic(denoiser: Denoiser, start: Tensor, schedule: Tensor, generator: torch.Generator) -> Tensor:
    """Return a sample by :func:`sde_2m`: noise drawn on the way takes the place of the network's earlier errors."""
    return sde_2m(denoiser, start, schedule, generator)


@dataclass(frozen=True)
class Trajectory:
    """How a sample is drawn.

    Attributes:
        steps: levels, one evaluation of the network each for the samplers of one evaluation.
        largest: first level over the image's RMS.
        smallest: last level, likewise; at most OF_NOISE of the noise that the sensor leaves of an image.
        sampler: what goes from level to level.

    Raises:
        ValueError: fewer than two levels, or levels not positive and decreasing.
    """

    steps: int = 16
    largest: float = 20.0
    smallest: float = 5e-3
    sampler: Sampler = stochastic

    def __post_init__(self) -> None:
        self.schedule()

    def schedule(self, noise: float = math.inf) -> Tensor:
        """Return the levels for samples whose noise is s' = s_n / |A|, over the image's RMS.

        A sample is D(x_t, s_last): what has the posterior variance V comes out with V^2 / (V + s_last^2), and V is s'^2 at least.
        """
        return geometric_schedule(self.steps, largest=self.largest, smallest=min(self.smallest, OF_NOISE * noise))


class PosteriorSampler(Reconstructor):
    """Draws from p(x | y): the mean, the standard deviation and the samples themselves.

    Args:
        network: RAM with a state head.
        samples: how many, S; two at least, for a standard deviation.
        trajectory: how each is drawn.
        at_once: samples of one scene that share a pass of the network.

    Raises:
        ValueError: fewer than two samples, or the network has no state mode.
    """

    def __init__(self, network: RAM, *, samples: int, trajectory: Trajectory | None = None, at_once: int = 8) -> None:
        super().__init__()
        if samples < 2 or at_once < 1:
            raise ValueError(f"samples must be at least 2 and at_once at least 1, got {samples}, {at_once}")
        if network.config.embedding == 0:
            raise ValueError(
                "the official head has no state mode: take weights with a noise embedding, like echoform-tiny"
            )
        self.network, self.samples, self.at_once = network, samples, at_once
        self.trajectory = trajectory or Trajectory()

    @torch.no_grad()
    def forward(self, measurement: Measurement, *, generator: torch.Generator | None = None) -> Estimate:
        """Return mean, standard deviation and samples (S, B, C, H, W)."""
        generator = generator or torch.Generator(measurement.y.device).manual_seed(0)
        sensing = self.network.prepare(measurement)
        one_pass = self.network.denoise_normalized(sensing, None).image
        draws: list[Tensor] = []
        while len(draws) < self.samples:
            count = min(self.at_once if len(sensing.y) == 1 else 1, self.samples - len(draws))
            drawn = self._draw(sensing if count == 1 else repeated(sensing, count), one_pass, generator)
            draws += list(drawn[:, None] if count > 1 else drawn[None])
        samples = torch.stack(draws)
        mean = samples.mean(0)
        std = ((samples - mean).abs().square().sum(0) / (self.samples - 1)).sqrt()
        facts = {"samples": float(self.samples), "levels": float(self.trajectory.steps)}
        return Estimate(mean, std=std, samples=samples, facts=facts)

    def _draw(self, sensing: Sensing, one_pass: Tensor, generator: torch.Generator) -> Tensor:
        """One sample of every scene of a prepared problem, in the image's own units, (B, C, H, W)."""
        schedule = self.trajectory.schedule(float(sensing.sigma.min()))
        start = one_pass + float(schedule[0]) * standard_normal(sensing.backprojection, generator)
        denoiser = partial(_normalized, self.network, sensing)
        return sensing.restored(self.trajectory.sampler(denoiser, start, schedule, generator))


def _normalized(network: RAM, sensing: Sensing, x: Tensor, sigma: Tensor) -> Tensor:
    """The network as a denoiser, in units of the image scale."""
    return network.denoise_normalized(sensing, DiffusionState(x, sigma)).image


def repeated(sensing: Sensing, count: int) -> Sensing:
    """Return a problem of one scene as a batch of ``count`` equal ones; the operator, of one sensor, serves them all."""

    def all_of(x: Tensor) -> Tensor:
        return x.expand(count, *x.shape[1:])

    spectrum = SpectralDensity(all_of(sensing.spectrum.nodes), all_of(sensing.spectrum.weights))
    return replace(
        sensing,
        y=all_of(sensing.y),
        backprojection=all_of(sensing.backprojection),
        sigma=all_of(sensing.sigma),
        scale=all_of(sensing.scale),
        spectrum=spectrum,
    )


def exceedance(samples: Tensor, threshold: float) -> Tensor:
    """Return the share of samples (S, ...) whose magnitude exceeds a threshold, (...): P(|x| > threshold | y)."""
    return (samples.abs() > threshold).to(samples.real.dtype).mean(0)
