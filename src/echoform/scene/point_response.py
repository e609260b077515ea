"""How an image shows a point: the weighting of its band, and points of any position drawn with it.

    h(k) = I_0(b sqrt(1 - (k / s pi)^2))  for |k| <= s pi,  else 0

over k in radians per pixel: Kaiser's window, b its shape (0 unweighted, side lobes at -13 dB; 5.5 at -40 dB; 8.2 at -60 dB)
and s the share of the sampled band that is filled. The response is one at its peak. With b = 0 and s = 1 a scatterer on a pixel
is that pixel alone.

Source: Kaiser and Schafer (1980), IEEE Trans. Acoust. Speech Signal Process. 28(1).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from echoform.scene.frame import Frame
from echoform.scene.random_source import RandomSource
from echoform.scene.scatterers import place
from echoform.scene.scene import Centres

#: share of scenes with side lobes as strong as raw images have them
RAW = 0.1


@dataclass(frozen=True)
class PointResponse:
    """Weighting of the band, one per scene.

    Attributes:
        shape: b, (B or 1,).
        share: s in (0, 1], (B or 1,).
    """

    shape: Tensor
    share: Tensor

    def __call__(self, frequency: Tensor) -> Tensor:
        """Return h / mean h at k (n,) radians per pixel, (B, 1, n)."""
        inside = 1 - (frequency / (self.share[:, None] * torch.pi)).square()
        h = torch.special.i0(self.shape[:, None] * inside.clamp_min(0).sqrt()) * (inside > -1e-6)
        return (h / h.mean(-1, keepdim=True))[:, None]


def draw_response(source: RandomSource, batch: int) -> PointResponse:
    """Return windows of b in 4 to 8, and in some scenes 1 to 4, over 85 to 100 % of the band."""
    raw = source.chance((batch,), RAW)
    shape = torch.where(raw, source.uniform((batch,), 1, 4), source.uniform((batch,), 4, 8))
    return PointResponse(shape, source.uniform((batch,), 0.85, 1.0))


def render(centres: Centres, frame: Frame, response: PointResponse) -> Tensor:
    """Return the image of scattering centres, (B, 1, H, W) complex64; those beyond the border are left out."""
    seen = centres.amplitude * frame.inside(centres.position_m)
    return place(frame.pixels(centres.position_m), seen, frame.shape, window=response)[:, None]
