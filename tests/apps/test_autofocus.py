"""``echoform autofocus``: it undoes a known phase error and writes a measurement that other commands read."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from echoform.apps.calibrators import CALIBRATORS
from echoform.apps.cli import main
from echoform.apps.demo import simulated_collection
from echoform.measure.measurement import Measurement
from echoform.measure.native import save
from echoform.measure.reading import read
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.identity import ScalarOperator
from echoform.physics.multicoil_mri import MulticoilMRI
from echoform.physics.noise import GaussianNoise
from echoform.recon.calibration.calibration import Calibration, Calibrator, ChannelAxis, rmse_rad

PHASE_RAD = (3 * math.pi * torch.linspace(-1, 1, 32, dtype=torch.float64).square())[None]


@pytest.fixture(scope="module")
def blurred(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("files") / "blurred.h5"
    clean = simulated_collection(32, 20.0, seed=3)
    save(replace(clean, y=ChannelAxis(clean, 1).rotated(-PHASE_RAD)), path)
    return path


@pytest.mark.parametrize("method", CALIBRATORS)
def test_autofocus_writes_the_corrected_measurement(method: str, blurred: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["autofocus", str(blurred), "--method", method, "--out", str(out)]) == 0
    names = {path.name for path in out.iterdir() if not path.name.startswith(".")}
    assert names == {"blurred-autofocused.h5", "phase_rad.npy", "report.html", "config.json", "metrics.json"}
    phase = torch.from_numpy(np.load(out / "phase_rad.npy", allow_pickle=False))
    heard = torch.ones_like(phase) > 0
    assert float(rmse_rad(phase, PHASE_RAD, heard)) < 0.5 * float(rmse_rad(0 * phase, PHASE_RAD, heard))
    numbers = json.loads((out / "metrics.json").read_text())
    assert numbers["entropy_after"] < numbers["entropy_before"] - 0.3
    corrected = read(out / "blurred-autofocused.h5")
    expected = ChannelAxis(read(blurred), 1).rotated(phase)
    torch.testing.assert_close(corrected.y, expected, rtol=1e-6, atol=1e-6 * float(expected.abs().max()))


class Spoiler(Calibrator):
    """A method that finds phases which blur the image."""

    def __call__(self, measurement: Measurement, *, start_rad: torch.Tensor | None = None) -> Calibration:
        return ChannelAxis(measurement, 1).corrected(PHASE_RAD, torch.ones_like(PHASE_RAD), {})


def test_a_correction_that_makes_it_worse_is_not_recommended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save(simulated_collection(32, 20.0, seed=3), tmp_path / "sharp.h5")
    monkeypatch.setitem(CALIBRATORS, "pga", replace(CALIBRATORS["pga"], build=Spoiler))
    assert main(["autofocus", str(tmp_path / "sharp.h5"), "--method", "pga", "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr()
    assert "note: The entropy of the image did not fall: do not use this correction." in printed.err
    assert "try:" not in printed.out
    assert "do not use this correction" in (tmp_path / "out" / "report.html").read_text()


def without_pulses() -> dict[str, tuple[Measurement, str]]:
    """Measurements whose samples have three axes and are no radar's."""
    radar, coils = (
        simulated_collection(32, 20.0, seed=3),
        MulticoilMRI(FourierMask(torch.ones(1, 1, 16, 16)), torch.ones(1, 3, 16, 16, dtype=torch.complex64)),
    )
    brain, noise = torch.ones(1, 1, 16, 16, dtype=torch.complex64), GaussianNoise(torch.ones(1))
    photograph = torch.ones(1, 3, 16, 16)
    return {
        "k-space of coils": (Measurement(coils(brain), coils, noise), "smooth phase"),
        "k-space of one coil": (replace(radar, metadata=replace(radar.metadata, smooth_phase=True)), "smooth phase"),
        "photograph": (
            Measurement(photograph, ScalarOperator((3, 16, 16), torch.ones(1), complex_image=False), noise),
            "complex",
        ),
    }


@pytest.mark.parametrize("label", without_pulses())
def test_what_is_no_radar_is_refused(label: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    measurement, word = without_pulses()[label]
    save(measurement, tmp_path / "m.h5")
    assert main(["autofocus", str(tmp_path / "m.h5"), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert "autofocus needs a radar's samples" in said
    assert word in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_measurement_without_pulses_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    operator = FourierMask(torch.ones(1, 1, 2, 8))
    path = tmp_path / "flat.h5"
    save(Measurement(operator(torch.ones(1, 1, 2, 8) + 0j), operator, GaussianNoise(torch.ones(1))), path)
    assert main(["autofocus", str(path), "--out", str(tmp_path / "out")]) == 2
    assert "pulses" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
