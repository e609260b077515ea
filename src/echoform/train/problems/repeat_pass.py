"""Family: interferometric pairs of stripmap SAR, two passes along one track some days apart.

    y_p = A_p x_p,    p = 1, 2

Both passes are of one radar and one grid, registered; each misses pulses of its own, and the antenna of the second looks a little
elsewhere along the track.

Source: Bamler and Hartl (1998), Inverse Problems 14(4), section 3 (the image pair and its spectra).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

from echoform.physics.channelwise import BlockDiagonalOperator
from echoform.physics.operator import LinearOperator
from echoform.scene.grid import Grid
from echoform.scene.random_source import RandomSource
from echoform.scene.repeat_pass import repeat_pass
from echoform.scene.scene import Scene
from echoform.train.problems.missing import draw_kept
from echoform.train.problems.problem import ProblemFamily
from echoform.train.problems.stripmap import Stripmap, StripmapLayout


@dataclass(frozen=True)
class RepeatPassLayout:
    """What was drawn for a batch.

    Attributes:
        first: radar, path, pixels and kinds of scene, as of a single pass.
        second: the same with its own missing pulses and Doppler centroid.
    """

    first: StripmapLayout
    second: StripmapLayout


@dataclass(frozen=True, kw_only=True)
class RepeatPass(ProblemFamily[RepeatPassLayout]):
    """Ranges of the family.

    Attributes:
        radar: everything but the second pass; its shape is not used.
        turned: greatest difference of the Doppler centroids, in PRF.
    """

    name: ClassVar[str] = "repeat-pass"

    radar: Stripmap = field(default_factory=lambda: Stripmap(raw=0.0, aperture=1.0, beam=4.0))
    turned: float = 0.1

    def layout(self, source: RandomSource, batch: int) -> RepeatPassLayout:
        """Draw one radar and two passes."""
        first = self._radar().layout(source, batch)
        track = first.collection
        step = track.prf_hz * self.turned * float(source.uniform((), -1, 1))
        pulses = draw_kept(source, 1, track.kept.shape[-1], share=self.radar.kept)
        second = replace(track, doppler_centroid_hz=track.doppler_centroid_hz + step, kept=pulses)
        return RepeatPassLayout(first, replace(first, collection=second))

    def scene(self, source: RandomSource, layout: RepeatPassLayout) -> Scene:
        """Draw radar scenes and what changes between the passes."""
        return repeat_pass(source, self._radar().scene(source, layout.first))

    def operator(self, layout: RepeatPassLayout) -> LinearOperator:
        """Build both radars."""
        return BlockDiagonalOperator([self._radar().operator(each) for each in (layout.first, layout.second)])

    def grid(self, layout: RepeatPassLayout) -> Grid:
        """Return the pixels, along the track and slant range."""
        return self._radar().grid(layout.first)

    def _radar(self) -> Stripmap:
        """Return the radar on this family's pixels."""
        return replace(self.radar, shape=self.shape)
