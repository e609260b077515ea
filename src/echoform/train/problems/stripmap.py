"""Family: stripmap SAR from drones and aircraft; one radar for a whole batch, since it is the operator that costs.

The pixel along the track is the pulse spacing v / PRF, across it ``fill`` of c / 2 F_s. The antenna is L = 2 v / (fill PRF) long,
so that the PRF samples its Doppler band 2 v / L; the pulses cover the image and as much of the synthetic aperture as ``aperture``
allows. The samples are compressed in range, or raw echoes of a chirp; range migration is exact (omega-K) or that of the
range-Doppler algorithm. Columns are slant range, the radar stands on their left; scenes are drawn on the ground and appear
foreshortened.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from echoform.physics.operator import LinearOperator
from echoform.physics.range_chirp import echo_starts, raw_stripmap
from echoform.physics.stripmap import StripmapOperator
from echoform.physics.stripmap_omega_k import StripmapOmegaK
from echoform.physics.stripmap_range_doppler import StripmapRangeDoppler
from echoform.scene.collection import SPEED_OF_LIGHT_M_S
from echoform.scene.frame import Frame, Illumination, draw_illumination
from echoform.scene.grid import Grid
from echoform.scene.random_source import RandomSource
from echoform.scene.scene import Scene
from echoform.scene.stripmap import StripmapCollection, linear_chirp
from echoform.train.problems.missing import draw_kept
from echoform.train.problems.problem import ProblemFamily
from echoform.train.problems.radar_scenes import SceneChoice, choose_scenes, radar_scene


@dataclass(frozen=True)
class StripmapLayout:
    """What was drawn for a batch.

    Attributes:
        collection: one path and radar.
        range_spacing_m: width of a pixel in slant range.
        frame: pixels on the ground; rows along the track, columns ground range, spacing / cos(g) wide.
        illumination: the radar as seen from the scene.
        scenes: kinds of scene.
        frequencies: samples of a pulse compressed in range.
        form: of the range migration.
        chirp: the pulse sent, (1, Q), complex128, where the echoes are raw; else None.
    """

    collection: StripmapCollection
    range_spacing_m: float
    frame: Frame
    illumination: Illumination
    scenes: SceneChoice
    frequencies: int
    form: type[StripmapOperator]
    chirp: Tensor | None


@dataclass(frozen=True, kw_only=True)
class Stripmap(ProblemFamily[StripmapLayout]):
    """Ranges of the family.

    Attributes:
        carriers_hz: carriers to choose from, hertz.
        bandwidth_hz: lowest and highest bandwidth, hertz.
        range_m: range of closest approach, log-uniform, metres.
        speed_m_s: range of speeds, log-uniform, metres per second.
        fill: range of pixel over resolution.
        aspect: range of the pixel along the track over that across it.
        oversampling: range of frequencies over pixels.
        squint: greatest Doppler centroid, in PRF.
        aperture: greatest synthetic aperture that is heard, in heights of the image.
        beam: greatest stretch of the track that lies in the beam, in heights of the image, where ``range_m`` allows: the
            operator's transforms are that long, whatever part of it is heard.
        kept: range of the share of pulses heard.
        range_doppler: share of batches with the range-Doppler operator.
        raw: share of batches with raw echoes.
        chirp: range of the pulse's length, in image widths.
        swept: range of the chirp's bandwidth over the sampling rate.
    """

    name: ClassVar[str] = "stripmap"

    carriers_hz: tuple[float, ...] = (1.3e9, 5.4e9, 9.6e9, 16e9, 35e9)
    bandwidth_hz: tuple[float, float] = (30e6, 1.2e9)
    range_m: tuple[float, float] = (300.0, 8e3)
    speed_m_s: tuple[float, float] = (5.0, 150.0)
    fill: tuple[float, float] = (0.7, 0.9)
    aspect: tuple[float, float] = (0.6, 1.6)
    oversampling: tuple[float, float] = (1.1, 1.4)
    squint: float = 1.0
    aperture: float = 2.0
    beam: float = 8.0
    kept: tuple[float, float] = (0.4, 1.0)
    range_doppler: float = 0.2
    raw: float = 0.25
    chirp: tuple[float, float] = (0.3, 1.0)
    swept: tuple[float, float] = (0.75, 0.95)

    def layout(self, source: RandomSource, batch: int) -> StripmapLayout:
        """Draw one radar whose pixels suit some kinds of scene."""
        height, width = self.shape
        carrier = self.carriers_hz[int(source.integers((), 0, len(self.carriers_hz)))]
        wavelength = SPEED_OF_LIGHT_M_S / carrier
        fill = float(source.uniform((), *self.fill))
        finest = max(0.1, 2 * wavelength, fill * SPEED_OF_LIGHT_M_S / 2 / min(self.bandwidth_hz[1], carrier / 4))
        spacing = float(source.log_uniform((), finest, fill * SPEED_OF_LIGHT_M_S / 2 / self.bandwidth_hz[0]))
        along = max(spacing * float(source.log_uniform((), *self.aspect)), wavelength)
        scenes = choose_scenes(source, batch, spacing_m=(0.95 * spacing, 1.05 * spacing))
        antenna = 2 * along / fill
        nearest, farthest = max(self.range_m[0], 4 * width * spacing), self.beam * height * along * antenna / wavelength
        distance = min(max(float(source.log_uniform((), *self.range_m)), nearest), max(farthest, nearest))
        aperture = min(distance * wavelength / antenna / along, self.aperture * height)
        pulses = height + round(aperture)
        speed = float(source.log_uniform((), *self.speed_m_s))
        prf = speed / along
        numbers = (
            speed,
            carrier,
            SPEED_OF_LIGHT_M_S * fill / (2 * spacing),
            prf,
            distance,
            prf * self.squint * float(source.uniform((), -1, 1)),
            antenna,
        )
        one = [torch.tensor([number], dtype=torch.float64, device=source.place) for number in numbers]
        collection = StripmapCollection(*one, kept=draw_kept(source, 1, pulses, share=self.kept))
        grazing = draw_illumination(source, batch).grazing_rad
        ground = torch.stack([torch.full_like(grazing, along), spacing / torch.cos(grazing)], 1)
        light = Illumination(torch.full_like(grazing, math.pi), grazing)
        frequencies = round(width * fill * float(source.uniform((), *self.oversampling))) + 8
        form = StripmapRangeDoppler if bool(source.chance((), self.range_doppler)) else StripmapOmegaK
        chirp = self._chirp(source, float(collection.sample_rate_hz))
        frame = Frame(self.shape, ground)
        return StripmapLayout(collection, spacing, frame, light, scenes, frequencies, form, chirp)

    def _chirp(self, source: RandomSource, sample_rate_hz: float) -> Tensor | None:
        """Return a rising or falling chirp for some batches."""
        length, swept = (float(source.uniform((), *bounds)) for bounds in (self.chirp, self.swept))
        sign = 1 if bool(source.chance((), 0.5)) else -1
        if not bool(source.chance((), self.raw)):
            return None
        duration_s = length * self.shape[1] / sample_rate_hz
        rate_hz_s = sign * swept * sample_rate_hz / duration_s
        return linear_chirp(rate_hz_s, duration_s, sample_rate_hz)[None].to(source.place)

    def scene(self, source: RandomSource, layout: StripmapLayout) -> Scene:
        """Draw radar scenes seen from the left."""
        return radar_scene(source, layout.scenes, layout.frame, layout.illumination)

    def operator(self, layout: StripmapLayout) -> LinearOperator:
        """Build the operator of the one radar; a raw echo is heard from the nearest pixel's start to the farthest one's end."""
        collection, spacing = layout.collection, layout.range_spacing_m
        if layout.chirp is None:
            return layout.form(collection, self.shape, range_spacing_m=spacing, frequencies=layout.frequencies)
        nearest, farthest = echo_starts(collection, self.shape[1], spacing, torch.zeros_like(collection.sample_rate_hz))
        return raw_stripmap(
            layout.form,
            collection,
            self.shape,
            pulse=layout.chirp,
            first_sample_s=nearest / collection.sample_rate_hz,
            samples=farthest - nearest + layout.chirp.shape[1],
            range_spacing_m=spacing,
        )

    def grid(self, layout: StripmapLayout) -> Grid:
        """Return the pixels, along the track and slant range."""
        return Grid(self.shape, (float(layout.frame.spacing_m[0, 0]), layout.range_spacing_m))
