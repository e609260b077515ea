"""Where does the time of one reconstruction with the official network go? Shares by kind of operation, from torch.profiler.

Beside it, what sets the floor: billions of operations a second of the library's matrix product, of its 3 x 3 convolutions at
every width, and of ours by tiles, all counted as the plain sum's operations, so that tiles may pass the processor's peak.

python benchmarks/ram_profile.py            # denoising, MRI and 8-coil MRI at 256 x 256; writes results/ram_profile.json
python benchmarks/ram_profile.py --only     # the floor alone; writes nothing
python benchmarks/ram_profile.py --side 64 --only MRI      # a trial; writes nothing
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional
from torch.profiler import profile

from echoform.nets.convolution import Convolution
from echoform.nets.narrow import NarrowConvolution
from echoform.nets.ram import OFFICIAL
from echoform.nets.strips import in_strips
from ram_speed import SEED, random_peers, sensors, task
from record import save

NAMES = ("denoising", "MRI", "8-coil MRI")
TILES = (4, 6, 8)
#: pixels of the maps that rates are measured on at the finest level, rows and columns; and how often
ROWS, COLUMNS, REPEATS = 96, 256, 7
KINDS = (
    "backbone, 3x3",
    "backbone, Winograd's tiles",
    "backbone, between scales",
    "decoder and tail",
    "encoder and head",
    "Fourier transforms",
    "other products",
    "sums, ReLU, copies",
)


def kind_of(name: str, shapes: list[list[int]]) -> str:
    """Return the kind of an operation from its name and the shapes of what it is given."""
    if "conv" in name and len(shapes) > 1 and len(shapes[1]) == 4:
        out, into, size, _ = shapes[1]
        if size == 2:
            return KINDS[2]
        if into in OFFICIAL.channels:
            return KINDS[0] if out in OFFICIAL.channels else KINDS[3]
        return KINDS[4]
    if "fft" in name:
        return KINDS[5]
    if name in ("aten::bmm", "aten::mm", "aten::addmm_"):
        left, right = shapes[1:3] if name == "aten::addmm_" else shapes[:2]
        square = right[-1] == right[-2] and right[-1] in OFFICIAL.channels  # kernels of tiles
        if left[-1] in TILES or square:
            return KINDS[1]
        return KINDS[3] if left[-1] in OFFICIAL.channels else KINDS[6]
    return KINDS[7]


def shares(name: str, side: int) -> dict[str, float]:
    """Return each kind's share of the time, which sums to one."""
    device = torch.device("cpu")
    _, ours = random_peers(device)
    given = task(sensors(side)[name](), name, side, device)
    with torch.inference_mode():
        ours(given.ours)
        with profile(record_shapes=True) as profiled:
            ours(given.ours)
    times: dict[str, float] = defaultdict(float)
    for event in profiled.key_averages(group_by_input_shape=True):
        times[kind_of(event.key, event.input_shapes)] += event.self_cpu_time_total
    whole = sum(times.values())
    return {kind: times[kind] / whole for kind in KINDS}


def rate(function: Callable[[], Tensor], operations: float) -> float:
    """Return 10^9 operations a second of processor time, the best of some runs, for the machine may be loaded."""
    best = float("inf")
    for _ in range(REPEATS):
        start = time.process_time()
        function()
        best = min(best, time.process_time() - start)
    return operations / best / 1e9


@torch.inference_mode()
def rates() -> dict[str, float]:
    """Return the rates of a matrix product, and of plain and prepared convolutions on maps of equal work at all widths."""
    square = torch.randn(1024, 1024)
    found = {"matrix product, 1024": rate(lambda: square @ square, 2 * 1024**3)}
    for scale, channels in enumerate(OFFICIAL.channels):
        found |= rates_of(channels, (ROWS >> scale, COLUMNS >> scale))
    return found


def rates_of(channels: int, shape: tuple[int, int]) -> dict[str, float]:
    """Return the rates at one width, on maps of a shape."""
    x = torch.randn(1, channels, *shape).to(memory_format=torch.channels_last)
    wide = Convolution(channels, channels).to(memory_format=torch.channels_last)
    narrow = NarrowConvolution(channels, 6).to(memory_format=torch.channels_last)
    operations = 18.0 * shape[0] * shape[1] * channels  # for each output channel

    def by_strips() -> Tensor:
        return in_strips(lambda top, bottom: wide.rows(x, top, bottom), x)

    plain = rate(by_strips, operations * channels)
    wide.prepare()
    return {
        f"3x3, {channels} to {channels}": plain,
        f"3x3, {channels} to {channels}, tiles": rate(by_strips, operations * channels),
        f"3x3, {channels} to 6": rate(lambda: functional.conv2d(x, narrow.weight, padding=1), operations * 6),
        f"3x3, {channels} to 6, ours": rate(lambda: narrow(x), operations * 6),
    }


def main() -> None:
    """Carry out the command in the module's text."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--only", nargs="*", default=NAMES)
    given = parser.parse_args()
    floor = rates()
    print(f"10^9 operations a second of processor time, {torch.get_num_threads()} threads")
    print("\n".join(f"{name:28}{value:14.1f}" for name, value in floor.items()))
    results = {name: shares(name, given.side) for name in given.only}
    print(" " * 28 + "".join(f"{name:>14}" for name in results))
    for kind in KINDS:
        print(f"{kind:28}" + "".join(f"{100 * found[kind]:13.1f}%" for found in results.values()))
    if given.side == 256 and tuple(given.only) == NAMES:
        print(save("ram_profile", seed=SEED, results={"shares": results, "rates": floor}))


if __name__ == "__main__":
    main()
