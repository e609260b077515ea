"""ONNX: the exchange format. Needs the extra ``export``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from echoform.deploy.engine import Engine, real_program
from echoform.deploy.exportable import Exportable
from echoform.deploy.extra import imported
from echoform.deploy.refusal import refusing
from echoform.measure.atomic import atomic_path

#: the first version of the operator set whose Fourier transform takes its axis as an input
OPERATOR_SET = 20
#: least severe messages that onnxruntime prints; its warnings tell which constants it did not fold
ERRORS_ONLY = 3


def save_onnx(part: Exportable, path: Path) -> None:
    """Write the exported part of a network as one ONNX file, atomically.

    Raises:
        MissingExtraError: ``onnxscript`` is not installed.
        UnsupportedSensorError: the physics uses an operation that has no form in ONNX.
    """
    imported("onnxscript")
    real = real_program(part)
    with torch.no_grad(), refusing(part, "ONNX"):
        program = torch.onnx.export(
            torch.export.export(real, part.example_inputs(), strict=False),
            dynamo=True,
            opset_version=OPERATOR_SET,
            verbose=False,
            optimize=False,  # runtimes do so themselves as they load
        )
    assert program is not None
    with atomic_path(path) as written:
        program.save(str(written))


def load_onnx(path: Path, *, threads: int = 0) -> Engine:
    """Return an engine that runs the file on the CPU by onnxruntime.

    Args:
        path: written by :func:`save_onnx`.
        threads: used inside an operation; 0 leaves it to the runtime.

    Raises:
        MissingExtraError: ``onnxruntime`` is not installed.
    """
    runtime = imported("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = ERRORS_ONLY
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [given.name for given in session.get_inputs()]

    def run(inputs: tuple[np.ndarray, ...]) -> np.ndarray:
        return session.run(None, dict(zip(names, inputs, strict=True)))[0]

    return run
