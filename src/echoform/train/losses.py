"""Losses of the network in its modes, and the weight that balances easy problems against hard ones.

The squared error is divided by v, the mean diagonal of (A^H A / s_n^2 + I / s_t^2 + I)^-1: for A = 0 that is EDM's weight
(s_t^2 + 1) / s_t^2, and the untrained network (D = Wiener) starts near one for every problem. A sparse scene is then solved
to a thousandth of v while speckle stays near one, so a plain mean would train on speckle alone. The error is therefore divided
once more by its own expected size u, predicted from the network's *inputs*. Since u does not depend on the truth, the
minimiser is still the posterior mean (an absolute error, or a weight made from the realised error, would not keep it).

Where a sensor sees next to nothing of what is bright in a scene (a mask over it, say) the scale of the image cannot be known, and
a single such scene would outweigh a thousand others: its error is left out.

A loss is a module called with (network, task); it returns the loss and the errors by which a run is judged.

Source: Karras et al. (2022), section 5, and (2024), appendix B.3 (uncertainty by noise level; here by problem); docs/state.md.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from echoform.linalg.inner import expand, squared_norm
from echoform.nets.one_pass import OnePassNetwork
from echoform.nets.ram import RAM
from echoform.nets.sensing import Sensing
from echoform.nets.state import INPUT_IMAGES, NOISE_FEATURES, DiffusionState, StateInputs, state_inputs
from echoform.physics.noise import Noise
from echoform.recon.network import unit_norm
from echoform.train.problems.task import Task

#: what can be trained
Network = RAM | OnePassNetwork
#: log u lies within 6.5 of -1.5, approached smoothly: at a hard bound the predictor would have no way back
LOG_ERROR_MIDDLE, LOG_ERROR_REACH = -1.5, 6.5
#: squared error of the Wiener estimate over its expected size v from which on a scene is left out
HOPELESS = 1e4
#: squared error over its expected size u above which a scene counts no more: about one scene in a thousand, and a batch of such a
#: scene and a hundred others would teach of it alone
LARGEST = 20.0


@dataclass(frozen=True)
class Judged:
    """What a loss says of a batch.

    Attributes:
        loss: to be minimised, a scalar.
        errors: squared errors without their units, (B,): over v with the state head, over |x|^2 with the official one.
    """

    loss: Tensor
    errors: Tensor


class Loss(nn.Module, ABC):
    """A loss; it may hold parameters of its own, which are trained beside the network's."""

    @abstractmethod
    def forward(self, network: Network, task: Task) -> Judged:
        """Return the loss and errors of a batch."""


