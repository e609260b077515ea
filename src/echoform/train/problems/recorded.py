"""Family: problems that were simulated beforehand and written to files, such as full-wave scattering and ray-traced rooms.

    y = F(x) + n        F what the simulator did, A the operator stored beside it

Native files hold samples, operator and truth; one file is one sensor with any number of scenes. Samples are taken as clean and
noise is drawn anew at every visit, so that a small set does not come back the same. ``benchmarks/full_wave.py --set`` and
``benchmarks/sionna_multipath.py --set`` write such files.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import torch
from torch import Tensor

from echoform.measure.measurement import Measurement
from echoform.measure.native import load
from echoform.physics.operator import LinearOperator
from echoform.scene.grid import Grid
from echoform.scene.random_source import RandomSource
from echoform.scene.scene import Scene
from echoform.train.problems.problem import ProblemFamily


@dataclass(frozen=True)
class Visit:
    """Which scenes of which file.

    Attributes:
        measurement: the file, on the device of the batch.
        truth: its images, (n, C, H, W).
        rows: the scenes, (B,), int64.
    """

    measurement: Measurement
    truth: Tensor
    rows: Tensor


@dataclass(frozen=True, kw_only=True)
class Recorded(ProblemFamily[Visit]):
    """Problems of files, each file drawn as often as it has scenes; a batch is of one file, without repeats where it suffices.

    Attributes:
        measurements: what the files hold, with the truth.

    Raises:
        ValueError: there is none, one without truth, or one whose operator is not the same for all of its scenes.
    """

    name: ClassVar[str] = "recorded"

    measurements: tuple[Measurement, ...]

    def __post_init__(self) -> None:
        if not self.measurements:
            raise ValueError("give at least one recorded measurement")
        for measurement in self.measurements:
            truth = measurement.metadata.truth
            if truth is None or len(truth) != len(measurement.y):
                raise ValueError(
                    f"{measurement.metadata.title!r} has no truth for each of its scenes: nothing to learn"
                )
            if measurement.operator(truth[:1]).shape[0] != 1:
                raise ValueError(
                    f"{measurement.metadata.title!r} has a sensor of its own for every scene: write one file each"
                )

    @classmethod
    def read(cls, paths: list[Path], *, snr_db: tuple[float, float] = (-10.0, 40.0)) -> Self:
        """Return the family of native files; the shape is that of the first file's images.

        Args:
            paths: of the files.
            snr_db: range of the signal-to-noise ratio, decibels.

        Raises:
            ValueError: as the class does, or a file is none of ours.
        """
        measurements = tuple(load(path) for path in paths)
        height, width = (measurements[0].operator.domain_shape if measurements else (0, 0))[-2:]
        return cls(measurements=measurements, shape=(height, width), snr_db=snr_db)

    def layout(self, source: RandomSource, batch: int) -> Visit:
        """Draw a file and scenes of it."""
        generator = source.generator
        counts = torch.tensor([len(m.y) for m in self.measurements], dtype=torch.float32, device=generator.device)
        measurement = self.measurements[int(torch.multinomial(counts, 1, generator=generator))]
        order = torch.randperm(len(measurement.y), generator=generator, device=generator.device)
        rows = order.repeat(-(-batch // len(order)))[:batch].to(source.place)
        truth = measurement.metadata.truth
        assert truth is not None
        return Visit(measurement.to(source.place), truth.to(source.place), rows)

    def scene(self, source: RandomSource, layout: Visit) -> Scene:
        """Return the images."""
        return Scene(layout.truth[layout.rows])

    def operator(self, layout: Visit) -> LinearOperator:
        """Return the file's operator, which its samples need not follow."""
        return layout.measurement.operator

    def clean_samples(self, layout: Visit, scene: Scene, operator: LinearOperator) -> Tensor:
        """Return the samples of the file."""
        return layout.measurement.y[layout.rows]

    def grid(self, layout: Visit) -> Grid | None:
        """Return the file's pixels."""
        return layout.measurement.metadata.grid
