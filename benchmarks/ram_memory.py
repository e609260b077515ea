"""How much memory does one reconstruction with the official network take on the CPU, and is an image made in strips the same?

For every side a fresh process measures how far its highest resident size rises over what it was with network and measurement in
place: inpainting of a colour image, weights prepared for inference. Then, at the smallest side, the image made in strips of a few
rows is compared with that of whole maps.

    python benchmarks/ram_memory.py            # 256, 512, 1024; writes results/ram_memory.json
    python benchmarks/ram_memory.py --sides 128 256     # a trial; writes nothing
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import torch

from echoform.measure.measurement import Measurement, simulate
from echoform.nets import strips
from echoform.nets.convolution import prepared_for_inference
from echoform.nets.ram import OFFICIAL, RAM, channels_last
from echoform.physics.masking import SampleMask
from echoform.physics.noise import GaussianNoise
from record import save

SEED, SIGMA, COLOUR = 0, 0.05, 3
SIDES = (256, 512, 1024)
#: GiB that 1024 x 1024 may take
LIMIT_GIB = 3.0


def problem(side: int) -> tuple[RAM, Measurement]:
    """Return the official network with random weights, and 30 % of a random image's pixels."""
    torch.manual_seed(SEED)
    generator = torch.Generator().manual_seed(SEED)
    kept = (torch.rand(1, COLOUR, side, side, generator=generator) < 0.3).float()
    x = torch.rand(1, COLOUR, side, side, generator=generator)
    m = simulate(x, SampleMask(kept, complex_image=False), GaussianNoise(torch.tensor([SIGMA])), generator=generator)
    return prepared_for_inference(channels_last(RAM(OFFICIAL)).eval()), m


def resident_gib(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return float(next(line for line in lines if line.startswith(field)).split()[1]) / 2**20


def measure(side: int) -> dict[str, float]:
    """Return the rise of this process's highest resident size, in GiB, and how long the image took."""
    network, measurement = problem(side)
    Path("/proc/self/clear_refs").write_text("5")  # the kernel forgets the highest resident size so far
    base, start = resident_gib("VmRSS"), time.perf_counter()
    with torch.inference_mode():
        network(measurement)
    seconds = time.perf_counter() - start
    return {"rise_gib": resident_gib("VmHWM") - base, "before_gib": base, "seconds": seconds}


def difference_of_strips(side: int) -> float:
    """Return |image in strips of four rows - image of whole maps| / |image|."""
    network, measurement = problem(side)
    images = []
    with torch.inference_mode():
        for rows in (4, side):
            strips.CPU_STRIP = rows * side
            images.append(network(measurement))
    return float((images[0] - images[1]).norm() / images[1].norm())


def main() -> None:
    """Carry out the command in the module's text."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sides", type=int, nargs="*", default=SIDES)
    parser.add_argument("--measure", type=int, help="measure one side in this process (used by the benchmark itself)")
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measure(given.measure)))
        return
    results = {}
    print(f"{'side':>6}{'rise, GiB':>12}{'KB / pixel':>12}{'seconds':>10}")
    for side in given.sides:
        command = [sys.executable, __file__, "--measure", str(side)]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
        r = results[str(side)] = json.loads(done.stdout.splitlines()[-1])
        print(f"{side:6}{r['rise_gib']:12.2f}{r['rise_gib'] * 2**20 / side**2:12.2f}{r['seconds']:10.1f}", flush=True)
    difference = difference_of_strips(given.sides[0])
    print(f"strips of four rows against whole maps at {given.sides[0]}: {difference:.1e}")
    if tuple(given.sides) == SIDES:
        saved = {"by_side": results, "strips_difference": difference, "limit_gib_at_1024": LIMIT_GIB}
        print(save("ram_memory", seed=SEED, results=saved))


if __name__ == "__main__":
    main()
