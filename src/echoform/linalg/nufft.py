"""Non-uniform Fourier sums over a pixel grid, in both directions, and the Toeplitz form of their product.

    image -> samples   f_m = sum_{jk} x_jk exp(+i (a_m j' + b_m k')),    j' = j - H // 2,  k' = k - W // 2
    samples -> image   x_jk = sum_m c_m exp(-i (a_m j' + b_m k'))

``points`` are (a, b) in radians per pixel. The sums are computed by finufft through pytorch-finufft (gradients to the
values and to the points). pytorch-finufft orders modes the FFT way unless modeord = 0 is passed: it always is here.

Sums of tensors on a GPU need cufinufft; where it is not installed they are carried out on the host, and a warning says so once.
"""

from __future__ import annotations

import importlib.util
import math
import warnings
from collections.abc import Callable
from functools import lru_cache
from itertools import combinations_with_replacement

import torch
from pytorch_finufft.functional import finufft_type1, finufft_type2
from torch import Tensor

TWO_PI = 2 * math.pi
#: complex numbers of the tori that are transformed together on a CPU: what stays in its cache, for columns of several images are
#: copied row by row (measured: 16 images of 256 x 256 in 65 ms instead of 187, of 128 x 128 in 14 instead of 36)
TOGETHER = 1 << 16
#: and of those of a sum over pairs, where a transform is a smaller share
PAIRS_TOGETHER = 1 << 17


def accuracy(dtype: torch.dtype) -> float:
    """Return the requested relative accuracy of the sums for a complex dtype: 1e-6 single, 1e-13 double."""
    return 1e-13 if dtype == torch.complex128 else 1e-6


#: transforms with fewer points and pixels than this run on one thread: starting a team would cost more than the sum
SINGLE_THREAD_SIZE = 1 << 16


def threads(size: int) -> int:
    """Return how many threads a transform over ``size`` points or pixels should use."""
    return 1 if size < SINGLE_THREAD_SIZE else torch.get_num_threads()


@lru_cache(maxsize=1)
def gpu_sums() -> bool:
    """Return whether sums of tensors on a GPU are carried out there: whether cufinufft is installed."""
    found = importlib.util.find_spec("cufinufft") is not None
    if not found:
        warnings.warn(
            "cufinufft is not installed: non-uniform Fourier sums of GPU tensors are carried out on the host; "
            "pip install cufinufft to keep them on the GPU",
            stacklevel=2,
        )
    return found


def place_of_sums(values: Tensor) -> torch.device:
    """Return where the sums of these values are carried out: where they are, or on the host for want of a library there."""
    return values.device if values.is_cuda and gpu_sums() else torch.device("cpu")


def wrap(points: Tensor) -> Tensor:
    """Fold angles into [-pi, pi): on a pixel grid the sums do not change."""
    return points - TWO_PI * torch.floor(points / TWO_PI + 0.5)


def _plain(values: Tensor) -> Tensor:
    """Return values laid out in memory as numpy needs them: contiguous, with no conjugation left to be done."""
    return values.contiguous().resolve_conj()


def _plain_gradient(result: Tensor) -> Tensor:
    """Make the gradient that arrives at ``result`` plain too."""
    if result.requires_grad:
        result.register_hook(lambda gradient: None if gradient is None else _plain(gradient))
    return result


def _options(dtype: torch.dtype, device: torch.device, isign: int, *, size: int, dim: int = 2) -> dict[str, float]:
    """Return what every transform is called with; threads and sorting are choices of the CPU library only.

    In one dimension the fine grid stays in the cache, and sorting the points costs as much as the sum itself.
    """
    options: dict[str, float] = {"eps": accuracy(dtype), "isign": isign, "modeord": 0, "upsampfac": 2.0}
    if device.type == "cpu":
        options |= {"nthreads": threads(size), "spread_sort": 0 if dim == 1 else 2}
    return options


def image_to_samples(x: Tensor, points: Tensor) -> Tensor:
    """Return f of shape (..., M) from images (..., H, W) and points (2, M) of the matching real dtype."""
    at = place_of_sums(x)
    options = _options(x.dtype, at, 1, size=max(x.numel(), points.numel()))
    return _plain_gradient(finufft_type2(points.to(at), _plain(x.to(at)), **options)).to(x.device)


def samples_to_image(c: Tensor, points: Tensor, shape: tuple[int, int]) -> Tensor:
    """Return the images (..., H, W), adjoint of :func:`image_to_samples`, from values (..., M) at points (2, M)."""
    at = place_of_sums(c)
    options = _options(c.dtype, at, -1, size=max(shape[0] * shape[1], c.numel()))
    return _plain_gradient(finufft_type1(points.to(at), _plain(c.to(at)), shape, **options)).to(c.device)


