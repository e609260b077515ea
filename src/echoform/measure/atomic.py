"""Writing files and folders so that they are either complete under their final name or not there at all.

Everything is written beside the final name, flushed to disk and renamed; a failure or Ctrl-C removes the temporary and
leaves what stood under the final name as it was.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from echoform.measure.errors import OutputError

#: file that marks a folder as written by echoform and lists what echoform put into it
MARKER = ".echoform-output"


@contextmanager
def atomic_path(final: Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of ``final`` and rename it to ``final`` when the block ends well.

    Raises:
        OutputError: the folder does not exist, ``final`` is a folder, the block wrote nothing, or the disk refuses.
    """
    final = Path(os.path.realpath(final))
    if not final.parent.is_dir():
        raise OutputError(final, problem="its folder does not exist", remedy="create it or choose another --out")
    if final.is_dir():
        raise OutputError(final, problem="a folder of this name exists", remedy="choose another file name")
    part = _temporary(final)
    try:
        yield part
        if not part.is_file():
            raise OutputError(final, problem="nothing was written", remedy="this is a bug in the caller; report it")
        _flush(part)
        os.replace(part, final)
        _flush(final.parent)
    except OSError as error:
        raise _refused(final, error) from error
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def atomic_folder(final: Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``final`` and rename it to ``final`` when the block ends well.

    A folder that exists already is replaced only when it is empty or holds nothing but files an earlier
    ``atomic_folder`` wrote.

    Raises:
        OutputError: ``final`` holds other things, the block wrote nothing, or the disk refuses.
    """
    final = Path(os.path.realpath(final))
    _check_replaceable(final)
    created: list[Path] = []
    part = _temporary(final)
    complete = False
    try:
        _create_parents(final.parent, created)
        part.mkdir()
        yield part
        _seal(part, final)
        _check_replaceable(final)
        _swap(part, final)
        complete = True
    except OSError as error:
        raise _refused(final, error) from error
    finally:
        if not complete:
            shutil.rmtree(part, ignore_errors=True)
            _remove_empty(created)


def _temporary(final: Path) -> Path:
    return final.with_name(f".{final.name[:200]}.{os.getpid()}.{secrets.token_hex(4)}.part")


def _refused(final: Path, error: OSError) -> OutputError:
    return OutputError(final, problem=f"it cannot be written ({error})", remedy="free the disk or choose another --out")


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _contents(folder: Path) -> list[str]:
    """Return every path below ``folder``, relative to it; links are listed and not followed."""
    found = []
    for root, folders, files in os.walk(folder):
        found += [str((Path(root) / name).relative_to(folder)) for name in (*folders, *files)]
    return sorted(found)


def _seal(part: Path, final: Path) -> None:
    """Write the marker and flush every file."""
    written = _contents(part)
    if not written:
        raise OutputError(final, problem="nothing was written", remedy="this is a bug in the caller; report it")
    (part / MARKER).write_text(json.dumps(written, indent=0), encoding="utf-8")
    for name in (*written, MARKER):
        if not (part / name).is_symlink():
            _flush(part / name)
    _flush(part)


def _check_replaceable(final: Path) -> None:
    """Raise OutputError unless nothing of the user's would be lost by replacing ``final``."""
    if not os.path.lexists(final):
        return
    remedy = "choose another --out, or move what is there"
    if not final.is_dir():
        raise OutputError(final, problem="a file of this name exists", remedy=remedy)
    present = set(_contents(final))
    if not present:
        return
    if MARKER not in present:
        raise OutputError(final, problem="this folder was not written by echoform", remedy=remedy)
    try:
        listed = json.loads((final / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise OutputError(final, problem=f"its {MARKER} cannot be read", remedy=remedy) from error
    ours = {name for name in listed if isinstance(name, str)} if isinstance(listed, list) else set()
    strangers = sorted(present - {MARKER} - ours)
    if strangers:
        raise OutputError(final, problem=f"it holds '{strangers[0]}', which echoform did not write", remedy=remedy)


def _swap(part: Path, final: Path) -> None:
    """Put ``part`` in the place of ``final``; the old folder is put back if that fails."""
    if not final.exists():
        os.replace(part, final)
    else:
        old = _temporary(final)
        os.replace(final, old)
        try:
            os.replace(part, final)
        except BaseException:
            os.replace(old, final)
            raise
        shutil.rmtree(old, ignore_errors=True)
    _flush(final.parent)


def _create_parents(folder: Path, created: list[Path]) -> None:
    """Create ``folder`` and its missing parents, appending each one made to ``created``."""
    missing = [p for p in (folder, *folder.parents) if not p.exists()]
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        created.append(path)


def _remove_empty(folders: list[Path]) -> None:
    for folder in reversed(folders):
        try:
            folder.rmdir()
        except OSError:
            return
