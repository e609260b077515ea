"""Ways a command ends early, told in one line: mistakes of the user (exit code 2) and interruptions (130)."""

from __future__ import annotations


class UsageError(Exception):
    """A request that cannot be carried out; its message is one line saying what to do instead."""


class Interrupted(Exception):
    """Work that was asked to stop and saved what it had; its message says how to go on."""
