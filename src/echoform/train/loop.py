"""The training loop: fresh problems every step, an exponential average of the weights, exact resume.

A checkpoint holds everything the next step depends on; since problems are drawn from (seed, step) alone, a run cut in two
is bit for bit the uncut run (on one machine with one thread count).
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from echoform.measure.atomic import atomic_path
from echoform.nets.ram import RAM, RAMConfig, channels_last
from echoform.train.losses import ExpectedError, balanced, relative_error
from echoform.train.problems.mixture import Problem, generator_for

#: draws the batch of one step: (generator, batch size, image sides) -> problem
ProblemSource = Callable[[torch.Generator, int, tuple[int, int]], Problem]


@dataclass(frozen=True)
class Phase:
    """Consecutive steps at one image size."""

    steps: int
    side: int
    batch: int


@dataclass(frozen=True)
class Recipe:
    """Everything that defines a training run.

    Attributes:
        network: size and head.
        phases: image sizes and batch sizes over the run.
        learning_rate: peak rate of Adam; linear warm-up over ``warmup`` steps, cosine to 1 % of the peak at the end.
        warmup: steps.
        average: decay of the exponential average of the weights.
        clip: bound on the gradient's norm.
        bfloat16: run convolutions in bfloat16 (physics stays in float32).
        seed: of weights and problems.
    """

    network: RAMConfig
    phases: tuple[Phase, ...]
    learning_rate: float = 1e-3
    warmup: int = 200
    average: float = 0.999
    clip: float = 1.0
    bfloat16: bool = True
    seed: int = 0

    @property
    def steps(self) -> int:
        """Total number of steps."""
        return sum(p.steps for p in self.phases)

    def phase(self, step: int) -> Phase:
        """Return the phase that ``step`` belongs to."""
        for p in self.phases:
            if step < p.steps:
                return p
            step -= p.steps
        return self.phases[-1]

    def rate(self, step: int) -> float:
        """Return the learning rate at ``step``."""
        warm = min(1.0, (step + 1) / self.warmup)
        return self.learning_rate * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / self.steps)))


@dataclass
class TrainingState:
    """The weights, their average, the predictor of the expected error, the optimiser and the step to do next."""

    network: RAM
    average: RAM
    expected: ExpectedError
    optimizer: torch.optim.Adam
    step: int = 0

    @staticmethod
    def start(recipe: Recipe, device: torch.device) -> TrainingState:
        """Return a fresh state with weights drawn from the recipe's seed."""
        with torch.random.fork_rng():
            torch.manual_seed(recipe.seed)
            network, expected = RAM(recipe.network), ExpectedError().to(device)
        network = channels_last(network.to(device))
        average = channels_last(RAM(recipe.network).to(device))
        average.load_state_dict(network.state_dict())
        trained = [*network.parameters(), *expected.parameters()]
        optimizer = torch.optim.Adam(trained, lr=recipe.learning_rate, betas=(0.9, 0.99))
        return TrainingState(network, average, expected, optimizer)

    def save(self, path: Path) -> None:
        """Write the checkpoint atomically."""
        content = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "expected": self.expected.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
        }
        with atomic_path(path) as part:
            torch.save(content, part)

    def load(self, path: Path) -> None:
        """Restore a checkpoint (no pickled code is executed)."""
        content = torch.load(path, map_location="cpu", weights_only=True)
        self.network.load_state_dict(content["network"])
        self.average.load_state_dict(content["average"])
        self.expected.load_state_dict(content["expected"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.step = content["step"]


def train_step(state: TrainingState, recipe: Recipe, source: ProblemSource) -> Tensor:
    """Do one step and return the batch's errors over v, (B,)."""
    phase = recipe.phase(state.step)
    device = next(state.network.parameters()).device
    problem = source(generator_for(recipe.seed, state.step), phase.batch, (phase.side, phase.side)).to(device)
    for group in state.optimizer.param_groups:
        group["lr"] = recipe.rate(state.step)
    with torch.autocast(device.type, torch.bfloat16, enabled=recipe.bfloat16):
        errors, given = relative_error(state.network, problem)
    loss = balanced(errors, state.expected(given))
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(state.network.parameters(), recipe.clip)
    state.optimizer.step()
    state.step += 1
    decay = min(recipe.average, (1 + state.step) / (10 + state.step))
    with torch.no_grad():
        for slow, fast in zip(state.average.parameters(), state.network.parameters(), strict=True):
            slow.lerp_(fast, 1 - decay)
    return errors.detach()


def train(
    state: TrainingState,
    recipe: Recipe,
    source: ProblemSource,
    *,
    folder: Path,
    until: int,
    save_every: int = 250,
    report: Callable[[int, float], None] | None = None,
) -> None:
    """Run the recipe from ``state.step`` to step ``until``, keeping ``folder``/checkpoint.pt and log.jsonl.

    Args:
        state: where to go on from.
        recipe: what to do.
        source: draws the problems.
        folder: where checkpoint and log are written.
        until: stop before this step (at most ``recipe.steps``).
        save_every: steps between checkpoints.
        report: called with (step, mean of log error over v) at every log line.
    """
    folder.mkdir(parents=True, exist_ok=True)
    began, pending = time.monotonic(), []
    while state.step < min(until, recipe.steps):
        errors = train_step(state, recipe, source)
        pending.append((float(errors.mean()), float(errors.log().mean())))
        if state.step % 50 == 0 or state.step == recipe.steps:
            mean, log_mean = (sum(values) / len(pending) for values in zip(*pending, strict=True))
            seconds = round(time.monotonic() - began, 1)
            line = {
                "step": state.step,
                "error": mean,
                "log_error": log_mean,
                "rate": recipe.rate(state.step),
                "seconds": seconds,
            }
            with (folder / "log.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
            if report is not None:
                report(state.step, log_mean)
            pending = []
        if state.step % save_every == 0:
            state.save(folder / "checkpoint.pt")
    state.save(folder / "checkpoint.pt")
