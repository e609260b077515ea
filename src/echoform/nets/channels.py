"""Complex images as pairs of real channels (real part, imaginary part), the only form convolutions see."""

from __future__ import annotations

import torch
from torch import Tensor

from echoform.physics.operator import LinearOperator

#: kinds of image that networks have heads for, by their real channels
GRAY, COMPLEX, COLOUR = 1, 2, 3


def image_kind(operator: LinearOperator, served: tuple[int, ...]) -> int:
    """Return the place in ``served`` of the kind of a sensor's image.

    Raises:
        ValueError: the image is none of those served: one complex channel, or one or three real ones.
    """
    channels = operator.domain_shape[0]
    found = {(1, True): COMPLEX, (1, False): GRAY, (3, False): COLOUR}.get((channels, operator.dtype.is_complex))
    if found is None or found not in served:
        names = {GRAY: "one real channel", COMPLEX: "one complex channel", COLOUR: "three real channels"}
        kind = "complex" if operator.dtype.is_complex else "real"
        raise ValueError(
            f"the network has heads for images of {' or '.join(names[k] for k in served)}, the sensor's has {channels} {kind} "
            "channel(s); reconstruct by a classical method, or channel by channel where the sensor allows"
        )
    return served.index(found)


def to_channels(x: Tensor, complex_image: bool) -> Tensor:
    """Return (..., C, H, W) complex as (..., 2 C, H, W) real, each image's parts adjacent; real images pass unchanged."""
    if not complex_image:
        return x
    return torch.stack([x.real, x.imag], -3).flatten(-4, -3)


def from_channels(x: Tensor, complex_image: bool) -> Tensor:
    """Return the image(s) of :func:`to_channels`; half-precision channels are widened first, as physics needs."""
    x = x if x.dtype in (torch.float32, torch.float64) else x.float()
    if not complex_image:
        return x
    wide = x.unflatten(-3, (-1, 2))
    return torch.complex(wide.select(-3, 0).contiguous(), wide.select(-3, 1).contiguous())
