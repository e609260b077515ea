"""Where a training run stands: everything the next step depends on, kept in one checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from echoform.measure.atomic import atomic_path
from echoform.nets.ram import RAM, channels_last
from echoform.nets.weights import load as load_weights
from echoform.nets.widening import widened
from echoform.train.losses import Judged, Loss, Network
from echoform.train.problems.task import Task
from echoform.train.recipe import Recipe

#: the layer by which the width of a RAM is known
FIRST = "body.m_head.conv0.weight"
#: by how much the rate of a group of the optimiser's parameters exceeds the recipe's: what a loss learns beside the network, a
#: small perceptron, is to follow it closely
TIMES, LOSS_TIMES = "times", 5.0
#: what the names of a loss's own parameters begin with in a :class:`Lesson`
LOSS = "loss."


class Lesson(nn.Module):
    """Network and loss as one module, so that several processes can share their gradients.

    Args:
        network: what is trained.
        loss: what is minimised.
        bfloat16: run convolutions in bfloat16.
    """

    def __init__(self, network: Network, loss: Loss, *, bfloat16: bool) -> None:
        super().__init__()
        self.network, self.loss, self.narrow = network, loss, bfloat16

    def forward(self, task: Task) -> tuple[Tensor, Tensor]:
        """Return the loss and the errors of a batch."""
        with torch.autocast(task.truth.device.type, torch.bfloat16, enabled=self.narrow):
            judged: Judged = self.loss(self.network, task)
        return judged.loss, judged.errors


def runs_bfloat16(device: torch.device) -> bool:
    """Whether the library has convolutions in bfloat16 for a device; without, they take some ten times what float32 takes."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type != "cpu" or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


class CheckpointError(Exception):
    """A checkpoint that is missing, damaged or of another network."""


@dataclass
class TrainingState:
    """The weights with their loss, the average of the weights, the optimiser and the step to do next."""

    lesson: Lesson
    average: Network
    optimizer: torch.optim.Adam
    step: int = 0

    @property
    def network(self) -> Network:
        """The weights being trained."""
        return self.lesson.network

    @staticmethod
    def start(recipe: Recipe, device: torch.device) -> TrainingState:
        """Return a fresh state: weights drawn from the recipe's seed, then those of ``recipe.start`` where it names any.

        Of a checkpoint of the same loss, what the loss had learnt beside its network is taken too.

        Raises:
            CheckpointError: the weights to start from belong to another network.
        """
        with torch.random.fork_rng():
            torch.manual_seed(recipe.seed)
            network, loss = recipe.network.build(), recipe.loss.build()
        if recipe.start:
            weights, learnt = _first_weights(recipe.start)
            _take_over(network, weights, recipe.start, recipe.seed)
            if learnt.keys() == loss.state_dict().keys():
                loss.load_state_dict(learnt)
        network = channels_last(network.to(device))
        average = channels_last(recipe.network.build().to(device)).eval()
        average.load_state_dict(network.state_dict())
        lesson = Lesson(network, loss.to(device), bfloat16=recipe.bfloat16 and runs_bfloat16(device))
        groups = [{"params": list(network.parameters()), TIMES: 1.0}]
        if judges := list(lesson.loss.parameters()):
            groups.append({"params": judges, TIMES: LOSS_TIMES})
        optimizer = torch.optim.Adam(groups, lr=recipe.schedule.peak, betas=recipe.betas, fused=device.type == "cuda")
        return TrainingState(lesson, average, optimizer)

    def save(self, path: Path) -> None:
        """Write the checkpoint atomically."""
        content = {
            "lesson": self.lesson.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
        }
        with atomic_path(path) as part:
            torch.save(content, part)

    def load(self, path: Path) -> None:
        """Restore a checkpoint (no pickled code is executed).

        Raises:
            CheckpointError: the file is missing, damaged, or holds another network or loss.
        """
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
            self.lesson.load_state_dict(content["lesson"])
            self.average.load_state_dict(content["average"])
            self.optimizer.load_state_dict(content["optimizer"])
            self.step = int(content["step"])
        except FileNotFoundError as error:
            raise CheckpointError(f"there is no checkpoint {path}; start without --resume") from error
        except Exception as error:
            raise CheckpointError(
                f"{path} is no checkpoint of this recipe's network and loss, or is damaged ({type(error).__name__}); "
                "resume with the recipe that wrote it, or start another run"
            ) from error

    def follow(self, decay: float) -> None:
        """Move the average towards the weights; early on it moves faster, as (1 + step) / (10 + step) asks."""
        decay = min(decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            slow: list[Tensor] = list(self.average.parameters())
            fast: list[Tensor] = list(self.network.parameters())
            torch._foreach_lerp_(slow, fast, 1 - decay)  # pyright: ignore[reportPrivateImportUsage]


def _first_weights(start: str) -> tuple[Mapping[str, Tensor], Mapping[str, Tensor]]:
    """Weights by name, or the averaged ones of a checkpoint; and what the checkpoint's loss had learnt, if anything."""
    if not start.endswith(".pt"):
        return load_weights(start).state_dict(), {}
    try:
        content = torch.load(start, map_location="cpu", weights_only=True)
        learnt = {key.removeprefix(LOSS): value for key, value in content["lesson"].items() if key.startswith(LOSS)}
        return content["average"], learnt
    except Exception as error:
        raise CheckpointError(f"start: {start} is no checkpoint of echoform train ({type(error).__name__})") from error


def _take_over(network: Network, weights: Mapping[str, Tensor], name: str, seed: int) -> None:
    """Load weights into a network that may serve more kinds of image than they do, and have twice the channels."""
    own = network.state_dict()
    if isinstance(network, RAM) and 2 * len(weights.get(FIRST, ())) == network.config.channels[0]:
        try:
            weights = widened(weights, network, torch.Generator().manual_seed(seed))
        except ValueError as error:
            raise CheckpointError(f"start: the weights {name!r} cannot be widened: {error}") from error
    extra = [key for key in own if key not in weights]
    kinds = ("m_head.", "m_tail.", "decoding_conv.", "encoding_conv.")
    fits = all(key in own and own[key].shape == value.shape for key, value in weights.items())
    if not fits or not all(any(kind in key for kind in kinds) for key in extra):
        raise CheckpointError(
            f"start: the weights {name!r} are of another size or head than the recipe's network; give the same channels or "
            "twice as many, the same blocks and embedding, and begin image_channels with the kinds they serve, in their order"
        )
    network.load_state_dict({**own, **weights})