def points_to_modes(c: Tensor, points: Tensor, count: int) -> Tensor:
    """Return f_n = sum_m c_m exp(-i n' t_m), n' = n - N // 2, of shape (..., N), from values (..., M) at angles t (M,)."""
    at = place_of_sums(c)
    options = _options(c.dtype, at, -1, size=c.numel(), dim=1)
    return _plain_gradient(finufft_type1(points[None].to(at), _plain(c.to(at)), (count,), **options)).to(c.device)


def modes_to_points(f: Tensor, points: Tensor) -> Tensor:
    """Return c_m = sum_n f_n exp(+i n' t_m) of shape (..., M), adjoint of :func:`points_to_modes`."""
    at = place_of_sums(f)
    options = _options(f.dtype, at, 1, size=points.numel(), dim=1)
    return _plain_gradient(finufft_type2(points[None].to(at), _plain(f.to(at)), **options)).to(f.device)


def toeplitz_apply(spectrum: Tensor, x: Tensor) -> Tensor:
    """Return crop IFFT (K FFT (pad x)), A^H A x, for images (..., H, W) and the spectrum K of its lags (..., 2H, 2W)."""
    together = _together(x, TOGETHER)
    if x.shape[:-2].numel() > together:
        return _in_parts(toeplitz_apply, spectrum, x, most=together, lead=x.ndim - 2)
    padded = _on_torus(x)
    product = spectrum * padded if spectrum.requires_grad else padded.mul_(spectrum)
    return _off_torus(product, *x.shape[-2:])


def toeplitz_apply_pairs(spectra: Tensor, x: Tensor) -> Tensor:
    """Return z_q = sum_q' T_qq' x_q' of Q images, every T_qq' Toeplitz and T_q'q = T_qq'^H: one transform an image each way.

    Args:
        spectra: of the lags of T_qq' = R + i S with R, S Hermitian, q <= q' in row-major order, real: those of R,
            (1, Q (Q + 1) / 2, ..., 2H, 2W), where all S are zero, else (2, ...) with S after R.
        x: (Q, ..., H, W).
    """
    count, images, together = len(x), x.shape[1:-2].numel(), _together(x, PAIRS_TOGETHER)
    if images > together:
        return _in_parts(toeplitz_apply_pairs, spectra, x, most=together, lead=x.ndim - 3)
    step = max(1, together // images)
    padded = [image for group in x.split(step) for image in _on_torus(group)]
    # real by real is several times faster
    inputs = [torch.view_as_real(image).movedim(-1, 0).contiguous() for image in padded]
    turned = [torch.stack([-imaginary, real]) for real, imaginary in inputs] if len(spectra) == 2 else []
    parts = [part.unbind() for part in spectra]
    place = {pair: i for i, pair in enumerate(combinations_with_replacement(range(count), 2))}
    found = []
    for group in torch.arange(count).split(step):
        totals = inputs[0].new_zeros(len(group), *inputs[0].shape)
        for i, q in enumerate(group.tolist()):
            total = totals[i]
            for p, plane in enumerate(inputs):
                pair = place[min(p, q), max(p, q)]
                total.addcmul_(parts[0][pair], plane)
                if turned and p != q:
                    total.addcmul_(parts[1][pair], turned[p], value=1 if q < p else -1)
        found.append(_off_torus(torch.complex(totals[:, 0], totals[:, 1]), *x.shape[-2:]))
    return torch.cat(found)


def _in_parts(apply: Callable[[Tensor, Tensor], Tensor], spectra: Tensor, x: Tensor, *, most: int, lead: int) -> Tensor:
    """Return apply(spectra, x), at most so many images at a time, cut along the longest of ``lead`` axes before the last two."""
    axis = max(range(-2 - lead, -2), key=lambda a: x.shape[a])
    step = max(1, x.shape[axis] * most // x.shape[-2 - lead : -2].numel())
    parts = x.split(step, axis)
    own = spectra.ndim >= -axis and spectra.shape[axis] > 1
    each = spectra.split(step, axis) if own else [spectra] * len(parts)
    return torch.cat([apply(k, part) for k, part in zip(each, parts, strict=True)], axis)


def _on_torus(x: Tensor) -> Tensor:
    """Return FFT (pad x), (..., 2H, 2W), axis by axis: rows of zeros are not transformed."""
    return torch.fft.fft(torch.fft.fft(x, n=2 * x.shape[-1]), n=2 * x.shape[-2], dim=-2)


def _off_torus(spectrum: Tensor, height: int, width: int) -> Tensor:
    """Return crop IFFT, (..., H, W), of a spectrum (..., 2H, 2W): rows that are cut off are not transformed."""
    return torch.fft.ifft(torch.fft.ifft(spectrum, dim=-2)[..., :height, :])[..., :width]


def _together(x: Tensor, most: int) -> int:
    """Return how many images (..., H, W) have tori of ``most`` numbers, at least one; all off the CPU."""
    return max(1, most // (4 * x.shape[-2:].numel())) if x.device.type == "cpu" else max(1, x.shape[:-2].numel())
