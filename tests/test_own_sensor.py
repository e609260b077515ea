"""docs/own_sensor.md: its code runs, and what it warns of is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from echoform.measure.measurement import Measurement
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.noise import GaussianNoise

PAGE = Path(__file__).parents[1] / "docs" / "own_sensor.md"


def test_the_page_s_code_reconstructs(capsys: pytest.CaptureFixture[str]) -> None:
    """Every method finds the scene from 400 samples of 1024 pixels."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    exec(compile(code, str(PAGE), "exec"), {})
    errors = [float(line.split()[-1]) for line in capsys.readouterr().out.splitlines()]
    assert len(errors) == 3
    assert max(errors) < 0.25


def test_more_sensors_than_scenes_are_refused() -> None:
    """A buffer without its leading axis of sensors counts its rows as sensors."""
    operator = FourierMask(torch.ones(4, 1, 8, 8))
    with pytest.raises(ValueError, match="holds 4 sensors, y 1 scenes"):
        Measurement(torch.zeros(1, 1, 8, 8, dtype=torch.complex64), operator, GaussianNoise(torch.ones(1)))
