"""Losses of the network in both modes, and the weight that balances easy problems against hard ones.

The squared error is divided by v, the mean diagonal of (A^H A / s_n^2 + I / s_t^2 + I)^-1: for A = 0 that is EDM's weight
(s_t^2 + 1) / s_t^2, and the untrained network (D = Wiener) starts near one for every problem. A sparse scene is then solved
to a thousandth of v while speckle stays near one, so a plain mean would train on speckle alone. The error is therefore divided
once more by its own expected size u, predicted from the network's *inputs*. Since u does not depend on the truth, the
minimiser is still the posterior mean (an absolute error, or a weight made from the realised error, would not keep it).

Source: Karras et al. (2022), section 5, and (2024), appendix B.3 (uncertainty by noise level; here by problem); STATE.md, 4.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from echoform.linalg.inner import expand
from echoform.nets.ram import RAM
from echoform.nets.state import INPUT_CHANNELS, NOISE_FEATURES, DiffusionState, StateInputs
from echoform.train.problems.mixture import Problem

#: bounds of log u
LOG_ERROR_RANGE = (-8.0, 1.5)


class ExpectedError(nn.Module):
    """Predicts log u, the log of the expected error over v, from the noise levels and moments of the input channels."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(NOISE_FEATURES + 2 * INPUT_CHANNELS, 64),
            nn.SiLU(),
            nn.Linear(64, 64),
            nn.SiLU(),
            nn.Linear(64, 1),
        )

    def forward(self, given: StateInputs) -> Tensor:
        """Return log u, shape (B,)."""
        square = given.channels.float().square()
        power = square.mean((2, 3)) + 1e-8
        peaked = square.square().mean((2, 3)) / power.square()
        features = torch.cat([given.noise, power.log() / 4, torch.log(peaked + 1e-8) / 4], 1)
        return self.layers(features).squeeze(1).clamp(*LOG_ERROR_RANGE)


def relative_error(network: RAM, problem: Problem) -> tuple[Tensor, StateInputs]:
    """Return mean |D - x|^2 / v per sample, shape (B,), in units of the image scale, and the inputs of the network."""
    sensing = network.prepare(problem.measurement, scale=problem.scale)
    state = problem.state
    if state is not None:
        state = DiffusionState(state.x_t / expand(sensing.scale, 3), state.sigma_t / sensing.scale)
    image, given = network.denoise_normalized(sensing, state)
    truth = problem.truth / expand(sensing.scale, 3)
    error = torch.view_as_real(image - truth).square().sum(-1).mean((1, 2, 3))
    return error / given.variance, given


def balanced(errors: Tensor, log_expected: Tensor) -> Tensor:
    """Return the training loss: errors / u for the network, errors / u + log u for the predictor of u."""
    network = (errors * torch.exp(-log_expected.detach())).mean()
    predictor = (errors.detach() * torch.exp(-log_expected) + log_expected).mean()
    return network + predictor
