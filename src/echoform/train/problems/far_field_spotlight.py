"""Family: spotlight SAR in the plane-wave regime, a different radar, path and grid for every scene.

Resolution follows from the pixels: rho_r = c / (2 B cos(g)) across and rho_a = lambda / (4 sin(dtheta / 2) cos(g))
along the track, g the grazing angle; the pixel is ``fill`` of each. As many pulses and frequencies are sent as make the extents
c / 2 df and lambda / 2 dtheta that repeat larger than the image.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from echoform.physics.operator import LinearOperator
from echoform.physics.sample_errors import apply_image_gain, apply_pulse_phase, apply_range_offset
from echoform.physics.spotlight_plane_wave import plane_wave_samples
from echoform.scene.antenna_pattern import gaussian_pattern, off_boresight_rad
from echoform.scene.collection import SPEED_OF_LIGHT_M_S, SpotlightCollection
from echoform.scene.frame import Frame, Illumination, draw_illumination
from echoform.scene.grid import Grid
from echoform.scene.phase_errors import quadratic_phase, random_walk_phase
from echoform.scene.random_source import RandomSource
from echoform.scene.scene import Scene
from echoform.scene.trajectory import circular_track, wander_m
from echoform.train.problems.missing import draw_kept
from echoform.train.problems.other_transmitters import draw_interference
from echoform.train.problems.problem import ProblemFamily
from echoform.train.problems.radar_scenes import SceneChoice, choose_scenes, radar_scene

#: L, C, X, Ku and Ka band
CARRIERS_HZ = (1.3e9, 5.4e9, 9.6e9, 16e9, 35e9)


@dataclass(frozen=True)
class SpotlightLayout:
    """What was drawn for a batch.

    Attributes:
        collection: a radar and path for each scene.
        frame: pixels.
        illumination: the radar as seen from the scene.
        scenes: kinds of scene.
        phase_rad: error of each pulse, known to the operator, (B, P).
        offset_m: range of each pulse beyond that of its antenna, known to the operator, (B, P), metres.
        beam: two-way amplitude of the antenna's beam on the pixels, (B or 1, 1, H, W); None where it is wide.
    """

    collection: SpotlightCollection
    frame: Frame
    illumination: Illumination
    scenes: SceneChoice
    phase_rad: Tensor
    offset_m: Tensor
    beam: Tensor | None

    def known_to(self, operator: LinearOperator) -> LinearOperator:
        """Return the sensor with this beam and these errors."""
        if self.beam is not None:
            operator = apply_image_gain(operator, self.beam)
        if bool(self.phase_rad.any()):
            operator = apply_pulse_phase(operator, self.phase_rad)
        if bool(self.offset_m.any()):
            operator = apply_range_offset(operator, self.offset_m, self.collection.frequency_hz)
        return operator


@dataclass(frozen=True, kw_only=True)
class FarFieldSpotlight(ProblemFamily[SpotlightLayout]):
    """Ranges of the family.

    Attributes:
        carriers_hz: carriers to choose from, hertz.
        bandwidth_hz: lowest and highest bandwidth, hertz.
        relative_bandwidth: highest bandwidth over carrier.
        aperture_deg: narrowest and widest aperture, degrees.
        grazing_deg: range of the grazing angle, degrees.
        stand_off_m: range of distances in the air, log-uniform, metres.
        orbit_m: range of distances in space, metres.
        orbits: share of radars in space.
        fill: range of pixel over resolution.
        oversampling: range of pulses and frequencies over pixels; common to a batch.
        kept_pulses: range of the share of pulses heard.
        kept_frequencies: range of the share of frequencies heard, in the scenes where some are missing.
        notched: share of scenes in which frequencies are missing.
        wander_wavelengths: greatest deviation of the path, known to the operator, in wavelengths (standard deviation).
        defocused: share of scenes whose pulses carry phases that autofocus found.
        edge_rad: greatest quadratic phase at the ends of the aperture.
        step_rad: greatest standard deviation of an oscillator's random walk from pulse to pulse.
        drifting: share of batches whose ranges drift, as clocks and the air make them.
        drift_wavelengths: greatest drift, known to the operator, in wavelengths (standard deviation).
        narrow: share of batches whose antennas have narrow beams.
        beam: range of the beam's width (one way, at half power) over the image's diagonal.
        interfered: share of batches that other transmitters disturb, which neither operator nor noise knows of.
    """

    name: ClassVar[str] = "spotlight"

    carriers_hz: tuple[float, ...] = CARRIERS_HZ
    bandwidth_hz: tuple[float, float] = (30e6, 1.2e9)
    relative_bandwidth: float = 0.25
    aperture_deg: tuple[float, float] = (0.5, 10.0)
    grazing_deg: tuple[float, float] = (15.0, 60.0)
    stand_off_m: tuple[float, float] = (1e3, 10e3)
    orbit_m: tuple[float, float] = (500e3, 900e3)
    orbits: float = 0.2
    fill: tuple[float, float] = (0.7, 0.9)
    oversampling: tuple[float, float] = (1.0, 1.15)
    kept_pulses: tuple[float, float] = (0.25, 1.0)
    kept_frequencies: tuple[float, float] = (0.6, 1.0)
    notched: float = 0.3
    wander_wavelengths: float = 4.0
    defocused: float = 0.2
    edge_rad: float = 12.0
    step_rad: float = 0.3
    drifting: float = 0.15
    drift_wavelengths: float = 2.0
    narrow: float = 0.1
    beam: tuple[float, float] = (0.6, 2.0)
    interfered: float = 0.05

    def layout(self, source: RandomSource, batch: int) -> SpotlightLayout:
        """Draw scenes' pixel sizes, radars that resolve them, and paths."""
        scenes = choose_scenes(source, batch, spacing_m=(0.1, 5.0))
        light = draw_illumination(source, batch, grazing_deg=self.grazing_deg)
        flat = torch.cos(light.grazing_rad.double())
        fill = source.uniform((batch, 2), *self.fill).double()
        wanted = scenes.spacing_m.double() / fill.mean(1)
        carrier = self._carrier(source, wanted * flat)
        bandwidth = self._bandwidth(carrier, SPEED_OF_LIGHT_M_S / (2 * wanted * flat))
        low, high = (math.radians(angle) for angle in self.aperture_deg)
        wavelength = SPEED_OF_LIGHT_M_S / carrier
        sine = (wavelength / (4 * wanted * flat)).clamp(math.sin(low / 2), math.sin(high / 2))
        resolution = torch.stack([wavelength / (4 * sine * flat), SPEED_OF_LIGHT_M_S / (2 * bandwidth * flat)], 1)
        frame = Frame(self.shape, (fill * resolution).float())
        pulses, count = (round(n * float(source.uniform((), *self.oversampling))) for n in self.shape)
        step = (torch.arange(count, dtype=torch.float64, device=source.place) + 0.5) / count - 0.5
        frequency = carrier[:, None] + bandwidth[:, None] * step
        track = self._track(source, pulses, light, aperture_rad=2 * torch.asin(sine), wavelength_m=wavelength)
        collection = SpotlightCollection(track, frequency, self._kept(source, track, count))
        phase, drift = self._phase(source, batch, pulses), self._drift(source, pulses, wavelength)
        return SpotlightLayout(collection, frame, light, scenes, phase, drift, self._beam(source, frame, track))

    def scene(self, source: RandomSource, layout: SpotlightLayout) -> Scene:
        """Draw radar scenes seen from the path."""
        return radar_scene(source, layout.scenes, layout.frame, layout.illumination)

    def operator(self, layout: SpotlightLayout) -> LinearOperator:
        """Build a plane-wave operator for each scene."""
        return layout.known_to(plane_wave_samples(layout.collection, self.shape, layout.frame.spacing_m.double()))

    def disturbed(self, source: RandomSource, y: Tensor, operator: LinearOperator) -> Tensor:
        """Add interference to some batches."""
        if not bool(source.chance((), self.interfered)):
            return y
        return y + draw_interference(source, len(y), y.shape[-1]).sample(
            y, source.generator, support=operator.support()
        )

    def grid(self, layout: SpotlightLayout) -> Grid:
        """Return the first scene's pixels."""
        dy, dx = layout.frame.spacing_m[0].tolist()
        return Grid(self.shape, (dy, dx))

    def _carrier(self, source: RandomSource, resolution_m: Tensor) -> Tensor:
        """Return carriers that reach a resolution (B,) within the apertures and bandwidths, any where none does, hertz."""
        carriers = torch.tensor(self.carriers_hz, dtype=torch.float64, device=source.place)
        wide, narrow = (SPEED_OF_LIGHT_M_S / (4 * math.sin(math.radians(a) / 2)) for a in self.aperture_deg)
        finest = torch.maximum(narrow / carriers, SPEED_OF_LIGHT_M_S / (2 * self.relative_bandwidth * carriers))
        able = (resolution_m[:, None] > finest) & (resolution_m[:, None] < wide / carriers)
        weights = torch.where(able, 1.0, 1e-6) * source.uniform((len(resolution_m), len(carriers)), 0.01)
        return carriers[weights.argmax(1)]

    def _bandwidth(self, carrier_hz: Tensor, wanted_hz: Tensor) -> Tensor:
        low, high = self.bandwidth_hz
        return torch.minimum(wanted_hz.clamp(low, high), self.relative_bandwidth * carrier_hz)

    def _track(
        self, source: RandomSource, pulses: int, light: Illumination, *, aperture_rad: Tensor, wavelength_m: Tensor
    ) -> Tensor:
        """Return an arc before the scene with deviations that grow to some wavelengths, (B, P, 3), metres."""
        batch = len(aperture_rad)
        in_space = source.chance((batch,), self.orbits)
        air, space = source.log_uniform((batch,), *self.stand_off_m), source.uniform((batch,), *self.orbit_m)
        distance = torch.where(in_space, space, air).double()
        grazing = light.grazing_rad.double()
        ideal = circular_track(
            pulses,
            radius_m=distance * torch.cos(grazing),
            height_m=distance * torch.sin(grazing),
            middle_rad=light.azimuth_rad,
            aperture_rad=aperture_rad,
        )
        deviation = wavelength_m * self.wander_wavelengths * source.uniform((batch,)).double()
        return ideal + wander_m(source, pulses, deviation)

    def _kept(self, source: RandomSource, track_m: Tensor, frequencies: int) -> Tensor:
        batch, pulses = track_m.shape[:2]
        heard = draw_kept(source, batch, pulses, share=self.kept_pulses)
        clear = draw_kept(source, batch, frequencies, share=self.kept_frequencies)
        clear = torch.where(source.chance((batch, 1), self.notched), clear, torch.ones_like(clear))
        return heard[:, :, None] * clear[:, None, :]

    def _phase(self, source: RandomSource, batch: int, pulses: int) -> Tensor:
        curved = quadratic_phase(pulses, source.uniform((batch,), -self.edge_rad, self.edge_rad))
        step = source.uniform((batch,), 0, self.step_rad)
        walk = random_walk_phase(pulses, step, generator=source.generator)
        return (curved + walk) * source.chance((batch, 1), self.defocused)

    def _drift(self, source: RandomSource, pulses: int, wavelength_m: Tensor) -> Tensor:
        deviation = wavelength_m * self.drift_wavelengths * source.uniform((len(wavelength_m),)).double()
        return wander_m(source, pulses, deviation)[..., 0] * source.chance((), self.drifting)

    def _beam(self, source: RandomSource, frame: Frame, track_m: Tensor) -> Tensor | None:
        """Return the two-way amplitude of a beam that points at the scene from mid-aperture."""
        if not bool(source.chance((), self.narrow)):
            return None
        width = (
            source.log_uniform((frame.batch, 1, 1), *self.beam).double()
            * frame.extent_m().double().norm(dim=1)[:, None, None]
        )
        antenna = track_m[:, track_m.shape[1] // 2, None, None]
        y, x = frame.axes_m()
        position = torch.stack([*torch.broadcast_tensors(x, y), torch.zeros_like(x + y)], -1).double()
        angle = off_boresight_rad(antenna, torch.zeros_like(antenna), position)
        return gaussian_pattern(angle, width / antenna.norm(dim=-1)).square()[:, None]
