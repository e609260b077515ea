"""A network's pass over one sensor as a CUDA graph: its launches are recorded once and replayed as one.

On a GPU some thousand small operations of a pass take their time on the host, not on the card. Recorded, they need no host. A
graph asks that the host decides nothing by the samples: one sensor, one shape of samples. Conjugate gradients that ask after
every step whether to stop cannot be recorded. The state head takes a fixed number of them; the official head does so once
``network.stopping`` has the tolerance 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from echoform.measure.measurement import Measurement

#: passes before the recording: they fill what the sensor and the libraries keep
WARM_UPS = 3


class CapturedPass:
    """Return network(y, A, noise) for further samples y of one sensor A, replayed from a CUDA graph.

    Args:
        network: what turns a measurement into an image (B, C, H, W), in eval mode.
        measurement: the sensor, the noise, and samples (B, C, ...) of the shape to come, all on one GPU.

    Raises:
        ValueError: the measurement lies on no CUDA device, or the network asks the host for a number in its pass.

    Source: NVIDIA, CUDA C++ programming guide, "CUDA graphs", stream capture.
    """

    def __init__(self, network: Callable[[Measurement], Tensor], measurement: Measurement) -> None:
        device = measurement.y.device
        if device.type != "cuda":
            raise ValueError(
                f"a CUDA graph is recorded on a CUDA device, got samples on {device}; call the network itself"
            )
        self._samples = measurement.y.clone()
        self._graph = torch.cuda.CUDAGraph()
        given = replace(measurement, y=self._samples)
        beside = torch.cuda.Stream(device)
        beside.wait_stream(torch.cuda.current_stream(device))
        with torch.no_grad():
            with torch.cuda.stream(beside):
                for _ in range(WARM_UPS):
                    network(given)
            torch.cuda.current_stream(device).wait_stream(beside)
            try:
                with torch.cuda.graph(self._graph):
                    self._image = network(given)
            except RuntimeError as error:
                raise ValueError(
                    f"the pass over {type(measurement.operator).__name__} cannot be recorded: it asks the host for a number, as "
                    "proxes by conjugate gradients do after every step; give the official head a fixed number of them first, "
                    f"network.stopping = Stopping(tolerance=0, max_iterations=20), or call the network itself ({error})"
                ) from error

    def __call__(self, samples: Tensor) -> Tensor:
        """Return the image of ``samples``, which have the shape and type of those recorded with.

        Raises:
            ValueError: another shape, type or device.
        """
        wanted = self._samples
        if (samples.shape, samples.dtype, samples.device) != (wanted.shape, wanted.dtype, wanted.device):
            raise ValueError(
                f"recorded for samples {tuple(wanted.shape)} of {wanted.dtype} on {wanted.device}, got "
                f"{tuple(samples.shape)} of {samples.dtype} on {samples.device}; record another pass"
            )
        wanted.copy_(samples)
        self._graph.replay()
        return self._image.clone()
