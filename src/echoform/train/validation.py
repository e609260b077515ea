"""A fixed set of problems for each family, by which the averaged weights are judged while they train."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from echoform.train.losses import Loss, Network
from echoform.train.problems.problem import draw_problem
from echoform.train.problems.stream import Share, problem_generator
from echoform.train.problems.task import Modes, Task, pose
from echoform.train.recipe import Validation

#: mode to the shares that draw nothing else
ONLY = {
    "one shot": {"one_shot": 1.0, "state": 0.0, "blind": 0.0},
    "state": {"one_shot": 0.0, "state": 1.0, "blind": 0.0},
    "blind": {"one_shot": 0.0, "state": 0.0, "blind": 1.0},
}


@dataclass(frozen=True)
class ValidationSet:
    """Tasks by family and mode: only modes that the recipe trains."""

    tasks: tuple[tuple[str, Task], ...]

    @staticmethod
    def draw(
        shares: Sequence[Share], modes: Modes, validation: Validation, device: torch.device, *, ready: bool
    ) -> ValidationSet:
        """Draw the set from its own seed: the same for every run of the same families, ``ready`` for networks or not."""
        shape = (validation.side, validation.side)
        trained = {"one shot": modes.one_shot, "state": modes.state, "blind": modes.blind}
        tasks = []
        for share in shares:
            family = replace(share.family, shape=shape)
            problem = draw_problem(problem_generator(validation.seed, 0), family, validation.scenes)
            for mode in (mode for mode, share in trained.items() if share > 0):
                generator = problem_generator(validation.seed, 1)
                only = Modes(**ONLY[mode], state_range=modes.state_range)
                task = pose(problem, only, generator)
                tasks.append((mode, (task.ready() if ready else task).to(device)))
        return ValidationSet(tuple(tasks))

    @torch.no_grad()
    def judge(self, network: Network, loss: Loss) -> dict[str, dict[str, float]]:
        """Return the mean log error of each family and mode; full precision."""
        found: dict[str, dict[str, float]] = {}
        for mode, task in self.tasks:
            errors = loss(network, task).errors.clamp_min(1e-30)
            found.setdefault(task.family, {})[mode] = round(float(errors.log().mean()), 4)
        return found
