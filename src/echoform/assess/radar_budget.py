"""Does an image keep the radar equation? Radar cross sections of reference targets, and checks of image peaks against them.

    P_r = P_t G^2 lambda^2 sigma / ((4 pi)^3 R^4)        (monostatic, no losses)

A linear image formation gives peaks with |x|^2 proportional to sigma; by R^-4 too, as long as spreading is not compensated. The
closed forms hold for bodies much larger than a wavelength, perfectly conducting, at their brightest aspect.

Source: Knott, Shaeffer and Tuley, Radar Cross Section (2nd edition 1993), table 6.1; Skolnik, Introduction to Radar Systems
(3rd edition 2001), equation 1.7.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

import torch
from torch import Tensor

#: interpolation factor of a peak's height
OVERSAMPLING = 32
#: default tolerance of the check, decibels
TOLERANCE_DB = 1.0


def received_power_w(
    *, transmitted_w: float, gain: float, wavelength_m: float, cross_section_m2: float, range_m: float
) -> float:
    """Return P_t G^2 lambda^2 sigma / ((4 pi)^3 R^4), watts; ``gain`` is a power ratio, of one antenna for both ways."""
    return transmitted_w * gain**2 * wavelength_m**2 * cross_section_m2 / ((4 * math.pi) ** 3 * range_m**4)


def cross_section_m2(
    *, received_w: float, transmitted_w: float, gain: float, wavelength_m: float, range_m: float
) -> float:
    """Return sigma from the received power, the radar equation solved for it, square metres."""
    unit = received_power_w(
        transmitted_w=transmitted_w, gain=gain, wavelength_m=wavelength_m, cross_section_m2=1.0, range_m=range_m
    )
    return received_w / unit


def triangular_trihedral_m2(leg_m: float, wavelength_m: float) -> float:
    """Return 4 pi a^4 / (3 lambda^2) of a trihedral of three right triangles with legs a, on its axis."""
    return 4 * math.pi * leg_m**4 / (3 * wavelength_m**2)


def square_trihedral_m2(side_m: float, wavelength_m: float) -> float:
    """Return 12 pi a^4 / lambda^2 of a trihedral of three squares of side a, on its axis."""
    return 12 * math.pi * side_m**4 / wavelength_m**2


def dihedral_m2(width_m: float, height_m: float, wavelength_m: float) -> float:
    """Return 8 pi a^2 b^2 / lambda^2 of two plates a x b at right angles, seen at 45 degrees to both."""
    return 8 * math.pi * (width_m * height_m) ** 2 / wavelength_m**2


def flat_plate_m2(area_m2: float, wavelength_m: float) -> float:
    """Return 4 pi A^2 / lambda^2 of a plate of any shape, seen along its normal."""
    return 4 * math.pi * area_m2**2 / wavelength_m**2


def sphere_m2(radius_m: float) -> float:
    """Return pi a^2 of a sphere in the optical regime (a at least a few wavelengths)."""
    return math.pi * radius_m**2


class Spreading(enum.Enum):
    """What the image did with the loss of power over the path."""

    COMPENSATED = enum.auto()
    TWO_WAY = enum.auto()  # |x|^2 falls as R^-4


@dataclass(frozen=True)
class PointReference:
    """A point target in an image.

    Attributes:
        pixel: (row, column), within half a main lobe.
        cross_section_m2: sigma, square metres; of the checked target what is expected.
        range_m: distance from the antenna at mid-aperture, metres.
    """

    pixel: tuple[int, int]
    cross_section_m2: float
    range_m: float

    def __post_init__(self) -> None:
        if not (0 < self.cross_section_m2 < math.inf and 0 < self.range_m < math.inf):
            raise ValueError(
                f"cross section and range must be positive, got {self.cross_section_m2} and {self.range_m}"
            )


@dataclass(frozen=True)
class BudgetCheck:
    """One target held against another of known cross section.

    Attributes:
        measured_m2: cross section that the image gives the target, square metres.
        expected_m2: what it should be.
        error_db: measured over expected, decibels.
        tolerance_db: largest error that passes.
    """

    measured_m2: float
    expected_m2: float
    error_db: float
    tolerance_db: float

    @property
    def passes(self) -> bool:
        """Whether the error is within the tolerance."""
        return abs(self.error_db) <= self.tolerance_db

    def __str__(self) -> str:
        verdict = "within" if self.passes else "OUTSIDE"
        measured, expected = 10 * math.log10(self.measured_m2), 10 * math.log10(self.expected_m2)
        return (
            f"{measured:.2f} dBsm measured, {expected:.2f} dBsm expected: {self.error_db:+.2f} dB, "
            f"{verdict} {self.tolerance_db:g} dB"
        )


def peak_power(image: Tensor, pixel: tuple[int, int]) -> float:
    """Return the highest |x|^2 within one pixel of ``pixel``, interpolated by the image's Fourier series.

    Args:
        image: complex, (H, W), its spectrum about zero as all operators here leave it.
        pixel: (row, column).

    Raises:
        ValueError: the image has not two axes or the pixel lies outside it.
    """
    if image.ndim != 2 or not all(0 <= p < n for p, n in zip(pixel, image.shape, strict=True)):
        raise ValueError(f"pixel {pixel} does not lie in an image of shape {tuple(image.shape)}")
    spectrum = torch.fft.fft2(image.to(torch.complex128), norm="forward")
    offset = torch.arange(-OVERSAMPLING, OVERSAMPLING + 1, dtype=torch.float64, device=image.device) / OVERSAMPLING
    rows, columns = (
        torch.exp(
            2j * torch.pi * (p + offset)[:, None] * torch.fft.fftfreq(n, dtype=torch.float64, device=image.device)
        )
        for p, n in zip(pixel, image.shape, strict=True)
    )
    return float((rows @ spectrum @ columns.mT).abs().square().max())


def measured_cross_section_m2(
    image: Tensor, target: PointReference, reference: PointReference, *, spreading: Spreading
) -> float:
    """Return sigma of a target in an image (H, W) that holds a reference of known sigma, square metres.

    sigma = sigma_ref |x|^2 / |x_ref|^2, times (R / R_ref)^4 where spreading is not compensated. Only the target's pixel and range
    are used.

    Raises:
        ValueError: the reference has no energy, or a pixel lies outside the image.
    """
    power, known = peak_power(image, target.pixel), peak_power(image, reference.pixel)
    if not known > 0:
        raise ValueError(f"the image holds no energy at the reference, pixel {reference.pixel}")
    ratio = power / known
    if spreading is Spreading.TWO_WAY:
        ratio *= (target.range_m / reference.range_m) ** 4
    return reference.cross_section_m2 * ratio


def check_rcs_budget(
    image: Tensor,
    target: PointReference,
    reference: PointReference,
    *,
    spreading: Spreading,
    tolerance_db: float = TOLERANCE_DB,
) -> BudgetCheck:
    """Return whether a target's cross section, measured against a reference in the same image, is what it should be.

    Args:
        image: complex, (H, W), formed linearly.
        target: with the cross section expected of it.
        reference: with its known cross section.
        spreading: whether |x|^2 still falls as R^-4.
        tolerance_db: largest error that passes, decibels.
    """
    measured = measured_cross_section_m2(image, target, reference, spreading=spreading)
    error = 10 * math.log10(measured / target.cross_section_m2) if measured > 0 else -math.inf
    return BudgetCheck(measured, target.cross_section_m2, error, tolerance_db)
