"""Diameter and width of a ring in an image, by one stated definition.

About a centre, the brightness is followed along N_ANGLES rays (cubic spline between pixels). On each ray the peak lies at
r(theta), sought between given radii, and the profile stays above half of that peak over the width w(theta).

    diameter = 2 mean r,    width = mean w,    floor = mean brightness within FLOOR_RADIUS of mean r / mean peak

The centre is where r(theta) scatters least relative to its mean. Any image has a diameter by this definition: that there is
a ring is said by a floor well below 1. A thin ring of radius R seen with a Gaussian beam of full width b peaks inside R, at about
R - b^2 / (16 log 2 R): the diameter of a 42 microarcsecond ring is 2 % too small for a beam of 10.

Source: EHT Collaboration (2019), First M87 EHT Results IV, ApJL 875, L4, section 9 (same idea; there with a blurred image and the
floor subtracted before the width is taken).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import RectBivariateSpline
from scipy.optimize import minimize
from torch import Tensor

from echoform.scene.sky import SkyGrid

N_ANGLES = 180
#: steps along a ray, per pixel
STEPS_PER_PIXEL = 8
#: share of the mean radius within which the floor is taken
FLOOR_RADIUS = 0.25


@dataclass(frozen=True)
class Ring:
    """Figures of a ring.

    Attributes:
        centre_rad: (m, l) of the centre, radians north and east.
        diameter_rad: 2 mean r.
        scatter_rad: standard deviation of 2 r over the angles.
        width_rad: mean full width at half of each ray's peak; NaN when no ray falls to half on both sides.
        floor: brightness at the centre over that of the mean peak.
        position_angle_rad: direction of the first harmonic of the peak brightness, from north through east, and
        asymmetry: its amplitude over the mean.
    """

    centre_rad: tuple[float, float]
    diameter_rad: float
    scatter_rad: float
    width_rad: float
    floor: float
    position_angle_rad: float
    asymmetry: float


def measure_ring(image: Tensor, grid: SkyGrid, *, radii_rad: tuple[float, float]) -> Ring:
    """Return the figures of the ring in an image.

    Args:
        image: real, (H, W), on ``grid``.
        grid: its grid.
        radii_rad: between which radii the peak of a ray is sought.

    Raises:
        ValueError: the rays leave the image from its own centre of gravity.
    """
    values = image.double().numpy()
    m, l = (axis.numpy() for axis in grid.axes_rad())  # noqa: E741 (the field's symbol)
    p = grid.pixel_rad
    spline = RectBivariateSpline(m / p, l[::-1] / p, values[:, ::-1])
    angle = 2 * np.pi * np.arange(N_ANGLES) / N_ANGLES
    inner, outer = (r / p for r in radii_rad)
    radius = np.arange(0, math.ceil(outer * STEPS_PER_PIXEL) + 1) / STEPS_PER_PIXEL
    within = (radius >= inner) & (radius <= outer)

    def rays(centre: np.ndarray) -> np.ndarray:
        return spline.ev(centre[0] + radius[:, None] * np.cos(angle), centre[1] + radius[:, None] * np.sin(angle))

    def spread(centre: np.ndarray) -> float:
        r = _peaks(rays(centre), within)[1] / STEPS_PER_PIXEL
        return float(r.std() / r.mean())

    weight = np.clip(values, 0, None) / np.clip(values, 0, None).sum()
    start = np.array([weight.sum(1) @ m, weight.sum(0) @ l]) / p
    margin = min(values.shape) / 2 - np.abs(start).max()
    if margin < outer:
        raise ValueError(f"rays of {outer:.1f} pixels leave the image {values.shape}; take a smaller outer radius")
    simplex = start + (outer - inner) / 8 * np.array([[0, 0], [1, 0], [0, 1]])
    centre = minimize(spread, start, method="Nelder-Mead", options={"initial_simplex": simplex, "xatol": 0.01}).x
    profile = rays(centre)
    at, position = _peaks(profile, within)
    r, peak = position / STEPS_PER_PIXEL, profile[at, np.arange(N_ANGLES)]
    widths = [w for k in range(N_ANGLES) if (w := _full_width(profile[:, k], int(at[k]))) is not None]
    harmonic = (peak * np.exp(1j * angle)).mean() / peak.mean()
    floor = profile[radius <= FLOOR_RADIUS * r.mean()].mean() / peak.mean()
    return Ring(
        (float(centre[0]) * p, float(centre[1]) * p),
        2 * float(r.mean()) * p,
        2 * float(r.std()) * p,
        float(np.mean(widths)) / STEPS_PER_PIXEL * p if widths else math.nan,
        float(floor),
        float(np.angle(harmonic)),
        2 * float(abs(harmonic)),
    )


def _peaks(profile: np.ndarray, within: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the highest sample of each column among the rows ``within``, and the vertex of the parabola through it."""
    at = np.argmax(np.where(within[:, None], profile, -np.inf), 0)
    left, middle, right = (
        profile[np.clip(at + d, 0, len(profile) - 1), np.arange(profile.shape[1])] for d in (-1, 0, 1)
    )
    curvature = left - 2 * middle + right
    inside = (middle >= left) & (middle >= right) & (curvature < 0)
    move = np.where(inside, 0.5 * (left - right) / np.where(inside, curvature, 1.0), 0.0)
    return at, at + move


def _full_width(profile: np.ndarray, at: int) -> float | None:
    """Return the length over which the profile stays above half of its value at ``at``, or None if it leaves the ray."""
    below = profile < profile[at] / 2
    before, after = np.nonzero(below[:at])[0], np.nonzero(below[at:])[0]
    if not len(before) or not len(after):
        return None
    return _crossing(profile, profile[at] / 2, at + int(after[0])) - _crossing(
        profile, profile[at] / 2, int(before[-1]) + 1
    )


def _crossing(profile: np.ndarray, level: float, index: int) -> float:
    """Return where the straight line from the sample before ``index`` to it crosses ``level``."""
    left, right = profile[index - 1], profile[index]
    return index - 1 + float((level - left) / (right - left))
