"""How fast is RAM outside PyTorch, and what do eight bits cost?

    python benchmarks/edge.py [--weights NAME] [--side N] [--runs N] [--threads N]

The shipped network bound to a Fourier mask (40 % of the frequencies), one scene at a time: PyTorch as it stands, ONNX by
onnxruntime, OpenVINO in single precision, and with eight-bit convolutions of three extents: the body's alone (head, tail and all
physics in float), with the physics' own convolutions, and all. Times are medians of runs taking turns. Accuracy: NMSE over scenes
that neither training nor calibration saw, and the distance from PyTorch's image.

Source of the goals: issue 5 (3 times PyTorch in single precision; tiny at 128 x 128 within 20 ms).
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from echoform.assess.metrics import nmse_db
from echoform.deploy.engine import EngineReconstructor
from echoform.deploy.fixed_sensor import FixedSensor, fixed_sensor
from echoform.deploy.onnx_file import load_onnx, save_onnx
from echoform.deploy.openvino_model import HEAD_AND_TAIL, eight_bit, load_openvino, to_openvino
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
CALIBRATION, JUDGED = 32, 32

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
    ways = {"OpenVINO": load_openvino(model, threads=threads)}
    with tempfile.TemporaryDirectory() as folder:
        save_onnx(bound, Path(folder) / "network.onnx")
        ways["ONNX (onnxruntime)"] = load_onnx(Path(folder) / "network.onnx", threads=threads)
    extents = {
        "OpenVINO, 8 bit": None,
        "OpenVINO, 8 bit, physics' convolutions too": HEAD_AND_TAIL,
        "OpenVINO, 8 bit, all convolutions": (),
    }
    for name, keep in extents.items():
        small = (
            eight_bit(model, bound, calibration) if keep is None else eight_bit(model, bound, calibration, keep=keep)
        )
        ways[name] = load_openvino(small, threads=threads)
    reconstructors = {"PyTorch": NetworkReconstructor(bound.network)} | {
        name: EngineReconstructor(bound, engine) for name, engine in ways.items()
    }
    return {name: lambda m, r=reconstructor: r(m).mean for name, reconstructor in reconstructors.items()}


@torch.inference_mode()
def measure(ways: dict[str, Image], judged: list[tuple[Tensor, Measurement]], runs: int) -> dict[str, dict[str, float]]:
    """Return median times and accuracies."""
    images = {name: torch.cat([way(m) for _, m in judged]) for name, way in ways.items()}
    truth = torch.cat([x for x, _ in judged])
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(runs):
        for name, way in ways.items():
            start = time.perf_counter()
            way(judged[0][1])
            times[name].append(time.perf_counter() - start)
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
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--weights", default="echoform-tiny")
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--runs", type=int, default=21)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    side = options.side
    generator = torch.Generator().manual_seed(SEED)
    operator = FourierMask((torch.rand(1, 1, side, side, generator=generator) < SHARE).float())
    bound = fixed_sensor(weights.load(options.weights), operator)
    calibration = [m for _, m in measured(operator, CALIBRATION, SEED + 1)]
    ways = engines(bound, calibration, options.threads)
    rows = measure(ways, measured(operator, JUDGED, SEED + 2), options.runs)
    print(f"{options.weights}, {side} x {side}, {options.threads} threads; whole reconstruction of one scene")
    print(f"{'':44}{'ms':>8}{'ratio':>8}{'NMSE dB':>9}{'distance':>10}")
    for name, row in rows.items():
        row["ratio"] = rows["PyTorch"]["ms"] / row["ms"]
        print(f"{name:44}{row['ms']:8.1f}{row['ratio']:8.2f}{row['nmse_db']:9.2f}{row['distance_from_pytorch']:10.1e}")
    save("edge", seed=SEED, results={"weights": options.weights, "side": side, "rows": rows})


if __name__ == "__main__":
    main()
