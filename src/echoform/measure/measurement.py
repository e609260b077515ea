"""One measurement: y = A x + noise, with everything a reconstructor may know."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from echoform.measure.earth import Place
from echoform.measure.sky_observation import SkyObservation
from echoform.physics.noise import Noise
from echoform.physics.operator import LinearOperator
from echoform.scene.collection import SpotlightCollection
from echoform.scene.grid import Grid


@dataclass(frozen=True)
class Metadata:
    """What a person wants to see beside the image.

    Attributes:
        title: one line naming the measurement.
        source: file or simulation it came from.
        grid: pixel grid in metres, or None when the image has no metric axes.
        truth: the scene, (B, C, H, W), when it is known (simulations).
        collection: antenna positions and frequencies of a spotlight collection, for formats that store them; which samples
            are missing is told by the operator's support.
        place: where the scene centre stands on the Earth, x east and y north, when it is known.
        sky: stations, times and sky pixels of an interferometer whose stations are not calibrated, or None.
        smooth_phase: whether neighbouring pixels share their phase (MRI, contrast of a dielectric body), so that differences of
            complex values are small; in radar images each pixel has a phase of its own.
        notes: further facts, label to text.
    """

    title: str = "measurement"
    source: str = ""
    grid: Grid | None = None
    truth: Tensor | None = None
    collection: SpotlightCollection | None = None
    place: Place | None = None
    sky: SkyObservation | None = None
    smooth_phase: bool = False
    notes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Measurement:
    """The samples y of a batch of scenes, the operator that took them and the noise they carry.

    Attributes:
        y: (B, *range_shape), zero where the operator's support is zero.
        operator: A.
        noise: the noise model, levels in the unit of y.
        metadata: title, source, grid and, for simulations, the truth.

    Raises:
        ValueError: y does not fit the operator's range, holds a value that is not finite, or is of another number of scenes than
            the operator has sensors, where it has more than one.
    """

    y: Tensor
    operator: LinearOperator
    noise: Noise
    metadata: Metadata = field(default_factory=Metadata)

    def __post_init__(self) -> None:
        if tuple(self.y.shape[1:]) != tuple(self.operator.range_shape):
            raise ValueError(
                f"y has shape {tuple(self.y.shape)}, the operator's range is (batch, {self.operator.range_shape}); "
                "check the order of pulses and frequencies"
            )
        if self.operator.batch not in (1, len(self.y)):
            raise ValueError(
                f"the operator holds {self.operator.batch} sensors, y {len(self.y)} scenes; give one sensor, or one for each "
                "scene (the leading axis of every buffer of an operator counts its sensors)"
            )
        values = torch.view_as_real(self.y.resolve_conj()) if self.y.is_complex() else self.y
        # NaN would be both the least and the greatest
        if values.numel() and not all(bool(torch.isfinite(end)) for end in torch.aminmax(values)):
            raise ValueError("y holds NaN or Inf; mark bad samples as missing in the operator instead")

    def to(self, device: torch.device) -> Measurement:
        """Return the measurement with samples, operator and noise on ``device`` (the operator itself is moved)."""
        return replace(self, y=self.y.to(device), operator=self.operator.to(device), noise=self.noise.to(device))

    def prepared(self) -> Measurement:
        """Return the measurement with its operator prepared for hundreds of normals."""
        return replace(self, operator=self.operator.prepared())

    def without(self, operator: LinearOperator) -> Measurement:
        """Return the measurement seen by an operator with a smaller support: y is zeroed outside it."""
        marks = operator.support()
        y = self.y if marks is None else self.y * marks
        return replace(self, y=y, operator=operator)


def simulate(
    x: Tensor,
    operator: LinearOperator,
    noise: Noise,
    *,
    generator: torch.Generator | None = None,
    metadata: Metadata | None = None,
) -> Measurement:
    """Return the measurement of scenes ``x`` (B, C, H, W): noise is added on the operator's support only."""
    y = noise.sample(operator(x), generator)
    marks = operator.support()
    if marks is not None:
        y = y * marks
    return Measurement(y, operator, noise, metadata or Metadata(title="simulation", truth=x))
