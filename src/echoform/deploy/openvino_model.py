"""OpenVINO: the fastest engine on CPUs, in single precision or with eight-bit convolutions. Needs the extra ``export``.

Eight bits: weights and activations of convolutions become integers, scaled per channel and per layer by what a calibration set of
measurements showed. The first and the last convolution stay in floating point, and so does all physics: the Gram operators and,
unless asked otherwise, the convolutions that decode images from features and encode them back.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx

from echoform.deploy.engine import Engine, real_program
from echoform.deploy.exportable import Exportable
from echoform.deploy.extra import imported
from echoform.deploy.fixed_sensor import FixedSensor
from echoform.deploy.refusal import UnsupportedSensorError, refusing
from echoform.measure.atomic import atomic_folder
from echoform.measure.measurement import Measurement

#: parts of a module's path whose convolutions stay in floating point
HEAD_AND_TAIL = ("m_head", "m_tail")
PHYSICS = ("PhysicsBlock",)
CONVOLUTION = "Convolution"
#: the model's file inside its folder; the weights lie beside it
MODEL_FILE = "model.xml"


@torch.no_grad()
def to_openvino(part: Exportable) -> Any:
    """Return the exported part of a network as an ``openvino.Model`` for one scene; convolutions bear their module's path.

    Raises:
        MissingExtraError: ``openvino`` is not installed.
        UnsupportedSensorError: the physics uses an operation that has no form in OpenVINO, or double precision.
    """
    openvino = imported("openvino")
    program, example = real_program(part), part.example_inputs()
    doubles = _doubles(program.program)
    if doubles:
        raise UnsupportedSensorError(
            f"{part.described()} cannot be exported to OpenVINO: it computes in double precision ({', '.join(doubles[:3])}), "
            "which the engine does not have; export it to ONNX"
        )
    with refusing(part, "OpenVINO"):
        traced = torch.jit.trace(program, example, check_trace=False)
        model = openvino.convert_model(traced, example_input=example, input=[list(tensor.shape) for tensor in example])
    for path, convolution in zip(
        _convolution_paths(program.program), sorted(_convolutions(model), key=_met), strict=True
    ):
        convolution.set_friendly_name(path)
    return model


def _doubles(graph: fx.GraphModule) -> list[str]:
    """Operations that are carried out in double precision: phases of long paths, of which single precision leaves too little."""
    wide = (torch.float64, torch.complex128)
    values = ((node, node.meta.get("val")) for node in graph.graph.nodes if node.op == "call_function")
    return sorted({str(node.target) for node, value in values if isinstance(value, Tensor) and value.dtype in wide})


def _convolution_paths(graph: fx.GraphModule) -> list[str]:
    """Paths of the modules whose convolutions the graph runs, in order, each with its number.

    Where a weight is computed (a 1x1 skip folded into its 3x3), the module that runs the convolution stands for it.
    """
    paths = []
    for node in graph.graph.nodes:
        if node.op == "call_function" and str(node.target).startswith("aten.conv2d"):
            weight, runs = node.args[1], list((node.meta.get("nn_module_stack") or {"": ("", None)}).values())
            path = weight.target.removesuffix(".weight") if weight.op == "get_attr" else runs[-1][0]
            paths.append(f"{path}:{len(paths)}")
    return paths


def _convolutions(model: Any) -> list[Any]:
    return [op for op in model.get_ops() if op.get_type_name() == CONVOLUTION]


def _name(op: Any) -> str:
    return op.get_friendly_name()


def _met(op: Any) -> int:
    """When the tracer met a convolution: it calls them Convolution, Convolution_1, Convolution_2, ..."""
    number = _name(op).rpartition("_")[2]
    return int(number) if number.isdigit() else 0


def eight_bit(
    model: Any,
    sensor: FixedSensor,
    calibration: Sequence[Measurement],
    *,
    keep: Sequence[str] = HEAD_AND_TAIL + PHYSICS,
) -> Any:
    """Return the model with eight-bit convolutions.

    Args:
        model: from :func:`to_openvino`.
        sensor: what it was made from.
        calibration: measurements of one scene each, of the kind and noise levels to be served; a few tens suffice.
        keep: parts of module paths whose convolutions stay in floating point.

    Raises:
        MissingExtraError: ``nncf`` is not installed.
        ValueError: no measurement is given.
    """
    if not calibration:
        raise ValueError("calibration needs at least one measurement, got none")
    nncf = imported("nncf")
    kept = [name for name in map(_name, _convolutions(model)) if any(part in name for part in keep)]
    others = sorted({op.get_type_name() for op in model.get_ops()} - {CONVOLUTION})
    ignored = nncf.IgnoredScope(names=kept, types=others, validate=False)
    data = [tuple(tensor.contiguous().numpy() for tensor in sensor.prepare(m).inputs) for m in calibration]
    return nncf.quantize(model, nncf.Dataset(data, _by_input), ignored_scope=ignored, subset_size=len(data))


def _by_input(values: tuple[np.ndarray, ...]) -> dict[int, np.ndarray]:
    return dict(enumerate(values))


def save_openvino(model: Any, folder: Path) -> None:
    """Write the model (structure and weights, two files) into a folder of its own, atomically, at full precision."""
    openvino = imported("openvino")
    with atomic_folder(folder) as part:
        openvino.save_model(model, part / MODEL_FILE, compress_to_fp16=False)


def load_openvino(model: Any | Path, *, threads: int = 0, bfloat16: bool = False) -> Engine:
    """Return an engine that runs a model on the CPU, one scene at a time, in single precision where it is not in integers.

    Args:
        model: from :func:`to_openvino` or :func:`eight_bit`, or the folder that :func:`save_openvino` wrote.
        threads: used inside an inference; 0 leaves it to OpenVINO.
        bfloat16: whether convolutions and sums not in integers may be done in bfloat16, for processors that have it.

    Raises:
        MissingExtraError: ``openvino`` is not installed.
    """
    openvino = imported("openvino")
    settings: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": "bf16" if bfloat16 else "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    if threads:
        settings["INFERENCE_NUM_THREADS"] = threads
    source = model / MODEL_FILE if isinstance(model, Path) else model
    request = openvino.Core().compile_model(source, "CPU", settings).create_infer_request()

    def run(inputs: tuple[np.ndarray, ...]) -> np.ndarray:
        return request.infer(dict(enumerate(inputs)))[0].copy()

    return run
