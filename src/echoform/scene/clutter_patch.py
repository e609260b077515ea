"""A patch of clutter whose law is named: K, G0, Weibull or log-normal, where the terrains have what follows from what they show.

    image = sqrt(m tau) u,    tau the law's texture at the quantiles of a correlated normal field (log-normal: independent pixels)

The mean intensity m changes over the patch by some decibels. Parameters go from spiky (towns, breaking sea) to nearly speckle.

Source: as :mod:`echoform.scene.clutter_laws`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from echoform.scene.clutter import compound
from echoform.scene.clutter_laws import G0Clutter, KClutter, LogNormalClutter, WeibullClutter
from echoform.scene.frame import Frame
from echoform.scene.point_response import PointResponse, draw_response, weighted
from echoform.scene.random_fields import lognormal_texture, metric_field
from echoform.scene.random_source import RandomSource
from echoform.scene.scene import Scene, SceneClass

#: mean backscatter, decibels
LEVEL_DB = (-30.0, 0.0)
#: correlation of the texture and of the mean intensity, metres
TEXTURE_M, MEAN_M = (0.5, 30.0), (50.0, 500.0)
#: shape of K, -alpha of G0, shape of Weibull, standard deviation of ln I of log-normal clutter
NU, ALPHA, WEIBULL, DEVIATION = (0.5, 20.0), (1.5, 15.0), (0.8, 1.95), (1.0, 3.0)


def clutter_patch(source: RandomSource, frame: Frame, *, response: PointResponse | None = None) -> Scene:
    """Return patches of one law, which is drawn, each with parameters of its own and the mask BARE everywhere.

    Args:
        source: of randomness.
        frame: pixels.
        response: how the image shows it; drawn when absent.
    """
    law = int(source.integers((), 0, 4))
    mean = source.decibels((frame.batch, 1, 1), *LEVEL_DB).square()
    mean = mean * lognormal_texture(metric_field(source, frame, MEAN_M), source.uniform((frame.batch,), 0.1, 0.8))
    image = _clutter(source, frame, law, mean)
    bare = torch.ones(image.shape, dtype=torch.bool, device=source.place)
    return weighted(
        Scene(image[:, None], masks={SceneClass.BARE: bare}), response or draw_response(source, frame.batch)
    )


def _clutter(source: RandomSource, frame: Frame, law: int, mean: Tensor) -> Tensor:
    """Return clutter of mean intensity ``mean`` (B, H, W) by the law of that number."""
    batch = (frame.batch,)
    if law == 3:
        return LogNormalClutter(source.uniform(batch, *DEVIATION)).sample(mean, source.generator)
    field = metric_field(source, frame, TEXTURE_M)
    match law:
        case 0:
            texture = KClutter(source.log_uniform(batch, *NU)).texture_at(field)
        case 1:
            texture = G0Clutter(-source.log_uniform(batch, *ALPHA)).texture_at(field)
        case _:
            both = torch.stack([field, metric_field(source, frame, TEXTURE_M)])
            texture = WeibullClutter(source.uniform(batch, *WEIBULL)).texture_at(both)
    return compound(mean * texture, source.generator)
