"""Inference engines behind the common door: a measurement goes in, an image comes out, whoever does the arithmetic."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from echoform.deploy.exportable import Exportable
from echoform.deploy.fixed_sensor import FixedSensor
from echoform.deploy.real_arithmetic import RealProgram
from echoform.deploy.refusal import refusing
from echoform.measure.measurement import Measurement
from echoform.recon.reconstructor import Estimate, Reconstructor

#: a loaded engine: real arrays in, the image's real channels out
Engine = Callable[[tuple[np.ndarray, ...]], np.ndarray]


class EngineReconstructor(Reconstructor):
    """An exported network in one pass.

    Args:
        sensor: the network bound to its sensor; its own weights are not used, only what prepares and finishes.
        engine: the exported part.
    """

    def __init__(self, sensor: FixedSensor, engine: Engine) -> None:
        super().__init__()
        self.sensor = sensor
        self.engine = engine

    @torch.no_grad()
    def forward(self, measurement: Measurement, *, generator: torch.Generator | None = None) -> Estimate:
        """Return the image; nothing random is drawn.

        Raises:
            ValueError: the measurement has not the shape of the sensor's samples.
        """
        expected = self.sensor.operator.range_shape
        if tuple(measurement.y.shape[1:]) != expected:
            raise ValueError(
                f"the exported network serves a sensor of {expected} samples, got {tuple(measurement.y.shape[1:])}: "
                "export it for this sensor"
            )
        prepared = self.sensor.prepare(measurement)
        output = self.engine(tuple(tensor.contiguous().numpy() for tensor in prepared.inputs))
        return Estimate(self.sensor.finish(torch.from_numpy(output), prepared))


@torch.no_grad()
def real_program(part: Exportable) -> RealProgram:
    """Return the exported part in real arithmetic, traced for one scene at a time.

    Raises:
        UnsupportedSensorError: the sensor's arithmetic depends on numbers known only when it runs, or cannot be traced.
    """
    inputs = part.example_inputs()
    part(*inputs)  # what is computed once and kept must be made outside the tracer, whose tensors hold no numbers
    with refusing(part, "other engines"):
        program = torch.export.export(part, inputs, strict=False)
        return RealProgram(program.run_decompositions({}))
