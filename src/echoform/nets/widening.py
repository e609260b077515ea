"""A network of twice the channels that computes what a narrower one does, so that a larger network need not begin anew.

Every channel c of the features becomes two equal ones, 2c and 2c + 1. A layer with rows of W for its outputs and columns for
its inputs then reads

    W'[:, 2c] = W[:, c] / 2 + E,        W'[:, 2c + 1] = W[:, c] / 2 - E,

each row of W standing twice: since both inputs are equal, E changes nothing, and drawn anew for both rows it makes their
gradients differ. With E as large as W / 2 the variance of W' is half of that of W, as twice the inputs ask for.

Source: T. Chen, I. Goodfellow, J. Shlens, "Net2Net: accelerating learning via knowledge transfer", ICLR 2016, section 3.1; there
the noise that breaks the symmetry changes the function, here it does not.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from echoform.nets.ram import RAM

#: of the layer that weighs image against data: its inputs are features' magnitudes beside the noise embedding
CONSISTENCY = "consistency.log_error.weight"


def widened(weights: Mapping[str, Tensor], network: RAM, generator: torch.Generator) -> dict[str, Tensor]:
    """Return weights of a RAM for ``network``, which has twice its channels and is otherwise the same.

    The network then returns what the narrow one does, up to rounding. Heads that the narrow one lacks are left out.

    Args:
        weights: of the narrow network, by name.
        network: the wide one; not changed.
        generator: draws E.

    Raises:
        ValueError: a weight fits neither as it is nor doubled.
    """
    own = network.state_dict()
    transposed = {f"{name}.weight" for name, layer in network.named_modules() if isinstance(layer, nn.ConvTranspose2d)}
    features = network.config.channels[0] // 2
    wide: dict[str, Tensor] = {}
    for key, weight in weights.items():
        inputs = 0 if key in transposed else 1
        if key == CONSISTENCY:  # of magnitudes, which are equal for both: halves will do
            magnitudes, embedding = weight[:, :features], weight[:, features:]
            wide[key] = torch.cat([magnitudes.repeat_interleave(2, 1) / 2, embedding], 1)
        elif key in own and weight.ndim == own[key].ndim:
            wide[key] = _doubled(weight, own[key].shape, inputs, generator)
        if key not in wide or wide[key].shape != own[key].shape:
            expected = "no such weight" if key not in own else f"{tuple(own[key].shape)} or half of it"
            raise ValueError(f"{key} has the shape {tuple(weight.shape)}, the wide network has {expected}")
    return wide


def _doubled(weight: Tensor, shape: torch.Size, inputs: int, generator: torch.Generator) -> Tensor:
    """One weight, its axes doubled where the wide network's are; ``inputs`` is the axis of the inputs."""
    for axis in range(weight.ndim):
        if axis != inputs and shape[axis] == 2 * weight.shape[axis]:
            weight = weight.repeat_interleave(2, axis)
    if weight.ndim <= inputs or shape[inputs] != 2 * weight.shape[inputs]:
        return weight
    drawn = torch.randn(weight.shape, generator=generator, dtype=weight.dtype, device=weight.device)
    change = drawn * (weight.square().mean().sqrt() / 2)
    return torch.stack([weight / 2 + change, weight / 2 - change], inputs + 1).flatten(inputs, inputs + 1)
