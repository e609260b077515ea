"""How long does the official RAM take, ours beside deepinv's, with the same random weights and the same output?

One run times both networks on every sensor of issue 5 at 256 x 256 (and our backbone without physics as the floor), alternating,
and prints medians, ratios and the relative difference of the outputs. The file is written after every row; `--resume` keeps its
rows if they are of the same commit and makes the others. The first of the runs, which warms up, counts as one: a median of three
does not feel it. `--variants` runs ours in bfloat16 and, with `--compiled`, compiled; on a GPU at 256 and 1024 square, with peak
memory and CUDA graphs. There every row is warmed up once more.

    python benchmarks/ram_speed.py            # writes results/ram_speed.json; seven minutes with two threads
    python benchmarks/ram_speed.py --resume   # after a run that was cut off
    python benchmarks/ram_speed.py --variants             # writes results/ram_variants.json
    python benchmarks/ram_speed.py --device cuda [--variants]   # writes results/ram_speed_gpu.json, ram_variants_gpu.json
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
from typing import Any

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import conftest  # noqa: F401  torchvision's missing operators, before deepinv

# isort: split
import deepinv as dinv

from echoform.linalg.cg import Stopping
from echoform.measure.measurement import Measurement
from echoform.nets.blocks import ResidualBlock, Stage
from echoform.nets.captured import CapturedPass
from echoform.nets.checkpoint import from_official
from echoform.nets.convolution import prepared_for_inference
from echoform.nets.ram import RAM
from echoform.nets.strips import in_strips
from echoform.physics.compositions import ScaledOperator
from echoform.physics.convolution import circular_blur, valid_blur
from echoform.physics.deepinv_bridge import complex_channels, noise_from_deepinv, real_channels
from echoform.physics.downsampling import Downsampling, bicubic_downsampling
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.identity import identity
from echoform.physics.masking import SampleMask
from echoform.physics.multicoil_mri import MulticoilMRI
from echoform.physics.operator import LinearOperator
from echoform.physics.tomography import parallel_beam_like_deepinv
from record import commit, load, machine, save

SIGMA, ANGLES, SEED = 0.05, 51, 0
#: sides of the second table, and its sensors where images are large
SIDES, LARGE, VARIED = (256, 1024), 512, ("denoising", "MRI")
#: steps of conjugate gradients in a recorded pass, which cannot ask whether they suffice: the difference shows that they do
RECORDED = Stopping(tolerance=0.0, max_iterations=20)
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
        u = in_strips(lambda a, b: self.conv1.rows(x, a, b).relu_(), x)
        return in_strips(lambda a, b: self.conv2.rows(u, a, b).add_(x[:, :, a:b]), x)


def sensors(side: int) -> dict[str, Callable[[], Sensor]]:
    """Return the sensors of the table, each as deepinv's and as ours."""
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
        """Return CT as deepinv has it, and ours of the same norm."""
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
    return theirs.to(device), prepared_for_inference(from_official(theirs.state_dict()).network.to(device))


def without_physics(network: RAM) -> RAM:
    """A copy whose residual blocks have no physics: the floor that the backbone alone sets."""
    plain = copy.deepcopy(network)
    for module in plain.modules():
        if isinstance(module, Stage):
            module.enc = nn.ModuleList(PlainBlock(block) for block in module.enc)  # pyright: ignore[reportArgumentType]
    return plain


def timed(function: Callable[[], Tensor], device: torch.device, *, processor: bool = False) -> tuple[Tensor, float]:
    """The result and its wall-clock time, or the processor time of all threads, which a loaded machine disturbs less."""
    clock = time.process_time if processor else time.perf_counter
    start = clock()
    result = function()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return result, clock() - start


@dataclass(frozen=True)
class Task:
    """One sensor's measurement in both forms."""

    theirs: nn.Module
    y: Tensor
    ours: Measurement
    complex_image: bool


def task(sensor: Sensor, name: str, side: int, device: torch.device) -> Task:
    """Return one measurement for both programs."""
    physics = sensor.theirs.to(device)
    physics.noise_model = dinv.physics.GaussianNoise(SIGMA)
    physics.max_iter, physics.tol = 50, 1e-6  # the same stopping rule as ours
    x = torch.rand(1, sensor.channels, side, side, generator=torch.Generator().manual_seed(SEED + 1)).to(device)
    y = physics.A(x)
    noise = noise_from_deepinv(physics.noise_model, complex_samples=sensor.complex_image).to(device)
    samples = complex_channels(y) if sensor.complex_image else y
    samples = samples.mT if name.startswith("CT") else samples
    return Task(physics, y, Measurement(samples.contiguous(), sensor.ours.to(device), noise), sensor.complex_image)


