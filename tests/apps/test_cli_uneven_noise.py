"""A file whose noise has a level per sample, or speckle, goes through the commands as any other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from echoform.apps.cli import main
from echoform.measure.measurement import Measurement, Metadata, simulate
from echoform.measure.native import save
from echoform.physics.fourier_mask import FourierMask
from echoform.physics.identity import ScalarOperator
from echoform.physics.noise import GaussianNoise
from echoform.physics.noise_coloured import DiagonalGaussianNoise
from echoform.physics.noise_speckle import SpeckleNoise


def run(file: Path, capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, float], str]:
    out = file.parent / file.stem
    assert main(["reconstruct", str(file), "--method", "tikhonov", "--out", str(out)]) == 0
    scores = json.loads((out / "metrics.json").read_text())["tikhonov"]["scores"]
    return scores, capsys.readouterr().err


def test_a_level_per_sample_is_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Lower error than with the same samples of which one level is stated, and a misfit of one."""
    generator = torch.Generator().manual_seed(1)
    operator = FourierMask(torch.ones(1, 1, 32, 32))
    scene = torch.randn(1, 1, 32, 32, dtype=torch.complex64, generator=generator)
    noise = DiagonalGaussianNoise(10 ** (torch.rand(1, 1, 32, 32, generator=generator) * 3 - 2))
    told = simulate(scene, operator, noise, generator=generator, metadata=Metadata(truth=scene))
    level = Measurement(told.y, operator, GaussianNoise(noise.sigma), told.metadata)
    save(told, tmp_path / "told.h5")
    save(level, tmp_path / "level.h5")
    with_levels, said = run(tmp_path / "told.h5", capsys)
    with_one, _ = run(tmp_path / "level.h5", capsys)
    print(
        f"Tikhonov by the command line: {with_levels['nmse_db']:.2f} dB whitened, {with_one['nmse_db']:.2f} dB by one level"
    )
    assert with_levels["nmse_db"] < with_one["nmse_db"] - 2
    assert with_levels["misfit_over_noise"] == pytest.approx(1, abs=0.02)
    assert "states no noise level" not in said


def test_speckle_states_its_level(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    generator = torch.Generator().manual_seed(2)
    clean = 1 + torch.rand(1, 1, 32, 32, generator=generator)
    noise = SpeckleNoise(torch.tensor([4.0]))
    measurement = simulate(clean, ScalarOperator((1, 32, 32), torch.ones(1)), noise, generator=generator)
    save(measurement, tmp_path / "speckle.h5")
    scores, said = run(tmp_path / "speckle.h5", capsys)
    assert "states no noise level" not in said
    assert scores["misfit_over_noise"] == pytest.approx(1, abs=0.02)
    assert main(["info", str(tmp_path / "speckle.h5")]) == 0
    assert "speckle of 4 looks" in capsys.readouterr().out
