"""What the network is asked in one training batch: a problem in one of three modes.

    one shot    y, A                          reconstruct
    state       y, A and x_t = x + s_t e      denoise given a measurement
    blind       x_t alone (A = 0)             denoise

with s_t log-uniform over the image's RMS. Complex images, their samples with them, are turned by one random phase: nothing a
sensor measures depends on the phase of the whole scene.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from echoform.linalg.inner import expand
from echoform.measure.measurement import Measurement
from echoform.nets.sensing import Sensing, sense
from echoform.nets.state import DiffusionState
from echoform.physics.identity import ScalarOperator
from echoform.physics.noise import GaussianNoise, standard_normal
from echoform.scene.fields import uniform
from echoform.train.problems.problem import Problem
from echoform.train.problems.stream import PROBLEMS, ProblemStream, problem_generator

#: how far the stated RMS of an image without a measurement may be off, decibels
SCALE_ERROR_DB = 1.0
#: added to the seed of a stream: modes and states come from generators of their own
MODE_SEED = 0x5EED


@dataclass(frozen=True)
class Modes:
    """How often each mode is drawn.

    Attributes:
        one_shot: share of batches with a measurement alone.
        state: share with a measurement and a state.
        blind: share with a state alone.
        state_range: lowest and highest s_t over the image's RMS, log-uniform; 80 dB apart by default.

    Raises:
        ValueError: a share is negative or they do not sum to one, or the range is not positive and increasing.
    """

    one_shot: float = 0.48
    state: float = 0.4
    blind: float = 0.12
    state_range: tuple[float, float] = (2e-3, 20.0)

    def __post_init__(self) -> None:
        shares = (self.one_shot, self.state, self.blind)
        if min(shares) < 0 or not math.isclose(sum(shares), 1, abs_tol=1e-6):
            raise ValueError(f"one_shot, state and blind must be shares that sum to one, got {shares}")
        if not 0 < self.state_range[0] < self.state_range[1]:
            raise ValueError(f"state_range must be positive and increasing, got {self.state_range}")


@dataclass(frozen=True)
class Task:
    """One training batch.

    Attributes:
        family: name of what it was drawn from.
        truth: images, (B, C, H, W).
        measurement: what the network is given.
        state: x_t and s_t, or None for one-pass reconstruction.
        scale: the image's RMS where nothing was measured, else None (the network estimates it).
        sensing: the measurement as networks see it, where it was made ready; None where the network is to do so.
    """

    family: str
    truth: Tensor
    measurement: Measurement
    state: DiffusionState | None
    scale: Tensor | None
    sensing: Sensing | None = None

    def to(self, device: torch.device) -> Task:
        """Return the task on ``device`` (the operator itself is moved)."""
        state = self.state and DiffusionState(self.state.x_t.to(device), self.state.sigma_t.to(device))
        scale = None if self.scale is None else self.scale.to(device)
        sensing = None if self.sensing is None else self.sensing.to(device)
        return Task(self.family, self.truth.to(device), self.measurement.to(device), state, scale, sensing)

    def ready(self) -> Task:
        """Return the task with its measurement made ready for networks: by those who draw it, not by those who train."""
        return replace(self, sensing=sense(self.measurement, scale=self.scale))


def rms(x: Tensor) -> Tensor:
    """Return the RMS of each image of (B, C, H, W), (B,)."""
    return x.abs().square().mean((1, 2, 3)).sqrt()


def draw_state(x: Tensor, levels: tuple[float, float], generator: torch.Generator) -> DiffusionState:
    """Return x_t = x + s_t e with s_t over the image's RMS log-uniform between two levels, one for each image."""
    low, high = (math.log(level) for level in levels)
    sigma = rms(x) * torch.exp(uniform(generator, (x.shape[0],), low, high)).to(x.device)
    return DiffusionState(x + expand(sigma, 3) * standard_normal(x, generator), sigma)


def pose(problem: Problem, modes: Modes, generator: torch.Generator) -> Task:
    """Return a problem as a task in a mode that is drawn."""
    shares = torch.tensor([modes.one_shot, modes.state, modes.blind], dtype=torch.float64)
    mode = int(torch.multinomial(shares, 1, generator=generator))
    turned, measurement = _turned(problem.truth, problem.measurement, generator)
    if mode == 0:
        return Task(problem.family.name, turned, measurement, None, None)
    state = draw_state(turned, modes.state_range, generator)
    if mode == 1:
        return Task(problem.family.name, turned, measurement, state, None)
    return without_measurement(problem.family.name, turned, state, generator)


def without_measurement(family: str, truth: Tensor, state: DiffusionState, generator: torch.Generator) -> Task:
    """Return the task of denoising a state, the image's RMS given to within a decibel."""
    channels, height, width = truth.shape[1:]
    gain = torch.zeros(1, device=truth.device, dtype=truth.real.dtype)
    sees_nothing = ScalarOperator((channels, height, width), gain, complex_image=truth.is_complex())
    measurement = Measurement(torch.zeros_like(truth), sees_nothing, GaussianNoise(torch.ones_like(gain)))
    error_db = uniform(generator, (len(truth),), -SCALE_ERROR_DB, SCALE_ERROR_DB).to(truth.device)
    return Task(family, truth, measurement, state, rms(truth) * 10 ** (error_db / 20))


def _turned(x: Tensor, measurement: Measurement, generator: torch.Generator) -> tuple[Tensor, Measurement]:
    """Images and samples times one phase for each scene; real images as they are."""
    phase = torch.exp(2j * math.pi * torch.rand(len(x), generator=generator)).to(x.device)
    if not x.is_complex():
        return x, Measurement(measurement.y, measurement.operator, measurement.noise)
    y = measurement.y * expand(phase, measurement.y.ndim - 1)
    return x * expand(phase, 3), Measurement(y, measurement.operator, measurement.noise)


class TaskStream(IterableDataset[Task]):
    """The tasks of a stream of problems, in its order; use ``DataLoader(stream, batch_size=None, num_workers=...)``.

    Args:
        problems: where problems come from; its seed, start, rank and ranks are those of the tasks.
        modes: how often each mode is drawn.
        ready: make them ready for networks too (:meth:`Task.ready`).
    """

    def __init__(self, problems: ProblemStream, modes: Modes, *, ready: bool) -> None:
        super().__init__()
        self.problems, self.modes, self.ready = problems, modes, ready

    def task(self, index: int) -> Task:
        """Return task ``index``, whoever asks."""
        generator = problem_generator(self.problems.seed + MODE_SEED, index)
        task = pose(self.problems.problem(index), self.modes, generator)
        return task.ready() if self.ready else task

    def __iter__(self) -> Iterator[Task]:
        """Yield this rank's (and worker's) tasks from the stream's start on."""
        info = get_worker_info()
        worker, workers = (0, 1) if info is None else (info.id, info.num_workers)
        p = self.problems
        for step in range(p.start + worker, PROBLEMS // p.ranks, workers):
            yield self.task(p.rank + p.ranks * step)