def told_the_factor(theirs: nn.Module, given: Task) -> None:
    """Give deepinv's prox the decimation, which a wrapper of theirs loses, so that both networks solve the same problem."""
    operator = given.ours.operator
    factor = operator.factor if isinstance(operator, Downsampling) else 1

    def realigned(x: Tensor, physics: nn.Module, y: Tensor, *_: object) -> Tensor:
        snr = y.abs().mean() / (SIGMA + 1e-4)
        return physics.prox_l2(x, y, gamma=theirs.fact_realign / (1e-4 + 1 / (snr * factor**2)))  # pyright: ignore

    if factor > 1:
        theirs.realign_input = realigned  # pyright: ignore[reportArgumentType]
    else:
        vars(theirs).pop("realign_input", None)


def row(
    given: Task, name: str, networks: tuple[nn.Module, RAM, RAM], runs: int, *, processor: bool
) -> dict[str, float]:
    """Return the times of both networks and of the plain backbone, and how far the images are apart."""
    theirs, ours, plain = networks
    told_the_factor(theirs, given)
    functions = {
        "deepinv": lambda: theirs(given.y.clone(), given.theirs),
        "echoform": lambda: ours(given.ours),
        "backbone": lambda: plain(given.ours),
    }
    times: dict[str, list[float]] = {key: [] for key in functions}
    images: dict[str, Tensor] = {}
    with torch.no_grad():  # deepinv's adjoint of CT differentiates: in inference mode PyTorch 2.11 gives zero for it
        for _ in range(runs + (given.y.device.type == "cuda")):
            for key, function in functions.items():
                images[key], taken = timed(function, given.y.device, processor=processor)
                times[key].append(taken)
    found = real_channels(images["echoform"]) if given.complex_image else images["echoform"]
    expected = images["deepinv"]
    times = {key: values[-runs:] for key, values in times.items()}
    medians = {key: 1e3 * statistics.median(values) for key, values in times.items()}
    return {
        **{f"{key}_ms": value for key, value in medians.items()},
        "ratio": medians["deepinv"] / medians["echoform"],
        "over_backbone": medians["echoform"] / medians["backbone"],
        "target_ratio": TARGETS.get(name, 2.0),
        "relative_difference": float((found - expected).norm() / expected.norm()),
    }


def half(network: Callable[[Measurement], Tensor], device: torch.device) -> Callable[[Measurement], Tensor]:
    """Return the network with convolutions in bfloat16."""

    def run(measurement: Measurement) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16, cache_enabled=False):
            return network(measurement)

    return run


def variants(ours: RAM, given: Measurement, *, compiled: bool) -> dict[str, Callable[[Measurement], Tensor]]:
    """Other ways to run our network: in bfloat16, on a GPU as CUDA graphs too; if asked for, the body compiled."""
    device = given.y.device
    found: dict[str, Callable[[Measurement], Tensor]] = {"fp32": ours, "bf16": half(ours, device)}
    if device.type == "cuda":
        steady = copy.copy(ours)
        steady.stopping = RECORDED
        for name, network in (("fp32", steady), ("bf16", half(steady, device))):
            graph = CapturedPass(network, given)
            found[f"{name}, CUDA graph"] = lambda measurement, graph=graph: graph(measurement.y)
    if compiled:
        fused = copy.deepcopy(ours)
        fused.body = torch.compile(fused.body)  # pyright: ignore[reportAttributeAccessIssue]
        found |= {"fp32, compiled": fused, "bf16, compiled": half(fused, device)}
    return found


