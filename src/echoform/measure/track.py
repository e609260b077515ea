"""Times along an antenna's path, for formats that want them: nominal where the measurement states none.

The pulses are taken to be equally spaced in time, at the median speed :data:`NOMINAL_SPEED_M_S`, but never faster than an echo
returns. Phases do not depend on it (stop and go); Doppler and dates in a written file do, and the file says so.
"""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from echoform.scene.collection import SPEED_OF_LIGHT_M_S

#: median speed of a platform whose times are not known, metres per second
NOMINAL_SPEED_M_S = 100.0
#: start of a collection whose date is not known
NOMINAL_START = datetime(2000, 1, 1, tzinfo=UTC)
#: pulse interval over the longest echo delay, at least
INTERVALS_PER_ECHO = 2.0
NOMINAL_TIMES = (
    f"times are nominal: equal intervals, median speed {NOMINAL_SPEED_M_S:g} m/s, start {NOMINAL_START:%Y-%m-%d}"
)


def nominal_interval_s(paths_m: tuple[np.ndarray, ...], range_m: np.ndarray) -> float:
    """Return the nominal time from pulse to pulse: that of the fastest antenna at the nominal speed, or of two echo delays.

    Args:
        paths_m: positions of each antenna, (P, 3), P at least 2.
        range_m: half the path over the scene centre of each pulse, (P,).

    Raises:
        ValueError: fewer than two pulses, or no antenna moves.
    """
    if len(range_m) < 2:
        raise ValueError(f"a path needs at least two pulses, got {len(range_m)}")
    step_m = max(float(np.median(np.linalg.norm(np.diff(path, axis=0), axis=-1))) for path in paths_m)
    if not step_m > 0:
        raise ValueError("the antenna does not move from pulse to pulse")
    return max(step_m / NOMINAL_SPEED_M_S, INTERVALS_PER_ECHO * 2 * float(range_m.max()) / SPEED_OF_LIGHT_M_S)
