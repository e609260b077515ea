"""What do RAM and the networks it is compared with cost? Operations, parameters and memory, as in table 7 of the RAM paper.

    python benchmarks/cost.py [--side N] [--batches N N] [--device cpu|cuda] [--only TEXT]

Colour motion deblurring ("hard"). GFLOPs: a multiplication and an addition are two, in convolutions and matrix products as
counted by torch.utils.flop_counter; FFTs, which are all of the sensor here, are not. Memory: weights included, the rise of the
highest resident size (CPU, a fresh process each) or of the allocator's peak (GPU), in MB of 10^6 bytes; train is forward and
backward without optimiser, for in the paper untied and tied differ by their weights alone (37288 - 36374 = 1213 - 298 = 4 bytes
of 7 x 32.6M). Train memory at the paper's batch of 8 is read off the line through two batches of images of a quarter of the side,
a sixteenth of the pixels, large enough that the peak is what is kept for the gradients and not the gradients themselves (with 1
and 4 the untied network's came out three times too small); the CPU here could not hold the paper's batch. The paper's figures
are of a GPU. Only a full run (side 256) is saved; it takes some minutes with two threads.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from echoform.measure.measurement import Measurement, simulate
from echoform.nets.drunet import DRUNet, DRUNetConfig
from echoform.nets.pdnet import PDNet, PDNetConfig
from echoform.nets.ram import OFFICIAL, RAM, parameters_count
from echoform.nets.unet import UNet, UNetConfig
from echoform.nets.unrolled import UnrolledConfig, UnrolledDPIR
from echoform.physics.convolution import circular_blur
from echoform.physics.noise import GaussianNoise
from echoform.scene.blur_kernels import MOTION_TASKS, Difficulty, motion_kernel
from echoform.scene.random_source import RandomSource
from record import save

SEED = 7
PAPER_SIDE, PAPER_BATCH = 256, 8
#: train memory is measured on images of a side so many times smaller
TRAIN_SHRINK = 4
COLOUR = 3
MEGABYTE = 1e6


class Denoising(nn.Module):
    """DRUNet on the measurement itself: one of the eight denoisings of DPIR, without its data steps."""

    def __init__(self) -> None:
        super().__init__()
        self.denoiser = DRUNet(DRUNetConfig(COLOUR))

    def forward(self, measurement: Measurement) -> torch.Tensor:
        return self.denoiser(measurement.y, measurement.noise.sigma)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "PDNet": lambda: PDNet(PDNetConfig(COLOUR, COLOUR)),
    "uDPIR untied": lambda: UnrolledDPIR(UnrolledConfig(DRUNetConfig(COLOUR), tied=False)),
    "uDPIR tied": lambda: UnrolledDPIR(UnrolledConfig(DRUNetConfig(COLOUR))),
    "RAM": lambda: RAM(OFFICIAL),
    "U-Net": lambda: UNet(UNetConfig(COLOUR)),
    "DRUNet, once": Denoising,
}
#: tables 1 and 7: GFLOPs, parameters, test memory at batch 1 and train memory at batch 8 in MB
PAPER = {
    "PDNet": (60, "456K", 52, 5815),
    "uDPIR untied": (2234, "256M", 1213, 37288),
    "uDPIR tied": (2234, "32M", 298, 36374),
    "RAM": (360, "36M", 354, 9670),
}


def problem(side: int, batch: int, device: torch.device) -> Measurement:
    """Return the measurement of random scenes."""
    generator = torch.Generator().manual_seed(SEED)
    task = MOTION_TASKS[Difficulty.HARD]
    kernel = motion_kernel(RandomSource(generator), torch.tensor([task.length]), torch.tensor([task.deviation]))
    x = torch.rand(batch, COLOUR, side, side, generator=generator)
    noise = GaussianNoise(torch.tensor([task.sigma]))
    return simulate(x, circular_blur(kernel, (COLOUR, side, side)), noise, generator=generator).to(device)


class Peak:
    """The highest memory since it was made, over what was in use then."""

    def __init__(self, device: torch.device) -> None:
        self.cuda = device.type == "cuda"
        if self.cuda:
            torch.cuda.reset_peak_memory_stats()
            self.base = float(torch.cuda.memory_allocated())
        else:
            Path("/proc/self/clear_refs").write_text("5")  # the kernel forgets the highest resident size so far
            self.base = _status("VmRSS")

    def megabytes(self) -> float:
        """Return the rise."""
        top = float(torch.cuda.max_memory_allocated()) if self.cuda else _status("VmHWM")
        return (top - self.base) / MEGABYTE


def _status(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * float(next(line for line in lines if line.startswith(field)).split()[1])


def measure(name: str, side: int, batch: int, device: torch.device, *, train: bool) -> dict[str, float]:
    """Return parameters, memory and, when not training, GFLOPs of one network in this process."""
    m = problem(side, batch, device)
    peak = Peak(device)
    network = NETWORKS[name]().to(device)
    if train:
        network.train()(m).square().mean().backward()
        return {"megabytes": peak.megabytes()}
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network.eval()(m)
        megabytes = peak.megabytes()
    gflops = counter.get_total_flops() / 1e9
    return {"megabytes": megabytes, "gflops": gflops, "parameters": parameters_count(network)}


def in_a_process_of_its_own(name: str, side: int, batch: int, device: str, *, train: bool) -> dict[str, float]:
    """Return :func:`measure` of a fresh process, so that nothing freed earlier is counted or hidden."""
    arguments = [sys.executable, __file__, "--measure", name, "--side", str(side), "--batches", str(batch)]
    done = subprocess.run(
        [*arguments, "--device", device, *(["--train"] if train else [])], stdout=subprocess.PIPE, check=True, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def row(name: str, side: int, batches: list[int], device: str) -> dict[str, Any]:
    """Return the figures of one network."""
    tested = in_a_process_of_its_own(name, side, 1, device, train=False)
    small = side // TRAIN_SHRINK
    trained = [in_a_process_of_its_own(name, small, b, device, train=True)["megabytes"] for b in batches]
    slope = (trained[-1] - trained[0]) / (batches[-1] - batches[0])
    return {
        "parameters": int(tested["parameters"]),
        "gflops": tested["gflops"],
        "test_megabytes": tested["megabytes"],
        "train_megabytes": dict(zip(batches, trained, strict=True)),
        "train_megabytes_at_8": trained[0] + slope * (PAPER_BATCH * TRAIN_SHRINK**2 - batches[0]),
    }


def main() -> None:
    """Carry out the command in the module's text."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--side", type=int, default=PAPER_SIDE)
    parser.add_argument("--batches", type=int, nargs="+", default=[8, 16], help="two batches of the train memory")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", default="", help="networks whose name holds this text")
    parser.add_argument("--measure", default="", help=argparse.SUPPRESS)
    parser.add_argument("--train", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        device = torch.device(given.device)
        print(json.dumps(measure(given.measure, given.side, given.batches[0], device, train=given.train)))
        return
    if len(given.batches) != 2 or given.batches[0] == given.batches[1]:
        parser.error(f"--batches needs two different batch sizes, got {given.batches}")
    table = Table(
        "network",
        "parameters (paper)",
        "GFLOPs (paper)",
        "test MB, batch 1 (paper)",
        f"train MB, batches {given.batches} of a quarter of the side",
        "train MB, batch 8 (paper)",
        title=f"{given.side} x {given.side} colour motion deblurring, {given.device}; the paper's figures at 256 x 256",
    )
    results = {}
    for name in (n for n in NETWORKS if given.only.lower() in n.lower()):
        r = results[name] = row(name, given.side, given.batches, given.device)
        gflops, parameters, tested, trained = PAPER.get(name, ("", "", "", ""))
        table.add_row(
            name,
            f"{r['parameters']:,} ({parameters})",
            f"{r['gflops']:.1f} ({gflops})",
            f"{r['test_megabytes']:.0f} ({tested})",
            " / ".join(f"{v:.0f}" for v in r["train_megabytes"].values()),
            f"{r['train_megabytes_at_8']:.0f} ({trained})",
        )
        print(f"{name}: {r}", file=sys.stderr)
    Console(width=170).print(table)
    if given.side == PAPER_SIDE and not given.only:
        paper = {
            n: dict(zip(("gflops", "parameters", "test_mb", "train_mb"), v, strict=True)) for n, v in PAPER.items()
        }
        saved = {"device": given.device, "side": given.side, "networks": results, "paper": paper}
        print(save("cost" if given.device == "cpu" else f"cost_{given.device}", seed=SEED, results=saved))


if __name__ == "__main__":
    main()
