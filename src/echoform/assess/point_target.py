"""The response to a point target: side-lobe ratios and width, on cuts through its peak.

A cut is interpolated by its own Fourier series: its spectrum is embedded in one ``oversampling`` times longer. The zeros
go where the spectrum is empty: at the band edge, or, when the image's carrier has moved the occupied band across
the edge, opposite the band's centre of gravity. All lengths are in pixels; times the spacing they are metres.

For a spectrum of constant level over a band of B cycles per pixel the response is sinc(B r): PSLR -13.26 dB, -3 dB width
0.886 / B, ISLR as defined here -10.2 dB. These figures describe a linear image formation: a non-linear
reconstruction can fill the band with structure that is not resolution.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

#: side lobes count within this many -3 dB widths of the peak
EXTENT_WIDTHS = 10.0


@dataclass(frozen=True)
class CutResponse:
    """One cut through a point target.

    Attributes:
        pslr_db: highest side lobe over the peak, decibels.
        islr_db: energy of the side lobes over that of the main lobe, decibels.
        width_px: full width of the main lobe at half power (-3.01 dB), pixels.
        position_px: interpolated position of the peak, pixels from the first.
        offset_px: abscissae of ``magnitude`` from the peak, pixels.
        magnitude: oversampled cut over its peak.

    The main lobe lies between the first minima on either side of the peak; the side lobes are what lies outside it
    and within ``EXTENT_WIDTHS`` widths of the peak, as far as the image goes. A figure is NaN where the image holds no
    such thing: a main lobe that no minimum bounds, a cut without energy.
    """

    pslr_db: float
    islr_db: float
    width_px: float
    position_px: float
    offset_px: Tensor
    magnitude: Tensor


@dataclass(frozen=True)
class PointTargetResponse:
    """The responses along the rows' index (a vertical cut) and along the columns' index (a horizontal cut)."""

    rows: CutResponse
    columns: CutResponse


def point_target_response(
    image: Tensor, *, pixel: tuple[int, int] | None = None, oversampling: int = 32
) -> PointTargetResponse:
    """Return the response of the target at a pixel, on the two cuts through its interpolated peak.

    Args:
        image: complex, (H, W).
        pixel: (row, column) of the target to within half a main lobe; the strongest pixel when absent.
        oversampling: factor of the interpolation, at least 16.

    Raises:
        ValueError: the image has not two axes, the pixel lies outside it, or the oversampling is too low.

    Source: Cumming and Wong, Digital Processing of Synthetic Aperture Radar Data (2005), section 2.8; definitions of
    the side-lobe regions as in ``perseo-quality``, without its smaller extent for the PSLR.
    """
    if image.ndim != 2:
        raise ValueError(f"expected one image (H, W), got shape {tuple(image.shape)}")
    if oversampling < 16:
        raise ValueError(
            f"oversampling must be at least 16 for side lobes to be met near their tops, got {oversampling}"
        )
    x = image.to(torch.complex128)
    if pixel is None:
        row, column = divmod(int(x.abs().argmax()), x.shape[1])
    else:
        row, column = pixel
    if not (0 <= row < x.shape[0] and 0 <= column < x.shape[1]):
        raise ValueError(f"pixel {(row, column)} lies outside the image {tuple(x.shape)}")
    shift_rows, shift_columns = _band_shift(x), _band_shift(x.mT)
    at_row, at_column = float(row), float(column)
    for _ in range(2):
        at_row = _peak(_oversample(_line(x, at_column, shift_columns), shift_rows, oversampling), row, oversampling)
        at_column = _peak(
            _oversample(_line(x.mT, at_row, shift_rows), shift_columns, oversampling), column, oversampling
        )
    vertical = _oversample(_line(x, at_column, shift_columns), shift_rows, oversampling)
    horizontal = _oversample(_line(x.mT, at_row, shift_rows), shift_columns, oversampling)
    return PointTargetResponse(
        cut_response(vertical.abs(), near=row * oversampling, oversampling=oversampling),
        cut_response(horizontal.abs(), near=column * oversampling, oversampling=oversampling),
    )


def cut_response(magnitude: Tensor, *, near: int, oversampling: int) -> CutResponse:
    """Return the figures of an oversampled cut.

    Args:
        magnitude: |x| along the cut, (N,), ``oversampling`` samples to the pixel.
        near: index near the peak; the highest sample within one pixel is taken, then climbed from.
        oversampling: samples per pixel.
    """
    m = magnitude.double()
    peak = _climb(m, near, oversampling)
    position, height = _vertex(m, peak)
    nan = math.nan
    offset = (torch.arange(len(m), dtype=torch.float64, device=m.device) - position) / oversampling
    if height <= 0:
        return CutResponse(nan, nan, nan, position / oversampling, offset, m)
    m = m / height
    left, right = _first_minimum(m.flip(0), len(m) - 1 - peak), _first_minimum(m, peak)
    width = (_half_power(m, peak) + _half_power(m.flip(0), len(m) - 1 - peak)) / oversampling
    if left is None or right is None or math.isnan(width):
        return CutResponse(nan, nan, width, position / oversampling, offset, m)
    left = len(m) - 1 - left
    reach = EXTENT_WIDTHS * width
    side = offset.abs() <= reach
    main = torch.zeros_like(side)
    main[left : right + 1] = True
    side = side & ~main
    energy = m.square()
    islr = 10 * torch.log10(energy[side].sum() / energy[main].sum())
    return CutResponse(_side_lobe_db(m, side), float(islr), width, position / oversampling, offset, m)


def _band_shift(x: Tensor) -> int:
    """Bins by which to roll the spectrum along the first axis of (N, K) so that its gap lies at the band edge.

    Zero unless the edge is clearly occupied: its power, smoothed over a sixteenth of the band, must exceed twice that
    opposite the centre of gravity of the circular spectrum.
    """
    n = x.shape[0]
    power = torch.fft.fft(x, dim=0).abs().square().sum(1)
    if not bool(power.sum() > 0):
        return 0
    angles = 2 * torch.pi * torch.arange(n, dtype=torch.float64, device=x.device) / n
    centre = round(float(torch.angle((power * torch.exp(1j * angles)).sum())) / (2 * math.pi) * n)
    half = max(1, n // 32)

    def around(index: int) -> float:
        return float(power[torch.arange(index - half, index + half + 1, device=x.device) % n].mean())

    return -centre if around(n // 2) > 2 * around(centre + n // 2) else 0


def _line(x: Tensor, position: float, shift: int) -> Tensor:
    """The values of (N, K) along the first axis at a fractional position of the second, up to a constant phase."""
    k = x.shape[1]
    bins = torch.fft.fftfreq(k, 1 / k, dtype=torch.float64, device=x.device)
    values = torch.exp(2j * torch.pi * bins * position / k)
    if k % 2 == 0:
        values[k // 2] = math.cos(math.pi * position)
    return torch.roll(torch.fft.fft(x, dim=1), shift, 1) @ values / k


def _oversample(line: Tensor, shift: int, factor: int) -> Tensor:
    """The Fourier series of (N,) at N * factor points, up to a phase ramp (the band is left centred by ``shift``)."""
    n = len(line)
    spectrum = torch.fft.fftshift(torch.roll(torch.fft.fft(line), shift))
    padded = torch.zeros(n * factor, dtype=line.dtype, device=line.device)
    first = n * factor // 2 - n // 2
    padded[first : first + n] = spectrum
    if n % 2 == 0:
        padded[first] = spectrum[0] / 2
        padded[first + n] = spectrum[0] / 2
    return torch.fft.ifft(torch.fft.ifftshift(padded)) * factor


def _climb(m: Tensor, near: int, oversampling: int) -> int:
    """Index of the local maximum reached uphill from the highest sample within one pixel of ``near``."""
    low, high = max(0, near - oversampling), min(len(m), near + oversampling + 1)
    index = low + int(m[low:high].argmax())
    values = m.tolist()
    while index + 1 < len(values) and values[index + 1] > values[index]:
        index += 1
    while index > 0 and values[index - 1] > values[index]:
        index -= 1
    return index


def _peak(line: Tensor, near: int, oversampling: int) -> float:
    m = line.abs()
    return _vertex(m, _climb(m, near * oversampling, oversampling))[0] / oversampling


def _vertex(m: Tensor, index: int) -> tuple[float, float]:
    """Position and height of the parabola through a highest sample and its neighbours; the sample itself elsewhere."""
    centre = float(m[index])
    if index == 0 or index == len(m) - 1:
        return float(index), centre
    left, right = float(m[index - 1]), float(m[index + 1])
    curvature = left - 2 * centre + right
    if centre < max(left, right) or curvature >= 0:
        return float(index), centre
    move = 0.5 * (left - right) / curvature
    return index + move, centre - 0.25 * (left - right) * move


def _first_minimum(m: Tensor, peak: int) -> int | None:
    """Index of the first sample after the peak from which the cut rises again, or None."""
    rises = torch.nonzero(m[peak + 1 :] > m[peak:-1]).squeeze(-1)
    return peak + int(rises[0]) if len(rises) else None


def _half_power(m: Tensor, peak: int) -> float:
    """Samples from the peak's index to the first crossing of 1 / sqrt 2 after it, linearly interpolated; NaN if none."""
    below = torch.nonzero(m[peak:] < math.sqrt(0.5)).squeeze(-1)
    if not len(below):
        return math.nan
    index = peak + int(below[0])
    before, after = float(m[index - 1]), float(m[index])
    return index - peak - (math.sqrt(0.5) - after) / (before - after)


def _side_lobe_db(m: Tensor, side: Tensor) -> float:
    """Level of the highest maximum among the marked samples, decibels."""
    values = torch.where(side, m, torch.zeros_like(m))
    index = int(values.argmax())
    height = max(_vertex(m, index)[1], 0.0)
    return 20 * math.log10(height) if height > 0 else -math.inf
