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
from functools import lru_cache
from itertools import combinations_with_replacement

import torch
from pytorch_finufft.functional import finufft_type1, finufft_type2
from torch import Tensor

TWO_PI = 2 * math.pi
#: real numbers of the images that are transformed back together: what stays in a processor's cache
TOGETHER = 1 << 18


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
    """Return where the sums of these values are carried out: where they are, or on the host for want of a GPU library."""
    return torch.device("cpu") if values.is_cuda and not gpu_sums() else values.device


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
    height, width = x.shape[-2:]
    # Axis by axis: rows of zeros are not transformed, neither are those that are cut off.
    padded = torch.fft.fft(torch.fft.fft(x, n=2 * width), n=2 * height, dim=-2)
    product = spectrum * padded if spectrum.requires_grad else padded.mul_(spectrum)
    return torch.fft.ifft(torch.fft.ifft(product, dim=-2)[..., :height, :])[..., :width]


def toeplitz_apply_pairs(spectra: Tensor, x: Tensor) -> Tensor:
    """Return z_q = sum_q' T_qq' x_q' of Q images, every T_qq' Toeplitz and T_q'q = T_qq'^H: one transform an image each way.

    Args:
        spectra: of the lags of T_qq' = R + i S with R, S Hermitian, q <= q' in row-major order, real: those of R,
            (1, Q (Q + 1) / 2, ..., 2H, 2W), where all S are zero, else (2, ...) with S after R.
        x: (Q, ..., H, W).
    """
    (height, width), count = x.shape[-2:], len(x)
    padded = torch.fft.fft(torch.fft.fft(x, n=2 * width), n=2 * height, dim=-2)
    planes = torch.view_as_real(padded).movedim(-1, 0).contiguous()  # real by real is several times faster
    turned = torch.stack([-planes[1], planes[0]]).unbind(1) if len(spectra) == 2 else ()
    parts, inputs = [part.unbind() for part in spectra], planes.unbind(1)
    place = {pair: i for i, pair in enumerate(combinations_with_replacement(range(count), 2))}
    found, together = [], max(1, TOGETHER // inputs[0].numel())
    for first in range(0, count, together):
        totals = [torch.zeros_like(plane) for plane in inputs[first : first + together]]
        for q, total in enumerate(totals, first):
            for p, plane in enumerate(inputs):
                pair = place[min(p, q), max(p, q)]
                total.addcmul_(parts[0][pair], plane)
                if turned and p != q:
                    total.addcmul_(parts[1][pair], turned[p], value=1 if q < p else -1)
        product = torch.complex(*torch.stack(totals, 1))
        found.append(torch.fft.ifft(torch.fft.ifft(product, dim=-2)[..., :height, :])[..., :width])
    return torch.cat(found)
