"""The folder a command writes: its name when the user gives none, and what is said when an earlier result was there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, count
from pathlib import Path

from echoform.apps.saving import CONFIGURATION
from echoform.measure.atomic import MARKER, atomic_folder


def default_folder(file: Path, what: str, *, slice_index: int | None = None) -> Path:
    """Return runs/<file>[-slice<N>]-<what>, or the first of it with -2, -3, ... that holds no result of another file or slice.

    Args:
        file: the measurement file.
        what: method or command.
        slice_index: which slice of it was asked for, or None.
    """
    chosen = "" if slice_index is None else f"-slice{slice_index}"
    first = Path("runs") / f"{file.stem}{chosen}-{what}"
    numbered = (first.with_name(f"{first.name}-{number}") for number in count(2))
    return next(folder for folder in chain((first,), numbered) if not _of_another(folder, file, slice_index))


def _of_another(folder: Path, file: Path, slice_index: int | None) -> bool:
    """Whether a folder's configuration names another file or slice; what has none is left to :func:`atomic_folder`."""
    try:
        options = json.loads((folder / CONFIGURATION).read_text(encoding="utf-8"))["options"]
        return Path(options["file"]).resolve() != file.resolve() or options.get("slice") != slice_index
    except (OSError, ValueError, KeyError, TypeError):
        return False


@contextmanager
def result_folder(out: Path) -> Iterator[Path]:
    """Yield the folder to write into, as :func:`atomic_folder`; say so when it took the place of an earlier result."""
    earlier = (out / MARKER).exists()
    with atomic_folder(out) as part:
        yield part
    if earlier:
        print(f"Replaced: the earlier result in {out}")
