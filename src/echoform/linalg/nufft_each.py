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

from echoform.linalg.nufft import accuracy, image_to_samples, inner_lags, samples_to_image, threads, toeplitz_spectrum

#: from this relative accuracy on the finer of finufft's two grids is needed
FINE_GRID_ACCURACY = 1e-9


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


def toeplitz_spectra(weights: Tensor, points: Tensor, shape: tuple[int, int], *, eps: float) -> Tensor:
    """Return :func:`echoform.linalg.nufft.toeplitz_spectrum` of R sensors, (R, 2H, 2W), float64.

    Args:
        weights: real, non-negative, shape (R, M), float64; points of weight zero cost nothing.
        points: shape (R, 2, M), float64.
        shape: image sides (H, W).
        eps: relative accuracy of the sums.
    """
    if points.is_cuda or points.requires_grad or weights.requires_grad:
        parts = [toeplitz_spectrum(w, p, shape, eps=eps) for w, p in zip(weights, points, strict=True)]
        return torch.stack(parts)
    doubled = (2 * shape[0], 2 * shape[1])
    plan = finufft.Plan(
        1,
        doubled,
        eps=eps,
        isign=-1,
        dtype="complex128",
        nthreads=threads(max(doubled[0] * doubled[1], points.shape[2])),
        upsampfac=2.0 if eps < FINE_GRID_ACCURACY else 1.25,
        spread_sort=2,
    )
    kernels = np.zeros((len(weights), *doubled), np.complex128)
    for row, (power, place) in enumerate(zip(weights.numpy(), points.numpy(), strict=True)):
        heard = np.flatnonzero(power)
        if heard.size:  # the library takes no empty sum
            plan.setpts(place[0, heard], place[1, heard])
            kernels[row] = plan.execute(power[heard].astype(np.complex128))
    kernel = torch.from_numpy(kernels)
    kernel *= inner_lags(doubled, kernel)
    return torch.fft.fft2(torch.fft.ifftshift(kernel, dim=(-2, -1))).real
