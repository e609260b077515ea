"""What goes wrong with files, said in one line: the file, what was got, what was expected, what to do."""

from __future__ import annotations

from pathlib import Path

#: longest piece of a file's own text that is repeated in a message
QUOTE_LENGTH = 80


def one_line(text: str) -> str:
    """Return ``text`` on one line, characters that do not print (a hostile file may hold any) replaced by '?'."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))


def quote(text: str) -> str:
    """Return text taken from a file in quotes, shortened and safe to print."""
    short = text if len(text) <= QUOTE_LENGTH else text[: QUOTE_LENGTH - 3] + "..."
    return f"'{one_line(short)}'"


class MeasurementFileError(Exception):
    """A measurement file that cannot be used; its message is one line.

    Args:
        path: the file.
        got: what it holds.
        expected: what it should hold.
        remedy: what the user can do.
    """

    def __init__(self, path: Path, *, got: str, expected: str, remedy: str) -> None:
        super().__init__(one_line(f"{path}: got {got}, expected {expected}; {remedy}"))
        self.path = path


class OutputError(Exception):
    """A result that cannot be written where it was asked for; its message is one line.

    Args:
        path: the file or folder to be written.
        problem: what stands in the way.
        remedy: what the user can do.
    """

    def __init__(self, path: Path, *, problem: str, remedy: str) -> None:
        super().__init__(one_line(f"{path}: {problem}; {remedy}"))
        self.path = path
