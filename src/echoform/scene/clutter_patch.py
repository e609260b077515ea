"""A patch of clutter whose law is named: K, G0, Weibull or log-normal, where the terrains have what follows from what they show.

    image = sqrt(m tau) u,    tau the law's texture at the quantiles of a correlated normal field (log-normal: independent pixels)

The mean intensity m changes over the patch by some decibels. Parameters go from spiky (towns, breaking sea) to nearly speckle.

Source: as :mod:`echoform.scene.clutter_laws`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from echoform.scene.clutter import compound
from echoform.scene.clutter_laws import LogNormalClutter, WeibullClutter
from echoform.scene.frame import Frame
from echoform.scene.point_response import PointResponse, draw_response, weighted
from echoform.scene.random_fields import gamma_texture, lognormal_texture, metric_field
from echoform.scene.random_source import RandomSource
from echoform.scene.scene import Scene, SceneClass

#: mean backscatter, decibels
LEVEL_DB = (-30.0, 0.0)
#: correlation of the texture and of the mean intensity, metres
TEXTURE_M, MEAN_M = (0.5, 30.0), (50.0, 500.0)
#: shape of K, -alpha of G0 (both within the table of gamma quantiles), shape of Weibull, and s of log-normal clutter
NU, ALPHA, WEIBULL, DEVIATION = (0.5, 20.0), (1.5, 15.0), (0.8, 1.95), (1.0, 3.0)


def clutter_patch(source: RandomSource, frame: Frame, *, response: PointResponse | None = None) -> Scene:
    """Return patches of one law, which is drawn, each with parameters of its own and the mask BARE everywhere.

    Args:
        source: of randomness.
        frame: pixels.
        response: how the image shows it; drawn when absent.
    """
    law = LAWS[int(source.integers((), 0, len(LAWS)))]
    mean = source.decibels((frame.batch, 1, 1), *LEVEL_DB).square()
    mean = mean * lognormal_texture(metric_field(source, frame, MEAN_M), source.uniform((frame.batch,), 0.1, 0.8))
    image = law(source, frame, mean)
    bare = torch.ones(image.shape, dtype=torch.bool, device=source.place)
    return weighted(
        Scene(image[:, None], masks={SceneClass.BARE: bare}), response or draw_response(source, frame.batch)
    )


def _k(source: RandomSource, frame: Frame, mean: Tensor) -> Tensor:
    """Return K clutter of mean intensity (B, H, W)."""
    nu = source.log_uniform((frame.batch, 1), *NU)
    return compound(mean * gamma_texture(metric_field(source, frame, TEXTURE_M), nu), source.generator)


def _g0(source: RandomSource, frame: Frame, mean: Tensor) -> Tensor:
    """Return G0 clutter of mean intensity (B, H, W)."""
    shape = source.log_uniform((frame.batch, 1), *ALPHA)
    gamma = gamma_texture(metric_field(source, frame, TEXTURE_M), shape)  # of mean one: 1 / gamma has mean a / (a - 1)
    return compound(mean * (1 - 1 / shape[..., None]) / gamma, source.generator)


def _weibull(source: RandomSource, frame: Frame, mean: Tensor) -> Tensor:
    """Return Weibull clutter of mean intensity (B, H, W): its texture takes two fields."""
    law = WeibullClutter(source.uniform((frame.batch,), *WEIBULL))
    fields = torch.stack([metric_field(source, frame, TEXTURE_M) for _ in range(2)])
    return compound(mean * law.texture_at(fields), source.generator)


def _log_normal(source: RandomSource, frame: Frame, mean: Tensor) -> Tensor:
    """Return log-normal clutter of mean intensity (B, H, W), every pixel by itself."""
    return LogNormalClutter(source.uniform((frame.batch,), *DEVIATION)).sample(mean, source.generator)


#: each as likely
LAWS = (_k, _g0, _weibull, _log_normal)
