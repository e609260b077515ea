"""How fast is RAM outside PyTorch, and what do eight bits cost?

    python benchmarks/edge.py [--weights NAME] [--side N] [--runs N] [--threads N]
    python benchmarks/edge.py --processor-time         # for ratios on a loaded machine; writes nothing

The shipped network bound to a Fourier mask (40 % of the frequencies), one scene at a time: PyTorch as it stands, ONNX by
onnxruntime, OpenVINO in single precision and in bfloat16, and with eight-bit convolutions of two extents, what is left in either
precision: the body's alone (head, tail and all physics in float), and with the convolutions that decode and encode images for the
physics. Times are medians of runs taking turns. Accuracy: NMSE over scenes that neither training nor calibration saw, and the
distance from PyTorch's image. First of all it prints the operations of one pass and how many a second this machine does in a
product of matrices (the best of ten), hence the least time of any engine that computes in single precision.

Source of the goals: issue 5 (3 times PyTorch in single precision; tiny at 128 x 128 within 20 ms).
"""

from __future__ import annotations

import argparse
import logging
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from echoform.assess.metrics import nmse_db
from echoform.deploy.engine import EngineReconstructor
from echoform.deploy.fixed_sensor import FixedSensor, fixed_sensor
from echoform.deploy.onnx_file import load_onnx, save_onnx
from echoform.deploy.openvino_model import HEAD_AND_TAIL, PHYSICS, eight_bit, load_openvino, to_openvino
from echoform.measure.measurement import Measurement, simulate
from echoform.nets import weights
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.noise import GaussianNoise
from echoform.recon.network import NetworkReconstructor
from echoform.train.problems.gridded_fourier import GriddedFourier
from echoform.train.problems.noise_levels import noise_level
from echoform.train.problems.problem import draw_problem
from echoform.train.problems.stream import problem_generator
from record import save

SEED, SHARE, SNR_DB = 515, 0.4, 20.0
CALIBRATION, JUDGED = 16, 32

Image = Callable[[Measurement], Tensor]


def measured(operator: FourierMask, count: int, seed: int) -> list[tuple[Tensor, Measurement]]:
    """Return scenes of the Fourier family and what the sensor measures of each at 20 dB."""
    generator = problem_generator(seed, 0)
    x = draw_problem(generator, GriddedFourier(shape=operator.domain_shape[1:]), count).truth
    pairs = []
    for scene in x.split(1):
        sigma = noise_level(operator(scene), operator, torch.tensor([SNR_DB]))
        pairs.append((scene, simulate(scene, operator, GaussianNoise(sigma), generator=generator)))
    return pairs


def engines(bound: FixedSensor, calibration: list[Measurement], threads: int) -> dict[str, Image]:
    """Return every way to run the bound network."""
    model = to_openvino(bound)
    ways = {
        "OpenVINO": load_openvino(model, threads=threads),
        "OpenVINO, bfloat16": load_openvino(model, threads=threads, bfloat16=True),
    }
    with tempfile.TemporaryDirectory() as folder:
        save_onnx(bound, Path(folder) / "network.onnx")
        ways["ONNX (onnxruntime)"] = load_onnx(Path(folder) / "network.onnx", threads=threads)
    extents = {
        "OpenVINO, 8 bit": HEAD_AND_TAIL + PHYSICS,
        "OpenVINO, 8 bit, physics' convolutions too": HEAD_AND_TAIL,
    }
    for name, keep in extents.items():
        small = eight_bit(model, bound, calibration, keep=keep)
        ways[name] = load_openvino(small, threads=threads)
        ways[f"{name}; rest bfloat16"] = load_openvino(small, threads=threads, bfloat16=True)
    reconstructors = {"PyTorch": NetworkReconstructor(bound.network)} | {
        name: EngineReconstructor(bound, engine) for name, engine in ways.items()
    }
    return {name: lambda m, r=reconstructor: r(m).mean for name, reconstructor in reconstructors.items()}


@torch.no_grad()
def operations(bound: FixedSensor) -> float:
    """Return the operations of the exported part's convolutions and matrix products, a multiplication and a sum being two."""
    inputs = bound.example_inputs()
    with FlopCounterMode(display=False) as counter:
        bound(*inputs)
    return float(counter.get_total_flops())


def operations_per_second(clock: Callable[[], float], side: int = 1024) -> float:
    """Return the best rate of products of two matrices in single precision."""
    a = torch.ones(side, side)
    times = []
    for _ in range(10):
        start = clock()
        a @ a
        times.append(clock() - start)
    return 2 * side**3 / min(times)


@torch.inference_mode()
def measure(
    ways: dict[str, Image], judged: list[tuple[Tensor, Measurement]], runs: int, clock: Callable[[], float]
) -> dict[str, dict[str, float]]:
    """Return median times by ``clock`` and accuracies."""
    images = {name: torch.cat([way(m) for _, m in judged]) for name, way in ways.items()}
    truth = torch.cat([x for x, _ in judged])
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(runs):
        for name, way in ways.items():
            start = clock()
            way(judged[0][1])
            times[name].append(clock() - start)
    reference = images["PyTorch"]
    return {
        name: {
            "ms": 1e3 * statistics.median(times[name]),
            "nmse_db": float(nmse_db(image, truth).mean()),
            "distance_from_pytorch": float((image - reference).norm() / reference.norm()),
        }
        for name, image in images.items()
    }


def main() -> None:
    """Carry out the command in the module's text."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--weights", default="echoform-tiny")
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--runs", type=int, default=21)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--processor-time", action="store_true", help="for a loaded machine; writes nothing")
    options = parser.parse_args()
    logging.getLogger("nncf").setLevel(logging.WARNING)
    torch.set_num_threads(options.threads)
    side = options.side
    generator = torch.Generator().manual_seed(SEED)
    operator = FourierMask((torch.rand(1, 1, side, side, generator=generator) < SHARE).float())
    bound = fixed_sensor(weights.load(options.weights), operator)
    clock = time.process_time if options.processor_time else time.perf_counter
    count, rate = operations(bound), operations_per_second(clock)
    print(
        f"{count / 1e9:.2f} GFLOP at {rate / 1e9:.0f} GFLOP/s: {1e3 * count / rate:.0f} ms at the least, single precision"
    )
    calibration = [m for _, m in measured(operator, CALIBRATION, SEED + 1)]
    ways = engines(bound, calibration, options.threads)
    rows = measure(ways, measured(operator, JUDGED, SEED + 2), options.runs, clock)
    print(f"{options.weights}, {side} x {side}, {options.threads} threads; whole reconstruction of one scene")
    print(f"{'':60}{'ms':>8}{'ratio':>8}{'NMSE dB':>9}{'distance':>10}")
    for name, row in rows.items():
        row["ratio"] = rows["PyTorch"]["ms"] / row["ms"]
        print(f"{name:60}{row['ms']:8.1f}{row['ratio']:8.2f}{row['nmse_db']:9.2f}{row['distance_from_pytorch']:10.1e}")
    if options.processor_time:
        return
    save(
        "edge",
        seed=SEED,
        results={
            "weights": options.weights,
            "side": side,
            "operations": count,
            "operations_per_second": rate,
            "rows": rows,
        },
    )


if __name__ == "__main__":
    main()
