"""Where does the time of one reconstruction with the official network go? Shares by kind of operation, from torch.profiler.

python benchmarks/ram_profile.py            # denoising, MRI and 8-coil MRI at 256 x 256; writes results/ram_profile.json
python benchmarks/ram_profile.py --side 64 --only MRI      # a trial; writes nothing
"""

from __future__ import annotations

import argparse
from collections import defaultdict

import torch
from torch.profiler import profile

from echoform.nets.ram import OFFICIAL
from ram_speed import SEED, random_peers, sensors, task
from record import save

NAMES = ("denoising", "MRI", "8-coil MRI")
TILE = 36
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
    if name in ("aten::bmm", "aten::mm"):
        return KINDS[1] if TILE in (shapes[0][0], shapes[0][-1]) else KINDS[6]
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--only", nargs="*", default=NAMES)
    given = parser.parse_args()
    results = {name: shares(name, given.side) for name in given.only}
    print(" " * 28 + "".join(f"{name:>14}" for name in results))
    for kind in KINDS:
        print(f"{kind:28}" + "".join(f"{100 * found[kind]:13.1f}%" for found in results.values()))
    if given.side == 256 and tuple(given.only) == NAMES:
        print(save("ram_profile", seed=SEED, results=results))


if __name__ == "__main__":
    main()
