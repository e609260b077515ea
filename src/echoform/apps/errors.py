"""Mistakes of the user, told in one line and with exit code 2."""

from __future__ import annotations


class UsageError(Exception):
    """A request that cannot be carried out; its message is one line saying what to do instead."""