class ExpectedError(nn.Module):
    """Predicts log u, the log of the expected error over v, from the noise levels and moments of the input images."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(NOISE_FEATURES + 2 * (INPUT_IMAGES + 1), 64),
            nn.SiLU(),
            nn.Linear(64, 64),
            nn.SiLU(),
            nn.Linear(64, 1),
        )

    def forward(self, given: StateInputs) -> Tensor:
        """Return log u, shape (B,)."""
        features = self.features(given)
        with torch.autocast(features.device.type, enabled=False):
            return self.predicted(features)

    @staticmethod
    def features(given: StateInputs) -> Tensor:
        """Return what the prediction is made from, (B, F)."""
        square = given.channels.float().square()
        each = 2 if given.wiener.is_complex() else given.wiener.shape[1]
        images = [part.flatten(1) for part in square.split(each, 1)]
        power = torch.stack([part.mean(1) for part in images], 1) + 1e-8
        peaked = torch.stack([part.square().mean(1) for part in images], 1) / power.square()
        return torch.cat([given.noise.float(), power.log() / 4, torch.log(peaked + 1e-8) / 4], 1)

    def predicted(self, features: Tensor) -> Tensor:
        """Return log u of features (B, F)."""
        away = (self.layers(features).squeeze(1) - LOG_ERROR_MIDDLE) / LOG_ERROR_REACH
        return LOG_ERROR_MIDDLE + LOG_ERROR_REACH * torch.tanh(away)


@dataclass(frozen=True)
class Denoised:
    """A pass of a network over a task, in units of the image scale.

    Attributes:
        error: D - x, (B, C, H, W).
        first: mean |z - x|^2 / v of each scene for the Wiener estimate z, (B,).
        given: the inputs of the network.
        sensing: the normalised problem.
        state: the normalised state.
    """

    error: Tensor
    first: Tensor
    given: StateInputs
    sensing: Sensing
    state: DiffusionState | None

    @property
    def relative(self) -> Tensor:
        """Mean |D - x|^2 / v of each scene, (B,)."""
        return self.error.abs().square().mean((1, 2, 3)) / self.given.variance

    @property
    def measured(self) -> Tensor:
        """|A (D - x)|^2 over its size for the Wiener estimate, tr A (P + I)^-1 A^H, (B,); zero where A = 0."""
        sigma = self.sensing.sigma
        precision = torch.zeros_like(sigma)
        if self.state is not None:
            precision = self.state.sigma_t.to(sigma).expand_as(sigma).square().reciprocal()

        def seen(node: Tensor) -> Tensor:
            return node / (node / sigma.square()[:, None] + precision[:, None] + 1)

        expected = self.sensing.spectrum.mean(seen) * self.error[0].numel()
        with torch.autocast(self.error.device.type, enabled=False):
            data = self.sensing.operator(self.error)
        energy = squared_norm(data, data.ndim - 1)
        return torch.where(expected > 0, energy / expected.clamp_min(1e-30), torch.zeros_like(energy))


def denoised(network: Network, task: Task) -> Denoised:
    """Return the pass of a network over a task; image sides must be multiples of eight.

    Networks of one pass are judged as the state head is without a state: by the same v and the same u, of the same inputs.

    Raises:
        ValueError: a network of one pass is given a state.
    """
    with torch.autocast(task.truth.device.type, enabled=False):
        sensing = task.sensing or network.prepare(task.measurement, scale=task.scale)
    state = task.state
    if state is not None:
        state = DiffusionState(state.x_t / expand(sensing.scale, 3), state.sigma_t / sensing.scale)
    match network:
        case RAM():
            made = network.denoise_normalized(sensing, state)
            image, given = made.image, made.given
        case OnePassNetwork() if state is None:
            image = network.reconstruct(sensing)
            with torch.no_grad(), torch.autocast(task.truth.device.type, enabled=False):
                given = state_inputs(sensing, None)
        case _:
            raise ValueError(f"{type(network).__name__} has no state mode: set the share of one_shot to 1")
    truth = task.truth / expand(sensing.scale, 3)
    first = (given.wiener - truth).abs().square().mean((1, 2, 3)) / given.variance
    return Denoised(image - truth, first, given, sensing, state)


def balanced(errors: Tensor, log_expected: Tensor, counted: Tensor) -> Tensor:
    """Return the training loss: errors / u for the network, errors / u + log u for the predictor of u; of scenes ``counted``.

    Where errors / u exceeds ``LARGEST`` the gradient by its logarithm is that at ``LARGEST``: clipping, scene by scene.
    """
    network = _clipped(errors * torch.exp(-log_expected.detach()))
    predictor = _clipped(errors.detach() * torch.exp(-log_expected)) + log_expected
    return torch.where(counted, network + predictor, torch.zeros_like(errors)).mean()


def _clipped(ratio: Tensor) -> Tensor:
    return ratio * (LARGEST / ratio.detach()).clamp_max(1)


class BalancedSquaredError(Loss):
    """|D - x|^2 / v, balanced by its expected size, and ``physics`` times |A (D - x)|^2 in units of its own expected size.

    The second term is quadratic in D - x, so its minimiser is the posterior mean too: it weighs more what the sensor sees.

    Args:
        physics: weight of the second term.
    """

    def __init__(self, *, physics: float) -> None:
        super().__init__()
        self.physics = physics
        self.expected = ExpectedError()

    def forward(self, network: Network, task: Task) -> Judged:
        """Return the loss, and errors over v."""
        made = denoised(network, task)
        errors = total = made.relative
        if self.physics > 0:
            total = errors + self.physics * made.measured
        return Judged(balanced(total, self.expected(made.given), made.first < HOPELESS), errors.detach())


class WeightedAbsoluteError(Loss):
    """RAM's own loss for one-pass reconstruction, omega |D - x|_1 / n with omega = (|A^H y|_2 / sqrt(n)) / s_n.

    The norm is taken per pixel, so that the weight does not depend on the size of the image. Where s_n is zero, or for counts,
    the level below is the least the official head is given. The sensor is given unit norm first, as it is where the head is
    used. The minimiser is a median: no denoiser for samplers.

    Source: Terris et al. (2025), section 4.1.
    """

    #: lowest s_n in the weight
    floor = 5e-3

    def forward(self, network: Network, task: Task) -> Judged:
        """Return the loss, and squared errors over |x|^2."""
        if task.state is not None:
            raise ValueError(
                "the weighted absolute error is for one-pass reconstruction: set the share of one_shot to 1"
            )
        measurement = unit_norm(task.measurement)
        image = network(measurement)
        pixels = image[0].numel()
        back = measurement.operator.adjoint(measurement.y)
        weight = (squared_norm(back, 3) / pixels).sqrt() / _level(measurement.noise).clamp_min(self.floor)
        error = image - task.truth
        parts = torch.view_as_real(error) if error.is_complex() else error
        loss = (weight * parts.abs().flatten(1).mean(1)).mean()
        energy = squared_norm(task.truth, 3).clamp_min(1e-30)
        return Judged(loss, (squared_norm(error, 3) / energy).detach())


def _level(noise: Noise) -> Tensor:
    if not isinstance(noise.sigma, Tensor):
        raise ValueError(f"the weighted absolute error needs noise with a level, got {noise}")
    return noise.sigma


@dataclass(frozen=True)
class SquaredErrorRecipe:
    """What a recipe says of :class:`BalancedSquaredError`."""

    kind: ClassVar[str] = "balanced-squared"
    #: it takes tasks whose measurement was made ready for networks
    ready: ClassVar[bool] = True

    physics: float = 0.0

    def build(self) -> Loss:
        """Return the loss."""
        return BalancedSquaredError(physics=self.physics)


@dataclass(frozen=True)
class AbsoluteErrorRecipe:
    """What a recipe says of :class:`WeightedAbsoluteError`."""

    kind: ClassVar[str] = "weighted-absolute"
    ready: ClassVar[bool] = False

    def build(self) -> Loss:
        """Return the loss."""
        return WeightedAbsoluteError()
