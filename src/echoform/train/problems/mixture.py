"""The training mixture: scenes, sensors, noise and modes, drawn afresh at every step from the seed and the step alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from echoform.linalg.inner import expand, squared_norm
from echoform.measure.measurement import Measurement, simulate
from echoform.nets.state import DiffusionState
from echoform.physics.identity import blind
from echoform.physics.noise import GaussianNoise, standard_normal
from echoform.physics.operator import LinearOperator
from echoform.scene.fields import uniform
from echoform.train.problems.fourier import draw_fourier_mask
from echoform.train.problems.scenes import Chips, SceneKind, draw_scene
from echoform.train.problems.spotlight import draw_spotlight


@dataclass(frozen=True)
class Mixture:
    """What is trained on, as data.

    Attributes:
        scenes: share of each kind of scene.
        spotlight_share: share of steps with spotlight geometry; the others sample the Fourier grid.
        snr_db: range of the mean power of A x over that of the noise.
        state_share: share of steps that carry a diffusion state beside the measurement.
        blind_share: share of steps with a state and no measurement (A = 0).
        state_range: s_t over the image's RMS, log-uniform: 83 dB.
    """

    scenes: tuple[tuple[SceneKind, float], ...] = (
        (SceneKind.POINTS, 0.2),
        (SceneKind.TARGETS, 0.25),
        (SceneKind.OBJECTS, 0.15),
        (SceneKind.REGIONS, 0.1),
        (SceneKind.CLUTTER, 0.05),
        (SceneKind.CHIP, 0.25),
    )
    spotlight_share: float = 0.3
    snr_db: tuple[float, float] = (-5.0, 40.0)
    state_share: float = 0.4
    blind_share: float = 0.12
    state_range: tuple[float, float] = (2e-3, 30.0)


@dataclass(frozen=True)
class Problem:
    """One training batch.

    Attributes:
        truth: scenes, (B, 1, H, W).
        measurement: what the network is given.
        state: x_t and s_t, or None for one-pass reconstruction.
        scale: the image's RMS where nothing was measured, else None (the network estimates it).
    """

    truth: Tensor
    measurement: Measurement
    state: DiffusionState | None
    scale: Tensor | None

    def to(self, device: torch.device) -> Problem:
        """Return the problem on ``device``."""
        state = self.state and DiffusionState(self.state.x_t.to(device), self.state.sigma_t.to(device))
        scale = None if self.scale is None else self.scale.to(device)
        return Problem(self.truth.to(device), self.measurement.to(device), state, scale)


def generator_for(seed: int, step: int) -> torch.Generator:
    """Return the generator of one step: the same step of the same seed always draws the same problem."""
    return torch.Generator().manual_seed((seed * 1_000_003 + step) % (2**63))


def draw_scenes(
    mixture: Mixture, generator: torch.Generator, batch: int, shape: tuple[int, int], *, chips: Chips | None
) -> Tensor:
    """Return scenes whose kinds follow the mixture, (B, 1, H, W)."""
    shares = torch.tensor([share for _, share in mixture.scenes])
    counts = torch.bincount(
        torch.multinomial(shares, batch, replacement=True, generator=generator), minlength=len(shares)
    )
    groups = [
        draw_scene(kind, generator, count, shape, chips=chips)
        for (kind, _), count in zip(mixture.scenes, counts.tolist(), strict=True)
        if count
    ]
    return torch.cat(groups)


def with_noise(x: Tensor, operator: LinearOperator, snr_db: Tensor, generator: torch.Generator) -> Measurement:
    """Return the measurement of ``x`` whose noise is ``snr_db`` (B,) below the mean power of the measured samples."""
    clean = operator(x)
    count = operator.samples().to(clean.real.dtype)
    power = squared_norm(clean, clean.ndim - 1) / count
    sigma = (power / 10 ** (snr_db / 10)).sqrt()
    return simulate(x, operator, GaussianNoise(sigma), generator=generator)


def draw_state(x: Tensor, sigma_range: tuple[float, float], generator: torch.Generator) -> DiffusionState:
    """Return x_t = x + s_t e with s_t log-uniform in ``sigma_range``, one level per sample."""
    low, high = (torch.log(torch.tensor(s)).item() for s in sigma_range)
    sigma = torch.exp(uniform(generator, (x.shape[0],), low, high))
    return DiffusionState(x + expand(sigma, 3) * standard_normal(x, generator), sigma)


def draw_problem(
    mixture: Mixture, generator: torch.Generator, batch: int, shape: tuple[int, int], *, chips: Chips | None
) -> Problem:
    """Return one batch of problems: kinds of scene vary within it, sensor family and mode are common to it."""
    x = draw_scenes(mixture, generator, batch, shape, chips=chips)
    mode = float(torch.rand((), generator=generator))
    if mode < mixture.blind_share:
        operator = blind((1, *shape))
        measurement = Measurement(torch.zeros_like(x), operator, GaussianNoise(torch.ones(1)))
        jitter = 10 ** (uniform(generator, (batch,), -1.0, 1.0) / 20)
        return Problem(x, measurement, draw_state(x, mixture.state_range, generator), jitter)
    spotlight = float(torch.rand((), generator=generator)) < mixture.spotlight_share
    operator = (draw_spotlight if spotlight else draw_fourier_mask)(generator, batch, shape)
    snr_db = uniform(generator, (batch,), *mixture.snr_db)
    measurement = with_noise(x, operator, snr_db, generator)
    stated = mode < mixture.blind_share + mixture.state_share
    state = draw_state(x, mixture.state_range, generator) if stated else None
    return Problem(x, measurement, state, None)
