"""Spectra of real images, of which half suffices, and changes of rate seen in them.

Transforms are in FFT order and not scaled. Inserting f - 1 zeros between pixels repeats a spectrum f x f times; keeping every
f-th pixel takes the mean of its f x f parts:

    (zeros inserted)^(k) = X(k mod n / f),        (decimated)^(p) = mean_i X(p + i n / f)

Rows are folded and repeated in the spectrum, columns in the image, so that the transforms between run over n / f rows only.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def spectrum_of(x: Tensor) -> Tensor:
    """Return the 2-D spectrum: (..., H, W // 2 + 1) of a real image, (..., H, W) of a complex one."""
    return torch.fft.fft2(x) if x.is_complex() else torch.fft.rfft2(x)


def image_of(spectrum: Tensor, width: int, *, complex_image: bool) -> Tensor:
    """Return the image of ``width`` columns whose spectrum this is, real unless ``complex_image``."""
    if complex_image:
        return torch.fft.ifft2(spectrum)
    return torch.fft.irfft2(spectrum, s=(spectrum.shape[-2], width))


def columns_needed(full: Tensor, *, complex_image: bool) -> Tensor:
    """Return the part of a whole spectrum (..., H, W) that multiplies what :func:`spectrum_of` gives."""
    return full if complex_image else full[..., : full.shape[-1] // 2 + 1]


def folded(full: Tensor, factor: int) -> Tensor:
    """Return the mean of the factor x factor parts of a whole spectrum, (..., H / factor, W / factor)."""
    height, width = full.shape[-2] // factor, full.shape[-1] // factor
    return full.unflatten(-1, (factor, width)).unflatten(-3, (factor, height)).mean((-4, -2))


def inserted_spectrum(x: Tensor, factor: int) -> Tensor:
    """Return the spectrum of x with zeros inserted, every ``factor``-th row and column being one of x."""
    if factor == 1:
        return spectrum_of(x)
    wide = functional.pad(x[..., None], (0, factor - 1)).flatten(-2)
    return torch.cat([spectrum_of(wide)] * factor, -2)


def decimated_image(spectrum: Tensor, width: int, factor: int, *, complex_image: bool) -> Tensor:
    """Return every ``factor``-th row and column of the image of ``width`` columns whose spectrum this is."""
    if factor == 1:
        return image_of(spectrum, width, complex_image=complex_image)
    rows = spectrum.unflatten(-2, (factor, -1)).mean(-3)
    return image_of(rows, width, complex_image=complex_image)[..., ::factor]
