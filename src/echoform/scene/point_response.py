"""How an image shows a scene: the weighting of its band, which points, speckle, borders and shadows all have in common.

    h(k) = I_0(b sqrt(1 - (k / s pi)^2))  for |k| <= s pi,  else 0

over k in radians per pixel: Kaiser's window, b its shape (0 unweighted, side lobes at -13 dB; 5.5 at -40 dB; 8.2 at -60 dB)
and s the share of the sampled band that is filled. The response is one at its peak. With b = 0 and s = 1 a scatterer on a pixel
is that pixel alone.

A scene is put together without weighting (:func:`unweighted`) and weighted once, as a whole (:func:`weighted`): speckle is then
correlated over a resolution cell and leaks into shadows, as in an image. A centre keeps the amplitude that it states; what many
scatterers in every pixel give grows by the mean of h^2 over the square of its mean, the resolution cell in pixels.

Source: Kaiser and Schafer (1980), IEEE Trans. Acoust. Speech Signal Process. 28(1).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from echoform.scene.frame import Frame
from echoform.scene.random_source import RandomSource
from echoform.scene.scatterers import place
from echoform.scene.scene import Centres, Scene

#: shares of scenes that fill the band unweighted, as raw samples do, and whose side lobes are stronger than products have them
FULL, RAW = 0.1, 0.1
#: window and filled band of products: Hamming's window of 0.75 has b = 1.9 in its width, of 0.54 b = 5.4
PRODUCT, BAND = (1.5, 6.0), (0.6, 1.0)


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


def unweighted(source: RandomSource) -> PointResponse:
    """Return the response of the whole band without a window, for all scenes of a batch."""
    return PointResponse(torch.zeros(1, device=source.place), torch.ones(1, device=source.place))


def draw_response(source: RandomSource, batch: int) -> PointResponse:
    """Return windows of b in ``PRODUCT``, below it in some scenes, over ``BAND``, and in others the whole band unweighted."""
    kind = source.uniform((batch,))
    shape = torch.where(kind < FULL + RAW, source.uniform((batch,), 0, PRODUCT[0]), source.uniform((batch,), *PRODUCT))
    full = kind < FULL
    return PointResponse(torch.where(full, 0.0, shape), torch.where(full, 1.0, source.uniform((batch,), *BAND)))


def weighted(scene: Scene, response: PointResponse) -> Scene:
    """Return scenes put together without weighting as an image of this response shows them; images (B, C, H, W), complex.

    The band is laid about k = 0 and the image continued periodically, as centres are in :func:`render`.
    """
    height, width = scene.image.shape[-2:]
    ky, kx = (2 * torch.pi * torch.fft.fftfreq(n, device=scene.image.device) for n in (height, width))
    spectrum = torch.fft.fft2(scene.image)
    spectrum = spectrum * (response(ky)[..., None] * response(kx)[:, :, None])
    return replace(scene, image=torch.fft.ifft2(spectrum))


def render(centres: Centres, frame: Frame, response: PointResponse) -> Tensor:
    """Return the image of scattering centres, (B, 1, H, W) complex64; those beyond the border are left out."""
    present = centres.amplitude * frame.inside(centres.position_m)
    return place(frame.pixels(centres.position_m), present, frame.shape, window=response)[:, None]
