"""``echoform simulate``: every family ends up in a file that ``echoform reconstruct`` makes an image of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from echoform.apps.cli import main
from echoform.apps.problem_families import PROBLEM_FAMILIES
from echoform.measure.native import load
from echoform.train.problems.catalogue import FAMILIES


def test_the_names_are_those_of_the_catalogue() -> None:
    assert list(PROBLEM_FAMILIES) == [family.name for family in FAMILIES]


@pytest.mark.parametrize("family", PROBLEM_FAMILIES)
def test_a_simulated_file_can_be_reconstructed(family: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = tmp_path / "data.h5", tmp_path / "out"
    request = ["simulate", "--family", family, "--seed", "3", "--out", str(data), "--pixels", "16", "--snr-db", "20"]
    assert main(request) == 0
    assert main(["info", str(data)]) == 0
    assert f"Simulated: {family}" in capsys.readouterr().out
    assert main(["reconstruct", str(data), "--method", "backprojection", "--out", str(out)]) == 0
    assert (out / "report.html").exists()
    numbers = json.loads((out / "metrics.json").read_text())["backprojection"]["scores"]
    assert all(value is None or isinstance(value, float) for value in numbers.values())


def test_options_decide_the_file(tmp_path: Path) -> None:
    def made(name: str, *more: str) -> torch.Tensor:
        path = tmp_path / f"{name}.h5"
        assert main(["simulate", "--family", "fourier", "--out", str(path), "--pixels", "16", *more]) == 0
        return load(path).y

    assert torch.equal(made("a", "--batch", "3"), made("b", "--batch", "3"))
    assert not torch.equal(made("c", "--seed", "1"), made("d", "--seed", "2"))
    assert made("e", "--batch", "3").shape == (3, 1, 16, 16)


def test_photographs_of_a_folder_are_the_scenes(tmp_path: Path) -> None:
    folder, out = tmp_path / "photographs", tmp_path / "data.h5"
    folder.mkdir()
    Image.new("RGB", (40, 30), (255, 255, 255)).save(folder / "white.png")
    request = ["simulate", "--family", "super-resolution", "--out", str(out), "--pixels", "16"]
    assert main([*request, "--photographs", str(folder)]) == 0
    truth = load(out).metadata.truth
    assert truth is not None
    assert torch.allclose(truth, torch.ones_like(truth), atol=1e-5)


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (["--out", "data.cphd"], "--out must end in .h5"),
        (["--out", "x.h5", "--pixels", "8"], "--pixels must lie between"),
        (["--out", "x.h5", "--batch", "0"], "--batch must be at least 1"),
        (["--out", "x.h5", "--snr-db", "nan"], "--snr-db must be a number"),
        (["--out", "x.h5", "--snr-db", "1e4"], "--snr-db must be a number from -200 to 200"),
        (["--out", "x.h5", "--seed", "-1"], "--seed must lie between 0 and 9223372036854775807"),
        (["--out", "x.h5", "--photographs", "."], "--photographs are for the families of optics"),
        (["--out", "x.h5", "--family", "denoising", "--photographs", "nowhere"], "no photograph"),
        (["--out", "x.h5", "--family", "super-resolution", "--pixels", "17"], "none of the factors"),
    ],
)
def test_nonsense_is_refused_in_one_line(more: list[str], named: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--family", "fourier", *more]) == 2
    said = capsys.readouterr().err
    assert named in said
    assert said.count("\n") == 1


def test_a_file_is_never_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "data.h5"
    path.write_text("mine")
    assert main(["simulate", "--family", "fourier", "--out", str(path)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert path.read_text() == "mine"
