"""How a reader must turn away a file that is hostile, truncated or of another kind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from echoform.measure.errors import MeasurementFileError


def refusal(reader: Callable[[Path], object], path: Path) -> str:
    """Return the one line that the reader gives: what was got, expected and is to be done; the folder must be as it was."""
    before = sorted(path.parent.iterdir())
    with pytest.raises(MeasurementFileError) as caught:
        reader(path)
    line = str(caught.value)
    assert line.isprintable(), line
    assert line.startswith(f"{path}: got "), line
    assert ", expected " in line, line
    assert ";" in line, line
    assert len(line) < 1000, line
    assert sorted(path.parent.iterdir()) == before
    return line
