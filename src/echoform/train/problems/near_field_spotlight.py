"""Family: spotlight SAR so near that wavefronts are spheres, with one antenna or two; one radar for a whole batch.

Radars, apertures and errors are those of :class:`FarFieldSpotlight`, but the antenna moves some image diagonals away: a drone, a
rail on a tower, a turntable. Over a pixel grid of diagonal D at a distance R phases depart from those of plane waves by up to
pi D^2 / (2 lambda R), tens to thousands of radians here. In some batches the receiver flies a path of its own. In a few the sums
are factorised (:mod:`echoform.physics.spotlight_factorised`), in others the antennas' narrow beams wander over the scene
(:mod:`echoform.physics.moving_pattern`).
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor

from echoform.physics.aperture_tree import NothingGainedError
from echoform.physics.moving_pattern import apply_moving_pattern
from echoform.physics.operator import LinearOperator
from echoform.physics.spotlight_exact import ExactSpotlight
from echoform.physics.spotlight_factorised import FactorisedSpotlight
from echoform.scene.antenna_pattern import gaussian_pattern, moving_beam
from echoform.scene.frame import Frame, Illumination
from echoform.scene.grid import Grid
from echoform.scene.random_source import RandomSource
from echoform.scene.scene import Scene
from echoform.scene.trajectory import wander_m
from echoform.train.problems.far_field_spotlight import FarFieldSpotlight, SpotlightLayout
from echoform.train.problems.problem import ProblemFamily
from echoform.train.problems.radar_scenes import choose_scenes, radar_scene

#: error, over the largest amplitude, of the few products that a moving beam is written as
PATTERN_TOLERANCE = 1e-3


@dataclass(frozen=True)
class NearLayout:
    """What was drawn for a batch.

    Attributes:
        radar: one radar, and the pixels and scenes of the batch.
        factorised: whether its sums are.
        moving: two-way amplitude of the beams on the pixels at each pulse, (1, P, H, W); None where they are wide.
    """

    radar: SpotlightLayout
    factorised: bool
    moving: Tensor | None


@dataclass(frozen=True, kw_only=True)
class NearFieldSpotlight(ProblemFamily[NearLayout]):
    """Ranges of the family.

    Attributes:
        radar: everything but the distance; its shape is not used.
        distance: range of the distance of the antenna, log-uniform, in diagonals of the image.
        wander: greatest deviation of the path over the distance (standard deviation).
        bistatic: share of batches with a receiver apart from the transmitter.
        turn_deg: range of the angle between both on the ground, degrees.
        climb: range of the receiver's height over the transmitter's.
        factorised: share of batches whose sums are factorised, as those of large images are: the same physics, some three times
            dearer on small ones. Where nothing at all would be gained they stay exact.
        wandering: share of batches whose beams are narrow and wander from pulse to pulse, known to the operator.
        beam: range of such a beam's width (one way, at half power) over the image's diagonal, log-uniform.
        pointing: greatest deviation of the pointing, over the beam's width (standard deviation).
    """

    name: ClassVar[str] = "spotlight-near"

    radar: FarFieldSpotlight = field(
        default_factory=lambda: FarFieldSpotlight(orbits=0.0, kept_pulses=(0.2, 0.5), narrow=0.0)
    )
    distance: tuple[float, float] = (1.5, 12.0)
    wander: float = 0.01
    bistatic: float = 0.3
    turn_deg: tuple[float, float] = (5.0, 50.0)
    climb: tuple[float, float] = (0.3, 1.5)
    factorised: float = 0.05
    wandering: float = 0.03
    beam: tuple[float, float] = (0.6, 2.0)
    pointing: float = 0.2

    def layout(self, source: RandomSource, batch: int) -> NearLayout:
        """Draw one radar, bring it near, and choose scenes that suit its pixels."""
        far = replace(self.radar, shape=self.shape).layout(source, 1)
        dy, dx = far.frame.spacing_m[0].tolist()
        spacing = math.sqrt(dy * dx)
        scenes = choose_scenes(source, batch, spacing_m=(0.95 * spacing, 1.05 * spacing))
        diagonal = math.hypot(self.shape[0] * dy, self.shape[1] * dx)
        near = diagonal * float(source.log_uniform((), *self.distance))
        path = far.collection.antenna_m
        path = path * (near / path.norm(dim=-1).mean())
        deviation = near * self.wander * source.uniform((1,)).double()
        sent = path + wander_m(source, path.shape[1], deviation)
        heard = self._receiver(source, path) if bool(source.chance((), self.bistatic)) else None
        if heard is not None:
            heard = heard + wander_m(source, path.shape[1], deviation)
        collection = replace(far.collection, antenna_m=sent, receiver_m=heard)
        frame = Frame(self.shape, far.frame.spacing_m.expand(batch, -1))
        light = Illumination(
            *(angle.expand(batch) for angle in (far.illumination.azimuth_rad, far.illumination.grazing_rad))
        )
        radar = SpotlightLayout(collection, frame, light, scenes, far.phase_rad, far.offset_m, far.beam)
        form = float(source.uniform(())) - self.factorised
        layout = NearLayout(radar, factorised=form < 0, moving=None)
        if not 0 <= form < self.wandering:
            return layout
        return replace(layout, moving=self._wandering(source, layout, diagonal / near))

    def scene(self, source: RandomSource, layout: NearLayout) -> Scene:
        """Draw radar scenes seen from the path."""
        return radar_scene(source, layout.radar.scenes, layout.radar.frame, layout.radar.illumination)

    def operator(self, layout: NearLayout) -> LinearOperator:
        """Build the operator of the one radar, exact or factorised."""
        sums = self._sums(layout)
        if layout.moving is not None:
            sums = apply_moving_pattern(sums, layout.moving, tolerance=PATTERN_TOLERANCE)
        return layout.radar.known_to(sums)

    def grid(self, layout: NearLayout) -> Grid:
        """Return the pixels."""
        dy, dx = layout.radar.frame.spacing_m[0].tolist()
        return Grid(self.shape, (dy, dx))

    def _wandering(self, source: RandomSource, layout: NearLayout, scene_rad: float) -> Tensor:
        """Return beams that are narrow for a scene of so many radians across and whose pointing wanders, (1, P, H, W)."""
        width = scene_rad * source.log_uniform((1,), *self.beam).double()
        collection, deviation = layout.radar.collection, width * self.pointing * source.uniform((1,)).double()
        error = wander_m(source, collection.antenna_m.shape[1], deviation)[..., 0]  # radians here
        return moving_beam(
            collection, self.grid(layout), gaussian_pattern, beamwidth_rad=width, azimuth_error_rad=error
        )

    def _sums(self, layout: NearLayout) -> LinearOperator:
        collection, grid = layout.radar.collection, self.grid(layout)
        if layout.factorised:
            with suppress(NothingGainedError):
                return FactorisedSpotlight(collection, grid)
        return ExactSpotlight(collection, grid)

    def _receiver(self, source: RandomSource, path_m: Tensor) -> Tensor:
        """Return a path turned about the scene and higher or lower, (1, P, 3)."""
        angle = math.radians(float(source.uniform((), *self.turn_deg))) * (1 if bool(source.chance((), 0.5)) else -1)
        c, s = math.cos(angle), math.sin(angle)
        turn = torch.tensor([[c, -s, 0], [s, c, 0], [0, 0, float(source.uniform((), *self.climb))]])
        return path_m @ turn.to(path_m).mT
