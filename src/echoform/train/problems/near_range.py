"""Family: MIMO arrays close to what they see (hand-held scanners, screening, gesture radar); one array for a whole batch.

The pixels lie in a plane before the array, ``fill`` of the resolution c / 2B in range and of lambda R / D across, D the length of
the virtual array t + r and R the range of the image's middle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from echoform.physics.near_range_array import near_range_array
from echoform.physics.operator import LinearOperator
from echoform.scene.array import MimoArray, filled_array
from echoform.scene.collection import SPEED_OF_LIGHT_M_S
from echoform.scene.frame import Frame
from echoform.scene.grid import Grid
from echoform.scene.random_source import RandomSource
from echoform.scene.scene import Scene
from echoform.scene.small_objects import small_objects
from echoform.scene.waveform import FmcwWaveform
from echoform.train.problems.problem import ProblemFamily


@dataclass(frozen=True)
class NearLayout:
    """What was drawn for a batch.

    Attributes:
        waveform: carrier and bandwidth.
        array: elements.
        frame: pixels, alike in all scenes: x along the array, y away from it.
        middle_m: distance of the image's middle from the array.
    """

    waveform: FmcwWaveform
    array: MimoArray
    frame: Frame
    middle_m: float


@dataclass(frozen=True, kw_only=True)
class NearRange(ProblemFamily[NearLayout]):
    """Ranges of the family.

    Attributes:
        carriers_hz: bands to choose from, lowest and highest frequency of each, hertz.
        bandwidth_hz: range of bandwidths, log-uniform, hertz; a carrier allows a fifth of itself.
        transmitters: numbers to choose from.
        receivers: numbers to choose from.
        samples: numbers of frequencies to choose from.
        spacing: range of the distance between virtual elements, in wavelengths.
        fill: range of pixel over resolution.
        nearest: least distance of the image's middle, in its own depths.
        farthest: greatest.
        widest: greatest tangent of the angle at which the image's edge is seen from the array.
    """

    name: ClassVar[str] = "near-range"

    carriers_hz: tuple[tuple[float, float], ...] = ((24e9, 40e9), (57e9, 64e9), (76e9, 81e9))
    bandwidth_hz: tuple[float, float] = (1e9, 12e9)
    transmitters: tuple[int, ...] = (1, 2, 4)
    receivers: tuple[int, ...] = (8, 12, 16)
    samples: tuple[int, ...] = (64, 81)
    spacing: tuple[float, float] = (0.5, 0.6)
    fill: tuple[float, float] = (0.7, 0.9)
    nearest: float = 0.65
    farthest: float = 1.5
    widest: float = 0.8

    def layout(self, source: RandomSource, batch: int) -> NearLayout:
        """Draw one array, its band, and the plane before it."""

        def choice(values: tuple[int, ...]) -> int:
            return values[int(source.integers((), 0, len(values)))]

        def one(value: float) -> torch.Tensor:
            return torch.tensor([value], dtype=torch.float64, device=source.place)

        low, high = self.carriers_hz[int(source.integers((), 0, len(self.carriers_hz)))]
        carrier = float(source.uniform((), low, high))
        wavelength = SPEED_OF_LIGHT_M_S / carrier
        bandwidth = min(float(source.log_uniform((), *self.bandwidth_hz)), carrier / 5)
        transmitters, receivers, samples = (choice(v) for v in (self.transmitters, self.receivers, self.samples))
        array = filled_array(transmitters, receivers, wavelength * float(source.uniform((), *self.spacing)))
        fill = source.uniform((2,), *self.fill).tolist()
        depth = fill[0] * SPEED_OF_LIGHT_M_S / (2 * bandwidth)
        middle = self.shape[0] * depth * float(source.uniform((), self.nearest, self.farthest))
        virtual = array.virtual_m()[..., 0]
        across = fill[1] * wavelength * middle / float(virtual.amax() - virtual.amin())
        across = min(across, 2 * self.widest * middle / self.shape[1])
        period = 50e-6
        sample_s = period / samples
        waveform = FmcwWaveform(one(carrier), one(bandwidth / period), one(sample_s), samples, one(1.2 * period))
        frame = Frame(self.shape, torch.tensor([[depth, across]], device=source.place).expand(batch, 2))
        moved = MimoArray(array.transmitter_m.to(source.place), array.receiver_m.to(source.place))
        return NearLayout(waveform, moved, frame, middle)

    def scene(self, source: RandomSource, layout: NearLayout) -> Scene:
        """Draw small things."""
        return small_objects(source, layout.frame)

    def operator(self, layout: NearLayout) -> LinearOperator:
        """Build the exact operator of the one array."""
        dy, dx = layout.frame.spacing_m[0].tolist()
        place = Grid(self.shape, (dy, dx)).positions_m().to(layout.frame.spacing_m.device)
        ahead = torch.tensor([0.0, layout.middle_m, 0.0], dtype=torch.float64, device=place.device)
        positions = place + ahead + layout.array.centre_m()[:, None, None]
        return near_range_array(layout.waveform, layout.array, positions_m=positions)

    def grid(self, layout: NearLayout) -> Grid:
        """Return the pixels of the plane."""
        dy, dx = layout.frame.spacing_m[0].tolist()
        return Grid(self.shape, (dy, dx))
