"""Where a local scene stands on the Earth: East-North-Up about a geodetic point, to Earth-fixed coordinates and back.

    R = O + x e_E + y e_N + z e_U

O is the point on WGS 84 in Earth-centred Earth-fixed coordinates, e_E, e_N, e_U the unit vectors east, north and up (normal
to the ellipsoid) there. In float64 the way there and back is exact to nanometres.

Source: NGA.STND.0036 (WGS 84), through sarkit.wgs84.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from sarkit import wgs84


@dataclass(frozen=True)
class Place:
    """A geodetic point on WGS 84.

    Attributes:
        latitude_deg: -90 to 90.
        longitude_deg: -180 to 180, east positive.
        height_m: above the ellipsoid.

    Raises:
        ValueError: an angle or the height is out of range.
    """

    latitude_deg: float
    longitude_deg: float
    height_m: float = 0.0

    def __post_init__(self) -> None:
        for name, value, limit in (
            ("latitude_deg", self.latitude_deg, 90),
            ("longitude_deg", self.longitude_deg, 180),
            ("height_m", self.height_m, 1e5),
        ):
            if not math.isfinite(value) or abs(value) > limit:
                raise ValueError(f"{name} must lie between -{limit:g} and {limit:g}, got {value:g}")

    def latlonhae(self) -> list[float]:
        """Return latitude, longitude (degrees) and height (metres), in sarkit's order."""
        return [self.latitude_deg, self.longitude_deg, self.height_m]

    def origin_m(self) -> np.ndarray:
        """Return O, Earth-fixed, shape (3,), metres."""
        return wgs84.geodetic_to_cartesian(self.latlonhae())

    def axes(self) -> np.ndarray:
        """Return e_E, e_N, e_U as rows, Earth-fixed, shape (3, 3)."""
        point = self.latlonhae()
        return np.stack([wgs84.east(point), wgs84.north(point), wgs84.up(point)])

    def to_earth(self, local_m: np.ndarray) -> np.ndarray:
        """Return Earth-fixed positions of local ones, both (..., 3), metres."""
        return self.origin_m() + local_m @ self.axes()

    def to_local(self, earth_m: np.ndarray) -> np.ndarray:
        """Return local positions (east, north, up) of Earth-fixed ones, both (..., 3), metres."""
        return (earth_m - self.origin_m()) @ self.axes().T

    def described(self) -> str:
        """Return the point as text."""
        return f"latitude {self.latitude_deg:.6f} deg, longitude {self.longitude_deg:.6f} deg, height {self.height_m:.1f} m"


def latitude_longitude_deg(earth_m: np.ndarray) -> np.ndarray:
    """Return latitude and longitude, (..., 2), degrees, of Earth-fixed positions (..., 3), metres."""
    return wgs84.cartesian_to_geodetic(earth_m)[..., :2]


def place_at(earth_m: np.ndarray) -> Place:
    """Return the geodetic point of an Earth-fixed position, shape (3,), metres.

    Raises:
        ValueError: the position is not finite or more than 100 km off the ellipsoid.
    """
    latitude, longitude, height = (float(v) for v in wgs84.cartesian_to_geodetic(earth_m))
    return Place(latitude, longitude, height)
