"""Family: ground-penetrating radar over a vertical section; one survey for a whole batch.

The image carries the phase reference exp(2 i k_c z), k_c the middle frequency's wavenumber in the soil, so that its spectrum lies
about zero as the scenes' does. The frequencies are as many as keep the deepest pixel from folding back. Antennas lie on the
ground, where the quick omega-K operator serves, or are carried above it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch

from echoform.physics.ground_homogeneous import HomogeneousGround
from echoform.physics.ground_penetrating import GroundPenetratingRadar
from echoform.physics.operator import LinearOperator
from echoform.physics.sample_errors import apply_image_gain
from echoform.scene.collection import SPEED_OF_LIGHT_M_S
from echoform.scene.frame import frame_of
from echoform.scene.grid import Grid
from echoform.scene.random_source import RandomSource
from echoform.scene.scene import Scene
from echoform.scene.soil import GroundSurvey, Section
from echoform.scene.subsurface import subsurface
from echoform.train.problems.problem import ProblemFamily


@dataclass(frozen=True)
class GroundLayout:
    """What was drawn for a batch.

    Attributes:
        survey: antenna, soil and frequencies.
        section: pixels.
        batch: number of scenes.
    """

    survey: GroundSurvey
    section: Section
    batch: int


@dataclass(frozen=True, kw_only=True)
class GroundPenetrating(ProblemFamily[GroundLayout]):
    """Ranges of the family.

    Attributes:
        highest_hz: range of the highest frequency, log-uniform, hertz.
        relative_bandwidth: range of the bandwidth over the highest frequency.
        permittivity: range of the soil's.
        pixels: range of pixels per wavelength in the soil at the highest frequency.
        trace_pixels: range of the distance between traces, in pixels; 1 to 5 cm is usual.
        oversampling: range of the depth c / 2 df sqrt(eps_r), at which echoes repeat, over that of the deepest pixel.
        raised: share of batches with the antenna above the ground.
        height: range of that height over the width of the section, log-uniform.
        kept: least share of the traces that were taken, in the half of the batches where some are missing.
        ripple: greatest departure of the transmitted spectrum from a smooth bell.
    """

    name: ClassVar[str] = "ground"

    highest_hz: tuple[float, float] = (0.3e9, 3e9)
    relative_bandwidth: tuple[float, float] = (0.6, 0.95)
    permittivity: tuple[float, float] = (3.0, 25.0)
    pixels: tuple[float, float] = (2.5, 3.5)
    trace_pixels: tuple[float, float] = (0.8, 1.6)
    oversampling: tuple[float, float] = (1.05, 1.3)
    raised: float = 0.3
    height: tuple[float, float] = (0.02, 0.3)
    kept: float = 0.5
    ripple: float = 0.2

    def layout(self, source: RandomSource, batch: int) -> GroundLayout:
        """Draw soil, frequencies, and where the traces were taken."""
        _, width = self.shape
        permittivity = float(source.log_uniform((), *self.permittivity))
        highest = float(source.log_uniform((), *self.highest_hz))
        wavelength = SPEED_OF_LIGHT_M_S / highest / math.sqrt(permittivity)
        spacing = wavelength / float(source.uniform((), *self.pixels))
        section = Section(Grid(self.shape, (spacing, spacing)), top_m=wavelength * float(source.uniform((), 0.5, 1.5)))
        step = spacing * float(source.uniform((), *self.trace_pixels))
        count = max(4, math.floor(width * spacing / step))
        place = (torch.arange(count, dtype=torch.float64, device=source.place) - (count - 1) / 2) * step
        share = self.kept + (1 - self.kept) * float(source.uniform(()))
        taken = source.uniform((count,)) < (share if bool(source.chance((), 0.5)) else 1.0)
        taken[count // 2] = True
        band = highest * float(source.uniform((), *self.relative_bandwidth))
        cells = 2 * float(section.depths_m()[0]) * math.sqrt(permittivity) * band / SPEED_OF_LIGHT_M_S
        samples = math.ceil(cells * float(source.uniform((), *self.oversampling)))
        raised = bool(source.chance((), self.raised))

        def one(value: float) -> torch.Tensor:
            return torch.tensor([value], dtype=torch.float64, device=source.place)

        survey = GroundSurvey(
            place[taken][None],
            one(width * spacing * float(source.log_uniform((), *self.height)) if raised else 0.0),
            one(permittivity),
            one(highest - band),
            one(band / samples),
            self._spectrum(source, samples),
        )
        return GroundLayout(survey, section, batch)

    def scene(self, source: RandomSource, layout: GroundLayout) -> Scene:
        """Draw layers, pipes, voids and stones."""
        return subsurface(source, frame_of(layout.section.grid, layout.batch, device=source.place))

    def operator(self, layout: GroundLayout) -> LinearOperator:
        """Build the refracting operator, or omega-K where the antenna lies on the ground."""
        survey, section = layout.survey, layout.section
        raised = bool((survey.height_m > 0).any())
        middle_hz = survey.start_hz + survey.spectrum.shape[1] / 2 * survey.step_hz
        wavenumber = 2 * math.pi * middle_hz * survey.permittivity.sqrt() / SPEED_OF_LIGHT_M_S
        phase = 2 * wavenumber[:, None] * section.depths_m().to(wavenumber.device)
        reference = torch.polar(torch.ones_like(phase), phase)
        if not raised:
            return HomogeneousGround(survey, section, row_gain=reference)
        base, reference = GroundPenetratingRadar(survey, section), reference[:, None, :, None]
        return apply_image_gain(base, reference.expand(-1, 1, -1, self.shape[1]).to(base.dtype))

    def grid(self, layout: GroundLayout) -> Grid:
        """Return the pixels of the section."""
        return layout.section.grid

    def _spectrum(self, source: RandomSource, samples: int) -> torch.Tensor:
        """Return a bell over the band with a ripple, of unit power on average, (1, F), complex128."""
        n = (torch.arange(samples, dtype=torch.float64, device=source.place) + 0.5) / samples
        bell = torch.sin(math.pi * n) ** float(source.uniform((), 0.0, 2.0))
        cycles, turn = float(source.uniform((), 1, 5)), float(source.uniform((), 0, 2 * math.pi))
        spectrum = bell * (1 + self.ripple * float(source.uniform(())) * torch.cos(2 * math.pi * cycles * n + turn))
        return (spectrum / spectrum.square().mean().sqrt()).to(torch.complex128)[None]
