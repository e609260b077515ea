"""Every example runs, at a small size, and shows what it says."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_simulate_and_reconstruct(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    path = EXAMPLES / "01_simulate_and_reconstruct.py"
    assert len(path.read_text().splitlines()) <= 40
    monkeypatch.setattr(sys, "argv", [str(path), "32"])
    runpy.run_path(str(path))
    lines = re.findall(r"(\w+): error (\S+) dB, prediction error (\S+) dB", capsys.readouterr().out)
    scores = {name: (float(error), float(prediction)) for name, error, prediction in lines}
    assert list(scores) == ["MatchedFilter", "SparseL1"]
    assert scores["SparseL1"][0] < -10 < scores["MatchedFilter"][0]
    assert scores["SparseL1"][1] < -10 < scores["MatchedFilter"][1]
