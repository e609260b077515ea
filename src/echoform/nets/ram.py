"""RAM, the physics-conditioned reconstruction network, in its official form and in state mode.

One class, three sizes. The official head (noise maps, learned proximal weight; RAM paper, section 3) reconstructs in one
pass and is equivariant to scale; the state head (echoform.nets.state) reconstructs, denoises and denoises given y.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from echoform.linalg.cg import USUAL
from echoform.linalg.inner import expand
from echoform.measure.measurement import Measurement
from echoform.nets.backbone import Backbone
from echoform.nets.channels import COLOUR, COMPLEX, GRAY, from_channels, image_kind
from echoform.nets.official import official_inputs
from echoform.nets.sensing import Sensing, sense
from echoform.nets.state import (
    Consistency,
    DiffusionState,
    NoiseEmbedding,
    StateEstimate,
    input_channels,
    state_inputs,
)


@dataclass(frozen=True)
class RAMConfig:
    """Size and head of a RAM.

    Attributes:
        channels: features at the four scales.
        blocks: residual blocks per stage.
        image_channels: kinds of image served, real channels each (1 gray, 2 complex, 3 colour); weights know a kind by its place.
        embedding: length of the noise embedding; 0 chooses the official head, which has none.
    """

    kind: ClassVar[str] = "ram"

    channels: tuple[int, int, int, int]
    blocks: int = 4
    image_channels: tuple[int, ...] = (COMPLEX,)
    embedding: int = 64

    def build(self) -> RAM:
        """Return a network of this size with drawn weights."""
        return RAM(self)


OFFICIAL = RAMConfig(channels=(64, 128, 256, 512), image_channels=(GRAY, COMPLEX, COLOUR), embedding=0)
SMALL = RAMConfig(channels=(32, 64, 128, 256))
TINY = RAMConfig(channels=(16, 32, 64, 128))


Module = TypeVar("Module", bound=nn.Module)


class RAM(nn.Module):
    """Reconstruct Anything Model: R(y, A, noise), and with a state D(x_t, y, A, noise) = E[x | x_t, y, A].

    Args:
        config: size and head; see OFFICIAL, SMALL, TINY.

    Attributes:
        stopping: when conjugate gradients of the official head's proximal image stop. With a tolerance of 0 they take all steps
            and ask the host for nothing, as a CUDA graph needs (:mod:`echoform.nets.captured`).

    Source: Terris et al. (2025), Reconstruct Anything Model; state mode: docs/state.md.
    """

    def __init__(self, config: RAMConfig) -> None:
        super().__init__()
        self.config = config
        self.stopping = USUAL
        official = config.embedding == 0
        inputs = tuple(c + 2 if official else input_channels(c) for c in config.image_channels)
        self.body = Backbone(
            config.channels,
            blocks=config.blocks,
            image_channels=config.image_channels,
            input_channels=inputs,
            embedding=config.embedding,
        )
        self.fact_realign = nn.Parameter(torch.ones(1)) if official else None
        self.noise_embedding = None if official else NoiseEmbedding(config.embedding)
        self.consistency = None if official else Consistency(config.channels[0], config.embedding)
        if not official:
            _start_from_wiener(self.body)

    def forward(
        self, measurement: Measurement, state: DiffusionState | None = None, *, scale: Tensor | None = None
    ) -> Tensor:
        """Return the image (B, C, H, W).

        Args:
            measurement: B scenes.
            state: x_t and s_t for a posterior denoiser; None for one-pass reconstruction.
            scale: RMS of the image, (B,), when known; estimated from the measurement otherwise.

        Raises:
            ValueError: a state is given to the official head, the noise is not what the head can take, or samples or operator
                have another precision than the weights.
        """
        if self.fact_realign is not None:
            if state is not None:
                raise ValueError("the official head has no state mode: use a configuration with a noise embedding")
            self._check_precision(measurement)
            return self._official(measurement)
        return self.denoise(self.prepare(measurement, scale=scale), state)

    def prepare(self, measurement: Measurement, *, scale: Tensor | None = None) -> Sensing:
        """Return the normalised problem, to be reused over the steps of a sampler.

        Raises:
            ValueError: the noise has no positive level, or is neither Gaussian nor that of counts; samples or operator have
                another precision than the weights.
        """
        self._check_precision(measurement)
        return sense(measurement, scale=scale)

    def _check_precision(self, measurement: Measurement) -> None:
        """Raise ValueError where the weights' precision is not that of samples and operator."""
        own, found = next(self.parameters()).dtype, (measurement.y.dtype, measurement.operator.dtype)
        if any(dtype.to_real() != own for dtype in found):
            raise ValueError(
                f"the weights are {own}, the samples {found[0]} and the operator {found[1]}: make all of one precision, the "
                f"operator by its dtype, the samples by .to(), or the network by .double()"
            )

    def denoise(self, sensing: Sensing, state: DiffusionState | None) -> Tensor:
        """Return E[x | x_t, y, A] for a prepared problem, in the image's own units, (B, C, H, W)."""
        if state is not None:
            down, right = (n - m for n, m in zip(sensing.backprojection.shape[-2:], sensing.shape, strict=True))
            x_t = functional.pad(state.x_t / expand(sensing.scale, 3), (0, right, 0, down))
            state = DiffusionState(x_t, state.sigma_t / sensing.scale)
        return sensing.restored(self.denoise_normalized(sensing, state).image)

    def denoise_normalized(self, sensing: Sensing, state: DiffusionState | None) -> StateEstimate:
        """Return D in units of the image scale, what it was made from and the error expected of it."""
        assert self.noise_embedding is not None
        assert self.consistency is not None
        inputs = (sensing.backprojection,) if state is None else (sensing.backprojection, state.x_t)
        followed = torch.is_grad_enabled() and any(x.requires_grad for x in inputs)
        with torch.set_grad_enabled(followed), torch.autocast(sensing.backprojection.device.type, enabled=False):
            given = state_inputs(sensing, state)
            levels = sensing.pyramid(given.levels_gain)
        kind = image_kind(sensing.operator, self.config.image_channels)
        noise = self.noise_embedding(given.noise)
        output, features = self.body(given.channels, levels, kind, noise)
        image = given.wiener + expand(given.variance.sqrt(), 3) * _image(output, given.wiener)
        error = self.consistency.error(features, noise, given.variance)
        return StateEstimate(self.consistency(image, error, sensing, state), error, given)

    def _official(self, measurement: Measurement) -> Tensor:
        """Return the official head's image, in the measurement's own scale and without the padding."""
        assert self.fact_realign is not None
        kind = image_kind(measurement.operator, self.config.image_channels)
        given = official_inputs(measurement, self.fact_realign, self.stopping)
        output, _ = self.body(given.channels, given.levels, kind)
        _, height, width = measurement.operator.domain_shape
        image = from_channels(output, measurement.operator.dtype.is_complex)[..., -height:, -width:]
        return expand(given.rescale, 3) * image


def _image(channels: Tensor, like: Tensor) -> Tensor:
    """The tail's channels as an image of the kind of ``like``, in its precision."""
    return from_channels(channels, like.is_complex()).to(like.dtype)


def _start_from_wiener(body: Backbone) -> None:
    """Make the untrained network the Wiener estimate: the tail starts at zero."""
    for layer in body.m_tail.values():
        assert isinstance(layer, nn.Conv2d)
        nn.init.zeros_(layer.weight)


def channels_last(network: Module) -> Module:
    """Return the network with its convolution weights laid out channels-last, the faster layout on CPUs and GPUs."""
    return network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def parameters_count(network: nn.Module) -> int:
    """Return the number of trainable numbers."""
    return sum(p.numel() for p in network.parameters())
