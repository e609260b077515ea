"""Optional packages: imported where they are used, or one line that says what to install."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType


class MissingExtraError(ImportError):
    """A package of the extra ``export`` is not installed."""


def imported(name: str) -> ModuleType:
    """Return the module; raises MissingExtraError with the command that installs it."""
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingExtraError(f"this needs the package {name}: pip install 'echoform[export]'") from error
