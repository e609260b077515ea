"""Inner products of image and measurement batches: one number per sample, all other axes summed.

A batch is any tensor whose last ``ndim`` axes belong to one sample; the axes before them are kept.
"""

from __future__ import annotations

import torch
from torch import Tensor


def inner(a: Tensor, b: Tensor, ndim: int) -> Tensor:
    """Return <a, b> = sum conj(a) b over the last ``ndim`` axes, shape ``a.shape[:-ndim]``."""
    return torch.linalg.vecdot(a.flatten(-ndim), b.flatten(-ndim))


def real_inner(a: Tensor, b: Tensor, ndim: int) -> Tensor:
    """Return Re <a, b>, real, shape ``a.shape[:-ndim]``: half the multiplications of :func:`inner` where values are complex."""
    return torch.linalg.vecdot(_parts(a, ndim), _parts(b, ndim))


def squared_norm(a: Tensor, ndim: int) -> Tensor:
    """Return |a|^2 summed over the last ``ndim`` axes, real, shape ``a.shape[:-ndim]``."""
    return real_inner(a, a, ndim)


def expand(values: Tensor, ndim: int) -> Tensor:
    """Append ``ndim`` axes of length one so that per-sample ``values`` broadcast against samples of ``ndim`` axes."""
    return values.reshape(*values.shape, *([1] * ndim))


def terms_first(weights: Tensor, ndim: int) -> Tensor:
    """Return weights (B, Q, *sample) of Q terms as (Q, 1, .., B, *sample), to meet values of ``ndim`` axes (.., B, *sample)."""
    turned = weights.transpose(0, 1)
    return turned.reshape(len(turned), *[1] * (ndim + 1 - turned.ndim), *turned.shape[1:])


def _parts(a: Tensor, ndim: int) -> Tensor:
    """Return the real numbers of each sample, real and imaginary parts apart, (..., n)."""
    return torch.view_as_real(a.resolve_conj()).flatten(-ndim - 1) if a.is_complex() else a.flatten(-ndim)
