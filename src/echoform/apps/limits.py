"""Between what bounds the numbers lie that several commands take."""

from __future__ import annotations

from echoform.apps.errors import UsageError

#: greatest seed: what a signed number of 64 bits holds
MOST_SEED = 2**63 - 1
#: greatest signal-to-noise ratio either way, decibels: single precision holds both levels
MOST_SNR_DB = 200.0


def check_seed(seed: int) -> None:
    """Raise UsageError unless a generator takes the seed."""
    if not 0 <= seed <= MOST_SEED:
        raise UsageError(f"--seed must lie between 0 and {MOST_SEED}, got {seed}")


def check_snr_db(snr_db: float) -> None:
    """Raise UsageError unless the signal-to-noise ratio is a number within the bounds."""
    if not abs(snr_db) <= MOST_SNR_DB:
        raise UsageError(f"--snr-db must be a number from {-MOST_SNR_DB:g} to {MOST_SNR_DB:g}, got {snr_db:g}")
