"""How long does the official RAM take, ours beside deepinv's, with the same random weights and the same output?

One run times both networks on every sensor of issue 5 at 256 x 256 (and the backbone without physics as the floor), alternating,
and prints medians, ratios and the relative difference of the outputs. `--device cuda` runs it on a GPU.

    python benchmarks/ram_speed.py            # writes results/ram_speed.json
    python benchmarks/ram_speed.py --side 64 --runs 1     # a trial; writes nothing
"""

from __future__ import annotations

import argparse
import copy
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

# isort: split
import deepinv as dinv

from echoform.measure.measurement import Measurement
from echoform.nets.blocks import ResidualBlock, Stage
from echoform.nets.checkpoint import from_official
from echoform.nets.ram import RAM
from echoform.nets.strips import convolved, in_strips
from echoform.physics.convolution import circular_blur, valid_blur
from echoform.physics.deepinv_bridge import complex_channels, noise_from_deepinv, real_channels
from echoform.physics.downsampling import bicubic_downsampling
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.identity import identity
from echoform.physics.masking import SampleMask
from echoform.physics.multicoil_mri import MulticoilMRI
from echoform.physics.operator import LinearOperator, ScaledOperator
from echoform.physics.tomography import parallel_beam_like_deepinv
from record import save

SIGMA, ANGLES, SEED = 0.05, 51, 0
#: rows whose target in issue 5 is not 2
TARGETS = {"8-coil MRI": 3.0, "valid blur 31": 3.0, "CT 51 angles": 5.0}


@dataclass(frozen=True)
class Sensor:
    """One row: their physics, our operator, the image's real channels."""

    theirs: nn.Module
    ours: LinearOperator
    channels: int
    complex_image: bool = False


class PlainBlock(nn.Module):
    """A residual block without physics, x + conv2(ReLU(conv1(x))), by the same strips."""

    def __init__(self, block: ResidualBlock) -> None:
        super().__init__()
        self.conv1, self.conv2 = block.conv1, block.conv2

    def forward(self, x: Tensor, *_: object) -> Tensor:
        u = in_strips(lambda a, b: convolved(x, self.conv1.weight, a, b).relu_(), x)
        return in_strips(lambda a, b: convolved(u, self.conv2.weight, a, b).add_(x[:, :, a:b]), x)


def sensors(side: int) -> dict[str, Callable[[], Sensor]]:
    generator = torch.Generator().manual_seed(SEED)
    mask = (torch.rand(1, 1, side, side, generator=generator) < 0.3).float()
    mask[..., side // 2, side // 2] = 1
    maps = torch.randn(1, 8, side, side, dtype=torch.complex64, generator=generator)
    maps = maps / maps.abs().square().sum(1, keepdim=True).sqrt()
    small, large = (torch.rand(1, 1, k, k, generator=generator) for k in (9, 31))
    small, large = small / small.sum(), large / large.sum()
    colour = (3, side, side)
    kept = (torch.rand(1, 3, side, side, generator=generator) < 0.3).float()

    def tomography() -> Sensor:
        physics = dinv.physics.Tomography(
            ANGLES, img_width=side, circle=False, adjoint_via_backprop=True, normalize=True
        )
        operator, x = parallel_beam_like_deepinv(ANGLES, side), torch.ones(1, 1, side, side)
        return Sensor(physics, ScaledOperator(operator, physics.A(x).norm()[None] / operator(x).norm()), 1)

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
        "valid blur 31": lambda: Sensor(dinv.physics.Blur(filter=large, padding="valid"), valid_blur(large, colour), 3),
        "CT 51 angles": tomography,
    }


def random_peers(device: torch.device) -> tuple[nn.Module, RAM]:
    """The two networks with the same random weights; gains and the proximal factor too, so that the physics matters."""
    torch.manual_seed(SEED)
    theirs = dinv.models.RAM(pretrained=False).eval()
    for name, parameter in theirs.named_parameters():
        if name.endswith("gain") or name == "fact_realign":
            nn.init.uniform_(parameter, 0.5, 1.5)
    return theirs.to(device), from_official(theirs.state_dict()).network.to(device)


def without_physics(network: RAM) -> RAM:
    """A copy whose residual blocks have no physics: the floor that the backbone alone sets."""
    plain = copy.deepcopy(network)
    for module in plain.modules():
        if isinstance(module, Stage):
            module.enc = nn.ModuleList(PlainBlock(block) for block in module.enc)  # pyright: ignore[reportArgumentType]
    return plain


def seconds(function: Callable[[], Tensor], device: torch.device) -> float:
    start = time.perf_counter()
    function()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def row(sensor: Sensor, name: str, networks: tuple[nn.Module, RAM, RAM], side: int, runs: int) -> dict[str, float]:
    theirs, ours, plain = networks
    device = next(ours.parameters()).device
    physics = sensor.theirs.to(device)
    physics.noise_model = dinv.physics.GaussianNoise(SIGMA)
    physics.max_iter, physics.tol = 50, 1e-6  # the same stopping rule as ours
    x = torch.rand(1, sensor.channels, side, side, generator=torch.Generator().manual_seed(SEED + 1)).to(device)
    y = physics.A(x)
    noise = noise_from_deepinv(physics.noise_model, complex_samples=sensor.complex_image).to(device)
    samples = complex_channels(y) if sensor.complex_image else y
    samples = samples.mT if name.startswith("CT") else samples
    measurement = Measurement(samples.contiguous(), sensor.ours.to(device), noise)
    with torch.inference_mode():
        expected, found = theirs(y.clone(), physics), ours(measurement)
        plain(measurement)
        found = real_channels(found) if sensor.complex_image else found
        times: dict[str, list[float]] = {"deepinv": [], "echoform": [], "backbone": []}
        for _ in range(runs):
            times["deepinv"].append(seconds(lambda: theirs(y.clone(), physics), device))
            times["echoform"].append(seconds(lambda: ours(measurement), device))
            times["backbone"].append(seconds(lambda: plain(measurement), device))
    medians = {key: 1e3 * statistics.median(values) for key, values in times.items()}
    return {
        **{f"{key}_ms": value for key, value in medians.items()},
        "ratio": medians["deepinv"] / medians["echoform"],
        "over_backbone": medians["echoform"] / medians["backbone"],
        "target_ratio": TARGETS.get(name, 2.0),
        "relative_difference": float((found - expected).norm() / expected.norm()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    device = torch.device(options.device)
    theirs, ours = random_peers(device)
    networks = (theirs, ours, without_physics(ours))
    results = {}
    print(
        f"{'':16}{'deepinv':>10}{'echoform':>10}{'backbone':>10}{'ratio':>8}{'target':>8}{'/plain':>8}{'difference':>12}"
    )
    for name, make in sensors(options.side).items():
        if options.only and name not in options.only:
            continue
        r = results[name] = row(make(), name, networks, options.side, options.runs)
        print(
            f"{name:16}{r['deepinv_ms']:10.0f}{r['echoform_ms']:10.0f}{r['backbone_ms']:10.0f}{r['ratio']:8.2f}"
            f"{r['target_ratio']:8.0f}{r['over_backbone']:8.2f}{r['relative_difference']:12.1e}",
            flush=True,
        )
    if options.side == 256 and not options.only:
        save("ram_speed" if device.type == "cpu" else "ram_speed_gpu", seed=SEED, results=results)


if __name__ == "__main__":
    main()
