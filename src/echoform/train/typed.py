"""Plain values (of a TOML file) as the types that dataclasses declare, with errors that name the key."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Union, get_args, get_origin, get_type_hints


class Mismatch(Exception):
    """A value that is not what a key holds."""

    def __init__(self, key: str, *, got: str, expected: str) -> None:
        super().__init__(f"{key}: got {got}, expected {expected}")
        self.key, self.got, self.expected = key, got, expected

    def within(self, outer: str) -> Mismatch:
        """Return the same of a key inside the table ``outer``."""
        return Mismatch(_under(outer, self.key), got=self.got, expected=self.expected)


def typed(hint: Any, value: object, key: str) -> Any:
    """Return a plain value as the type ``hint``.

    Numbers, text, booleans; tuples from lists; dataclasses from tables; of a union of dataclasses the one whose ``kind`` the
    table names, the first of them where it names none; an optional value as what it is when given.

    Args:
        hint: the declared type.
        value: what the file holds.
        key: its name with those of the tables around it.

    Raises:
        Mismatch: the value does not fit.
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _union(arguments, value, key)
    if origin is tuple:
        return _tuple(arguments, value, key)
    if isinstance(hint, type) and is_dataclass(hint):
        return table(hint, value, key)
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if hint is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if hint in (bool, str) and isinstance(value, hint):
        return value
    names = {float: "a number", int: "a whole number", bool: "true or false", str: "text"}
    expected = names.get(hint, "nothing: this cannot be set in a file, only in Python")
    raise Mismatch(key, got=repr(value), expected=expected)


def table(kind: type, value: object, key: str) -> Any:
    """Return a table as the dataclass ``kind``; its own complaints (ValueError) are told with the key.

    Raises:
        Mismatch: an unknown or missing key, or a value that does not fit.
    """
    if not isinstance(value, Mapping):
        raise Mismatch(key, got=repr(value), expected="a table")
    hints = get_type_hints(kind)
    known = {field.name: field for field in fields(kind)}
    unknown = [name for name in value if name not in known]
    if unknown:
        raise Mismatch(_under(key, unknown[0]), got="an unknown key", expected=f"one of {', '.join(known)}")
    for name, field in known.items():
        if name not in value and field.default is MISSING and field.default_factory is MISSING:
            raise Mismatch(_under(key, name), got="nothing", expected="a value: it has no default")
    made = {name: typed(hints[name], entry, _under(key, name)) for name, entry in value.items()}
    try:
        return kind(**made)
    except ValueError as error:
        raise Mismatch(key or kind.__name__.lower(), got=str(made), expected=str(error)) from error


def _under(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _union(options: tuple[Any, ...], value: object, key: str) -> Any:
    given = [option for option in options if option is not type(None)]
    if len(given) == 1:
        return typed(given[0], value, key)
    kinds = {option.kind: option for option in given if hasattr(option, "kind")}
    if not isinstance(value, Mapping):
        raise Mismatch(key, got=repr(value), expected="a table")
    named = value.get("kind", next(iter(kinds)))
    if named not in kinds:
        raise Mismatch(f"{key}.kind", got=repr(named), expected=f"one of {', '.join(kinds)}")
    return table(kinds[named], {name: v for name, v in value.items() if name != "kind"}, key)


def _tuple(arguments: tuple[Any, ...], value: object, key: str) -> Any:
    if not isinstance(value, list | tuple):
        raise Mismatch(key, got=repr(value), expected="a list")
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return tuple(typed(arguments[0], entry, f"{key}[{i}]") for i, entry in enumerate(value))
    if len(value) != len(arguments):
        raise Mismatch(key, got=f"{len(value)} values", expected=f"{len(arguments)}")
    return tuple(
        typed(hint, entry, f"{key}[{i}]") for i, (hint, entry) in enumerate(zip(arguments, value, strict=True))
    )
