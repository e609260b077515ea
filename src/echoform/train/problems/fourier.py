"""Family: gridded Fourier samples (Cartesian MRI, gridded spectra of stepped-frequency radar)."""

from __future__ import annotations

import torch
from torch import Tensor

from echoform.physics.fourier_mask import FourierMask
from echoform.scene.fields import uniform

#: range of the share of frequencies measured
SHARE = (0.12, 1.0)


def draw_fourier_mask(
    generator: torch.Generator, batch: int, shape: tuple[int, int], *, share: tuple[float, float] = SHARE
) -> FourierMask:
    """Return a different random mask per scene: scattered points, whole lines, or a block of low frequencies.

    Args:
        generator: source of randomness.
        batch: number of sensors.
        shape: (H, W).
        share: range of the measured share of frequencies, log-uniform.
    """
    low, high = (torch.log(torch.tensor(s)).item() for s in share)
    kept = torch.exp(uniform(generator, (batch, 1, 1), low, high))
    height, width = shape
    scattered = torch.rand((batch, height, width), generator=generator) < kept
    rows = (torch.rand((batch, height, 1), generator=generator) < kept).expand(-1, -1, width)
    columns = (torch.rand((batch, 1, width), generator=generator) < kept).expand(-1, height, -1)
    y = ((torch.arange(height) - height // 2) / height)[:, None].abs()
    x = ((torch.arange(width) - width // 2) / width)[None, :].abs()
    block = torch.maximum(y.expand(shape), x.expand(shape))[None] <= kept.sqrt() / 2
    masks = torch.stack([scattered, rows, columns, block], 1)
    choice = torch.multinomial(torch.tensor([0.5, 0.2, 0.2, 0.1]), batch, replacement=True, generator=generator)
    mask: Tensor = masks[torch.arange(batch), choice]
    mask[:, height // 2, width // 2] = True
    return FourierMask(mask[:, None].float())
