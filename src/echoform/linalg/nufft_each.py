"""Two-dimensional non-uniform sums of many sensors, each at points of its own; signs as in :mod:`echoform.linalg.nufft`.

On a CPU all sensors go through one finufft plan: each then costs its sum, not the planning. On a GPU, or where points are being
learned, each is a call of :mod:`echoform.linalg.nufft`.
"""

from __future__ import annotations

from typing import Any

import finufft
import numpy as np
import torch
from torch import Tensor

from echoform.linalg.nufft import accuracy, image_to_samples, samples_to_image, threads


def images_to_samples(images: Tensor, points: Tensor) -> Tensor:
    """Return f of shape (R, T, M): R sensors, each with T images (R, T, H, W) and points (R, 2, M) of the real dtype."""
    if images.is_cuda or points.requires_grad:
        return torch.stack([image_to_samples(x, place) for x, place in zip(images, points, strict=True)])
    return _Sums.apply(images, points, (images.shape[-2], images.shape[-1]), 2)  # pyright: ignore[reportReturnType]


def samples_to_images(samples: Tensor, points: Tensor, shape: tuple[int, int]) -> Tensor:
    """Return the images (R, T, H, W), adjoint of :func:`images_to_samples`, of samples (R, T, M)."""
    if samples.is_cuda or points.requires_grad:
        return torch.stack([samples_to_image(y, place, shape) for y, place in zip(samples, points, strict=True)])
    return _Sums.apply(samples, points, shape, 1)  # pyright: ignore[reportReturnType]


class _Sums(torch.autograd.Function):
    """Either sum on a CPU, points fixed; the backward pass is the other one."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, points: Tensor, shape: tuple[int, int], kind: int) -> Tensor:
        ctx.points, ctx.shape, ctx.kind = points, shape, kind
        return _planned(values, points, shape, kind)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, None, None, None]:
        return _Sums.apply(grads[0], ctx.points, ctx.shape, 3 - ctx.kind), None, None, None


def _planned(values: Tensor, points: Tensor, shape: tuple[int, int], kind: int) -> Tensor:
    flat = values.detach().resolve_conj().contiguous().numpy()
    at = points.detach().contiguous().numpy()
    images = flat.shape[1]
    out = np.empty((*flat.shape[:2], *(shape if kind == 1 else at.shape[2:])), flat.dtype)
    plan = finufft.Plan(
        kind,
        shape,
        n_trans=images,
        eps=accuracy(values.dtype),
        isign=-1 if kind == 1 else 1,
        dtype=str(flat.dtype),
        nthreads=threads(max(flat[0].size, out[0].size)),
        upsampfac=2.0,
        spread_sort=2,
    )
    for row, place in enumerate(at):
        plan.setpts(place[0], place[1])
        # A plan for one transform takes and gives single arrays, not stacks of one.
        out[row] = plan.execute(flat[row] if images > 1 else flat[row, 0])
    return torch.from_numpy(out)
