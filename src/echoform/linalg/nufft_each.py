"""Two-dimensional non-uniform sums of many sensors, each at points of its own; signs as in :mod:`echoform.linalg.nufft`.

On a CPU all sensors go through one finufft plan: each then costs its sum, not the planning, and only over the points where it is
heard. On a GPU with cufinufft, or where points are being learned, each is a call of :mod:`echoform.linalg.nufft`.
"""

from __future__ import annotations

from typing import Any

import finufft
import numpy as np
import torch
from torch import Tensor

from echoform.linalg.nufft import accuracy, image_to_samples, place_of_sums, samples_to_image, threads


def images_to_samples(images: Tensor, points: Tensor, heard: Tensor | None = None) -> Tensor:
    """Return f of shape (R, T, M): R sensors, each with T images (R, T, H, W) and points (R, 2, M) of the real dtype.

    Samples not ``heard``, (R, M) bool, may be left at zero: their weights are.
    """
    at = place_of_sums(images)
    if at.type == "cuda" or points.requires_grad:
        return torch.stack([image_to_samples(x, place) for x, place in zip(images, points, strict=True)])
    return _summed(images, points, at, (images.shape[-2], images.shape[-1]), 2, heard)


def samples_to_images(samples: Tensor, points: Tensor, shape: tuple[int, int], heard: Tensor | None = None) -> Tensor:
    """Return the images (R, T, H, W), adjoint of :func:`images_to_samples`, of samples (R, T, M), zero where not ``heard``."""
    at = place_of_sums(samples)
    if at.type == "cuda" or points.requires_grad:
        return torch.stack([samples_to_image(y, place, shape) for y, place in zip(samples, points, strict=True)])
    return _summed(samples, points, at, shape, 1, heard)


def _summed(
    values: Tensor, points: Tensor, at: torch.device, shape: tuple[int, int], kind: int, heard: Tensor | None
) -> Tensor:
    """Return either sum, carried out on the host, where ``values`` are."""
    there = None if heard is None else heard.to(at)
    result: Tensor = _Sums.apply(values.to(at), points.to(at), shape, kind, there)  # pyright: ignore[reportAssignmentType]
    return result.to(values.device)


class _Sums(torch.autograd.Function):
    """Either sum on a CPU, points fixed; the backward pass is the other one."""

    @staticmethod
    def forward(
        ctx: Any, values: Tensor, points: Tensor, shape: tuple[int, int], kind: int, heard: Tensor | None
    ) -> Tensor:
        """Return the sums of the given kind, 1 or 2."""
        ctx.points, ctx.shape, ctx.kind, ctx.heard = points, shape, kind, heard
        return _planned(values, points, shape, kind, heard)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, None, None, None, None]:
        return _Sums.apply(grads[0], ctx.points, ctx.shape, 3 - ctx.kind, ctx.heard), None, None, None, None


def _planned(values: Tensor, points: Tensor, shape: tuple[int, int], kind: int, heard: Tensor | None) -> Tensor:
    flat = values.detach().resolve_conj().contiguous().numpy()
    at = points.detach().contiguous().numpy()
    images, count = flat.shape[1], at.shape[2]
    out = np.zeros((*flat.shape[:2], *(shape if kind == 1 else (count,))), flat.dtype)
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
        here = np.arange(count) if heard is None else np.flatnonzero(heard[row].numpy())
        if not here.size:  # the library takes no empty sum
            continue
        some = here.size < count
        plan.setpts(*(place.take(here, 1) if some else place))
        given = flat[row].take(here, 1) if some and kind == 1 else flat[row]
        # A plan for one transform takes and gives single arrays, not stacks of one.
        found = plan.execute(given if images > 1 else given[0])
        if some and kind == 2:
            out[row][:, here] = found
        else:
            out[row] = found
    return torch.from_numpy(out)
