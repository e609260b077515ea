"""Interference as spotlight radars meet it: other transmitters within the band, as strong as the echoes or far stronger.

Their power over the samples' is 0 to 30 dB; tones are one to three, chirps sweep a tenth to all of the band in a line, pulses are
on for a twentieth to a third of the time, at intervals of a tenth to three lines.
"""

from __future__ import annotations

from echoform.physics.interference import Chirps, FastAxis, Interference, Pulses, Tones
from echoform.scene.random_source import RandomSource

#: mean power over that of the samples, decibels
RATIO_DB = (0.0, 30.0)
#: share of the band that a chirp sweeps in a line, share of the time that pulses are on, their interval in lines
SWEPT, DUTY, INTERVAL = (0.1, 1.0), (0.05, 0.33), (0.1, 3.0)
MOST_TONES = 3


def draw_interference(source: RandomSource, batch: int, line: int) -> Interference:
    """Return interference of one kind for samples whose last axis holds frequencies, each scene with numbers of its own.

    Args:
        source: of randomness.
        batch: number of scenes.
        line: N, samples of the last axis.
    """
    ratio_db = source.uniform((batch,), *RATIO_DB)
    match int(source.integers((), 0, 3)):
        case 0:
            return Tones(ratio_db, FastAxis.FREQUENCY, int(source.integers((), 1, MOST_TONES + 1)))
        case 1:
            return Chirps(ratio_db, FastAxis.FREQUENCY, source.log_uniform((batch,), *SWEPT))
        case _:
            duty, interval = source.log_uniform((batch,), *DUTY), line * source.log_uniform((batch,), *INTERVAL)
            return Pulses(ratio_db, FastAxis.FREQUENCY, duty, interval)
