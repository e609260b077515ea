"""How long does the official RAM take, ours beside deepinv's, with the same random weights and the same output?

One run times both networks on every sensor of issue 5 at 256 x 256 (and the backbone without physics as the floor), alternating,
and prints medians, ratios and the relative difference of the outputs. `--device cuda` adds bf16 and peak memory.

    python benchmarks/ram_speed.py            # writes results/ram_speed.json
    python benchmarks/ram_speed.py --side 64 --runs 1     # a trial; writes nothing
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import conftest  # noqa: F401  torchvision's missing operators, before deepinv
import deepinv as dinv
from record import save

from echoform.measure.measurement import Measurement
from echoform.nets.blocks import ResidualBlock
from echoform.nets.checkpoint import from_official
from echoform.nets.ram import RAM
from echoform.physics.convolution import circular_blur, valid_blur
from echoform.physics.deepinv_bridge import complex_channels, from_deepinv, noise_from_deepinv, real_channels
from echoform.physics.downsampling import bicubic_downsampling
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.identity import identity
from echoform.physics.masking import SampleMask
from echoform.physics.multicoil_mri import MulticoilMRI
from echoform.physics.operator import LinearOperator

SIGMA = 0.05


@dataclass(frozen=True)
class Sensor:
    """One row: their physics, our operator, the image's real channels."""

    theirs: nn.Module
    ours: LinearOperator
    channels: int
    complex_image: bool = False


class NoPhysics(nn.Module):
    """Stands for a physics block that does nothing."""

    def forward(self, features: Tensor, *_: object) -> Tensor:
        return torch.zeros((), device=features.device)


def sensors(side: int, device: torch.device) -> dict[str, Callable[[], Sensor]]:
    generator = torch.Generator().manual_seed(0)
    mask = (torch.rand(1, 1, side, side, generator=generator) < 0.3).float()
    mask[..., side // 2, side // 2] = 1
    maps = torch.randn(1, 8, side, side, dtype=torch.complex64, generator=generator)
    maps = maps / maps.abs().square().sum(1, keepdim=True).sqrt()
    small, large = (torch.rand(1, 1, k, k, generator=generator) for k in (9, 31))
    small, large = small / small.sum(), large / large.sum()
    colour = (3, side, side)
    kept = (torch.rand(1, 3, side, side, generator=generator) < 0.3).float()

    def tomography() -> Sensor:
        physics = dinv.physics.Tomography(angles=51, img_width=side, circle=False, normalize=True)
        from echoform.physics.tomography import parallel_beam_like_deepinv

        return Sensor(physics, parallel_beam_like_deepinv(51, side), 1)

    return {
        "denoising": lambda: Sensor(dinv.physics.Denoising(), identity(colour, complex_image=False), 3),
        "FFT blur": lambda: Sensor(dinv.physics.BlurFFT(colour, filter=small), circular_blur(small, colour), 3),
        "inpainting": lambda: Sensor(
            dinv.physics.Inpainting(colour, mask=kept[0]), SampleMask(kept, complex_image=False), 3
        ),
        "down x4": lambda: Sensor(
            dinv.physics.Downsampling(colour, filter="bicubic", factor=4), bicubic_downsampling(colour, 4), 3
        ),
        "MRI": lambda: Sensor(
            dinv.physics.MRI(mask=mask[0], img_size=(2, side, side)), FourierMask(mask), 2, complex_image=True
        ),
        "8-coil MRI": lambda: Sensor(
            dinv.physics.MultiCoilMRI(mask=mask, coil_maps=maps, img_size=(2, side, side)),
            MulticoilMRI(FourierMask(mask), maps),
            2,
            complex_image=True,
        ),
        "valid blur 31": lambda: Sensor(
            dinv.physics.Blur(filter=large, padding="valid"), valid_blur(large, colour), 3
        ),
        "CT 51 angles": tomography,
    }