def variant_rows(
    given: Task, theirs: nn.Module, ours: RAM, runs: int, *, compiled: bool
) -> dict[str, dict[str, float]]:
    """Milliseconds, peak memory (GPU) and the difference from our fp32 image of deepinv's network and of each variant of ours."""
    device = given.y.device

    def deepinv(precision: torch.dtype | None) -> Callable[[Measurement], Tensor]:
        """Return deepinv's network in a precision, its image as ours has it."""

        def run(_: Measurement) -> Tensor:
            """Return deepinv's image of the same samples."""
            with torch.autocast(device.type, precision, enabled=precision is not None):
                out = theirs(given.y.clone(), given.theirs)
            return complex_channels(out.float()) if given.complex_image else out

        return run

    functions = {"deepinv, fp32": deepinv(None)}
    if not (given.complex_image and device.type == "cuda"):  # its MRI cannot take bfloat16 there
        functions["deepinv, bf16"] = deepinv(torch.bfloat16)
    functions |= variants(ours, given.ours, compiled=compiled)
    results = {}
    with torch.no_grad():
        reference = ours(given.ours)
        for name, function in functions.items():
            for _ in range(2):  # compiles, and warms up
                found = function(given.ours).to(reference.dtype)
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats()
            times = [timed(lambda f=function: f(given.ours), device)[1] for _ in range(runs)]
            results[name] = {
                "ms": 1e3 * statistics.median(times),
                "peak_mb": torch.cuda.max_memory_allocated() / 1e6 if device.type == "cuda" else float("nan"),
                "relative_difference": float((found - reference).norm() / reference.norm()),
            }
            print(f"  {name:20}" + "".join(f"{v:12.3g}" for v in results[name].values()), flush=True)
    return results


def compare(
    options: argparse.Namespace, networks: tuple[nn.Module, RAM, RAM], device: torch.device, file: str | None
) -> None:
    """Print the table; write it into ``file`` after every row, beside rows of the same commit there if resumed."""
    results = kept_rows(file) if options.resume and file else {}
    names = ("deepinv", "echoform", "backbone")
    print(" " * 16 + "".join(f"{n:>10}" for n in names) + f"{'ratio':>8}{'target':>8}{'/plain':>8}{'difference':>12}")
    for name, make in sensors(options.side).items():
        if options.only and name not in options.only:
            continue
        if name not in results:
            given = task(make(), name, options.side, device)
            results[name] = row(given, name, networks, options.runs, processor=options.processor_time)
            if file:
                save(file, seed=SEED, results=results)
        r = results[name]
        print(
            f"{name:16}{r['deepinv_ms']:10.4g}{r['echoform_ms']:10.4g}{r['backbone_ms']:10.4g}{r['ratio']:8.2f}"
            f"{r['target_ratio']:8.0f}{r['over_backbone']:8.2f}{r['relative_difference']:12.1e}",
            flush=True,
        )


def kept_rows(file: str) -> dict[str, Any]:
    """Rows of the last file, if it is of this commit; rows of two machines never stand side by side."""
    last = load(file)
    here = {"commit": commit(), "machine": machine()}
    return last["results"] if last and {key: last[key] for key in here} == here else {}


def compare_variants(
    options: argparse.Namespace, networks: tuple[nn.Module, RAM, RAM], device: torch.device, file: str | None
) -> None:
    """Print time and peak memory of every variant of both networks; write them after every sensor and side."""
    results: dict[str, Any] = {}
    for side in SIDES if device.type == "cuda" else (options.side,):
        for name in options.only or (VARIED if side > LARGE else sensors(side)):
            print(f"{name}, {side} x {side}\n  {'':20}{'ms':>12}{'peak MB':>12}{'difference':>12}")
            given = task(sensors(side)[name](), name, side, device)
            results[f"{name}, {side}"] = variant_rows(
                given, networks[0], networks[1], options.runs, compiled=options.compiled
            )
            if file:
                save(file, seed=SEED, results=results)


def main() -> None:
    """Carry out the command in the module's text."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--variants", action="store_true", help="bfloat16, CUDA graphs, peak memory")
    parser.add_argument("--compiled", action="store_true", help="with --variants: compiled too, which takes minutes")
    parser.add_argument(
        "--resume", action="store_true", help="keep the rows of the same commit that a cut-off run wrote"
    )
    parser.add_argument("--processor-time", action="store_true", help="for a loaded machine; writes nothing")
    options = parser.parse_args()
    device = torch.device(options.device)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    theirs, ours = random_peers(device)
    networks = (theirs, ours, without_physics(ours))
    whole = options.side == 256 and not options.only and not options.processor_time
    suffix = "" if device.type == "cpu" else "_gpu"
    if options.variants:
        compare_variants(options, networks, device, f"ram_variants{suffix}" if whole else None)
    else:
        compare(options, networks, device, f"ram_speed{suffix}" if whole else None)


if __name__ == "__main__":
    main()
