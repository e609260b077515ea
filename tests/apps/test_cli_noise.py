"""Files that state no noise level: estimated and said where the samples can tell, asked for where they cannot."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from echoform.apps.cli import main
from echoform.apps.commands import with_sigma
from echoform.apps.methods import COMPARED, METHODS
from echoform.measure.measurement import Measurement, simulate
from echoform.measure.native import save
from echoform.measure.reading import read
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.noise import GaussianNoise
from echoform.physics.nonuniform_fourier import NonuniformFourier


@pytest.fixture
def oversampled(tmp_path: Path) -> Path:
    """32 x 96 samples of a 16 x 16 image at 10 dB, the level not stated."""
    generator = torch.Generator().manual_seed(1)
    k = [torch.linspace(-1.8, 1.8, n, dtype=torch.float64) for n in (32, 96)]
    points = torch.stack(torch.meshgrid(*k, indexing="ij"))[None].flatten(-2)
    operator = NonuniformFourier(
        points, torch.ones(1, 32 * 96, dtype=torch.float64), domain_shape=(1, 16, 16), sample_shape=(32, 96)
    )
    scene = torch.randn(1, 1, 16, 16, dtype=torch.complex64, generator=generator)
    sigma = float(operator(scene).abs().square().mean().sqrt()) * 10**-0.5
    noisy = simulate(scene, operator, GaussianNoise(torch.tensor([sigma])), generator=generator)
    silent = Measurement(noisy.y, operator, GaussianNoise(torch.zeros(1)), noisy.metadata)
    save(silent, tmp_path / "oversampled.h5")
    (tmp_path / "sigma").write_text(str(sigma))
    return tmp_path / "oversampled.h5"


def test_a_level_that_can_be_told_is_used_and_said(oversampled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = oversampled.parent / "out"
    assert main(["reconstruct", str(oversampled), "--method", "tikhonov", "--out", str(out)]) == 0
    said = capsys.readouterr().err
    assert "estimated: sigma" in said
    assert "--sigma" in said
    sigma = float(said.split("estimated: sigma ")[1].split()[0])
    assert sigma == pytest.approx(float((oversampled.parent / "sigma").read_text()), rel=0.1)
    scores = json.loads((out / "metrics.json").read_text())["tikhonov"]["scores"]
    assert scores["misfit_over_noise"] == pytest.approx(1, abs=0.02)
    assert "estimated: sigma" in (out / "report.html").read_text()


def test_a_level_given_by_the_user_comes_first(oversampled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = oversampled.parent / "out"
    assert main(["reconstruct", str(oversampled), "--method", "tikhonov", "--sigma", "3", "--out", str(out)]) == 0
    assert "estimated" not in capsys.readouterr().err


@pytest.mark.parametrize("sigma", ["1e300", "1e-300", "inf", "0"])
def test_a_level_beyond_single_precision_is_refused(
    sigma: str, oversampled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = oversampled.parent / "out"
    assert main(["reconstruct", str(oversampled), "--sigma", sigma, "--out", str(out)]) == 2
    said = capsys.readouterr().err
    assert "--sigma must be a positive number" in said
    assert said.count("\n") == 1
    assert not out.exists()


def test_the_note_on_noise_says_what_the_user_gave(oversampled: Path) -> None:
    measurement = read(oversampled)
    stated = replace(measurement.metadata, notes={"noise": "as the file states", "other": "kept"})
    given = with_sigma(replace(measurement, metadata=stated), 3.0)
    assert given.metadata.notes == {"noise": "standard deviation 3 per sample, given with --sigma", "other": "kept"}
    assert with_sigma(replace(given, noise=GaussianNoise(torch.ones(1))), None).metadata.notes == given.metadata.notes


def test_a_level_that_cannot_be_told_is_asked_for_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scene = torch.randn(1, 1, 16, 16, dtype=torch.complex64, generator=torch.Generator().manual_seed(2))
    quiet = simulate(scene, FourierMask(torch.ones(1, 1, 16, 16)), GaussianNoise(torch.zeros(1)))
    save(quiet, tmp_path / "quiet.h5")
    assert main(["reconstruct", str(tmp_path / "quiet.h5"), "--method", "l1", "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().err
    assert "give --sigma" in said
    assert "cannot be told" in said


def test_an_image_without_phase_says_so(oversampled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = oversampled.parent / "out"
    assert main(["reconstruct", str(oversampled), "--method", "backprojection-multilook", "--out", str(out)]) == 0
    assert "without phase" in capsys.readouterr().err
    facts = json.loads((out / "metrics.json").read_text())["backprojection-multilook"]["facts"]
    assert facts["looks"] == 4
    assert math.isclose(facts["expected_enl"], 4)


def test_slow_methods_and_those_without_phase_are_not_compared_unasked() -> None:
    assert set(COMPARED) <= set(METHODS)
    left_out = {"backprojection-multilook", "tv", "tv-complex", "closure", "pnp", "posterior"}
    assert set(METHODS) - set(COMPARED) == left_out
